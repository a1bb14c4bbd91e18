//! Erasure through the admin API and the command line, and what is seen after it.

use crate::support::gateway::Setup;
use crate::support::postgres::program;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, row};
use std::io::Write as _;
use std::process::{Command, Stdio};

const ALL: &str = "SELECT id, email, first_name, last_name FROM people ORDER BY id";

#[test]
fn an_erased_person_is_gone_at_once_in_every_session() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let (mut one, mut two) = (world.through(), world.through());
    one.rows("INSERT INTO comments (author_id, body) VALUES (1, 'de Ana'), (2, 'de Bea')");
    assert_eq!(one.rows(ALL), two.rows(ALL));
    let receipt = world.gateway.admin().erase(1);
    assert_eq!(receipt["stage"], "live", "{receipt}");
    assert!(!receipt.to_string().contains("Ana"));
    for client in [&mut one, &mut two, &mut world.through()] {
        let rows = [row(["1", "", "NULL", "NULL"]), row(["2", "Bea@people.example", "Bea", "Last-Bea"])];
        assert_eq!(client.rows(ALL), rows);
        assert!(client.rows("SELECT id FROM people WHERE email = 'Ana@people.example'").is_empty());
        assert!(
            client.rows("SELECT id FROM people WHERE lower(email) = lower('ANA@people.example')").is_empty()
        );
        let joined = client.rows(
            "SELECT p.first_name, c.body FROM people p JOIN comments c ON c.author_id = p.id ORDER BY c.id",
        );
        assert_eq!(joined, [row(["NULL", "NULL"]), row(["Bea", "de Bea"])]);
        assert_eq!(client.rows("SELECT count(*), count(first_name) FROM people"), [row(["2", "2"])]);
    }
}

#[test]
fn answers_of_the_admin_api_are_as_agreed() {
    let world = World::new();
    world.people(&["Ana"]);
    let admin = world.gateway.admin();
    assert_eq!(admin.state(1).as_deref(), Some("live"));
    assert_eq!(admin.state(999), None);
    let unknown = admin.delete("/v1/subjects/person/999");
    assert_eq!(unknown.status, 404);
    assert!(unknown.head.to_lowercase().contains("application/problem+json"), "{unknown:?}");
    assert_eq!(admin.delete("/v1/subjects/nobody_s_class/1").status, 404);
    let first = admin.delete("/v1/subjects/person/1");
    assert_eq!(first.status, 200);
    assert_eq!(first.json()["stage"], "live");
    let again = admin.delete("/v1/subjects/person/1");
    assert_eq!((again.status, again.json()["stage"].as_str()), (200, Some("live")));
    assert_eq!(admin.state(1).as_deref(), Some("erased"));
    // Health and metrics need no token; subjects do, and the right role.
    let mut nobody = world.gateway.admin();
    nobody.token = None;
    assert_eq!(nobody.get("/healthz").status, 200);
    assert_eq!(nobody.get("/readyz").status, 200);
    assert_eq!(nobody.get("/v1/subjects/person/1").status, 401);
    assert_eq!(nobody.delete("/v1/subjects/person/1").status, 401);
    nobody.token = Some("x".repeat(40));
    assert_eq!(nobody.delete("/v1/subjects/person/1").status, 401);
    assert_eq!(world.gateway.admin_as("auditor").delete("/v1/subjects/person/1").status, 403);
}

#[test]
fn the_command_line_erases_through_the_running_gateway() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let out = world.gateway.command("privacy", &["subject", "erase", "person", "2"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let receipt: serde_json::Value = serde_json::from_slice(&out.stdout).expect("the receipt, as JSON");
    assert_eq!(receipt["stage"], "live");
    assert_eq!(
        world.through().rows("SELECT first_name FROM people ORDER BY id"),
        [row(["Ana"]), row(["NULL"])]
    );
    let out = world.gateway.command("privacy", &["subject", "show", "person", "2"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&out.stdout).contains("erased"));
    let out = world.gateway.command("privacy", &["subject", "erase", "person", "999"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(world.gateway.command("auditor", &["subject", "erase", "person", "1"]).status.code(), Some(1));
    assert_eq!(world.gateway.command("privacy", &["subject", "erase", "person"]).status.code(), Some(2));
    assert_eq!(world.through().rows("SELECT first_name FROM people WHERE id = 1"), [row(["Ana"])]);
}

#[test]
fn stays_erased_after_a_restart_and_a_crash() {
    let mut world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    world.gateway.admin().erase(1);
    assert_eq!(world.gateway.terminate(), Some(0), "it ends in order when asked to");
    world.gateway.restart();
    world.gateway.admin().erase(2);
    world.gateway.restart(); // kill -9
    let rows = world.through().rows(ALL);
    assert_eq!(
        rows,
        [
            row(["1", "", "NULL", "NULL"]),
            row(["2", "", "NULL", "NULL"]),
            row(["3", "Cleo@people.example", "Cleo", "Last-Cleo"])
        ]
    );
    for (id, state) in [(1, "erased"), (2, "erased"), (3, "live")] {
        assert_eq!(world.gateway.admin().state(id).as_deref(), Some(state));
    }
}

#[test]
fn a_dump_from_before_the_erasure_does_not_bring_anyone_back() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let dump = world.pg.dump("app");
    world.gateway.admin().erase(1);
    let mut direct = world.direct();
    direct.rows("CREATE DATABASE restored OWNER app");
    let mut restore = Command::new(program("psql"))
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "restored", "-h"])
        .arg(world.pg.socket_dir())
        .args(["-p", &world.pg.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    restore.stdin.take().unwrap().write_all(dump.as_bytes()).unwrap();
    assert!(restore.wait().unwrap().success());
    let mut client = Raw::connect(world.gateway.port(), "restored");
    let rows = [row(["1", "", "NULL", "NULL"]), row(["2", "Bea@people.example", "Bea", "Last-Bea"])];
    assert_eq!(client.rows(ALL), rows);
    assert!(client.rows("SELECT id FROM people WHERE email = 'Ana@people.example'").is_empty());
}

#[test]
fn refuses_to_write_about_an_erased_person() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world.gateway.admin().erase(1);
    let mut client = world.through();
    for sql in [
        "UPDATE people SET first_name = 'Back' WHERE id = 1",
        "UPDATE people SET last_name = 'All'",
        "INSERT INTO comments (author_id, body) VALUES (1, 'Back')",
    ] {
        let error = client.fails(sql);
        assert_eq!(error.sqlstate(), "0A000", "{sql}");
        assert!(error.line().contains("erased"), "{error:?}");
    }
    // What concerns nobody's values, and removing the row, go on.
    client.rows("UPDATE people SET title = 'x', first_name = NULL WHERE id = 1");
    client.rows("DELETE FROM people WHERE id = 1");
    assert_eq!(client.rows("SELECT id, last_name FROM people"), [row(["2", "Last-Bea"])]);
    // The address is free again.
    client.rows("INSERT INTO people (email) VALUES ('Ana@people.example')");
}

#[test]
fn an_erased_id_may_begin_anew_where_the_class_says_so() {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.fields.push_str("\n[classes.person]\nafter_erasure = \"new\"\n");
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows(
        "INSERT INTO people (id, email, first_name, last_name) VALUES (1, 'a@x.example', 'Ana', 'Old')",
    );
    gateway.admin().erase(1);
    client.rows("UPDATE people SET first_name = 'Nina' WHERE id = 1");
    assert_eq!(client.rows("SELECT first_name, last_name FROM people"), [row(["Nina", "NULL"])]);
    assert_eq!(gateway.admin().state(1).as_deref(), Some("live"));
    gateway.admin().erase(1);
    assert_eq!(client.rows("SELECT first_name, last_name FROM people"), [row(["NULL", "NULL"])]);
}

#[test]
fn shows_the_placeholder_that_the_policy_names() {
    let pg = Postgres::start();
    Raw::connect(pg.port(), "app").rows(
        "CREATE TABLE people (id integer PRIMARY KEY, email text NOT NULL UNIQUE, first_name text NOT NULL, \
         birth_date bytea NOT NULL, last_name text)",
    );
    let mut setup = Setup::new(&pg);
    setup.fields = r#"
[fields]
email = { protect = "pseudonym", kind = "email", erased = "gone@erased.invalid" }
first_name = { protect = "encrypt", erased = "(erased)" }
birth_date = { protect = "encrypt", type = "date", erased = "1900-01-01" }
last_name = "encrypt"
"#
    .to_owned();
    setup.tables = "[postgres.tables.people]\nsubject = \"id\"\n\
                    fields = [\"email\", \"first_name\", \"birth_date\", \"last_name\"]\n"
        .to_owned();
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows("INSERT INTO people VALUES (1, 'a@x.example', 'Ana', '1980-01-02', 'Arc')");
    gateway.admin().erase(1);
    let seen = client.rows("SELECT email, first_name, birth_date, last_name FROM people");
    assert_eq!(seen, [row(["gone@erased.invalid", "(erased)", "1900-01-01", "NULL"])]);
}
