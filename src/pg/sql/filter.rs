//! The fast test: most statements of most applications touch nothing protected, and aren't parsed at all.

use crate::pg::catalog::model::Catalog;
use crate::policy::model::Table;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

/// Words by which a statement could hide a name or change how texts are read.
const WATCHED: [&str; 4] = ["u&", "standard_conforming_strings", "client_encoding", "bytea_output"];

/// Also `SET NAMES`, which is `SET client_encoding`.
const NAMES: &str = "names";

/// Decides without parsing that a text can't touch anything protected.
#[derive(Debug)]
pub struct Filter {
    /// `None` when it could not be built: then every text goes to the parser.
    words: Option<AhoCorasick>,
}

impl Filter {
    /// Watches the names of protected tables, of views and functions that touch them, and a few words.
    pub fn new(tables: &[Table], catalog: &Catalog) -> Self {
        let views = catalog.relations.values().filter(|r| r.touches_protected).map(|r| &*r.name);
        let names =
            tables.iter().map(|t| &*t.name).chain(views).chain(catalog.functions.iter().map(|f| &**f));
        // A name may stand in a text with its quotes doubled: its parts around them are watched.
        let parts = names.map(longest_part).chain(WATCHED).chain([NAMES]);
        let words = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(parts)
            .ok();
        Self { words }
    }

    /// Whether the text must be parsed. `false` is certain, `true` is not.
    pub fn may_touch(&self, sql: &[u8]) -> bool {
        self.words.as_ref().is_none_or(|w| w.is_match(sql))
    }
}

fn longest_part(name: &str) -> &str {
    name.split('"').max_by_key(|p| p.len()).unwrap_or(name)
}

/// The same without an automaton, for a single text that does not parse.
pub(super) fn may_name(sql: &str, tables: &[Table], catalog: &Catalog) -> bool {
    Filter::new(tables, catalog).may_touch(sql.as_bytes())
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
        ] {
            assert!(filter.may_touch(sql.as_bytes()), "{sql}");
        }
    }
}
