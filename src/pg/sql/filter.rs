//! The fast test: most statements of most applications touch nothing protected, and aren't parsed at all.

use super::lex::{Kind, Tokens};
use crate::pg::catalog::model::Catalog;
use crate::policy::model::Table;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

/// Words of statements that change how texts are read (`SET NAMES` is `SET client_encoding`), are about prepared statements,
/// which have names of their own, or about what keeps or runs a text.
const WATCHED: [&str; 12] = [
    "standard_conforming_strings",
    "client_encoding",
    "bytea_output",
    "datestyle",
    "zone",
    "names",
    "prepare",
    "execute",
    "deallocate",
    "discard",
    "function",
    "procedure",
];

/// Settings by which texts are read or values are shown.
const SETTINGS: [&str; 3] = ["standard_conforming_strings", "client_encoding", "bytea_output"];

/// Words of statements that may be about something protected without its name as it is watched: by escapes, by
/// ALTER SCHEMA … RENAME, by ALTER TABLE … ENABLE TRIGGER, by COMMIT PREPARED.
const HIDING: [&str; 5] = ["u&", "\\", "schema", "trigger", "prepared"];

/// Words that say enough only where a statement begins with them: a block of code, and RESET ALL.
const ONLY_FIRST: [&str; 2] = ["do", "reset"];

/// Decides without parsing that a text can't touch anything protected.
#[derive(Debug)]
pub struct Filter {
    /// `None` when it could not be built: then every text goes to the parser.
    words: Option<AhoCorasick>,
    /// So many of them, the first, are names or may hide one.
    naming: usize,
    /// The names that it watches, in order.
    names: Vec<Box<str>>,
}

impl Filter {
    /// Watches the names of protected tables, of relations and functions that touch them, and a few words.
    pub fn new(tables: &[Table], catalog: &Catalog) -> Self {
        let hiding = HIDING.into_iter().chain(super::ddl::RUN_TEXT);
        let mut builder = AhoCorasickBuilder::new();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard);
        let mut watched: Vec<Box<str>> =
            names(tables, catalog).map(|name| name.to_ascii_lowercase().into()).collect();
        watched.sort_unstable();
        Self {
            naming: hiding.clone().count() + watched.len(),
            words: builder.build(names(tables, catalog).chain(hiding).chain(WATCHED)).ok(),
            names: watched,
        }
    }

    /// Whether it stops texts that say this name.
    pub fn watches(&self, name: &str) -> bool {
        self.names.binary_search(&longest_part(name).to_ascii_lowercase().into()).is_ok()
    }

    /// Whether it stops all that another one stops: what this one let pass would pass there too.
    pub fn covers(&self, other: &Self) -> bool {
        other.names.iter().all(|name| self.names.binary_search(name).is_ok())
    }

    /// Whether the text must be parsed. `false` is certain, `true` is not.
    pub fn may_touch(&self, sql: &[u8]) -> bool {
        self.words.as_ref().is_none_or(|w| w.is_match(sql))
            || sql.split(|b| *b == b';').any(|statement| begins_with(statement, &ONLY_FIRST))
    }

    /// Whether a change of the schema, by this text, may give a name that is not watched yet to what touches something
    /// protected: such a text says, or hides, one that is watched. `false` is certain, `true` is not.
    pub fn may_name(&self, sql: &[u8]) -> bool {
        let naming = |words: &AhoCorasick| {
            words.find_overlapping_iter(sql).any(|found| found.pattern().as_usize() < self.naming)
        };
        self.words.as_ref().is_none_or(naming)
            || sql.split(|b| *b == b';').any(|statement| begins_with(statement, &["do"]))
    }
}

/// Some names, to be found in texts.
#[derive(Debug)]
pub struct Names(Option<AhoCorasick>);

impl Names {
    /// Of these; and what may hide one.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut words: Vec<String> =
            names.into_iter().map(|name| longest_part(name.as_ref()).to_owned()).collect();
        if !words.is_empty() {
            words.extend(HIDING.into_iter().chain(super::ddl::RUN_TEXT).map(str::to_owned));
        }
        Self(AhoCorasickBuilder::new().ascii_case_insensitive(true).build(words).ok())
    }

    /// Whether a text may name one of them. `false` is certain, `true` is not.
    pub fn may_be_in(&self, sql: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|words| words.is_match(sql))
    }
}

/// Names of all that is protected or touches it, and of the catalog's relations that tell its types. One may stand in a text with its quotes doubled: the longest
/// part around them is given.
fn names<'a>(tables: &'a [Table], catalog: &'a Catalog) -> impl Iterator<Item = &'a str> {
    let relations = catalog.relations.values().filter(|r| r.is_watched()).map(|r| &*r.name);
    let code = [&catalog.functions, &catalog.operators, &catalog.types].into_iter().flatten();
    let functions = code.map(|f| &**f);
    let watched = catalog.mask.watched().iter().copied();
    tables
        .iter()
        .map(|t| &*t.name)
        .chain(relations)
        .chain(functions)
        .map(longest_part)
        .chain(watched)
        .chain(super::unnamed::implied(&catalog.operators))
}

pub(super) fn longest_part(name: &str) -> &str {
    name.split('"').max_by_key(|p| p.len()).unwrap_or(name)
}

/// Whether a statement begins with one of these words. A `;` in a string or comment splits too, which can only give more
/// of them.
fn begins_with(statement: &[u8], words: &[&str]) -> bool {
    let mut rest = statement;
    loop {
        rest = match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, after @ ..] => after,
            [b'-', b'-', after @ ..] => {
                let end = after.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(after.len());
                &after[end..]
            }
            [b'/', b'*', after @ ..] => after_comment(after),
            // What may be the rest of a comment that a `;` has split.
            _ if ends_comment(rest) => return words.iter().any(|word| contains(rest, word)),
            _ => return words.iter().any(|word| is_first(rest, word)),
        };
    }
}

/// What follows a comment that has begun: others may lie in it.
pub fn after_comment(text: &[u8]) -> &[u8] {
    let mut depth = 1_usize;
    let mut at = 0;
    while depth > 0 && at < text.len() {
        match &text[at..] {
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            _ => at += 1,
        }
    }
    &text[at..]
}

fn ends_comment(text: &[u8]) -> bool {
    text.windows(2).any(|w| w == b"*/")
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_first(text: &[u8], word: &str) -> bool {
    text.split_at_checked(word.len()).is_some_and(|(first, after)| {
        first.eq_ignore_ascii_case(word.as_bytes())
            && !after.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
    })
}

/// Whether a text that this grammar does not read may do what must not pass unread: run a text, change how texts
/// are read, or give values to a prepared statement.
pub(super) fn may_do_more(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    let tokens = Tokens::new(&lower);
    let sets_names = |i| tokens.is_word(i, "set") && tokens.is_word(i + 1, "names");
    SETTINGS.iter().any(|s| lower.contains(s))
        || (0..tokens.all().len()).any(sets_names)
        || gives_values(&tokens)
        || lower.as_bytes().split(|b| *b == b';').any(|statement| begins_with(statement, &["do"]))
}

/// Whether constants stand behind an EXECUTE that is no privilege and no trigger's.
fn gives_values(tokens: &Tokens<'_>) -> bool {
    let other = |i: usize| ["on", "function", "procedure"].iter().any(|word| tokens.is_word(i, word));
    let runs = |i: &usize| tokens.is_word(*i, "execute") && !other(i + 1);
    let Some(at) = (0..tokens.all().len()).find(runs) else { return false };
    tokens.all().iter().skip(at).any(|t| matches!(t.kind, Kind::Str | Kind::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::sql::tests::world;

    #[test]
    fn passes_what_names_nothing_protected_and_stops_the_rest() {
        let world = world();
        let filter = Filter::new(&world.tables, &world.catalog);
        assert!(!filter.may_touch(b"SELECT * FROM articles WHERE id = $1"));
        for sql in [
            "select * from PEOPLE",
            "SELECT * FROM U&\"p\\0065ople\"",
            "SET standard_conforming_strings = off",
            "SELECT * FROM staff_view",
            "SELECT touch_people()",
            "COPY public.\"people\" FROM stdin",
            "SET NAMES 'latin1'",
            "ALTER SCHEMA public RENAME TO p",
            "SELECT f(E'peop\\x6ce')",
            "SELECT Query_to_xml('')",
            "do 'begin delete from peo'\n'ple; end'",
            "/* x */ Reset\nall",
            "SELECT 1; -- ;x\n /* a /* b */; */ DO/**/LANGUAGE plpgsql ''",
        ] {
            assert!(filter.may_touch(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "/* a */ INSERT INTO articles VALUES (1) ON CONFLICT DO NOTHING",
            "SELECT 1; DOMAIN",
            "SELECT reset FROM resets",
            "RESETS",
            ";",
        ] {
            assert!(!filter.may_touch(sql.as_bytes()), "{sql}");
        }
    }

    #[test]
    fn a_change_of_the_schema_that_says_no_watched_name_hides_nothing_new() {
        let world = world();
        let filter = Filter::new(&world.tables, &world.catalog);
        for sql in [
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT count(*) FROM People'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS E'SELECT count(*) FROM peopl\\x65'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS U&'SELECT count(*) FROM peopl!0065' UESCAPE '!'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT touch_people()'",
            "CREATE VIEW v AS SELECT * FROM staff_view",
            "ALTER FUNCTION touch_people() RENAME TO f",
            "ALTER SCHEMA public RENAME TO p",
            "ALTER TABLE articles ENABLE TRIGGER USER",
            "DO 'BEGIN EXECUTE concat(''CREATE VIEW v AS SELECT * FROM peo'', ''ple''); END'",
        ] {
            assert!(filter.may_name(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT count(*) FROM articles'",
            "DROP PROCEDURE f",
            "PREPARE p AS SELECT * FROM articles",
        ] {
            assert!(filter.may_touch(sql.as_bytes()) && !filter.may_name(sql.as_bytes()), "{sql}");
        }
    }
}
