//! The whole corpus, over both protocols: nothing that a clear copy keeps in the protected columns, however briefly,
//! reaches the server behind the gateway by any path.

use super::differential::{Mode, compare_corpus};
use super::{differential, predicates, writes};
use crate::support::finder::Forbidden;
use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw};

/// A date or time that can't be spelled otherwise, and a word that the server's own files have, and the gateway's own
/// log (`LimitMEMLOCK=infinity`): looked for in what was sent alone.
const COMMON: &str = "infinity";

/// Keeps what is written to a protected column of the clear copy, also where it is changed or deleted later.
const WATCH: &str = "CREATE TABLE seen (value text); \
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    INSERT INTO public.seen SELECT value FROM jsonb_each_text(to_jsonb(NEW)) WHERE key = ANY (TG_ARGV); \
    RETURN NULL; END $$";

/// Protected columns by table.
const PLACES: [(&str, &str); 5] = [
    (
        "people",
        "'email', 'first_name', 'last_name', 'nick', 'birth_date', 'seen_at', 'age', 'points', 'salary', 'badge', 'profile', 'photo'",
    ),
    ("comments", "'body'"),
    ("logins", "'email'"),
    ("archive", "'email', 'first_name', 'last_name', 'birth_date'"),
    ("visits", "'mail', 'note'"),
];

struct Both {
    clear: Postgres,
    pg: Postgres,
    gateway: Gateway,
}

/// The clear copy lies on a server of its own: behind the gateway nothing but what it sent is to be found.
fn both(tables: bool, change: impl FnOnce(&mut Setup)) -> Both {
    let clear = Postgres::start();
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    [&clear, &pg].into_iter().for_each(make_tables);
    let direct = |server: &Postgres, database: &str| {
        Raw::connect_as(server.port(), &[("user", "postgres"), ("database", database)])
    };
    direct(&pg, "app").rows("CREATE EXTENSION pg_stat_statements");
    let mut setup = Setup::new(&pg);
    if tables {
        Raw::connect(clear.port(), "clear").rows(&writes::TABLES.replace("bytea", "date"));
        Raw::connect(pg.port(), "app").rows(writes::TABLES);
        setup.tables.push_str(writes::POLICY);
    }
    Raw::connect(clear.port(), "clear").rows(WATCH);
    for (table, columns) in PLACES.iter().take(if tables { 5 } else { 3 }) {
        Raw::connect(clear.port(), "clear").rows(&format!(
            "CREATE TRIGGER see AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION see({columns})"
        ));
    }
    change(&mut setup);
    let gateway = Gateway::with(setup);
    Both { clear, pg, gateway }
}

impl Both {
    fn direct(&self) -> Raw {
        Raw::connect_as(self.pg.port(), &[("user", "postgres"), ("database", "app")])
    }

    /// What the clear copy saw in protected columns, as far as it would not be found by chance.
    fn canaries(&self) -> Forbidden {
        let rows = Raw::connect(self.clear.port(), "clear").rows("SELECT DISTINCT value FROM seen");
        let values = rows.into_iter().flatten().flatten();
        let values = values.map(|v| v.strip_prefix("\\x").map(str::to_owned).unwrap_or(v));
        let mut canaries = Forbidden::default();
        for value in values.filter(|v| v.len() >= 8 && v != COMMON) {
            canaries.add(&value, || "of the clear copy".into());
        }
        canaries
    }

    /// Where any of them is found: in all that the server was sent, keeps and shows, and in what the gateway keeps and shows.
    fn faults(&self, canaries: &Forbidden) -> Vec<String> {
        let finder = canaries.finder();
        let mut faults = Vec::new();
        let mut direct = self.direct();
        direct.rows("ANALYZE");
        for (view, sql) in [
            ("pg_stat_activity", "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"),
            ("pg_stat_statements", "SELECT query FROM pg_stat_statements"),
            ("pg_stats", "SELECT s::text FROM pg_stats s WHERE schemaname = 'public'"),
        ] {
            let rows = direct.rows(sql);
            assert!(!rows.is_empty(), "{view}");
            faults.extend(finder.found(view, format!("{rows:?}").as_bytes()));
        }
        direct.rows("CHECKPOINT");
        let (log, dump) = (self.pg.log(), self.pg.dump("app"));
        assert!(log.contains("INSERT INTO people") && log.contains("ERROR") && dump.contains("pv1."));
        for (place, text) in [("the server's log", &log), ("the dump", &dump)] {
            faults.extend(text.contains(COMMON).then(|| format!("{place} holds {COMMON}")));
        }
        faults.extend(finder.found("the gateway's log", &self.gateway.log()));
        faults.extend(finder.found("/metrics", self.gateway.admin().get("/metrics").body.as_bytes()));
        for (path, bytes) in self.gateway.home.stored_files() {
            faults.extend(finder.found(&path.display().to_string(), &bytes));
        }
        // Log, dump, data files, WAL.
        faults.extend(finder.anywhere(&self.pg, "app"));
        faults
    }
}

/// The first of many.
fn shown(faults: &[String]) -> String {
    let some: Vec<String> = faults.iter().take(12).cloned().collect();
    format!("{} faults:\n{}", faults.len(), some.join("\n"))
}

fn run(mode: Mode) {
    for (corpus, tables) in
        [(differential::CORPUS, false), (predicates::CORPUS, false), (writes::CORPUS, true)]
    {
        let both = both(tables, |_| ());
        let clear = Raw::connect(both.clear.port(), "clear");
        let through = Raw::connect(both.gateway.port(), "app");
        assert!(compare_corpus(corpus, mode, clear, through) > 50);
        let canaries = both.canaries();
        assert!(canaries.len() >= 20, "{canaries:?}");
        let faults = both.faults(&canaries);
        assert!(faults.is_empty(), "{}", shown(&faults));
    }
}

#[test]
fn no_value_of_the_corpus_reaches_the_server_in_simple_queries() {
    run(Mode::Simple);
}

#[test]
fn no_value_of_the_corpus_reaches_the_server_in_extended_queries_in_text() {
    run(Mode::Extended(0));
}

#[test]
fn no_value_of_the_corpus_reaches_the_server_in_extended_queries_in_binary() {
    run(Mode::Extended(1));
}

/// Else the tests above would show nothing: a gateway that has forgotten one column is found out.
#[test]
fn a_column_that_goes_in_clear_is_found_by_the_same_search() {
    let both = both(false, |setup| {
        assert!(setup.tables.contains("\"last_name\", "));
        setup.tables = setup.tables.replace("\"last_name\", ", "");
    });
    let clear = Raw::connect(both.clear.port(), "clear");
    let through = Raw::connect(both.gateway.port(), "app");
    compare_corpus(differential::CORPUS, Mode::Simple, clear, through);
    let faults = both.faults(&both.canaries());
    for place in ["the server's log holds Ensemble as raw", "/base/"] {
        assert!(faults.iter().any(|f| f.contains(place)), "{place}: {}", shown(&faults));
    }
}
