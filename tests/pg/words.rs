//! Texts that are judged by their words are split into words as the server splits them.

use crate::support::{Raw, World, raw, row};

/// One statement by the extended protocol; the command's tag.
fn extended(client: &mut Raw, sql: &str) -> String {
    client.send(
        &[raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()]
            .concat(),
    );
    let answers = client.until_ready();
    let told = answers.iter().find(|m| matches!(m.tag, b'C' | b'E'));
    told.unwrap_or_else(|| panic!("{sql}: {answers:?}")).line()
}

/// As libraries write them that trace queries. What was written would be lost with the session otherwise.
#[test]
fn a_commit_with_a_comment_at_it_keeps_what_was_written() {
    let world = World::new();
    let ends =
        ["COMMIT/*traceparent='00-1'*/", "commit--é", "END/* a /* b */ c */", ";COMMIT", "-- x\rcommit"];
    for (n, end) in ends.iter().enumerate() {
        let mut client = world.through();
        assert_eq!(extended(&mut client, "BEGIN"), "CommandComplete BEGIN");
        extended(
            &mut client,
            &format!("INSERT INTO people (email, first_name) VALUES ('{n}@x.example', 'Ana {n}')"),
        );
        assert_eq!(extended(&mut client, end), "CommandComplete COMMIT");
        // The next transaction fails, and then the session ends.
        extended(&mut client, "BEGIN");
        client.fails("SELECT 1 / 0");
        extended(&mut client, "ROLLBACK/**/");
        client.send(&raw::terminate());
        client.until_closed();
    }
    let read = world.through().rows("SELECT first_name FROM people ORDER BY id");
    let expected: Vec<_> = (0..ends.len()).map(|n| vec![Some(format!("Ana {n}"))]).collect();
    assert_eq!(read, expected);
}

/// It is prepared, and executed later.
#[test]
fn a_view_made_with_comments_between_its_words_is_known_at_once() {
    let world = World::new();
    let (mut maker, mut other) = (world.through(), world.through());
    maker.send(
        &[raw::parse("", "create/**/view staff as select id, email from people", &[]), raw::sync()].concat(),
    );
    maker.until_ready();
    other.rows("SELECT 1");
    maker.send(&[raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()].concat());
    maker.until_ready();
    other.query("INSERT INTO staff (email) VALUES ('canari@x.example')");
    assert_nothing_in_clear(&world);
}

#[test]
fn a_trigger_that_is_enabled_is_known_at_once() {
    let world = World::new();
    world.direct().rows(
        "CREATE TABLE staging (email text); GRANT ALL ON staging TO app; \
         ALTER TABLE staging OWNER TO app; \
         CREATE FUNCTION fill_people() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO people (email) VALUES (NEW.email); RETURN NEW; END'; \
         CREATE TRIGGER fill BEFORE INSERT ON staging FOR EACH ROW EXECUTE FUNCTION fill_people(); \
         ALTER TABLE staging DISABLE TRIGGER fill",
    );
    const WRITE: &str = "INSERT INTO staging VALUES ('canari@x.example')";
    let (mut maker, mut other) = (world.through(), world.through());
    other.rows(WRITE);
    maker.rows("BEGIN");
    maker.rows("ALTER TABLE staging ENABLE TRIGGER fill");
    assert_eq!(maker.fails(WRITE).sqlstate(), "0A000");
    maker.rows("ROLLBACK");
    maker.rows("ALTER TABLE staging ENABLE TRIGGER fill");
    assert_eq!(other.fails(WRITE).sqlstate(), "0A000");
    assert_nothing_in_clear(&world);
}

/// The server folds no letters but ASCII's.
#[test]
fn a_function_with_other_capitals_in_its_name_is_known() {
    let world = World::new();
    world.direct().rows(
        "CREATE FUNCTION Écrire(text) RETURNS void LANGUAGE sql AS 'INSERT INTO people (email) VALUES ($1)'",
    );
    let mut client = world.through();
    assert_eq!(client.fails("SELECT Écrire('canari@x.example')").sqlstate(), "0A000");
    assert_nothing_in_clear(&world);
}

/// The function is watched; what runs it comes in the same Query as the write.
#[test]
fn a_script_that_lets_a_table_run_a_function_and_writes_it_is_refused() {
    let world = World::new();
    world.direct().rows(
        "CREATE TABLE staging (email text); ALTER TABLE staging OWNER TO app; GRANT CREATE ON SCHEMA public TO app; \
         CREATE FUNCTION fill_people() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO people (email) VALUES (NEW.email); RETURN NEW; END'; \
         CREATE FUNCTION note_people(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS \
         'BEGIN INSERT INTO people (email) VALUES ($1); RETURN $1; END'",
    );
    let mut client = world.through();
    for change in [
        "CREATE TRIGGER fill BEFORE INSERT ON staging FOR EACH ROW EXECUTE FUNCTION fill_people()",
        "ALTER TABLE staging ADD COLUMN noted text DEFAULT note_people('canari@x.example')",
        "CREATE TEMP TABLE staging (email text CHECK (note_people(email) IS NOT NULL))",
        "CREATE TEMP TABLE staging (email text, noted text GENERATED ALWAYS AS (note_people(email)) STORED)",
        "CREATE INDEX ON staging (note_people(email))",
    ] {
        let error =
            client.fails(&format!("{change}; INSERT INTO staging (email) VALUES ('canari@x.example')"));
        assert_eq!(error.sqlstate(), "0A000", "{change}");
    }
    // Not for a reference to people alone.
    client.rows("CREATE TABLE visits (person integer REFERENCES people); INSERT INTO visits VALUES (NULL)");
    assert_nothing_in_clear(&world);
}

fn assert_nothing_in_clear(world: &World) {
    let clear = "SELECT count(*) FROM people WHERE email LIKE '%canari%'";
    assert_eq!(world.direct().rows(clear), [row(["0"])]);
}
