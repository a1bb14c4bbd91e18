//! Django's `contrib.auth` and `contrib.admin`, as they come, on psycopg 3.

use crate::support::canary::assert_absent;
use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::{Gateway, Postgres};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

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

/// A virtual environment with the project's requirements, kept between runs until they change.
fn python() -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let requirements = project().join("requirements.txt");
    let digest = hex::encode(Sha256::digest(std::fs::read(&requirements).unwrap()));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("django-{}", &digest[..16]));
    let python = kept.join("bin/python");
    if kept.join("complete").exists() {
        return python;
    }
    let run = |program: &Path, args: &[&str]| {
        let out = Command::new(program).args(args).output().expect("python3 is installed (`make deps`)");
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", kept.to_str().unwrap()]);
    run(&python, &["-m", "pip", "install", "--quiet", "-r", requirements.to_str().unwrap()]);
    std::fs::write(kept.join("complete"), "").unwrap();
    python
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
    assert_eq!(seen["users"], 7);
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

/// The story itself is sound: it passes without the gateway, where searching works too.
#[test]
fn django_tells_the_same_story_directly() {
    let pg = Postgres::start();
    let seen = drive("direct", pg.port(), "client", &[]);
    assert_eq!(seen["users"], 7);
}
