//! An erasure to its last stage: swept out of the tables, then final once its generation's root key is gone.

use crate::support::gateway::Setup;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, eventually, row};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::path::Path;

/// The receipts that a keystore holds, oldest first.
fn receipts(keystore: &Path) -> Vec<Value> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(keystore, flags).unwrap();
    let mut statement = file.prepare("SELECT document FROM receipts ORDER BY number").unwrap();
    let documents = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    documents.map(|document| serde_json::from_str(&document.unwrap()).unwrap()).collect()
}

/// How many receipts there are, and how many of them are at that stage.
fn count(gateway: &Gateway, stage: &str) -> (usize, usize) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(gateway.home.path("paravent.keystore"), flags).unwrap();
    let of = format!(
        "SELECT count(*), count(*) FILTER (WHERE document LIKE '%\"stage\":\"{stage}\"%') FROM receipts"
    );
    let (all, there) =
        file.query_row(&of, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?))).unwrap();
    (all as usize, there as usize)
}

pub fn all(gateway: &Gateway, stage: &str, expected: usize) {
    let mut before = usize::MAX;
    loop {
        // As long as more and more are there, it is worth waiting.
        let left = eventually(&format!("{expected} receipts are {stage}"), || {
            let (all, there) = count(gateway, stage);
            assert_eq!(all, expected);
            let left = expected - there;
            (left < before).then_some(left)
        });
        if left == 0 {
            return;
        }
        before = left;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Lets the gateway's own login overwrite.
pub fn may_sweep(pg: &Postgres) {
    let mut superuser = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "app")]);
    superuser.rows("GRANT UPDATE ON people, comments TO paravent");
}

const STORED: &str = "SELECT first_name, last_name FROM people ORDER BY id";

#[test]
fn the_sealed_bytes_of_an_erased_person_leave_the_tables() {
    let world = World::new();
    may_sweep(&world.pg);
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'de Ana'), (2, 'de Bea')");
    // A copy of hers in somebody else's row, made behind the gateway.
    let mut direct = world.direct();
    direct.rows("UPDATE people SET nick = (SELECT first_name FROM people WHERE id = 1) WHERE id = 2");
    // Something that lay there in clear before the column was protected.
    direct.rows("UPDATE comments SET body = 'en clair' WHERE author_id = 1");
    let before = direct.rows("SELECT email, first_name, nick FROM people ORDER BY id");
    world.gateway.admin().erase(1);
    all(&world.gateway, "swept", 1);
    let after = direct.rows("SELECT email, first_name, nick FROM people ORDER BY id");
    assert_eq!(after[0][1], None);
    assert_ne!(after[0][0], before[0][0], "the token is another");
    assert_eq!((&after[1][0], &after[1][1], &after[1][2]), (&before[1][0], &before[1][1], &None));
    assert_eq!(direct.rows("SELECT body FROM comments WHERE author_id = 1"), [[None]]);
    let seen = client.rows("SELECT email, first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["", "NULL"]), row(["Bea@people.example", "Bea"])], "and reads as before");
    let receipt = receipts(&world.gateway.home.path("paravent.keystore")).remove(0);
    let place =
        |name: &str, rows: u64| serde_json::json!({ "place": format!("app public.{name}"), "rows": rows });
    let swept = receipt["swept"].as_array().unwrap();
    let expected = [
        place("people.email", 1),
        place("people.first_name", 1),
        place("people.last_name", 1),
        place("people.nick", 1),
        place("comments.body", 1),
    ];
    assert_eq!(swept.len(), expected.len(), "{swept:?}");
    assert!(expected.iter().all(|place| swept.contains(place)), "{swept:?}");
    let codes: Vec<_> =
        receipt["not_covered"].as_array().unwrap().iter().map(|n| n["code"].clone()).collect();
    assert!(
        !codes.contains(&"place-out-of-reach".into()) && !codes.contains(&"not-swept".into()),
        "{codes:?}"
    );
}

#[test]
fn a_place_that_the_gateway_may_not_change_is_told_in_the_receipt() {
    let world = World::new();
    world.people(&["Ana"]);
    world.gateway.admin().erase(1);
    all(&world.gateway, "swept", 1);
    let receipt = receipts(&world.gateway.home.path("paravent.keystore")).remove(0);
    let missed: Vec<_> = receipt["not_covered"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["code"] == "place-out-of-reach")
        .map(|entry| (entry["what"].as_str().unwrap(), entry["why"].as_str().unwrap()))
        .collect();
    assert!(
        missed
            .iter()
            .any(|(what, why)| *what == "app public.people.email" && why.contains("permission denied"))
    );
    assert!(receipt["swept"].as_array().unwrap().is_empty());
}

#[test]
fn a_place_that_refused_is_tried_again_and_the_receipt_says_that_it_worked() {
    let world = World::new();
    world.people(&["Ana"]);
    let id = world.gateway.admin().erase(1)["id"].as_str().unwrap().to_owned();
    all(&world.gateway, "swept", 1);
    let read = || world.gateway.admin().get(&format!("/v1/receipts/{id}")).json();
    let codes = |receipt: &Value| -> Vec<String> {
        let entries = receipt["not_covered"].as_array().unwrap();
        entries.iter().map(|entry| entry["code"].as_str().unwrap().to_owned()).collect()
    };
    let refused = read();
    assert!(codes(&refused).contains(&"place-out-of-reach".to_owned()), "{refused}");
    may_sweep(&world.pg);
    let resumed = world.gateway.command("privacy", &["jobs", "resume"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let worked = eventually("it worked", || {
        let receipt = read();
        (!codes(&receipt).contains(&"place-out-of-reach".to_owned())).then_some(receipt)
    });
    assert!(worked["revision"].as_u64() > refused["revision"].as_u64());
    assert!(worked["swept"].to_string().contains("people.first_name"), "{worked}");
    assert_eq!(world.direct().rows("SELECT first_name FROM people"), [row(["NULL"])]);
    // With a rotation it is final, and the sweep is forgotten.
    let made = world.gateway.command("operator", &["keys", "rotate", "--no-wait"]);
    assert!(made.status.success());
    let backup = || world.gateway.command("operator", &["keystore", "backup", "copy"]);
    eventually("the rotation gets that far", || {
        let job = world.gateway.admin().get("/v1/jobs").json();
        (job["jobs"][0]["state"] == "waiting").then_some(())
    });
    assert!(backup().status.success());
    assert!(world.gateway.command("operator", &["jobs", "resume"]).status.success());
    all(&world.gateway, "final", 1);
}

#[test]
fn a_lock_holds_the_sweep_up_and_the_receipt_with_it() {
    let world = World::new();
    may_sweep(&world.pg);
    world.people(&["Ana", "Bea"]);
    let mut holder = world.direct();
    holder.rows("BEGIN");
    holder.rows("SELECT id FROM people WHERE id = 1 FOR UPDATE");
    world.gateway.admin().erase(1);
    eventually("the sweep waits", || {
        let log = String::from_utf8_lossy(&world.gateway.log()).into_owned();
        log.contains("sweeps wait").then_some(())
    });
    assert_eq!(count(&world.gateway, "live"), (1, 1));
    holder.rows("COMMIT");
    all(&world.gateway, "swept", 1);
    assert_eq!(world.direct().rows("SELECT first_name FROM people WHERE id = 1"), [row(["NULL"])]);
}

#[test]
fn what_the_database_says_about_a_row_stays_out_of_the_receipt_and_the_log() {
    let world = World::new();
    may_sweep(&world.pg);
    world.people(&["Ana"]);
    world.direct().rows(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'the row of Ana Lovelace stays'; END $$",
    );
    world.direct().rows("CREATE TRIGGER keep BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION keep()");
    world.gateway.admin().erase(1);
    all(&world.gateway, "swept", 1);
    let receipt = receipts(&world.gateway.home.path("paravent.keystore")).remove(0).to_string();
    assert!(receipt.contains("P0001") && !receipt.contains("Lovelace"), "{receipt}");
    assert!(!String::from_utf8_lossy(&world.gateway.log()).contains("Lovelace"));
}

/// A gateway that rotates as soon as it can, with a place for backups.
fn rotating(pg: &Postgres, every: &str) -> Gateway {
    make_tables(pg);
    may_sweep(pg);
    let mut setup = Setup::new(pg);
    setup.log = "info".to_owned();
    setup.keys = format!("rotate_every = \"{every}\"\nbackup = \"backups\"\n");
    Gateway::with(setup)
}

#[test]
fn receipts_become_final_by_themselves_while_traffic_goes_on() {
    let pg = Postgres::start();
    let mut gateway = rotating(&pg, "1s");
    let mut client = Raw::connect(gateway.port(), "app");
    for n in 1..=12 {
        client.rows(&format!("INSERT INTO people (email, first_name) VALUES ('p{n}@x.example', 'Nom {n}')"));
    }
    for id in [3, 7] {
        gateway.admin().erase(id);
    }
    for n in 13..=40 {
        client.rows(&format!("INSERT INTO people (email, first_name) VALUES ('p{n}@x.example', 'Nom {n}')"));
        let found = client.rows(&format!("SELECT id FROM people WHERE email = 'p{}@x.example'", n - 1));
        assert_eq!(found, [row([&(n - 1).to_string()])]);
    }
    all(&gateway, "final", 2);
    gateway.restart();
    let mut client = Raw::connect(gateway.port(), "app");
    let rows = client.rows("SELECT id, email, first_name FROM people ORDER BY id");
    for (row, n) in rows.iter().zip(1..) {
        let gone = [3, 7].contains(&n);
        let shown = (row[1].as_deref().unwrap(), row[2].as_deref());
        let name = format!("Nom {n}");
        let email = format!("p{n}@x.example");
        assert_eq!(shown, if gone { ("", None) } else { (email.as_str(), Some(name.as_str())) });
    }
    let receipt = receipts(&gateway.home.path("paravent.keystore")).remove(0);
    assert_eq!(receipt["finality"], "operator-attested");
    assert!(!String::from_utf8_lossy(&std::fs::read(gateway.home.path("keys")).unwrap()).starts_with("1 "));
}

#[test]
fn a_backup_is_made_and_restored_on_the_command_line_and_brings_nobody_back() {
    let mut world = World::new();
    world.people(&["Ana", "Bea"]);
    let run = |args: &[&str]| world.gateway.home.run(args);
    let locked = run(&["keystore", "backup", "copy"]);
    assert_eq!(locked.status.code(), Some(1), "the gateway runs");
    assert!(String::from_utf8_lossy(&locked.stderr).contains("locked"));
    assert_eq!(world.gateway.terminate(), Some(0));
    let run = |args: &[&str]| world.gateway.home.run(args);
    let made = run(&["keystore", "backup", "copy"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(world.gateway.home.path("copy").exists());
    world.gateway.restart();
    world.gateway.admin().erase(1);
    assert_eq!(world.gateway.terminate(), Some(0));
    let put = world.gateway.home.run(&["keystore", "restore", "copy"]);
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    world.gateway.restart();
    let rows = world.through().rows("SELECT first_name FROM people ORDER BY id");
    assert_eq!(rows, [row(["NULL"]), row(["Bea"])]);
    assert_eq!(world.gateway.admin().state(1).as_deref(), Some("erased"));
    assert_eq!(world.direct().rows(STORED).len(), 2);
}

#[test]
fn the_command_line_rotates_a_running_gateway_and_ends_the_old_generation() {
    let pg = Postgres::start();
    let gateway = rotating(&pg, "never");
    let mut client = Raw::connect(gateway.port(), "app");
    client
        .rows("INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana'), ('b@x.example', 'Bea')");
    gateway.admin().erase(1);
    let said = |role: &str, args: &[&str]| {
        let out = gateway.command(role, args);
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    assert_eq!(said("auditor", &["keys", "rotate"]).0, Some(1), "an auditor may not");
    let (code, listed, _) = said("auditor", &["keys", "list"]);
    assert!(code == Some(0) && listed.contains("generation 1, active"), "{listed}");
    let (code, _, refused) = said("operator", &["keys", "destroy", "1"]);
    assert!(code == Some(1) && refused.contains("keys-in-use"), "{refused}");
    let (code, done, error) = said("operator", &["keys", "rotate"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(done.contains("generation 2 is active, generation 1 is destroyed"), "{done}");
    let (_, listed, _) = said("operator", &["keys", "list"]);
    assert!(
        listed.contains("generation 1, destroyed") && listed.contains("generation 2, active"),
        "{listed}"
    );
    all(&gateway, "final", 1);
    assert_eq!(said("operator", &["keys", "destroy", "1"]).0, Some(0), "it is destroyed already");
    let (code, made, error) = said("operator", &["keystore", "backup", "by-hand"]);
    assert!(code == Some(0) && made.contains("1 secrets verified"), "{made}{error}");
    assert!(gateway.home.path("by-hand").exists());
    assert_eq!(client.rows("SELECT first_name FROM people ORDER BY id"), [row(["NULL"]), row(["Bea"])]);
    assert!(gateway.admin().metric(&["paravent_key_generation"]) >= 2.0);
}

#[test]
fn a_rotation_without_a_place_for_backups_says_what_it_waits_for() {
    let world = World::new();
    world.people(&["Ana"]);
    let job = world.gateway.admin_as("operator").ask("POST", "/v1/keys/rotate").json();
    let again = world.gateway.admin_as("operator").ask("POST", "/v1/keys/rotate").json();
    assert_eq!(job["id"], again["id"], "two at once are one");
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let waiting = eventually("it waits", || {
        let job = world.gateway.admin().get(&path).json();
        (job["state"] == "waiting").then_some(job)
    });
    assert!(waiting["detail"].as_str().unwrap().contains("paravent keystore backup"), "{waiting}");
    let ready = eventually("whoever asks for its readiness is told", || {
        let ready = world.gateway.admin().get("/readyz").json();
        ready["warnings"].to_string().contains("paravent keystore backup").then_some(ready)
    });
    assert_eq!(ready["ready"], true);
    let made = world.gateway.command("operator", &["keystore", "backup", "copy"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    eventually("it ends", || (world.gateway.admin().get(&path).json()["state"] == "done").then_some(()));
    assert_eq!(world.through().rows("SELECT first_name FROM people"), [row(["Ana"])]);
}

#[test]
fn who_shared_an_address_with_somebody_erased_gets_a_fresh_token_and_is_found_by_it() {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut superuser = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "app")]);
    superuser.rows("GRANT UPDATE ON people, comments, logins TO paravent");
    superuser.rows("ALTER TABLE people DROP CONSTRAINT people_email_key");
    let mut setup = Setup::new(&pg);
    setup.log = "info".to_owned();
    setup.keys = "rotate_every = \"1s\"\nbackup = \"backups\"\n".to_owned();
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows("INSERT INTO people (email, first_name) VALUES ('both@x.example', 'Ana')");
    client.rows("INSERT INTO people (email, first_name) VALUES ('both@x.example', 'Bea')");
    let before = superuser.rows("SELECT email FROM people ORDER BY id");
    assert_eq!(before[0], before[1], "one identifier, one token");
    let receipt = gateway.admin().erase(1);
    assert_eq!(receipt["tokens_living_on"], 1);
    all(&gateway, "final", 1);
    let after = superuser.rows("SELECT email FROM people ORDER BY id");
    assert!(after[0] != before[0] && after[1] != before[0] && after[0] != after[1], "{before:?} {after:?}");
    let receipt = receipts(&gateway.home.path("paravent.keystore")).remove(0);
    assert_eq!(receipt["tokens_living_on"], 0);
    assert_eq!(receipt["tokens_destroyed"], 1);
    let seen = client.rows("SELECT email, first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["", "NULL"]), row(["both@x.example", "Bea"])]);
    assert_eq!(client.rows("SELECT id FROM people WHERE email = 'both@x.example'"), [row(["2"])]);
    client.rows("INSERT INTO people (email) VALUES ('both@x.example')");
    assert_eq!(client.rows("SELECT id FROM people WHERE email = 'both@x.example' ORDER BY id").len(), 2);
}
