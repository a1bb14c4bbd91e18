//! Re-keying a person: other keys, the same values, and the old keys gone, whatever happens meanwhile.

use super::last::may_sweep;
use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, eventually, row};
use paravent::envelope::{EnvelopeRef, dearmour};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Every sealed column of the standard tables, with the rows' ids.
const SEALED: [&str; 3] = [
    "SELECT id::text, first_name, last_name, nick FROM people ORDER BY id",
    "SELECT id::text, birth_date::text, photo::text FROM people ORDER BY id",
    "SELECT author_id::text, body FROM comments ORDER BY id",
];
const PERSON_1: &str = "/v1/subjects/person/1/rekey";

/// The key that an envelope names.
fn key_of(stored: &str) -> String {
    let bytes = match stored.strip_prefix("\\x") {
        Some(digits) => hex::decode(digits).unwrap(),
        None => dearmour(stored.as_bytes()).unwrap(),
    };
    hex::encode(EnvelopeRef::parse(&bytes).unwrap().key_id().0)
}

/// Subject and key of every sealed value, read past the gateway on a connection that ends at once.
fn stored(pg: &Postgres, database: &str) -> Vec<(String, String)> {
    let mut direct = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", database)]);
    let mut found = Vec::new();
    for query in SEALED {
        for cells in direct.rows(query) {
            let id = cells[0].clone().unwrap();
            found.extend(cells[1..].iter().flatten().map(|stored| (id.clone(), key_of(stored))));
        }
    }
    found
}

fn keys(pg: &Postgres, id: &str) -> BTreeSet<String> {
    stored(pg, "app").into_iter().filter(|(of, _)| of == id).map(|(_, key)| key).collect()
}

/// Rows of the keystore's table of that query.
fn kept(gateway: &Gateway, query: &str) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(gateway.home.path("paravent.keystore"), flags).unwrap();
    let mut statement = file.prepare(query).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn ask(gateway: &Gateway) -> Value {
    let answer = gateway.admin().ask("POST", PERSON_1);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn look(gateway: &Gateway, job: &Value) -> Value {
    gateway.admin().get(&format!("/v1/jobs/{}", job["id"].as_str().unwrap())).json()
}

fn done(gateway: &Gateway, job: &Value) -> Value {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let job = look(gateway, job);
        if job["state"] == "done" {
            return job;
        }
        assert!(Instant::now() < end, "it is not over after half a minute: {job}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Tells others to stop, whatever happens here.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// It says what it waits for, and goes no further.
fn waits(gateway: &Gateway, job: &Value, words: &str) -> Value {
    eventually(words, || {
        let job = look(gateway, job);
        assert_ne!(job["state"], "done", "{job}");
        job["detail"].as_str().is_some_and(|detail| detail.contains(words)).then_some(job)
    })
}

fn rekeyed(gateway: &Gateway) -> Value {
    let job = ask(gateway);
    done(gateway, &job)
}

fn world() -> World {
    let world = World::new();
    may_sweep(&world.pg);
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    client.rows("UPDATE people SET birth_date = '1990-01-02', photo = '\\x00ff', nick = 'An' WHERE id = 1");
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'first'), (2, 'of Bea'), (1, 'second')");
    world
}

/// Ana's values, through the gateway.
fn reads_as_before(client: &mut Raw) {
    let seen =
        client.rows("SELECT email, first_name, last_name, nick, birth_date, photo FROM people WHERE id = 1");
    assert_eq!(seen, [row(["Ana@people.example", "Ana", "Last-Ana", "An", "1990-01-02", "\\x00ff"])]);
    assert_eq!(client.rows("SELECT id FROM people WHERE email = 'Ana@people.example'"), [row(["1"])]);
    let said = client.rows("SELECT body FROM comments WHERE author_id = 1 ORDER BY id LIMIT 2");
    assert_eq!(said, [row(["first"]), row(["second"])]);
}

#[test]
fn every_value_goes_on_under_another_key_and_the_old_one_is_destroyed() {
    let world = world();
    // A copy of hers in somebody else's row, made behind the gateway.
    let copied = "UPDATE people SET nick = (SELECT nick FROM people WHERE id = 1) WHERE id = 2";
    world.direct().rows(copied);
    let (ana, before) = (keys(&world.pg, "1"), stored(&world.pg, "app"));
    assert_eq!(ana.len(), 1, "{ana:?}");
    let old = ana.first().unwrap();
    let mut client = world.through();
    let job = rekeyed(&world.gateway);
    assert_eq!(
        (&job["kind"], job["done"].as_u64()),
        (&"rekey".into(), Some(9)),
        "8 values and an identifier: {job}"
    );
    let after = stored(&world.pg, "app");
    assert!(after.iter().all(|(_, key)| key != old), "{after:?}");
    assert_eq!(keys(&world.pg, "1").len(), 1);
    let others = |all: &[(String, String)]| -> Vec<_> {
        all.iter().filter(|(_, key)| !ana.contains(key)).cloned().collect()
    };
    let bea: Vec<_> = others(&before);
    assert!(bea.iter().all(|one| after.contains(one)), "Bea's own are as they were");
    reads_as_before(&mut client);
    let error = client.fails("SELECT nick FROM people WHERE id = 2").sqlstate();
    assert_eq!(error, "XX001", "the copy is still another person's");
    // In the keystore: one secret, the old one fenced, and the identifier under the new one.
    let query = "SELECT hex(key_id) FROM secrets WHERE id = '1'";
    let now = kept(&world.gateway, query);
    assert_eq!(now.len(), 1);
    assert_eq!(now[0].to_lowercase(), *keys(&world.pg, "1").first().unwrap());
    assert_eq!(kept(&world.gateway, "SELECT hex(key_id) FROM holders WHERE id = '1'"), now);
    let fenced = kept(&world.gateway, "SELECT hex(key_id) FROM fenced_keys WHERE replaced = 1");
    assert_eq!(fenced, [old.to_uppercase()]);
    let ledger = std::fs::read_to_string(world.gateway.home.path("paravent.ledger")).unwrap();
    assert!(ledger.contains("\"rekey\"") && ledger.contains("\"done\"") && ledger.contains(old), "{ledger}");
    // Again and again.
    for _ in 0..2 {
        rekeyed(&world.gateway);
    }
    reads_as_before(&mut client);
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'third')");
    assert_eq!(keys(&world.pg, "1").len(), 1);
}

#[test]
fn the_command_line_follows_it_and_the_audit_log_links_the_stand_ins() {
    let world = world();
    let mut client = world.through();
    reads_as_before(&mut client);
    let out = world.gateway.command("privacy", &["subject", "rekey", "person", "1"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&told["state"], &told["kind"]), (&"done".into(), &"rekey".into()));
    assert!(!told.to_string().contains("\"1\""), "a job names nobody: {told}");
    reads_as_before(&mut client);
    let report = world.gateway.admin_as("auditor").get("/v1/audit?field=first_name").json();
    let people = report["people"].as_array().unwrap();
    let ana: Vec<_> = people.iter().filter(|person| person["id"] == "1").collect();
    assert_eq!(ana.len(), 1, "one person, before and after: {report}");
    let log = std::fs::read_to_string(world.gateway.home.path("audit/00000001.log")).unwrap();
    assert!(log.contains("\"event\":\"linked\"") && log.contains("\"action\":\"subject.rekey\""), "{log}");
    let listed = world.gateway.command("auditor", &["jobs", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("rekey done"), "{listed:?}");
}

#[test]
fn each_question_has_its_answer() {
    let world = world();
    let ask = |role: &str, id: u32| {
        let answer = world.gateway.admin_as(role).ask("POST", &format!("/v1/subjects/person/{id}/rekey"));
        (answer.status, answer.json()["type"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask("auditor", 1).0, 403);
    assert_eq!(ask("privacy", 77), (404, "docs/errors.md#admin-unknown-subject".into()));
    world.gateway.admin().erase(2);
    assert_eq!(ask("privacy", 2), (409, "docs/errors.md#admin-erased".into()));
    let mut open = world.through();
    open.rows("BEGIN");
    open.rows("INSERT INTO people (id, email, first_name) VALUES (3, 'c@people.example', 'Cid')");
    assert_eq!(ask("privacy", 3), (409, "docs/errors.md#subject-unsettled".into()));
    open.rows("COMMIT");
    // The commit is told to the keystore a moment after the client.
    eventually("it can be", || (ask("operator", 3).0 == 200).then_some(()));
    // A restricted person stays so.
    assert_eq!(world.gateway.admin().ask("POST", "/v1/subjects/person/1/restrict").status, 200);
    let job = rekeyed(&world.gateway);
    assert_eq!(job["detail"], Value::Null);
    assert_eq!(world.gateway.admin().state(1).as_deref(), Some("restricted"));
    let mut client = world.through();
    assert_eq!(client.fails("SELECT first_name FROM people WHERE id = 1").sqlstate(), "42501");
    assert_eq!(world.gateway.admin().ask("POST", "/v1/subjects/person/1/release").status, 200);
    reads_as_before(&mut client);
}

#[test]
fn it_waits_for_a_transaction_that_wrote_before_and_two_at_once_are_one() {
    let world = world();
    let old = keys(&world.pg, "1");
    let mut writer = world.through();
    writer.rows("BEGIN");
    writer.rows("INSERT INTO comments (author_id, body) VALUES (1, 'under way')");
    let job = ask(&world.gateway);
    assert_eq!(ask(&world.gateway)["id"], job["id"], "two at once are one");
    waits(&world.gateway, &job, "statements");
    // What is written now goes under the new key at once.
    let mut client = world.through();
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'meanwhile')");
    assert!(keys(&world.pg, "1").is_disjoint(&old), "what is committed");
    reads_as_before(&mut client);
    writer.rows("COMMIT");
    done(&world.gateway, &job);
    assert!(keys(&world.pg, "1").is_disjoint(&old));
    let said = client.rows("SELECT body FROM comments WHERE author_id = 1 ORDER BY id");
    assert_eq!(said, [row(["first"]), row(["second"]), row(["under way"]), row(["meanwhile"])]);
}

#[test]
fn it_waits_for_a_reader_that_still_sees_what_was_there() {
    let world = world();
    let mut reader = world.through();
    reader.rows("BEGIN ISOLATION LEVEL REPEATABLE READ");
    reader.rows("SELECT id FROM people");
    let job = ask(&world.gateway);
    waits(&world.gateway, &job, "before");
    eventually("what is there lies under the new key", || {
        (keys(&world.pg, "1").len() == 1 && look(&world.gateway, &job)["done"].as_u64() >= Some(8))
            .then_some(())
    });
    assert_eq!(
        reader.rows("SELECT first_name FROM people WHERE id = 1"),
        [row(["Ana"])],
        "from the old snapshot"
    );
    reader.rows("COMMIT");
    done(&world.gateway, &job);
    assert_eq!(reader.rows("SELECT first_name FROM people WHERE id = 1"), [row(["Ana"])]);
}

#[test]
fn it_waits_for_a_prepared_transaction() {
    let world =
        World::with(&Options { settings: "max_prepared_transactions = 5\n".into(), ..Options::default() });
    may_sweep(&world.pg);
    world.people(&["Ana"]);
    let old = keys(&world.pg, "1");
    let mut writer = world.through();
    writer.rows("BEGIN");
    writer.rows("INSERT INTO comments (author_id, body) VALUES (1, 'prepared')");
    writer.rows("PREPARE TRANSACTION 'later'");
    drop(writer);
    let job = ask(&world.gateway);
    waits(&world.gateway, &job, "prepared");
    Raw::connect(world.pg.port(), "app").rows("COMMIT PREPARED 'later'");
    done(&world.gateway, &job);
    assert!(keys(&world.pg, "1").is_disjoint(&old));
    assert_eq!(world.through().rows("SELECT body FROM comments"), [row(["prepared"])]);
}

#[test]
fn it_waits_for_connections_that_may_carry_what_an_earlier_gateway_sent() {
    let world = world();
    let old = keys(&world.pg, "1");
    // Nobody knows whose it is: it could be one that a killed gateway left.
    let mut left = Raw::connect(world.pg.port(), "app");
    let value = left.rows("SELECT first_name FROM people WHERE id = 1")[0][0].clone().unwrap();
    let job = ask(&world.gateway);
    waits(&world.gateway, &job, "not this gateway's");
    left.rows(&format!("INSERT INTO comments (author_id, body) VALUES (2, '{value}')"));
    drop(left);
    done(&world.gateway, &job);
    assert!(stored(&world.pg, "app").iter().all(|(_, key)| !old.contains(key)), "what it wrote is found");
}

#[test]
fn a_place_that_refuses_is_told_and_tried_again_when_somebody_says_so() {
    let world = world();
    let superuser = || Raw::connect_as(world.pg.port(), &[("user", "postgres"), ("database", "app")]);
    superuser().rows("REVOKE UPDATE ON comments FROM paravent");
    let job = ask(&world.gateway);
    let told = waits(&world.gateway, &job, "comments.body: permission denied");
    assert_eq!(told["state"], "waiting");
    reads_as_before(&mut world.through());
    assert_eq!(
        kept(&world.gateway, "SELECT state FROM secrets WHERE id = '1' ORDER BY 1"),
        ["open-only", "sealing"]
    );
    superuser().rows("GRANT UPDATE ON comments TO paravent");
    let resumed = world.gateway.command("operator", &["jobs", "resume"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    done(&world.gateway, &job);
    reads_as_before(&mut world.through());
}

#[test]
fn rows_that_row_level_security_hides_keep_the_old_key() {
    let world = world();
    let superuser = || Raw::connect_as(world.pg.port(), &[("user", "postgres"), ("database", "app")]);
    superuser().rows("ALTER TABLE comments ENABLE ROW LEVEL SECURITY");
    superuser().rows("CREATE POLICY own ON comments FOR ALL TO paravent USING (false)");
    let job = ask(&world.gateway);
    waits(&world.gateway, &job, "row-level security");
    superuser().rows("ALTER TABLE comments DISABLE ROW LEVEL SECURITY");
    world.gateway.admin_as("operator").ask("POST", "/v1/jobs/resume");
    done(&world.gateway, &job);
    reads_as_before(&mut world.through());
}

#[test]
fn an_erasure_meanwhile_takes_everything_and_ends_the_job() {
    let world = world();
    let mut open = world.through();
    open.rows("BEGIN");
    open.rows("INSERT INTO comments (author_id, body) VALUES (1, 'under way')");
    let job = ask(&world.gateway);
    waits(&world.gateway, &job, "statements");
    let receipt = world.gateway.admin().erase(1);
    assert_eq!(receipt["keys"].as_array().unwrap().len(), 2, "the new one and the old one");
    let over = done(&world.gateway, &job);
    assert!(over["detail"].as_str().unwrap().contains("erased meanwhile"), "{over}");
    open.rows("COMMIT");
    let mut client = world.through();
    assert_eq!(client.rows("SELECT first_name, nick FROM people WHERE id = 1"), [row(["NULL", "NULL"])]);
    assert!(kept(&world.gateway, "SELECT job FROM rekeys UNION SELECT hex(key_id) FROM rekeyed").is_empty());
}

#[test]
fn values_in_another_database_of_the_server_are_found() {
    let world = world();
    let superuser =
        |database| Raw::connect_as(world.pg.port(), &[("user", "postgres"), ("database", database)]);
    superuser("postgres").rows("CREATE DATABASE other OWNER app");
    for sql in crate::support::schema::PROTECTED.split_inclusive(';').filter(|sql| !sql.trim().is_empty()) {
        Raw::connect(world.pg.port(), "other").rows(sql);
    }
    superuser("other").rows("GRANT SELECT, UPDATE ON people, comments TO paravent");
    let mut client = Raw::connect(world.gateway.port(), "other");
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'Ana@people.example', 'Ana')");
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'over there')");
    let old = keys(&world.pg, "1");
    rekeyed(&world.gateway);
    assert!(stored(&world.pg, "other").iter().all(|(_, key)| !old.contains(key)));
    let seen =
        client.rows("SELECT email, first_name, body FROM people JOIN comments ON author_id = people.id");
    assert_eq!(seen, [row(["Ana@people.example", "Ana", "over there"])]);
    // And an erasure sweeps them there too.
    world.gateway.admin().erase(1);
    eventually("it is swept there", || {
        let left = superuser("other").rows("SELECT first_name FROM people");
        (left == [row(["NULL"])]).then_some(())
    });
}

#[test]
fn what_a_service_may_keep_keeps_the_old_key() {
    let pg = Postgres::start();
    make_tables(&pg);
    may_sweep(&pg);
    let mut setup = Setup::new(&pg);
    setup.tables.push_str(
        "\n[[http]]\nlisten = \"127.0.0.1:0\"\nupstream = \"http://127.0.0.1:9\"\n\n[[http.routes]]\n\
         path = \"/people/{id}\"\nsubject = \"path:id\"\nfields = { \"/name\" = \"first_name\" }\n",
    );
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows("INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana')");
    let old = keys(&pg, "1");
    let job = ask(&gateway);
    assert!(job["kept"][0]["place"].as_str().unwrap().ends_with("/people/{id}"), "told at once: {job}");
    let over = done(&gateway, &job);
    assert!(over["detail"].as_str().unwrap().contains("the old secrets stay"), "{over}");
    assert!(keys(&pg, "1").is_disjoint(&old), "what can be is under the new key");
    assert_eq!(
        kept(&gateway, "SELECT state FROM secrets WHERE id = '1' ORDER BY 1"),
        ["open-only", "sealing"]
    );
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    let receipt = gateway.admin().erase(1);
    assert_eq!(receipt["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn killed_anywhere_it_goes_on_and_loses_nothing() {
    let mut world = world();
    let mut client = world.through();
    for n in 0..20 {
        let values: Vec<String> = (0..30).map(|m| format!("(1, 'c{n}-{m}')")).collect();
        client.rows(&format!("INSERT INTO comments (author_id, body) VALUES {}", values.join(", ")));
    }
    drop(client);
    let mut before = keys(&world.pg, "1");
    for kill in 0..8_u64 {
        let job = ask(&world.gateway);
        std::thread::sleep(Duration::from_millis(kill * 12));
        world.gateway.kill();
        if kill % 3 == 0 {
            world.gateway.start_and_kill(Duration::from_millis(80 + kill * 10));
        }
        world.gateway.restart();
        done(&world.gateway, &job);
        let now = keys(&world.pg, "1");
        assert!(now.is_disjoint(&before) && now.len() == 1, "round {kill}: {before:?} {now:?}");
        before = now;
        let mut client = world.through();
        reads_as_before(&mut client);
        let count = "SELECT count(*) FROM comments WHERE author_id = 1";
        assert_eq!(client.rows(count), [row(["602"])]);
        let bodies = client.rows("SELECT body FROM comments WHERE author_id = 1 ORDER BY id OFFSET 2");
        for (n, body) in bodies.iter().enumerate() {
            assert_eq!(body[0].as_deref(), Some(&*format!("c{}-{}", n / 30, n % 30)));
        }
    }
    assert_eq!(kept(&world.gateway, "SELECT hex(key_id) FROM secrets WHERE id = '1'").len(), 1);
    assert_eq!(kept(&world.gateway, "SELECT hex(key_id) FROM fenced_keys WHERE replaced = 1").len(), 8);
}

#[test]
fn traffic_about_the_person_never_notices() {
    let world = world();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = world.through();
            while !over.load(Ordering::Relaxed) {
                reads_as_before(&mut client);
            }
        });
        scope.spawn(|| {
            let (mut client, mut n) = (world.through(), 0);
            while !over.load(Ordering::Relaxed) {
                n += 1;
                client.rows(&format!("UPDATE people SET title = '{n}', nick = 'An' WHERE id = 1"));
                client.rows(&format!("INSERT INTO comments (author_id, body) VALUES (1, 'x{n}')"));
                let said =
                    client.rows("SELECT body FROM comments WHERE author_id = 1 ORDER BY id DESC LIMIT 1");
                assert_eq!(said, [row([&format!("x{n}")])]);
            }
        });
        let _stop = Stop(&over);
        for _ in 0..4 {
            rekeyed(&world.gateway);
        }
    });
    assert_eq!(keys(&world.pg, "1").len(), 1);
    let mut client = world.through();
    let said = client.rows("SELECT body FROM comments WHERE author_id = 1 ORDER BY id");
    assert!(said.iter().all(|body| body[0].is_some()));
}
