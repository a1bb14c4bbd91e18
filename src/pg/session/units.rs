//! What open transactions have written, and how each ends: on COMMIT it is settled, on ROLLBACK
//! undone, and where the outcome can't be told it is left to recovery.

use crate::pg::sql::{self, StatementKind};
use crate::pg::wire::simple::Status;
use crate::protect::{Mark, Unit};
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Units of work of one transaction, or of several that lie in one pipeline.
#[derive(Default)]
pub(super) struct Units {
    /// With the time when each began: in a pipeline they go and come back in parts, and savepoints lie between them.
    list: Vec<(u64, Unit)>,
    errored: bool,
    rolled_back: bool,
    savepoints: Vec<Savepoint>,
    /// Under which name their transaction is being prepared.
    name: Option<Box<str>>,
}

struct Savepoint {
    name: String,
    at: u64,
    /// How far the unit that was written to last had come.
    mark: Option<(u64, Mark)>,
}

/// A time: later than any that was given before.
fn now() -> u64 {
    static TIME: AtomicU64 = AtomicU64::new(0);
    TIME.fetch_add(1, Ordering::Relaxed)
}

/// A statement that begins or ends a transaction or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// COMMIT or END, also with AND CHAIN.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// SAVEPOINT name.
    Savepoint(String),
    /// ROLLBACK TO name.
    RollbackTo(String),
    /// Something that leaves the outcome to another session or moment: PREPARE TRANSACTION, of that name.
    Unclear(Option<Box<str>>),
}

impl Units {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// An error was reported since these were taken.
    pub(super) fn mark_failed(&mut self) {
        self.errored = true;
    }

    /// A ROLLBACK completed that may have undone them.
    pub(super) fn mark_rolled_back(&mut self) {
        self.rolled_back = true;
    }

    /// Whether the transaction that has just ended undid them. A block that ended without a COMMIT
    /// was rolled back; outside a block all is kept unless there was an error.
    pub(super) fn failed(&self, before: Status) -> bool {
        self.errored || self.rolled_back || before != Status::Idle
    }

    /// A ROLLBACK completed, and there is a transaction still: it may be another one.
    pub(super) fn unclear(&self) -> bool {
        self.rolled_back
    }

    /// Puts back what was taken at a boundary that turned out not to end the transaction.
    pub(super) fn put_back(&mut self, mut earlier: Self) {
        self.errored |= earlier.errored;
        self.rolled_back |= earlier.rolled_back;
        self.list.append(&mut earlier.list);
        self.list.sort_by_key(|(began, _)| *began);
        self.savepoints.append(&mut earlier.savepoints);
        self.savepoints.sort_by_key(|savepoint| savepoint.at);
    }

    /// Adds what was written later.
    pub(super) fn append(&mut self, later: Self) {
        let earlier = self.take();
        *self = later;
        self.put_back(earlier);
    }

    /// The transaction goes on: what was marked is the server's to tell from here.
    pub(super) fn clear_marks(&mut self) {
        self.errored = false;
        self.rolled_back = false;
    }

    /// The unit that the next write belongs to.
    pub(super) fn current(&mut self, make: impl FnOnce() -> Unit) -> &mut Unit {
        // What was to be prepared was not.
        self.name = None;
        if self.list.is_empty() {
            // An error before it was about another transaction, or nothing would be written now.
            self.clear_marks();
            self.list.push((now(), make()));
        }
        let last = self.list.len() - 1;
        &mut self.list[last].1
    }

    pub(super) fn last(&mut self) -> Option<&mut Unit> {
        self.list.last_mut().map(|(_, unit)| unit)
    }

    pub(super) fn commit(&mut self) {
        self.clear_marks();
        self.savepoints.clear();
        self.list.drain(..).for_each(|(_, unit)| unit.commit());
    }

    pub(super) fn rollback(&mut self) {
        self.clear_marks();
        self.savepoints.clear();
        self.list.drain(..).for_each(|(_, unit)| unit.rollback());
    }

    /// Their transaction is prepared under that name, where it is known and there are any.
    pub(super) fn prepares(&mut self, name: Option<Box<str>>) {
        self.name = name.filter(|_| !self.is_empty());
    }

    /// That name, and what is left to recovery once they are abandoned.
    pub(super) fn prepared(&mut self) -> Option<(Box<str>, Vec<[u8; 16]>)> {
        let name = self.name.take()?;
        Some((name, self.list.iter().map(|(_, unit)| unit.number()).collect()))
    }

    /// Leaves everything to recovery, which looks into the tables.
    pub(super) fn abandon(&mut self) {
        self.clear_marks();
        self.savepoints.clear();
        self.list.clear();
    }

    pub(super) fn savepoint(&mut self, name: String) {
        let mark = self.list.last().map(|(began, unit)| (*began, unit.mark()));
        self.savepoints.push(Savepoint { name, at: now(), mark });
    }

    pub(super) fn rollback_to(&mut self, name: &str) {
        let Some(at) = self.savepoints.iter().rposition(|s| s.name == name) else {
            // A savepoint that was not seen here: which writes it undid can't be told.
            return self.abandon();
        };
        self.savepoints.truncate(at + 1);
        self.clear_marks();
        let Savepoint { at, mark, .. } = self.savepoints[at];
        let later = self.list.partition_point(|(began, _)| *began < at);
        self.list.drain(later..).for_each(|(_, unit)| unit.rollback());
        if let Some((last, mark)) = mark
            && let Some((_, unit)) = self.list.iter_mut().find(|(began, _)| *began == last)
        {
            unit.rollback_to(mark);
        }
    }
}

impl Control {
    /// Reads the first words of a statement that was not parsed; `None` for all that ends nothing.
    pub(super) fn of(text: &str) -> Option<Self> {
        if !begins_with(text, b"cerasp") {
            return None;
        }
        let mut words = Words(text);
        let first = words.next()?;
        let mut next = || words.next().map(|w| w.to_ascii_lowercase());
        match first.to_ascii_lowercase().as_str() {
            "commit" | "end" => match next().as_deref() {
                Some("prepared") => None,
                _ => Some(Self::Commit),
            },
            "rollback" | "abort" => {
                let mut word = next();
                if matches!(word.as_deref(), Some("work" | "transaction")) {
                    word = next();
                }
                match word.as_deref() {
                    Some("prepared") => None,
                    Some("to") => {
                        let mut ahead = Words(words.0);
                        let word = ahead.next()?;
                        // It may be a name as well.
                        if word.eq_ignore_ascii_case("savepoint") && Words(ahead.0).next().is_some() {
                            words = ahead;
                        }
                        words.named(Self::RollbackTo)
                    }
                    _ => Some(Self::Rollback),
                }
            }
            "savepoint" => words.named(Self::Savepoint),
            "prepare" => {
                (next().as_deref() == Some("transaction")).then(|| Self::Unclear(sql::prepared_name(text)))
            }
            _ => None,
        }
    }
}

/// Whether a statement ends a transaction or a part of one, or begins a part.
pub(super) fn is_control(kind: &StatementKind) -> bool {
    use StatementKind::{Commit, PrepareTransaction, Rollback, RollbackTo, Savepoint};
    matches!(kind, Commit | Rollback | Savepoint(_) | RollbackTo(_) | PrepareTransaction)
}

/// Whether a statement that was not parsed changes the schema, by its first word.
pub(super) fn is_ddl(text: &str) -> bool {
    if !begins_with(text, b"cad") {
        return false;
    }
    let mut words = Words(text);
    let first = words.next().unwrap_or_default();
    ["create", "alter", "drop"].iter().any(|ddl| first.eq_ignore_ascii_case(ddl))
        || (first.eq_ignore_ascii_case("commit")
            && words.next().is_some_and(|word| word.eq_ignore_ascii_case("prepared")))
}

/// Whether a change of the schema may give another name to something that has one, whatever that is by then. DROP does not;
/// nor does a table that is nobody's child: it may hold what another holds, but is not that.
pub(super) fn may_follow(text: &str) -> bool {
    let several = text.trim_end().trim_end_matches(';').contains(';');
    let mut words = Words(text).map(str::to_ascii_lowercase);
    match words.next().as_deref() {
        Some("drop") => several,
        Some("create") => {
            let kinds = ["global", "local", "temp", "temporary", "unlogged"];
            let table = words.find(|word| !kinds.contains(&&**word)).is_some_and(|word| word == "table");
            let lower = text.to_ascii_lowercase();
            several || !table || lower.contains("inherit") || lower.contains("partition")
        }
        _ => true,
    }
}

/// Whether a text may commit a change of the schema before its last statement: one that it makes, or (`changed`) one that
/// was made before it. `false` is certain, `true` is not.
pub(super) fn may_commit_within(text: &[u8], changed: bool) -> bool {
    let found = |words: &LazyLock<Option<AhoCorasick>>| words.as_ref().is_none_or(|w| w.is_match(text));
    let text_of = |text: &[u8]| text.iter().rposition(|b| !is_space(*b)).map_or(0, |last| last + 1);
    memchr::memchr(b';', &text[..text_of(text)]).is_some()
        && found(&COMMITS)
        && (changed || found(&NAMES_ANEW))
}

static COMMITS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| words(&["commit", "end"]));
static NAMES_ANEW: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| words(&["create", "alter"]));

fn words(words: &[&str]) -> Option<AhoCorasick> {
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok()
}

/// Whether a text's first word may begin with one of these letters; most don't, and are looked at no further.
fn begins_with(text: &str, letters: &[u8]) -> bool {
    let first = text.bytes().find(|byte| !is_space(*byte));
    first.is_some_and(|byte| letters.contains(&byte.to_ascii_lowercase()) || matches!(byte, b'-' | b'/'))
}

/// An identifier as Postgres folds it.
fn name(word: &str) -> String {
    match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => word.to_ascii_lowercase(),
    }
}

/// What stands between words: the server's white space, and the end of an empty statement.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' | b';')
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// Words, quoted identifiers and other characters of a text, as the server tells them apart; comments are passed over.
struct Words<'a>(&'a str);

impl Words<'_> {
    /// What is done about the savepoint that is named next.
    fn named(&mut self, control: fn(String) -> Control) -> Option<Control> {
        let word = self.next()?;
        // With escapes in it, it is not read here.
        let escaped = word.eq_ignore_ascii_case("u") && self.0.starts_with('&');
        Some(if escaped { Control::Unclear(None) } else { control(name(word)) })
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
            if let Some(rest) = self.0.strip_prefix("--") {
                self.0 = rest.split_once(['\n', '\r'])?.1;
            } else if let Some(rest) = self.0.strip_prefix("/*") {
                let after = sql::after_comment(rest.as_bytes()).len();
                self.0 = rest.get(rest.len() - after..)?;
            } else {
                break;
            }
        }
        let first = self.0.chars().next()?;
        let end = match first {
            '"' => quoted(self.0),
            first if is_word(first) => self.0.find(|c| !is_word(c)).unwrap_or(self.0.len()),
            first => first.len_utf8(),
        };
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

/// How long the quoted identifier is with which a text begins.
fn quoted(text: &str) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find('"') {
        at += end + 1;
        if !text[at..].starts_with('"') {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_may_give_another_name() {
        for text in [
            "CREATE VIEW a AS SELECT * FROM b",
            "create table a () inherits (b)",
            "CREATE TABLE a PARTITION OF b DEFAULT",
            "CREATE TABLE a (x int); CREATE VIEW b AS SELECT * FROM c",
            "DROP TABLE a; ALTER VIEW b RENAME TO c",
            "create/**/view a AS SELECT * FROM b",
            "ALTER TABLE a RENAME TO b",
            "COMMIT PREPARED 'x'",
        ] {
            assert!(may_follow(text), "{text}");
        }
        for text in ["CREATE LOCAL TEMP TABLE a (x int);", "CREATE TABLE a AS SELECT * FROM b", "drop view a"]
        {
            assert!(!may_follow(text), "{text}");
        }
    }

    #[test]
    fn tells_what_commits_a_change_and_goes_on() {
        for (text, changed) in [
            ("create view a as select 1; commit; select 2", false),
            ("ALTER VIEW a RENAME TO b;END;BEGIN", false),
            ("commit; select 1", true),
        ] {
            assert!(may_commit_within(text.as_bytes(), changed), "{text}");
        }
        for (text, changed) in [
            ("create view a as select 1; select 2", false),
            ("create view a as select 'commit'; ", false),
            ("commit; select 1", false),
            ("commit;", true),
            ("", true),
        ] {
            assert!(!may_commit_within(text.as_bytes(), changed), "{text}");
        }
    }

    #[test]
    fn the_name_of_an_empty_transaction_is_nothing_to_the_next_one() {
        let mut units = Units::default();
        units.prepares(Some("x".into()));
        assert!(units.prepared().is_none());
    }

    #[test]
    fn tells_what_ends_a_transaction() {
        use Control::*;
        for (text, expected) in [
            ("COMMIT", Some(Commit)),
            ("  end work;", Some(Commit)),
            ("/* x */ commit and chain", Some(Commit)),
            ("COMMIT PREPARED 'x'", None),
            ("ROLLBACK", Some(Rollback)),
            ("abort;", Some(Rollback)),
            ("ROLLBACK TO SAVEPOINT \"s1_x1\"", Some(RollbackTo("s1_x1".into()))),
            ("rollback work to B;", Some(RollbackTo("b".into()))),
            ("SAVEPOINT \"s1_x1\"", Some(Savepoint("s1_x1".into()))),
            ("PREPARE TRANSACTION 'x'''", Some(Unclear(Some("x'".into())))),
            ("PREPARE x AS SELECT 1", None),
            ("SELECT 1", None),
            ("RELEASE SAVEPOINT a", None),
            ("", None),
            (";COMMIT", Some(Commit)),
            ("COMMIT/*traceparent='00-1'*/", Some(Commit)),
            ("end--x", Some(Commit)),
            ("/* a /* b */ c */commit/**/prepared 'x'", None),
            ("-- x\rcommit", Some(Commit)),
            ("rollback/**/to/**/\"a \"\" b\"--x", Some(RollbackTo("a \" b".into()))),
            ("rollback to savepoint savepoint", Some(RollbackTo("savepoint".into()))),
            ("rollback to savepoint", Some(RollbackTo("savepoint".into()))),
            ("savepoint\x0bÉ", Some(Savepoint("É".into()))),
            ("savepoint U&\"!0061\" UESCAPE '!'", Some(Unclear(None))),
            ("prepare/**/transaction'x'", Some(Unclear(Some("x".into())))),
            ("commit_all", None),
            ("/* commit", None),
        ] {
            assert_eq!(Control::of(text), expected, "{text}");
        }
    }

    #[test]
    fn tells_what_changes_the_schema() {
        for text in ["CREATE VIEW v", "create/**/view v", " -- x\n;/*y*/ALTER\tTABLE t", "drop--\nview v"] {
            assert!(is_ddl(text), "{text}");
        }
        for text in ["created", "SELECT create", "creaté", "", "/*"] {
            assert!(!is_ddl(text), "{text}");
        }
    }
}
