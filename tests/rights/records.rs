//! Restriction, export, and the audit log, through a running gateway.

use crate::support::gateway::Setup;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, World, row};
use serde_json::{Value, json};
use std::fs;

const ALL: &str = "SELECT id, email, first_name FROM people ORDER BY id";

fn ok(answer: &crate::support::admin::Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn a_restricted_person_reads_as_an_error_never_as_null_until_released() {
    let mut world = World::new();
    world.people(&["Ana", "Bea"]);
    let before = world.through().rows(ALL);
    let admin = world.gateway.admin();
    assert_eq!(ok(&admin.ask("POST", "/v1/subjects/person/1/restrict"))["state"], "restricted");
    for round in ["at once", "after a restart"] {
        let mut client = world.through();
        for sql in
            [ALL, "SELECT first_name FROM people WHERE id = 1", "SELECT email FROM people WHERE id = 1"]
        {
            let answers = client.query(sql);
            let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{round}: {sql}"));
            let text = String::from_utf8_lossy(&error.body).into_owned();
            assert!(text.contains("42501") && text.contains("restricted"), "{round}: {text}");
        }
        let others = client.rows("SELECT first_name FROM people WHERE id = 2");
        assert_eq!(others, [row(["Bea"])], "{round}");
        client.rows("UPDATE people SET title = 'x', last_name = 'New' WHERE id = 1");
        assert_eq!(world.gateway.admin().state(1).as_deref(), Some("restricted"));
        world.gateway.restart();
    }
    let admin = world.gateway.admin();
    assert_eq!(ok(&admin.ask("POST", "/v1/subjects/person/1/release"))["state"], "live");
    assert_eq!(world.through().rows(ALL), before);
    assert_eq!(world.through().rows("SELECT last_name FROM people WHERE id = 1"), [row(["New"])]);
    // Erasing a restricted person forgets the restriction with the person.
    ok(&admin.ask("POST", "/v1/subjects/person/2/restrict"));
    admin.erase(2);
    assert_eq!(admin.state(2).as_deref(), Some("erased"));
    assert_eq!(world.through().rows("SELECT first_name FROM people WHERE id = 2"), [row(["NULL"])]);
    assert_eq!(admin.ask("POST", "/v1/subjects/person/2/restrict").status, 409);
    assert_eq!(admin.ask("POST", "/v1/subjects/person/999/restrict").status, 404);
}

#[test]
fn an_export_holds_every_declared_value_of_one_person_and_says_what_it_could_not_read() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world.through().rows(
        "UPDATE people SET birth_date = '1990-02-03', age = 7, active = true, profile = '{\"a\": 1}' WHERE id = 1",
    );
    world.through().rows("INSERT INTO comments (author_id, body) VALUES (1, 'de Ana'), (2, 'de Bea')");
    world.direct().rows("ALTER ROLE paravent BYPASSRLS; GRANT SELECT ON people, comments TO paravent");
    let admin = world.gateway.admin();
    // Restricted people may have their data, too.
    ok(&admin.ask("POST", "/v1/subjects/person/1/restrict"));
    let export = ok(&admin.get("/v1/subjects/person/1/export"));
    let place = |name: &str| {
        let places = export["places"].as_array().unwrap();
        places.iter().find(|p| p["place"].as_str().unwrap().ends_with(name)).cloned().unwrap_or(Value::Null)
    };
    let people = place("public.people");
    assert_eq!(people["rows"].as_array().unwrap().len(), 1, "{export}");
    let ana = &people["rows"][0];
    for (column, value) in [
        ("email", json!("Ana@people.example")),
        ("first_name", json!("Ana")),
        ("birth_date", json!("1990-02-03")),
        ("age", json!("7")),
        ("active", json!("t")),
        ("profile", json!("{\"a\": 1}")),
        ("nick", Value::Null),
    ] {
        assert_eq!(ana[column], value, "{column}: {export}");
    }
    assert_eq!(place("public.comments")["rows"], json!([{ "body": "de Ana" }]));
    assert!(!export.to_string().contains("Bea"), "{export}");
    // Its own login may not read every declared table: told, never left out.
    let missing = export["missing"].as_array().unwrap();
    assert_eq!(export["complete"], json!(missing.is_empty()));
    assert_eq!(admin.get("/v1/subjects/person/999/export").status, 404);
    assert_eq!(world.gateway.admin_as("operator").get("/v1/subjects/person/1/export").status, 403);
    admin.erase(1);
    assert_eq!(admin.get("/v1/subjects/person/1/export").status, 409);
}

#[test]
fn the_audit_log_tells_who_opened_what_of_whom_and_verifies_offline() {
    let mut world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    world.through().rows("SELECT email, first_name FROM people WHERE id = 1");
    world.through().rows("SELECT first_name FROM people WHERE id <> 3");
    let report = ok(&world.gateway.admin_as("auditor").get("/v1/audit"));
    let person = |report: &Value, id: &str| {
        report["people"].as_array().unwrap().iter().find(|p| p["id"] == id).cloned()
    };
    let ana = person(&report, "1").expect("she is not erased");
    assert_eq!(ana["class"], "person");
    let fields: Vec<&String> = ana["fields"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["email", "first_name"]);
    let by = ana["fields"]["email"]["by"][0].as_str().unwrap();
    assert!(by.starts_with("app") && by.contains("127.0.0.1") && by.contains("postgres"), "{by}");
    let bea = person(&report, "2").unwrap();
    assert_eq!(bea["fields"].as_object().unwrap().keys().collect::<Vec<_>>(), ["first_name"]);
    assert!(person(&report, "3").is_none(), "nobody read her");
    let none = ok(&world.gateway.admin().get("/v1/audit?principal=somebody"));
    assert_eq!(none["people"], json!([]));
    let emails = ok(&world.gateway.admin().get("/v1/audit?field=email"));
    assert_eq!(emails["people"].as_array().unwrap().len(), 1);
    assert_eq!(world.gateway.admin().get("/v1/audit?from=yesterday").status, 400);

    let stand_in = ana["stand_in"].as_str().unwrap().to_owned();
    let receipt = world.gateway.admin().erase(1);
    let report = ok(&world.gateway.admin().get("/v1/audit"));
    assert!(person(&report, "1").is_none(), "nobody can tell any more whose it was");
    let people = report["people"].as_array().unwrap();
    assert!(people.iter().any(|p| p["stand_in"] == stand_in.as_str()), "{report}");
    let head = ok(&world.gateway.admin().get("/v1/audit/head"));
    let head = format!("{}:{}", head["sequence"], head["hash"].as_str().unwrap());
    assert_eq!(world.gateway.terminate(), Some(0));

    let home = &world.gateway.home;
    let file = home.path("audit/00000001.log");
    let log = fs::read_to_string(&file).unwrap();
    assert!(log.contains("\"action\":\"subject.erase\"") && log.contains("\"event\":\"stopped\""));
    for personal in ["Ana", "Bea", "people.example", "person/1", receipt["id"].as_str().unwrap()] {
        assert!(!log.contains(personal), "{personal}");
    }
    let key = home.run(&["receipt", "key", "--config", "paravent.toml"]);
    let key = String::from_utf8(key.stdout).unwrap();
    let verify = || home.run(&["audit", "verify", "--path", "audit", "--key", key.trim(), "--head", &head]);
    let out = verify();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let offline = home.run(&["audit", "report", "--path", "audit", "--field", "email"]);
    let offline: Value = serde_json::from_slice(&offline.stdout).unwrap();
    assert_eq!(offline["people"][0]["stand_in"], stand_in.as_str());
    let lines: Vec<&str> = log.lines().collect();
    let without = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
    for changed in [log.replacen("\"app\"", "\"cap\"", 1), without, lines[..3].join("\n") + "\n"] {
        fs::write(&file, changed).unwrap();
        assert_eq!(verify().status.code(), Some(1));
    }
    fs::write(&file, log).unwrap();
    assert_eq!(verify().status.code(), Some(0));
}

#[test]
fn a_reload_through_the_api_keeps_the_old_policy_when_the_new_file_is_wrong() {
    let pg = Postgres::with(&Default::default());
    make_tables(&pg);
    let mut gateway = Gateway::with(Setup::new(&pg));
    let operator = gateway.admin_as("operator");
    let before = ok(&operator.get("/v1/policy"))["hash"].clone();
    let sound = gateway.home.setup.fields.clone();
    gateway.home.setup.fields = sound.replace("first_name = \"encrypt\"", "first_name = \"encript\"");
    gateway.home.write();
    let refused = operator.ask("POST", "/v1/policy/reload");
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body.contains("encript") || refused.body.contains("paravent.toml"), "{refused:?}");
    assert_eq!(ok(&operator.get("/v1/policy"))["hash"], before);
    gateway.home.setup.fields = format!("{sound}\nextra = \"encrypt\"\n");
    gateway.home.write();
    let after = ok(&operator.ask("POST", "/v1/policy/reload"))["policy"].clone();
    assert_ne!(after, before);
    assert_eq!(ok(&operator.get("/v1/policy"))["hash"], after);
    let coverage = ok(&operator.get("/v1/coverage"));
    assert_eq!(coverage["databases"].as_array().unwrap().len(), 1, "{coverage}");
    assert_eq!(gateway.admin().ask("POST", "/v1/policy/reload").status, 403);
    assert!(gateway.alive());
}

#[test]
fn the_command_line_restricts_releases_and_exports() {
    let world = World::new();
    world.people(&["Ana"]);
    let run = |words: &[&str]| world.gateway.command("privacy", words);
    for (word, state) in [("restrict", "restricted"), ("release", "live")] {
        let out = run(&["subject", word, "person", "1"]);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        let body: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(body["state"], state);
    }
    let out = run(&["subject", "export", "person", "1"]);
    let export: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(export["subject"]["id"], "1");
    let out = run(&["audit", "report", "--from", "2020-01-01T00:00:00Z"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn what_was_moved_behind_the_gateway_is_an_entry_of_the_audit_log_with_who_asked() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world
        .direct()
        .rows("UPDATE people SET first_name = (SELECT first_name FROM people WHERE id = 1) WHERE id = 2");
    world.direct().rows("UPDATE people SET last_name = 'in clear' WHERE id = 1");
    let mut client = world.through();
    assert_eq!(client.fails("SELECT first_name FROM people WHERE id = 2").sqlstate(), "XX001");
    assert_eq!(client.fails("SELECT last_name FROM people WHERE id = 1").sqlstate(), "XX001");
    // Asking for the head brings everything to disk.
    ok(&world.gateway.admin_as("auditor").get("/v1/audit/head"));
    let log = fs::read_to_string(world.gateway.home.path("audit/00000001.log")).unwrap();
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line.rsplit_once(' ').unwrap().0).unwrap())
        .filter(|entry| entry["event"] == "fault")
        .collect();
    let faults: Vec<Value> =
        entries.iter().flat_map(|entry| entry["faults"].as_array().unwrap().clone()).collect();
    let of = |fault: &str| faults.iter().find(|f| f["fault"] == fault).unwrap_or_else(|| panic!("{log}"));
    let copied = of("wrong-subject");
    assert_eq!((&copied["field"], &copied["values"]), (&json!("first_name"), &json!(1)));
    assert_eq!(copied["subjects"].as_array().unwrap().len(), 1, "whose it is: {copied}");
    assert_eq!(of("in-clear")["field"], "last_name");
    let by = &entries[0]["by"];
    assert_eq!(
        (&by["user"], &by["client"], &by["database"]),
        (&json!("app"), &json!("127.0.0.1"), &json!("app"))
    );
    let verified = world.gateway.home.run(&["audit", "verify", "--path", "audit"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn an_export_names_the_routes_that_it_did_not_read_and_tells_every_identifier() {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.tables.push_str(
        "\n[[http]]\nlisten = \"127.0.0.1:0\"\nupstream = \"http://127.0.0.1:9\"\n\n[[http.routes]]\n\
         path = \"/people/{id}\"\nsubject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\n[[http.routes]]\n\
         path = \"/search\"\nsubject = \"json:/id\"\nfields = { \"/name\" = \"first_name\" }\n",
    );
    let gateway = Gateway::with(setup);
    let mut client = crate::support::Raw::connect(gateway.port(), "app");
    client.rows("INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana')");
    client.rows("UPDATE people SET email = 'b@x.example' WHERE id = 1");
    let export = ok(&gateway.admin().get("/v1/subjects/person/1/export"));
    assert_eq!(export["complete"], false);
    let missing: Vec<_> =
        export["missing"].as_array().unwrap().iter().filter_map(|m| m["place"].as_str()).collect();
    for path in ["/people/{id}", "/search"] {
        assert!(missing.iter().any(|place| place.starts_with("http ") && place.ends_with(path)), "{export}");
    }
    let places = export["places"].as_array().unwrap();
    let held = places.iter().find(|place| place["place"] == "identifiers in the keystore").unwrap();
    assert_eq!(
        held["rows"],
        json!([{"email": "a@x.example"}, {"email": "b@x.example"}]),
        "the one before, too"
    );
}
