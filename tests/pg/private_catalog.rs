//! Within a transaction that changed the schema the catalog is read in the client's own session: by the server's own operators,
//! with nothing left of it; and what others changed since an old snapshot was taken is not passed for want of sight.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Raw, World, raw};

/// Operators and types that hide everything from whoever reads the catalog by them.
const HOSTILE: &str = "CREATE SCHEMA evil;
CREATE FUNCTION evil.never(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.never(\"char\", \"char\") RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.never(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.never(int2, int2) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (leftarg = oid, rightarg = oid, function = evil.never);
CREATE OPERATOR evil.<> (leftarg = oid, rightarg = oid, function = evil.never);
CREATE OPERATOR evil.>= (leftarg = oid, rightarg = oid, function = evil.never);
CREATE OPERATOR evil.= (leftarg = \"char\", rightarg = \"char\", function = evil.never);
CREATE OPERATOR evil.= (leftarg = name, rightarg = name, function = evil.never);
CREATE OPERATOR evil.<> (leftarg = name, rightarg = name, function = evil.never);
CREATE OPERATOR evil.= (leftarg = int2, rightarg = int2, function = evil.never);
CREATE FUNCTION evil.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE sql AS 'SELECT $1[1] WHERE false';
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (length(VALUE) < 2);
GRANT USAGE ON SCHEMA evil TO public";

/// What a transaction does to its path, around a reading of the catalog; it is asked for at each step.
const PATHS: &[&[&str]] = &[
    &["BEGIN", "READ", "COMMIT"],
    &["BEGIN", "READ", "ROLLBACK"],
    &["BEGIN", "SET search_path = public, pg_catalog", "READ", "COMMIT"],
    &["BEGIN", "SET search_path = public, pg_catalog", "READ", "ROLLBACK"],
    &["BEGIN", "SET LOCAL search_path = public, pg_temp", "READ", "COMMIT"],
    &["BEGIN", "READ", "SET search_path = pg_catalog, public", "COMMIT"],
    &["BEGIN", "READ", "SET LOCAL search_path = pg_catalog, public", "COMMIT"],
    &[
        "BEGIN",
        "SET search_path = \"a b\", 'c''d', public",
        "SET LOCAL search_path = public",
        "READ",
        "COMMIT",
    ],
    &["BEGIN", "SAVEPOINT s", "SET search_path = pg_temp, public", "READ", "RELEASE s", "COMMIT"],
    &["BEGIN", "SAVEPOINT s", "SET search_path = pg_temp, public", "READ", "ROLLBACK TO s", "COMMIT"],
    &[
        "BEGIN",
        "SET LOCAL search_path = public, \"é\"",
        "SAVEPOINT s",
        "READ",
        "ROLLBACK TO s",
        "READ",
        "COMMIT",
    ],
    &["BEGIN", "SET search_path = pg_catalog, public", "SAVEPOINT s", "READ", "RELEASE s", "READ", "COMMIT"],
    &["BEGIN", "READ", "SELECT 1/0", "ROLLBACK"],
    &["BEGIN", "SAVEPOINT s", "READ", "SELECT 1/0", "ROLLBACK TO s", "READ", "COMMIT"],
    &["BEGIN", "SET search_path = pg_catalog, public", "READ", "RESET search_path", "READ", "COMMIT"],
    &[
        "BEGIN",
        "SELECT set_config('search_path', 'public, evil', true)",
        "READ",
        "SET search_path TO DEFAULT",
        "COMMIT",
    ],
];

fn world() -> World {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    world.people(&["Ana"]);
    world
}

/// As a role that made `evil` in both databases.
fn make_hostile(world: &World) {
    for database in ["app", "clear"] {
        let user = [("user", "postgres"), ("database", database)];
        Raw::connect_as(world.pg.port(), &user).rows(HOSTILE);
    }
}

fn assert_sealed(world: &World) {
    let stored = world.direct().rows("SELECT email, first_name FROM people");
    assert_absent("the table", format!("{stored:?}").as_bytes(), &[b"anari-", b"@people."]);
    assert_absent("the log", world.pg.log().as_bytes(), &[b"anari-"]);
}

#[test]
fn operators_of_the_client_s_path_hide_nothing_protected() {
    let world = world();
    make_hostile(&world);
    world.through().rows("CREATE VIEW over_people AS SELECT id, email, first_name FROM people");
    let mut client = world.through();
    for (path, temp) in
        [("evil, public, pg_catalog", "own"), ("pg_temp, evil, public", "text"), ("public", "int2")]
    {
        client.rows(&format!("SET search_path = {path}"));
        client.rows("BEGIN");
        client.rows(&format!("CREATE TEMP TABLE {temp} (x integer)"));
        let insert = |of: &str| {
            format!("INSERT INTO {of} (email, first_name) VALUES ('canari-1@x.example', 'Canari-1')")
        };
        assert_eq!(client.fails(&insert("over_people")).sqlstate(), "0A000", "{path}");
        client.rows("ROLLBACK");
        client.rows("BEGIN");
        client.rows(&format!("CREATE TEMP TABLE {temp} (x integer)"));
        client.rows(&insert("people"));
        let read = client.rows("SELECT first_name FROM people WHERE email = 'canari-1@x.example'");
        assert_eq!(read, [[Some("Canari-1".into())]], "{path}");
        assert_eq!(client.rows("SHOW search_path"), [[Some(path.to_owned())]]);
        client.rows("DELETE FROM people WHERE first_name IS NOT NULL AND email = 'canari-1@x.example'");
        client.rows("COMMIT");
        client.rows("DISCARD TEMP");
    }
    assert_sealed(&world);
}

#[test]
fn a_reading_leaves_the_client_s_search_path_as_it_was() {
    let world = world();
    make_hostile(&world);
    for steps in PATHS {
        let (mut through, mut clear) = (world.through(), world.clear());
        let mut made = 0;
        for step in *steps {
            let sqls = match *step {
                "READ" => {
                    made += 1;
                    vec![
                        format!("CREATE TABLE made{made} (x integer)"),
                        "SELECT id FROM public.people WHERE false".into(),
                    ]
                }
                sql => vec![sql.to_owned()],
            };
            for sql in sqls.iter().map(String::as_str).chain(["SHOW search_path"]) {
                let lines = |client: &mut Raw| client.query(sql).iter().map(|m| m.line()).collect::<Vec<_>>();
                assert_eq!(lines(&mut through), lines(&mut clear), "{sql} of {steps:?}");
            }
        }
        for mut client in [through, clear] {
            client.query("ROLLBACK");
            client.rows(
                "SET search_path = public; DROP TABLE IF EXISTS made1, made2, pg_temp.made1, pg_temp.made2",
            );
        }
    }
}

#[test]
fn what_others_made_since_an_old_snapshot_is_refused() {
    let world = world();
    let insert =
        |of: &str| format!("INSERT INTO {of} (email, first_name) VALUES ('canari-2@x.example', 'Canari-2')");
    for (level, name) in [("REPEATABLE READ", "repeatable"), ("SERIALIZABLE", "serializable")] {
        let (mut a, mut b) = (world.through(), world.through());
        let harmless = |name: &str| {
            format!("CREATE VIEW {name} AS SELECT 1 AS id, ''::text AS email, ''::text AS first_name")
        };
        let (changed, bound, renamed) =
            (format!("{name}_changed"), format!("{name}_bound"), format!("{name}_renamed"));
        for view in [&changed, &bound] {
            b.rows(&harmless(view));
        }
        let prepare = "INSERT INTO late (email, first_name) VALUES ($1, $2)".replace("late", &bound);
        a.rows(&format!("BEGIN ISOLATION LEVEL {level}"));
        a.rows("SELECT 1");
        a.rows("CREATE TEMP TABLE own (x integer)");
        a.send(
            &[
                raw::parse("late", "SELECT email FROM depts, own".replace("email", "1").as_str(), &[]),
                raw::sync(),
            ]
            .concat(),
        );
        a.until_ready();
        a.rows("SAVEPOINT s");
        a.rows("SELECT id FROM people");
        for view in [&changed, &bound, &format!("{name}_new")] {
            b.rows(&format!("CREATE OR REPLACE VIEW {view} AS SELECT id, email, first_name FROM people"));
        }
        b.rows(&format!("ALTER VIEW {name}_new RENAME TO {renamed}"));
        for view in [&changed, &renamed] {
            assert_eq!(a.fails(&insert(view)).sqlstate(), "0A000", "{view}");
            a.rows("ROLLBACK TO s");
        }
        let values = [Some("canari-2@x.example"), Some("Canari-2")];
        a.send(
            &[
                raw::parse("", &prepare, &[]),
                raw::bind_text("", "", &values, &[]),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat(),
        );
        assert!(a.until_ready().iter().any(|m| m.tag == b'E' && m.sqlstate() == "0A000"));
        a.rows("ROLLBACK TO s");
        // The rest works on.
        assert_eq!(a.rows("SELECT first_name FROM people WHERE id = 1"), [[Some("Ana".into())]]);
        a.rows("INSERT INTO own VALUES (1)");
        assert_eq!(a.rows("SELECT count(*) FROM own"), [[Some("1".into())]]);
        a.rows("COMMIT");
        assert_eq!(a.fails(&insert(&changed)).sqlstate(), "0A000");
    }
    assert_sealed(&world);
}
