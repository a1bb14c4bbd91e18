//! A new name for what is protected is known to all sessions from the moment that it is everybody's.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Raw, World, raw};

fn world() -> World {
    let settings = "max_prepared_transactions = 5\n".into();
    let world = World::with(&Options { log_all: true, settings, ..Options::default() });
    world.people(&["Ana"]);
    world
}

fn view(name: &str) -> String {
    format!("CREATE OR REPLACE VIEW {name} AS SELECT id, email, first_name FROM people")
}

/// A view of these columns that shows nothing protected.
fn harmless(world: &World, name: &str) {
    let sql = format!("CREATE VIEW {name} AS SELECT 1 AS id, ''::text AS email, ''::text AS first_name");
    world.through().rows(&sql);
}

/// It is known for what it is: a write through it is refused.
fn write(client: &mut Raw, name: &str) {
    let insert = format!("INSERT INTO {name} (email, first_name) VALUES ('canari-1@x.example', 'Canari-1')");
    assert_eq!(client.fails(&insert).sqlstate(), "0A000", "{name}");
}

/// Nothing is stored in clear, and the server got nothing.
fn assert_sealed(world: &World) {
    let stored = world.direct().rows("SELECT email, first_name FROM people");
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_absent("the table", format!("{stored:?}").as_bytes(), &[b"anari-", b"@people."]);
    assert_absent("the log", world.pg.log().as_bytes(), &[b"anari-"]);
}

fn run(sql: &str) -> Vec<u8> {
    [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
}

fn waits_for_a_lock(world: &World) {
    let mut direct = world.direct();
    while direct.rows("SELECT 1 FROM pg_locks WHERE NOT granted").is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn a_commit_tells_of_new_names_before_its_session_is_idle() {
    let world = world();
    let (mut a, mut b) = (world.through(), world.through());
    a.rows("BEGIN");
    a.rows(&view("chained"));
    a.rows("COMMIT AND CHAIN");
    write(&mut b, "chained");
    a.rows("ROLLBACK");
    a.rows("BEGIN");
    a.rows(&view("flushed"));
    a.send(&[run("COMMIT"), raw::flush()].concat());
    while a.read().is_some_and(|message| message.tag != b'C') {}
    write(&mut b, "flushed");
    a.send(&raw::sync());
    a.until_ready();
    assert_sealed(&world);
}

#[test]
fn a_client_that_has_gone_leaves_no_new_name_untold() {
    let world = world();
    harmless(&world, "gone");
    let mut b = world.through();
    let mut holds = Raw::connect(world.pg.port(), "app");
    holds.rows("BEGIN");
    holds.rows("SELECT * FROM gone");
    let mut a = world.through();
    a.send(&[raw::query(&view("gone")), raw::terminate()].concat());
    waits_for_a_lock(&world);
    b.rows("SELECT count(*) FROM people");
    holds.rows("COMMIT");
    a.drain();
    write(&mut b, "gone");
    assert_sealed(&world);
}

#[test]
fn what_a_prepared_transaction_made_is_told_when_that_is_committed() {
    let world = world();
    let (mut a, mut b, mut c) = (world.through(), world.through(), world.through());
    for (name, extended) in [("prepared1", false), ("prepared2", true)] {
        let commit = format!("COMMIT PREPARED '{name}'");
        b.send(&[raw::parse(name, &commit, &[]), raw::sync()].concat());
        b.until_ready();
        a.rows("BEGIN");
        a.rows(&view(name));
        a.rows(&format!("PREPARE TRANSACTION '{name}'"));
        c.rows("SELECT count(*) FROM people");
        if extended {
            b.send(&[raw::bind_text("", name, &[], &[]), raw::execute("", 0), raw::flush()].concat());
            while b.read().is_some_and(|message| message.tag != b'C') {}
        } else {
            b.rows(&commit);
        }
        write(&mut c, name);
    }
    b.send(&raw::sync());
    b.until_ready();
    assert_sealed(&world);
}

#[test]
fn a_view_on_what_became_a_name_of_something_protected_meanwhile_is_one_too() {
    let world = world();
    let (mut a, mut b, mut c) = (world.through(), world.through(), world.through());
    for (base, waited, within) in [("base1", "waited1", true), ("base2", "waited2", false)] {
        harmless(&world, base);
        a.rows("BEGIN");
        a.rows(&view(base));
        b.rows("BEGIN");
        b.send(&raw::query(&format!("CREATE VIEW {waited} AS SELECT * FROM {base}")));
        waits_for_a_lock(&world);
        a.rows("COMMIT");
        assert!(b.until_ready().iter().all(|message| message.tag != b'E'));
        // The catalog is read, and does not show it yet.
        c.rows("SELECT 1");
        if within {
            write(&mut b, waited);
            b.rows("ROLLBACK");
        } else {
            b.rows("COMMIT");
            write(&mut c, waited);
        }
    }
    assert_sealed(&world);
}

#[test]
fn a_view_that_was_prepared_before_its_base_came_is_known_once_it_is_made() {
    let world = world();
    let (mut a, mut b, mut c) = (world.through(), world.through(), world.through());
    b.send(&[raw::parse("make", "CREATE VIEW late AS SELECT * FROM base", &[]), raw::sync()].concat());
    b.until_ready();
    a.rows(&view("base"));
    c.rows("SELECT 1");
    b.send(&[raw::bind_text("", "make", &[], &[]), raw::execute("", 0), raw::sync()].concat());
    assert!(b.until_ready().iter().all(|message| message.tag != b'E'));
    write(&mut c, "late");
    assert_sealed(&world);
}

#[test]
fn a_transaction_with_a_catalog_of_its_own_hears_of_others_new_names() {
    let world = world();
    let (mut a, mut b) = (world.through(), world.through());
    let mut direct = Raw::connect(world.pg.port(), "app");
    for name in ["others", "bound", "behind"] {
        a.rows("BEGIN");
        a.rows("CREATE TEMP TABLE own (x integer)");
        a.rows("SELECT id FROM people LIMIT 1");
        if name == "behind" {
            // Made behind the gateway: it counts from when any session knows it.
            direct.rows(&view(name));
            b.rows("CREATE TABLE makes_it_look (x integer)");
            b.rows("SELECT count(*) FROM people");
        } else {
            b.rows(&view(name));
        }
        if name == "bound" {
            let insert = "INSERT INTO bound (email, first_name) VALUES ($1, $2)";
            let values = [Some("canari-2@people.example"), Some("Canari-2")];
            let bind = raw::bind_text("", "", &values, &[]);
            a.send(&[raw::parse("", insert, &[]), bind, raw::execute("", 0), raw::sync()].concat());
            let errors: Vec<_> = a.until_ready().into_iter().filter(|message| message.tag == b'E').collect();
            assert_eq!(errors[0].sqlstate(), "0A000");
        } else {
            write(&mut a, name);
        }
        a.rows("ROLLBACK");
    }
    assert_sealed(&world);
}

/// Sends what makes `name` everybody's and then waits for the lock, until it does.
fn commits_and_waits(world: &World, client: &mut Raw, messages: &[u8]) {
    client.send(messages);
    let mut direct = world.direct();
    while direct.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn a_commit_in_the_middle_of_a_query_or_pipeline_is_told_before_what_follows_it_has_run() {
    let world = world();
    let (mut a, mut b, mut holds) = (world.through(), world.through(), world.direct());
    let wait = "SELECT pg_advisory_lock(7)";
    let pipeline = |texts: &[&str]| {
        let run = texts.iter().flat_map(|sql| run(sql));
        run.chain(raw::sync()).collect::<Vec<u8>>()
    };
    for (name, before, messages) in [
        ("query", None, raw::query(&format!("{}; COMMIT; {wait}", view("query")))),
        ("script", None, raw::query(&format!("BEGIN; {}; END; BEGIN; {wait}; COMMIT", view("script")))),
        ("later", Some(view("later")), raw::query(&format!("COMMIT; {wait}"))),
        ("implicit", None, pipeline(&[&view("implicit"), "COMMIT", wait])),
        ("block", None, pipeline(&["BEGIN", &view("block"), "COMMIT", wait])),
        ("after", Some(view("after")), pipeline(&["COMMIT", wait])),
    ] {
        if let Some(before) = before {
            a.rows("BEGIN");
            a.rows(&before);
        }
        holds.rows(wait);
        commits_and_waits(&world, &mut a, &messages);
        write(&mut b, name);
        holds.rows("SELECT pg_advisory_unlock(7)");
        assert!(a.until_ready().iter().all(|message| message.tag != b'E'), "{name}");
        a.rows("SELECT pg_advisory_unlock(7)");
    }
    // What a view is made on is something protected by the time at which it is made.
    harmless(&world, "base3");
    let mut c = world.through();
    c.rows("BEGIN");
    c.rows(&view("base3"));
    holds.rows(wait);
    a.send(&raw::query(&format!("CREATE VIEW waited3 AS SELECT * FROM base3; COMMIT; {wait}")));
    waits_for_a_lock(&world);
    c.rows("COMMIT");
    commits_and_waits(&world, &mut a, &[]);
    c.rows("SELECT 1");
    write(&mut b, "waited3");
    holds.rows("SELECT pg_advisory_unlock(7)");
    a.until_ready();
    assert_sealed(&world);
}

#[test]
fn a_query_that_commits_a_change_and_goes_on_answers_as_ever() {
    let world = world();
    for sql in [
        "CREATE VIEW v1 AS SELECT id FROM people; COMMIT; SELECT 1 AS one",
        "BEGIN; CREATE VIEW v2 AS SELECT id FROM people; COMMIT; SELECT nothing FROM depts",
        "BEGIN; ALTER VIEW v2 RENAME TO v3; COMMIT AND CHAIN; SELECT 1/0; COMMIT",
        "SHOW nothing; END; SELECT 1",
        "ROLLBACK",
        "CREATE TABLE plain (x integer); COMMIT; INSERT INTO plain VALUES (1), (2); SELECT x FROM plain;;",
        "BEGIN; ALTER TABLE plain RENAME TO plainer; END; BEGIN; DROP TABLE plainer; ROLLBACK; TABLE plainer",
    ] {
        let answers = [world.through(), world.clear()]
            .map(|mut client| client.query(sql).iter().map(|m| m.line()).collect::<Vec<_>>());
        assert_eq!(answers[0], answers[1], "{sql}");
    }
}

#[test]
fn a_change_that_was_prepared_before_its_name_meant_something_protected_is_judged_when_it_runs() {
    let world = world();
    let mut client = world.through();
    client.rows("BEGIN");
    client.send(&[raw::parse("s", "ALTER VIEW early RENAME TO late", &[]), raw::sync()].concat());
    client.until_ready();
    client.rows("CREATE VIEW early AS SELECT id, first_name FROM people");
    client.send(&[raw::bind_text("", "s", &[], &[]), raw::execute("", 0), raw::sync()].concat());
    assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
    assert_eq!(client.fails("INSERT INTO late VALUES (9, 'Canari')").sqlstate(), "0A000");
    client.query("ROLLBACK");
    assert_sealed(&world);
}
