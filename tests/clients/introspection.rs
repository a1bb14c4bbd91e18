//! Introspection by ORMs, with the guard in place: the types, keys and constraints of a clear copy.

use crate::support::World;
use crate::support::python::python;
use std::path::Path;
use std::process::Command;

fn guarded() -> World {
    let world = World::new();
    let url = format!("postgres://app@127.0.0.1:{}/app", world.pg.port());
    let out = world.gateway.home.run(&["check", "--config", "paravent.toml", "--guard", "--database", &url]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    world
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn environment(name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let requirements = std::fs::read_to_string(project.join("requirements.txt")).unwrap();
    (python(name, &requirements), project)
}

#[test]
fn sqlalchemy_reflects_declared_types() {
    let world = guarded();
    let (python, project) = environment("sqlalchemy");
    let reflect = |driver: &str, port: u16, database: &str| {
        let url = format!("postgresql+{driver}://app@127.0.0.1:{port}/{database}");
        run(Command::new(&python).current_dir(&project).args(["-B", "reflect.py", &url]))
    };
    for driver in ["psycopg", "psycopg2"] {
        let direct = reflect(driver, world.pg.port(), "clear");
        assert!(direct.contains("people birth_date DATE()") && direct.contains("NUMERIC(10, 2)"), "{direct}");
        assert_eq!(reflect(driver, world.gateway.port(), "app"), direct, "{driver}");
    }
}

#[test]
fn django_inspects_declared_types() {
    let world = guarded();
    let (python, project) = environment("django");
    let inspect = |port: u16, database: &str| {
        run(Command::new(&python)
            .current_dir(&project)
            .args(["-B", "manage.py", "inspectdb", "people", "comments", "logins"])
            .env("TEST_DB_NAME", database)
            .env("TEST_DB_USER", "app")
            .env("TEST_DB_HOST", "127.0.0.1")
            .env("TEST_DB_PORT", port.to_string())
            .env("TEST_DB_BINDING", "client"))
    };
    let direct = inspect(world.pg.port(), "clear");
    for line in [
        "birth_date = models.DateField",
        "CharField(max_length=150",
        "DecimalField(max_digits=10, decimal_places=2",
    ] {
        assert!(direct.contains(line), "{direct}");
    }
    assert_eq!(inspect(world.gateway.port(), "app"), direct);
}
