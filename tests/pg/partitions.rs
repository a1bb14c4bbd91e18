//! Partitions and children of a protected table are protected as it is.

use super::writes::world;
use crate::support::{Raw, World, eventually, row};

const NEW: &str =
    "CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')";

fn insert(into: &str, id: u32) -> String {
    format!("INSERT INTO {into} (id, person_id, day, note) VALUES ({id}, 1, '2025-02-02', 'Bonjour')")
}

#[test]
fn a_new_partition_is_protected_at_once_on_every_connection() {
    let world = world();
    let (mut client, mut other) = (world.through(), world.through());
    assert_eq!(other.rows("SELECT 1"), [row(["1"])]);
    let error = client.fails(&format!("{NEW}; {}", insert("visits_2025", 1)));
    assert!(error.line().contains("#script-ddl"), "{error:?}");
    client.rows("BEGIN");
    client.rows(NEW);
    client.rows(&insert("visits_2025", 1));
    client.rows("COMMIT");
    other.rows(&insert("visits_2025", 2));
    for session in [&mut client, &mut other] {
        let seen = session.rows("SELECT note FROM visits_2025 UNION ALL SELECT note FROM visits");
        assert_eq!(seen, vec![row(["Bonjour"]); 4]);
    }
    // Behind the gateway's back: as soon as the catalog was read again.
    world.direct().rows(&format!(
        "{}; GRANT ALL ON visits_2026 TO app",
        NEW.replace("2026", "2027").replace("2025", "2026")
    ));
    eventually("the partition is known", || {
        let seen = other.rows("SELECT relname FROM pg_class WHERE relname = 'visits_2026'");
        assert_eq!(seen, [row(["visits_2026"])]);
        let answers = other.query("SELECT lower(note) FROM visits_2026");
        answers.iter().any(|m| m.tag == b'E' && m.sqlstate() == "0A000").then_some(())
    });
    let mut direct = world.direct();
    assert_eq!(direct.rows("SELECT bool_and(note LIKE 'pv1.%') FROM visits"), [row(["t"])]);
}

#[test]
fn what_is_attached_or_detached_in_clear_is_refused() {
    let world = world();
    let mut client = world.through();
    client.rows("CREATE TABLE stray (LIKE visits INCLUDING ALL EXCLUDING IDENTITY)");
    client.rows("INSERT INTO stray (id, day, note) VALUES (1, '2025-01-01', 'in clear')");
    for sql in [
        "ALTER TABLE visits ATTACH PARTITION stray FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "ALTER TABLE visits DETACH PARTITION visits_2024",
        "ALTER TABLE visits_2024 DETACH PARTITION visits_2024_low",
        "CREATE TABLE visits_2025 PARTITION OF visits (note DEFAULT 'in clear') FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (mail)",
        "ALTER TABLE visits_old ALTER note SET DEFAULT 'in clear'",
        "CREATE INDEX i ON visits_old (lower(note))",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
    }
    // Attached past the gateway, what lies there in clear is not shown.
    world
        .direct()
        .rows("ALTER TABLE visits ATTACH PARTITION stray FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')");
    eventually("the partition is known", || {
        let answers = client.query("SELECT note FROM stray");
        answers.iter().any(|m| m.tag == b'E' && m.sqlstate() == "XX001").then_some(())
    });
}

#[test]
fn a_trigger_of_a_partition_counts_as_its_parents() {
    let world = world();
    let mut client = world.through();
    client.rows(
        "CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'in clear'; RETURN NEW; END $$",
    );
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON visits_old FOR EACH ROW EXECUTE FUNCTION sets()";
    assert!(client.fails(trigger).line().contains("#trigger-assigns"));
    world.direct().rows(trigger);
    eventually("the trigger is known", || {
        let answers =
            client.query("INSERT INTO visits (person_id, day, note) VALUES (1, '1990-01-01', 'Bonjour')");
        answers.iter().any(|m| m.tag == b'E' && m.line().contains("#trigger")).then_some(())
    });
}

#[test]
fn children_that_inherit_are_protected_too() {
    let world = world();
    let mut client = world.through();
    client.rows("CREATE TABLE younger (school text) INHERITS (people)");
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    client.rows("INSERT INTO younger (id, email, first_name, school) VALUES (2, 'b@x.example', 'Bea', 'Ici'), (1, 'c@x.example', 'Cleo', '')");
    assert_eq!(
        client.query("UPDATE people SET last_name = 'Arc' WHERE title IS NULL")[0].command(),
        "UPDATE 3"
    );
    let mut seen = client.rows("SELECT first_name, last_name, email FROM people");
    seen.sort();
    assert_eq!(
        seen,
        [
            row(["Ana", "Arc", "a@x.example"]),
            row(["Bea", "Arc", "b@x.example"]),
            row(["Cleo", "Arc", "c@x.example"])
        ]
    );
    let stored = "SELECT bool_and(first_name LIKE 'pv1.%' AND last_name LIKE 'pv1.%' AND email LIKE 'psn_%') FROM people";
    assert_eq!(world.direct().rows(stored), [row(["t"])]);
    // The parent's key is none of its children's: one id may stand twice.
    let error = client.fails("SELECT id, last_name, count(*) FROM people GROUP BY id, last_name");
    assert_eq!(error.sqlstate(), "0A000");
}

#[test]
fn a_dump_through_the_gateway_opens_partitions() {
    let world = world();
    let mut client = world.through();
    client.rows("INSERT INTO visits (person_id, day, note) VALUES (1, '2024-02-02', 'Bonjour'), (2, '1990-01-01', 'Salut')");
    for (partition, note) in [("visits_2024_low", "Bonjour"), ("visits_old", "Salut")] {
        let data: Vec<u8> = client
            .query(&format!("COPY public.{partition} (person_id, note) TO stdout"))
            .into_iter()
            .filter(|m| m.tag == b'd')
            .flat_map(|m| m.body)
            .collect();
        assert!(String::from_utf8_lossy(&data).contains(note), "{partition}");
    }
}

#[test]
fn an_erasure_sweeps_partitions_and_children() {
    let world = world();
    world.direct().rows("GRANT UPDATE ON people, visits TO paravent");
    let mut client = world.through();
    client.rows("CREATE TABLE younger () INHERITS (people)");
    client.rows("INSERT INTO younger (id, email, first_name) VALUES (1, 'b@x.example', 'Bea')");
    client.rows("INSERT INTO visits (person_id, day, mail, note) VALUES (1, '2024-02-02', 'b@x.example', 'Bonjour'), (2, '1990-01-01', NULL, 'Salut'), (1, '1991-01-01', NULL, 'Encore')");
    assert_eq!(world.gateway.admin().delete("/v1/subjects/person/1").status, 200);
    let seen = client.rows("SELECT person_id, mail, note FROM visits ORDER BY day");
    assert_eq!(seen, [row(["2", "NULL", "Salut"]), row(["1", "NULL", "NULL"]), row(["1", "NULL", "NULL"])]);
    let mut direct: Raw = world.direct();
    eventually("they are swept", || {
        let left = direct.rows("SELECT (SELECT count(note) FROM visits), (SELECT count(mail) FROM visits), (SELECT count(first_name) FROM people)");
        (left == [row(["1", "0", "0"])]).then_some(())
    });
}

/// Such a key names no column; the catalog is read all the same.
#[test]
fn a_table_that_is_partitioned_by_its_whole_row_keeps_nobody_out() {
    let world = World::new();
    world.people(&["Ana"]);
    world.direct().rows(
        "CREATE TABLE pairs (a int, b int) PARTITION BY LIST ((pairs)); GRANT ALL ON pairs TO app; \
         CREATE TABLE sums (a int, b int) PARTITION BY LIST ((a + b)); GRANT ALL ON sums TO app; \
         CREATE TABLE sums_3 PARTITION OF sums FOR VALUES IN (3); GRANT ALL ON sums_3 TO app",
    );
    let mut client = world.through();
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    client.rows("INSERT INTO sums VALUES (1, 2)");
    client.rows("BEGIN");
    client.rows("CREATE TEMP VIEW one AS SELECT id FROM people");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
}
