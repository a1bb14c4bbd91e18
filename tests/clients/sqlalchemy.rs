//! SQLAlchemy's ORM with its default settings, on psycopg 3 and psycopg2: the same story directly and through
//! the gateway.

use crate::support::World;
use crate::support::canary::assert_absent;
use crate::support::python::python;
use std::path::Path;
use std::process::Command;

/// What the story prints.
fn tell(driver: &str, port: u16, database: &str) -> String {
    let url = format!("postgresql+{driver}://app@127.0.0.1:{port}/{database}");
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/sqlalchemy");
    let requirements = std::fs::read_to_string(project.join("requirements.txt")).unwrap();
    let out = Command::new(python("sqlalchemy", &requirements))
        .current_dir(&project)
        .args(["-B", "drive.py", &url])
        .output()
        .unwrap();
    let (text, error) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "the story failed on {driver}:\n{text}\n{error}");
    text
}

fn compare(driver: &str) {
    let world = World::new();
    let direct = tell(driver, world.pg.port(), "clear");
    let through = tell(driver, world.gateway.port(), "app");
    assert!(direct.lines().count() > 18, "{direct}");
    similar(&direct, &through);
    let canaries: Vec<&[u8]> = vec!["Prénom".as_bytes(), b"p2@x.example", b"Nouveau", b"Pareil"];
    assert_absent("the database", world.pg.dump("app").as_bytes(), &canaries);
}

fn similar(direct: &str, through: &str) {
    for (one, other) in direct.lines().zip(through.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(direct.lines().count(), through.lines().count());
}

#[test]
fn sqlalchemy_adds_several_objects_at_once_on_psycopg() {
    compare("psycopg");
}

#[test]
fn sqlalchemy_adds_several_objects_at_once_on_psycopg2() {
    compare("psycopg2");
}
