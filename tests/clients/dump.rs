//! `pg_dump` and `psql` through the gateway: a dump is the dump of a clear copy, and what is restored from it is
//! protected.

use crate::support::canary::assert_absent;
use crate::support::{World, postgres};
use std::io::Write as _;
use std::process::{Command, Stdio};

const CANARIES: &[&[u8]] =
    &[b"ana@x.example", "Zoë Lefèvre".as_bytes(), b"1990-12-31", b"12345.60", "Résumé".as_bytes()];

const ROWS: &str = "\
INSERT INTO people (id, email, first_name, last_name, birth_date, seen_at, age, salary, active, badge, profile, photo, dept_id, title) VALUES
 (7, 'ana@x.example', 'Zoë Lefèvre', E'tab\\there', '1990-12-31', '2020-01-02 03:04:05+00', 7, 12345.60, true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', '\\x00ff', 1, 'x'),
 (8, 'bea@x.example', NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, E'back\\\\slash');
INSERT INTO comments (author_id, body) VALUES (7, E'Résumé\\nin two lines'), (8, NULL);
INSERT INTO logins (id, email) VALUES (7, 'ana@x.example');
SELECT setval('people_id_seq', 8), setval('logins_id_seq', 7);
";

fn dump(port: u16, database: &str, args: &[&str]) -> String {
    let out = Command::new(postgres::program("pg_dump"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "app"])
        .args(args)
        .arg(database)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // A token that is new with each dump (since 15.14), and nothing of the data.
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

/// Each table's rows in order.
fn sorted(dump: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rows: Option<Vec<String>> = None;
    for line in dump.lines().map(str::to_owned) {
        match &mut rows {
            Some(held) if line == "\\." => {
                held.sort();
                out.append(held);
                out.push(line);
                rows = None;
            }
            Some(held) => held.push(line),
            None => {
                if line.starts_with("COPY ") {
                    rows = Some(Vec::new());
                }
                out.push(line);
            }
        }
    }
    out
}

fn psql(port: u16, database: &str, args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(postgres::program("psql"))
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-U",
            "app",
            "-d",
            database,
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
        ])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), text)
}

#[test]
fn a_dump_through_the_gateway_is_the_dump_of_a_clear_copy_and_restores_protected() {
    let world = World::new();
    let (direct, through) = (world.pg.port(), world.gateway.port());
    for (port, database) in [(direct, "clear"), (through, "app")] {
        let (ok, text) = psql(port, database, &["-q"], ROWS);
        assert!(ok, "{text}");
    }
    assert_absent("the database", world.pg.dump("app").as_bytes(), CANARIES);
    let clear = dump(direct, "clear", &["--data-only"]);
    let data = dump(through, "app", &["--data-only"]);
    assert_eq!(sorted(&data), sorted(&clear));
    assert!(data.contains("Zoë") && data.contains("1990-12-31"));
    // All of it: the schema as it lies behind the gateway, and the data in clear.
    let whole = dump(through, "app", &["--clean", "--if-exists"]);
    let (ok, text) = psql(through, "app", &["-q"], &whole);
    assert!(ok, "{text}");
    assert_eq!(sorted(&dump(through, "app", &["--data-only"])), sorted(&clear));
    assert_absent("the restored database", world.pg.dump("app").as_bytes(), CANARIES);
    world.gateway.admin().erase(7);
    let left = dump(through, "app", &["--data-only"]);
    assert!(!left.contains("Zoë") && !left.contains("ana@x.example") && left.contains("bea@x.example"));
}

#[test]
fn psql_copies_files_in_and_out() {
    let world = World::new();
    let (direct, through) = (world.pg.port(), world.gateway.port());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(
        file("in.csv"),
        "id,email,first_name,birth_date\n1,ana@x.example,\"Zoë Lefèvre, \"\"Z\"\"\",1990-12-31\n2,b@x.example,,\n",
    )
    .unwrap();
    let mut seen = Vec::new();
    for (port, database) in [(direct, "clear"), (through, "app")] {
        let script = format!(
            "\\copy people (id, email, first_name, birth_date) from '{}' with (format csv, header)\n\
             \\copy people (id, first_name) to '{}'\n\
             \\copy (select email, birth_date from people order by id) to '{}' csv header\n\
             copy comments (author_id, body) from stdin;\n1\tRésumé\n\\.\nselect body from comments;\n",
            file("in.csv"),
            file("out.txt"),
            file("out.csv")
        );
        let (ok, text) = psql(port, database, &[], &script);
        assert!(ok, "{text}");
        let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
        seen.push((text, read("out.txt"), read("out.csv")));
    }
    assert_eq!(seen[1], seen[0]);
    assert!(seen[0].2.contains("1990-12-31"));
    assert_absent("the database", world.pg.dump("app").as_bytes(), CANARIES);
}

#[test]
fn psycopg_copies_rows_blocks_and_binary() {
    let world = World::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let requirements = std::fs::read_to_string(folder.join("sqlalchemy/requirements.txt")).unwrap();
    let tell = |port: u16, database: &str| {
        let out = Command::new(crate::support::python::python("sqlalchemy", &requirements))
            .current_dir(&folder)
            .args(["-B", "copying.py", &format!("postgresql://app@127.0.0.1:{port}/{database}")])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{error}");
        String::from_utf8(out.stdout).unwrap()
    };
    let direct = tell(world.pg.port(), "clear");
    assert!(direct.lines().count() > 12, "{direct}");
    assert_eq!(tell(world.gateway.port(), "app"), direct);
    assert_absent("the database", world.pg.dump("app").as_bytes(), CANARIES);
}
