//! Versions of the protocol and of the server: Debian's, and Postgres 18 as npm has it.

use crate::support::canary::assert_absent;
use crate::support::gateway::Setup;
use crate::support::postgres::{Options, bin};
use crate::support::world::make_tables;
use crate::support::{Gateway, Message, Postgres, Raw, World, eventually, node, raw, row};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// Postgres 18, of the package whose versions are the server's.
const EIGHTEEN: &str = "18.4.0-beta.17";
const VERSION_3_0: u32 = 3 << 16;
const VERSION_3_2: u32 = VERSION_3_0 | 2;

/// Directory of the programs of Postgres 18. Tests that want it at once wait for the first of them.
pub fn eighteen() -> PathBuf {
    static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(fetched);
    PROGRAMS.clone()
}

fn fetched() -> PathBuf {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let package = format!("@embedded-postgres/linux-{arch}");
    let modules = node::modules("postgres-18", &[(&package, EIGHTEEN)]);
    // The account that the server runs under may not look into the build's directory.
    let kept = std::env::temp_dir().join(format!("paravent-postgres-{EIGHTEEN}"));
    if !kept.exists() {
        // Another run may do the same: what is there under its name is whole.
        let fresh = kept.with_extension(std::process::id().to_string());
        let from = modules.join("node_modules").join(package).join("native");
        assert!(Command::new("cp").arg("-aT").arg(from).arg(&fresh).status().unwrap().success());
        if fs::rename(&fresh, &kept).is_err() {
            fs::remove_dir_all(&fresh).unwrap();
        }
    }
    kept.join("bin")
}

fn on_eighteen() -> Options {
    Options { bin: Some(eighteen()), ..Options::default() }
}

#[test]
fn versions_of_the_protocol_are_what_client_and_server_agree_on() {
    let old = World::with(&Options { bin: Some(bin()), ..Options::default() });
    let new = World::with(&on_eighteen());
    assert!(new.direct().rows("SHOW server_version")[0][0].as_ref().unwrap().starts_with("18."));
    for (world, asked, negotiated, key) in [
        (&new, VERSION_3_0, None, 4),
        (&new, VERSION_3_2, None, 32),
        (&new, VERSION_3_0 | 9, Some(VERSION_3_2), 32),
        (&old, VERSION_3_0, None, 4),
        (&old, VERSION_3_2, Some(VERSION_3_0), 4),
    ] {
        let mut client = Raw::dial(world.gateway.port());
        let parameters = [("user", "app"), ("database", "app")];
        assert_eq!(client.start_with(asked, &parameters), negotiated, "{asked:x}");
        assert_eq!(client.key.len(), 4 + key, "{asked:x}");
        // The direct connection agrees.
        let mut direct = Raw::dial(world.pg.port());
        assert_eq!(direct.start_with(asked, &parameters), negotiated);
        assert_eq!(direct.key.len(), client.key.len());
        client.rows(&format!(
            "INSERT INTO people (email, first_name) VALUES ('{asked}.{key}@x.example', 'Zoé')"
        ));
        client.send(&raw::query("SELECT pg_sleep(60)"));
        let mut seen = world.direct();
        let sleeping =
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'";
        eventually("it sleeps", || (seen.rows(sleeping) == [row(["1"])]).then_some(()));
        let mut wrong = client.key.clone();
        *wrong.last_mut().unwrap() ^= 1;
        for key in [wrong, client.key.clone()] {
            assert_eq!(seen.rows(sleeping), [row(["1"])], "a wrong key cancels nobody");
            let mut cancel = Raw::dial(world.gateway.port());
            cancel.send(&raw::cancel(&key));
            assert!(cancel.drain().is_empty());
        }
        let answers = client.until_ready();
        assert_eq!(answers.iter().find(|m| m.tag == b'E').expect("it was cancelled").sqlstate(), "57014");
    }
}

const PERSONAL: &[&[u8]] = &[b"canari@x.example", b"-Canari", b"-canari", b"1987-03-29"];

/// What Postgres 16 to 18 brought, near protected columns: the same as on a clear copy.
const SAME: &[&str] = &[
    "INSERT INTO people (id, email, first_name, birth_date) VALUES (1, 'ana.canari@x.example', 'Ana-Canari', '1987-03-29'), \
     (2, 'bea.canari@x.example', 'Bea-Canari', NULL)",
    "ALTER TABLE people ADD COLUMN twice integer GENERATED ALWAYS AS (version * 2) VIRTUAL",
    "UPDATE people SET version = 0x10 + 1_0 WHERE id = 1",
    "SELECT twice, first_name, birth_date FROM people WHERE id = 0b1",
    "UPDATE people SET age = 0x1F, points = 1_000_000, salary = 1_0.5 WHERE id = 1 RETURNING age, points, salary",
    "UPDATE people SET age = '0b11', points = '-0xFF', salary = '0x_64', birth_date = '+infinity', seen_at = '+Infinity' \
     WHERE id = 2 RETURNING age, points, salary, birth_date, seen_at",
    "SELECT id FROM people WHERE age = 0x1F OR points > '0xF_FFFF' ORDER BY salary",
    "SELECT id FROM people WHERE points IN (-0xFF, 0o7) AND birth_date = '+infinity'",
    "ALTER TABLE people ADD CONSTRAINT titled NOT NULL title NOT VALID",
    "ALTER TABLE people ALTER title DROP NOT NULL",
    "CREATE TABLE stays (room int4range, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS))",
    "CREATE TABLE guests (id integer, room int4range, during daterange, \
     FOREIGN KEY (room, PERIOD during) REFERENCES stays (room, PERIOD during))",
    "INSERT INTO stays VALUES ('[1,1]', '[2025-01-01,2025-02-01)')",
    "INSERT INTO stays VALUES ('[1,1]', '[2025-01-15,2025-02-01)')",
    "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'comments'::regclass ORDER BY 1",
    "SELECT id, first_name FROM people ORDER BY id FETCH FIRST 1 ROW ONLY",
    "CREATE VIEW namesakes AS SELECT id, first_name FROM people",
    "SELECT * FROM namesakes ORDER BY id",
    "SELECT uuid_extract_version(uuidv7()) FROM people WHERE id = 1",
    "COPY (SELECT id, first_name FROM people ORDER BY id) TO STDOUT",
    "SELECT id FROM people WHERE email = 'bea.canari@x.example'",
    "SELECT id FROM people WHERE first_name ILIKE 'bea-can%'",
    // The source's columns first.
    "MERGE INTO depts d USING people p ON d.id = p.id WHEN MATCHED THEN UPDATE SET name = d.name RETURNING *",
    "MERGE INTO depts d USING (SELECT id + 1 AS next, first_name, email FROM people) p ON d.id = p.next \
     WHEN MATCHED THEN UPDATE SET name = 'x' RETURNING merge_action(), *",
    "WITH p AS (SELECT email, id, birth_date FROM people) MERGE INTO depts d USING p ON d.id = p.id \
     WHEN MATCHED THEN DELETE RETURNING p.*, d.*, *",
];

/// The same or refused: what the gateway can't keep in order, it says so.
const SAME_OR_REFUSED: &[&str] = &[
    "UPDATE people SET first_name = 'Cleo-Canari' WHERE id = 1 RETURNING old.first_name, new.first_name",
    "UPDATE people SET version = version + 1 WHERE id = 1 RETURNING WITH (OLD AS o, NEW AS n) o.version, n.version, n.email",
    "UPDATE people SET version = version + 1 WHERE id = 1 RETURNING old",
    "INSERT INTO people (id, email, first_name) VALUES (3, 'dora.canari@x.example', 'Dora-Canari') RETURNING old.id, new.first_name",
    "INSERT INTO people (id, email, first_name) VALUES (1, 'ana.canari@x.example', 'Ana-Canari') \
     ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name RETURNING old.first_name, new.first_name",
    "DELETE FROM people WHERE id = 2 RETURNING old.email, new.email",
    "MERGE INTO people p USING (VALUES (1)) v (id) ON p.id = v.id WHEN MATCHED THEN UPDATE SET version = 3 \
     RETURNING merge_action(), old.version, p.first_name",
    "MERGE INTO people p USING (VALUES (1)) v (id) ON p.id = v.id WHEN MATCHED THEN UPDATE SET first_name = 'Eve-Canari' \
     RETURNING merge_action(), p.first_name",
    "MERGE INTO people p USING (VALUES (1)) v (id) ON p.id = v.id WHEN NOT MATCHED BY SOURCE THEN \
     UPDATE SET first_name = 'Eve-Canari'",
    "ALTER TABLE people ADD COLUMN shout text GENERATED ALWAYS AS (upper(first_name)) VIRTUAL",
    "ALTER TABLE people ADD COLUMN shouted text GENERATED ALWAYS AS (first_name || 'x') STORED",
    "SELECT any_value(first_name) FROM people WHERE id = 1",
    "SELECT JSON_OBJECT('n': first_name) FROM people WHERE id = 1",
    "SELECT JSON_ARRAYAGG(first_name) FROM people WHERE id = 1",
    "SELECT JSON_SCALAR(first_name), JSON_SERIALIZE(JSON(first_name)) FROM people WHERE id = 1",
    "SELECT t.a, p.first_name FROM people p, JSON_TABLE('[{\"a\": 1}]', '$[*]' COLUMNS (a integer PATH '$.a')) t WHERE p.id = 1",
    "SELECT t.a FROM people p, JSON_TABLE(p.first_name::jsonb, '$[*]' COLUMNS (a text PATH '$')) t WHERE p.id = 1",
    "SELECT array_sort(array_agg(first_name)) FROM people WHERE id = 1",
    "SELECT id FROM people WHERE casefold(first_name) = casefold('ANA-CANARI')",
    "SELECT id FROM people WHERE JSON_EXISTS(jsonb '{\"a\": \"Ana-Canari\"}', '$.a ? (@ == $x)' PASSING first_name AS x)",
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF, SERIALIZE TEXT) SELECT first_name FROM people",
    "COPY people (id, email, first_name) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
    "CREATE TABLE copies AS SELECT first_name FROM people",
];

fn lines(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::line).collect()
}

#[test]
fn what_postgres_18_brought_is_shown_as_it_is_or_refused() {
    let pg = Postgres::with(&Options { log_all: true, ..on_eighteen() });
    make_tables(&pg);
    let gateway = Gateway::with(Setup::new(&pg));
    let mut through = Raw::connect(gateway.port(), "app");
    // Not on the same server, whose log holds nothing in clear.
    let other = Postgres::with(&on_eighteen());
    make_tables(&other);
    let mut clear = Raw::connect(other.port(), "clear");
    let mut refused = 0;
    for (may_refuse, sql) in SAME.iter().map(|s| (false, s)).chain(SAME_OR_REFUSED.iter().map(|s| (true, s)))
    {
        // One transaction each, so that what is refused here changes the clear copy neither.
        let changes = may_refuse && !sql.starts_with("SELECT");
        if changes {
            clear.rows("BEGIN");
            through.rows("BEGIN");
        }
        let answers = through.query(sql);
        let expected = clear.query(sql);
        let error = answers.iter().find(|m| m.tag == b'E').map(Message::sqlstate);
        if may_refuse && error.as_deref() == Some("0A000") {
            refused += 1;
        } else {
            assert_eq!(lines(&answers), lines(&expected), "{sql}");
        }
        if changes {
            clear.rows("ROLLBACK");
            through.rows("ROLLBACK");
        }
    }
    assert!(refused < SAME_OR_REFUSED.len() * 3 / 4, "{refused} of {} are refused", SAME_OR_REFUSED.len());
    assert!(pg.log().contains("pv1."));
    assert_absent("the server's log", pg.log().as_bytes(), PERSONAL);
    assert_absent("the database", pg.dump("app").as_bytes(), PERSONAL);
    assert_absent("the gateway's log", &gateway.log(), PERSONAL);
}
