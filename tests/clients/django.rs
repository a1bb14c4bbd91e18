//! Django's `contrib.auth` and `contrib.admin`, as they come, on psycopg 3.

use crate::support::canary::assert_absent;
use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::{Gateway, Postgres};
use std::path::{Path, PathBuf};
use std::process::Command;

const FIELDS: &str = r#"
[fields]
username   = { protect = "pseudonym", type = "varchar(150)" }
email      = { protect = "pseudonym", kind = "email", type = "varchar(254)" }
first_name = { protect = "encrypt", type = "varchar(150)" }
last_name  = { protect = "encrypt", type = "varchar(150)" }
label      = { protect = "encrypt", type = "varchar(200)" }
"#;

const TABLES: &str = r#"
[postgres.tables.auth_user]
subject = "id"
fields  = ["username", "email", "first_name", "last_name"]

[postgres.tables.django_admin_log]
subject = { column = "object_id", class = "person", when = "content_type = auth.user" }
fields  = { object_repr = "label" }
"#;

/// Every personal value that `drive.py` types in.
const PERSONAL: &[&str] = &[
    "amelie.chef",
    "bob.lefevre",
    "robert.lefevre",
    "Bob-Émile",
    "Robert-Émile",
    "Lefèvre",
    "second.bob",
    "ghost.user",
    "Fantômette",
    "Disparue",
    "carole.petit",
    "denis.moreau",
    "elise.garnier",
    "Bulk-3-prénom",
    "bulk.3@directory",
    "Ensemble",
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/django")
}

/// Python with the project's requirements.
fn python() -> PathBuf {
    let requirements = std::fs::read_to_string(project().join("requirements.txt")).unwrap();
    crate::support::python::python("django", &requirements)
}

/// Runs a story of `drive.py`; what it saw.
fn drive(story: &str, port: u16, binding: &str, env: &[(&str, String)]) -> serde_json::Value {
    let out = Command::new(python())
        .current_dir(project())
        .args(["-B", "drive.py", story])
        .env("TEST_DB_NAME", "app")
        .env("TEST_DB_USER", "app")
        .env("TEST_DB_HOST", "127.0.0.1")
        .env("TEST_DB_PORT", port.to_string())
        .env("TEST_DB_BINDING", binding)
        .envs(env.iter().map(|(k, v)| (k, v)))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "Django's story `{story}` failed:\n{error}");
    let text = String::from_utf8(out.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// The whole story through the gateway, with parameters bound by the client library or the server.
fn tell(binding: &str) {
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    let mut setup = Setup::new(&pg);
    FIELDS.clone_into(&mut setup.fields);
    TABLES.clone_into(&mut setup.tables);
    let gateway = Gateway::with(setup);

    let seen = drive("story", gateway.port(), binding, &[]);
    assert_eq!(seen["users"], 7, "chef, bob and five made in bulk");
    let nothing_in_clear = || {
        let canaries: Vec<&[u8]> = PERSONAL.iter().map(|v| v.as_bytes()).collect();
        assert_absent("the database", pg.dump("app").as_bytes(), &canaries);
        assert_absent("the server's log", pg.log().as_bytes(), &canaries);
        assert_absent("the gateway's log", &gateway.log(), &canaries);
        for (path, bytes) in gateway.home.stored_files() {
            assert_absent(&path.display().to_string(), &bytes, &canaries);
        }
    };
    nothing_in_clear();
    assert!(pg.dump("app").contains("Lecteurs du journal"), "what is about a group stays as it is");

    let bob = seen["bob"].clone();
    gateway.admin().erase(&bob);
    let seen = drive("erased", gateway.port(), binding, &[("TEST_BOB", bob.to_string())]);
    assert_eq!(seen["users"], 6, "what was left of bob's account is deleted");
    nothing_in_clear();
}

#[test]
fn django_runs_unmodified_with_literals_in_its_statements() {
    tell("client");
}

#[test]
fn django_runs_unmodified_with_parameters_bound_by_the_server() {
    tell("server");
}

/// The story itself is sound: it passes without the gateway.
#[test]
fn django_tells_the_same_story_directly() {
    let pg = Postgres::start();
    let seen = drive("direct", pg.port(), "client", &[]);
    assert_eq!(seen["users"], 7);
}
