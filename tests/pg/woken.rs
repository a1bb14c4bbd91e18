//! Code that was harmless when a cursor, a portal or a deferred trigger that runs it came to be; then the name that it says is given to
//! a view of a protected table.

use crate::support::{Message, Raw, World, raw};

const CODE: &str = "
CREATE TABLE later (email text);
CREATE TABLE plain (x text);
CREATE TABLE quiet (x text);
CREATE FUNCTION writes(a text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
  $$BEGIN INSERT INTO later (email) VALUES (a); RETURN a; END$$;
CREATE FUNCTION writes_new() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$BEGIN PERFORM writes(new.x); RETURN new; END$$;
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION writes_new();
CREATE FUNCTION keyed(a text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM writes(a); RETURN a; END$$;
CREATE TABLE excluded (x text, EXCLUDE USING btree (keyed(x) WITH =) DEFERRABLE INITIALLY DEFERRED);
GRANT ALL ON ALL TABLES IN SCHEMA public TO app; ALTER TABLE later OWNER TO app";

const FREES: &str = "ALTER TABLE later RENAME TO before";
const NAMES: &str = "CREATE VIEW later AS SELECT id, email FROM people";
const VALUES: &str = "SELECT writes('canari' || i || '@x.example') FROM generate_series(1, 3) i";
const INSERT: &str = "INSERT INTO plain VALUES ('canari@x.example')";
const EXCLUDED: &str = "INSERT INTO excluded VALUES ('canari@x.example')";
const CURSOR: &str =
    "DECLARE c CURSOR FOR SELECT writes('canari' || i || '@x.example') FROM generate_series(1, 3) i";
const HELD: &str = "DECLARE c CURSOR WITH HOLD FOR SELECT writes('canari' || i || '@x.example') FROM generate_series(1, 3) i";

fn world() -> World {
    let world = World::new();
    world.direct().rows(CODE);
    world.people(&["Ana"]);
    world
}

/// As it was at first.
fn reset(world: &World) {
    let mut client = world.through();
    client.query("DROP VIEW later");
    client.query("ALTER TABLE before RENAME TO later");
}

fn written(world: &World) -> Vec<Vec<Option<String>>> {
    world.direct().rows("SELECT id, email FROM people WHERE email LIKE 'canari%'")
}

fn error(messages: &[Message]) -> Option<(String, String)> {
    let error = messages.iter().find(|m| m.tag == b'E')?;
    Some((error.sqlstate(), error.fields().get(&'H').cloned().unwrap_or_default()))
}

/// These messages fail with that code, for the reason that is tested here.
fn fails(messages: &[Message], sqlstate: &str, what: &dyn std::fmt::Debug) {
    let (code, hint) = error(messages).unwrap_or_else(|| panic!("nothing fails: {what:?}"));
    assert!(code == sqlstate && hint.contains("#woken-code"), "{code} {hint}: {what:?}");
}

/// The last step fails, the others don't.
fn fails_at_last(world: &World, steps: &[Vec<u8>], what: &dyn std::fmt::Debug) {
    let mut client = world.through();
    let last = steps.len() - 1;
    for (i, step) in steps.iter().enumerate() {
        client.send(step);
        let answer = client.until_ready();
        if i == last {
            fails(&answer, "0A000", what);
        } else {
            assert_eq!(error(&answer), None, "step {i} of {what:?}");
        }
    }
    client.query("ROLLBACK");
    assert_eq!(written(world), Vec::<Vec<_>>::new(), "{what:?}");
    drop(client);
    reset(world);
}

#[test]
fn what_was_opened_before_its_code_was_woken_does_not_run_after_that() {
    let world = world();
    world.direct().rows("GRANT SELECT, INSERT ON people TO app");
    for steps in [
        &["BEGIN", CURSOR, FREES, NAMES, "FETCH ALL FROM c"][..],
        &["BEGIN", CURSOR, "FETCH 1 FROM c", FREES, NAMES, "MOVE ALL FROM c"],
        &["BEGIN", HELD, FREES, NAMES, "COMMIT"],
        &["BEGIN", INSERT, FREES, NAMES, "COMMIT"],
        &["BEGIN", INSERT, FREES, NAMES, "SET CONSTRAINTS ALL IMMEDIATE"],
        &["BEGIN", INSERT, "SAVEPOINT s", FREES, NAMES, "RELEASE s"],
        &["BEGIN", INSERT, FREES, NAMES, "COMMIT AND CHAIN"],
        &["BEGIN", INSERT, FREES, NAMES, "SELECT 1; COMMIT"],
        &["BEGIN", EXCLUDED, EXCLUDED, "DELETE FROM excluded", FREES, NAMES, "COMMIT"],
    ] {
        for extended in [false, true] {
            let several = |sql: &str| sql.contains(';');
            let send =
                |sql: &&str| if extended && !several(sql) { raw::extended(sql) } else { raw::query(sql) };
            let messages: Vec<Vec<u8>> = steps.iter().map(send).collect();
            fails_at_last(&world, &messages, &(steps, extended));
        }
    }
}

#[test]
fn a_portal_that_was_bound_before_its_code_was_woken_does_not_run_after_that() {
    let world = world();
    let bind = || [raw::parse("a", VALUES, &[]), raw::bind_text("a", "a", &[], &[])].concat();
    let some = || [bind(), raw::execute("a", 1), raw::sync()].concat();
    let (sync, rest) = (raw::sync, || [raw::execute("a", 0), raw::sync()].concat());
    let query = raw::query;
    fails_at_last(
        &world,
        &[query("BEGIN"), [bind(), sync()].concat(), query(FREES), query(NAMES), rest()],
        &"bound",
    );
    fails_at_last(&world, &[query("BEGIN"), some(), query(FREES), query(NAMES), rest()], &"suspended");
    fails_at_last(&world, &[query("BEGIN"), some(), query(FREES), query(NAMES), query("SELECT 1")], &"left");
    let ddl = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
    };
    fails_at_last(&world, &[[bind(), ddl(FREES), ddl(NAMES), rest()].concat()], &"in one pipeline");
    fails_at_last(
        &world,
        &[[ddl(INSERT), ddl(FREES), ddl(NAMES), sync()].concat()],
        &"deferred in one pipeline",
    );
    let commit = || ddl("COMMIT");
    fails_at_last(
        &world,
        &[[ddl("BEGIN"), ddl(INSERT), ddl(FREES), ddl(NAMES), commit(), sync()].concat()],
        &"a block in one pipeline",
    );
}

#[test]
fn in_one_query_neither_comes_before_the_other() {
    let world = world();
    let mut client = world.through();
    for script in [
        format!("BEGIN; {CURSOR}; {FREES}; {NAMES}"),
        format!("{INSERT}; {FREES}; {NAMES}"),
        format!("{FREES}; {NAMES}; {INSERT}"),
        format!("BEGIN; {FREES}; {NAMES}; FETCH ALL FROM c"),
    ] {
        let failed = client.fails(&script);
        assert!(failed.fields()[&'H'].contains("#script-ddl"), "{script}: {failed:?}");
    }
    client.rows("BEGIN");
    client.rows(INSERT);
    let failed = client.fails(&format!("{FREES}; {NAMES}; COMMIT"));
    assert!(failed.fields()[&'H'].contains("#script-ddl"), "{failed:?}");
    client.query("ROLLBACK");
    assert_eq!(written(&world), Vec::<Vec<_>>::new());
}

#[test]
fn what_another_session_woke_fails_the_transaction_that_may_run_it_and_it_may_be_tried_again() {
    let world = world();
    let other = || {
        let mut other = world.through();
        other.rows(FREES);
        other.rows(NAMES);
    };
    for (begun, then) in [
        (vec![raw::query("BEGIN"), raw::query(CURSOR)], raw::query("FETCH ALL FROM c")),
        (vec![raw::query("BEGIN"), raw::query(HELD)], raw::query("COMMIT")),
        (vec![raw::query("BEGIN"), raw::query(INSERT)], raw::query("COMMIT")),
        (vec![raw::query("BEGIN"), raw::query(INSERT)], raw::extended("COMMIT")),
        (
            vec![
                raw::query("BEGIN"),
                [raw::parse("a", VALUES, &[]), raw::bind_text("a", "a", &[], &[]), raw::sync()].concat(),
            ],
            [raw::execute("a", 0), raw::sync()].concat(),
        ),
        (
            vec![
                raw::query("BEGIN"),
                [raw::parse("", VALUES, &[]), raw::bind_text("", "", &[], &[]), raw::sync()].concat(),
            ],
            [raw::execute("", 0), raw::sync()].concat(),
        ),
    ] {
        let mut client = world.through();
        for step in &begun {
            client.send(step);
            assert_eq!(error(&client.until_ready()), None);
        }
        other();
        client.send(&then);
        fails(&client.until_ready(), "40001", &"another session");
        client.query("ROLLBACK");
        assert_eq!(written(&world), Vec::<Vec<_>>::new());
        reset(&world);
    }
    // A transaction that keeps to its first snapshot, and reads the catalog for itself: has read it, or is about to.
    for (level, read) in [("REPEATABLE READ", true), ("REPEATABLE READ", false), ("SERIALIZABLE", false)] {
        for (opens, runs) in [(CURSOR, "FETCH ALL FROM c"), (INSERT, "COMMIT")] {
            let mut client = world.through();
            client.rows(&format!("BEGIN ISOLATION LEVEL {level}"));
            for sql in ["SELECT 1", opens, "CREATE TABLE own (x int)"] {
                client.rows(sql);
            }
            if read {
                client.rows("TABLE own");
            }
            other();
            fails(&client.query(runs), "40001", &(level, read, runs));
            client.query("ROLLBACK");
            assert_eq!(written(&world), Vec::<Vec<_>>::new());
            reset(&world);
        }
    }
    // A pipeline that waits for its Sync.
    let mut client = world.through();
    let run =
        [raw::parse("", INSERT, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::flush()];
    client.send(&run.concat());
    while client.read().expect("the server answers").tag != b'C' {}
    other();
    client.send(&raw::sync());
    fails(&client.until_ready(), "40001", &"a pipeline");
    assert_eq!(written(&world), Vec::<Vec<_>>::new());
}

#[test]
fn where_nothing_is_open_the_schema_changes_as_ever() {
    let world = world();
    for extended in [false, true] {
        let send = |client: &mut Raw, sql: &str| {
            client.send(&if extended { raw::extended(sql) } else { raw::query(sql) });
            let answer = client.until_ready();
            assert_eq!(error(&answer), None, "{sql}, extended: {extended}");
        };
        let mut client = world.through();
        for sql in [
            "BEGIN",
            "SELECT count(*) FROM people",
            "INSERT INTO quiet VALUES ('a')",
            "DECLARE d CURSOR FOR SELECT 1",
            "CREATE VIEW nobody_says_it AS SELECT id FROM people",
            "FETCH ALL FROM d",
            "CLOSE d",
            FREES,
            NAMES,
            "SELECT count(*) FROM quiet",
            "COMMIT",
            "DROP VIEW nobody_says_it",
        ] {
            send(&mut client, sql);
        }
        // All that it held was read at the end of the transaction before.
        reset(&world);
        for sql in
            ["BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT 1", "COMMIT", "BEGIN", FREES, NAMES, "COMMIT"]
        {
            send(&mut client, sql);
        }
        send(&mut client, "CLOSE h");
        reset(&world);
    }
}

#[test]
fn a_transaction_that_is_rolled_back_is_not_refused_that() {
    let world = world();
    for others in [false, true] {
        for extended in [false, true] {
            let (mut client, mut other) = (world.through(), world.through());
            client.rows("BEGIN");
            client.rows(CURSOR);
            let changes = if others { &mut other } else { &mut client };
            changes.rows(FREES);
            changes.rows(NAMES);
            client.send(&if extended { raw::extended("ROLLBACK") } else { raw::query("ROLLBACK") });
            assert_eq!(error(&client.until_ready()), None, "by another: {others}, extended: {extended}");
            client.rows("SELECT 1");
            drop((client, other));
            reset(&world);
        }
    }
}
