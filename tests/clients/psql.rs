//! `psql` as people use it, on a clear copy and through the gateway: what it shows must be the same.

use crate::support::World;
use crate::support::canary::assert_absent;
use crate::support::postgres::{Options, program};
use crate::support::story::{output, record};
use std::io::Write as _;
use std::process::Command;

const PERSONAL: &[&[u8]] = &[b"canari@x.example", b"-Canari", b"-canari", b"1987-03-29", b"48213.57"];

/// Runs a script, as a person would type it; what is shown, errors among it.
fn show(port: u16, database: &str, args: &[&str], script: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let mut command = Command::new("sh");
    // Standard error joins standard output here, so that each error stands where it came.
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(program("psql"));
    command.args(["-X", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "app", "-d", database]);
    command.args(args).arg("-f").arg(file.path());
    // Errors name the script, whose own name is chance.
    output(command).replace(&*file.path().to_string_lossy(), "script")
}

fn through_and_direct(world: &World, args: &[&str], script: &str) -> String {
    let through = show(world.gateway.port(), "app", args, script);
    assert_absent("the database", world.pg.dump("app").as_bytes(), PERSONAL);
    assert_absent("the server's log", world.pg.log().as_bytes(), PERSONAL);
    assert_absent("the gateway's log", &world.gateway.log(), PERSONAL);
    let direct = show(world.pg.port(), "clear", args, script);
    similar(&direct, &through);
    direct
}

fn similar(direct: &str, through: &str) {
    for (n, (one, other)) in direct.lines().zip(through.lines()).enumerate() {
        assert_eq!(other, one, "line {n} of:\n{direct}\n--- through ---\n{through}");
    }
    assert_eq!(through.lines().count(), direct.lines().count(), "{direct}\n--- through ---\n{through}");
}

fn world() -> World {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    world.direct().rows("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO paravent");
    world
}

const MADE: &str = "
INSERT INTO people (email, first_name, birth_date, salary) VALUES
    ('ana.canari@x.example', 'Ana-Canari', '1987-03-29', 48213.57), ('bea.canari@x.example', NULL, NULL, NULL),
    ('cle.canari@x.example', 'Cléo-Canari', '2001-01-01', 1) RETURNING *;
";

#[test]
fn psql_shows_what_it_shows_directly() {
    let script = format!(
        "{MADE}
\\echo -- what a statement would give
SELECT id, email, last_name, birth_date, salary, active, profile FROM people \\gdesc
SELECT c.body AS text, p.first_name FROM comments c JOIN people p ON p.id = c.author_id \\gdesc
\\echo -- other forms
SELECT id, first_name, birth_date, salary FROM people ORDER BY id \\gx
\\pset null '(none)'
SELECT id, first_name, birth_date FROM people ORDER BY id;
\\t \\a
SELECT id, email FROM people ORDER BY id;
\\a \\t
\\echo -- into variables, and back
SELECT email AS address, first_name FROM people WHERE id = 1 \\gset who_
SELECT id, birth_date FROM people WHERE email = :'who_address';
\\echo :who_first_name
\\echo -- statements that a statement writes
SELECT format('SELECT first_name FROM people WHERE id = %s', id) FROM people WHERE id < 3 ORDER BY id \\gexec
\\echo -- rows by a cursor that psql makes
\\set FETCH_COUNT 2
SELECT id, first_name, birth_date FROM people ORDER BY id;
\\unset FETCH_COUNT
\\echo -- errors
\\set VERBOSITY verbose
INSERT INTO people (email) VALUES ('ana.canari@x.example');
\\errverbose
\\set VERBOSITY default
SELECT nothing FROM people;
\\echo :ERROR :SQLSTATE :LAST_ERROR_SQLSTATE
\\echo -- a transaction that goes on after an error
\\set ON_ERROR_ROLLBACK on
BEGIN;
UPDATE people SET first_name = 'Anna-Canari' WHERE id = 1;
INSERT INTO people (email) VALUES ('ana.canari@x.example');
SELECT first_name FROM people WHERE id = 1;
COMMIT;
\\set ON_ERROR_ROLLBACK off
SELECT id, first_name FROM people WHERE email = 'ana.canari@x.example';
\\echo -- copied
\\copy people (email, first_name, birth_date) from stdin with (format csv)
dora.canari@x.example,\"Dora-Canari, \"\"D\"\"\",1999-09-09
emil.canari@x.example,,
\\.
\\copy (select email, first_name, birth_date from people order by id) to stdout csv header
\\echo -- crossed
SELECT dept_id, id, first_name FROM people \\crosstabview dept_id id first_name
\\echo :ROW_COUNT
\\timing off
\\bind 1
SELECT 1;
"
    );
    let direct = through_and_direct(&world(), &[], &script);
    assert!(direct.matches("Ana-Canari").count() > 5 && direct.contains("numeric(10,2)"), "{direct}");
}

#[test]
fn psql_runs_a_file_as_one_transaction() {
    let script =
        format!("{MADE} UPDATE people SET first_name = 'Perdue-Canari'; SELECT 1/0; SELECT id FROM people;");
    through_and_direct(&world(), &["-1"], &script);
    let kept = through_and_direct(&world(), &["-1"], MADE);
    assert!(kept.contains("(3 rows)"), "{kept}");
}

/// `\watch` asks again and again, until an error ends it.
#[test]
fn psql_watches() {
    let world = world();
    let script = format!(
        "{MADE} CREATE SEQUENCE rounds;
SELECT id, first_name, birth_date, 12 / (4 - nextval('rounds')) AS left FROM people WHERE id = 1 \\watch 0.01
SELECT email FROM people WHERE id = 1;"
    );
    // Each round is headed by its time of day.
    let shown =
        |text: String| text.lines().filter(|l| !l.contains("(every 0.01s)")).collect::<Vec<_>>().join("\n");
    let through = shown(show(world.gateway.port(), "app", &[], &script));
    let direct = shown(show(world.pg.port(), "clear", &[], &script));
    similar(&direct, &through);
    assert!(direct.matches("Ana-Canari").count() >= 4 && direct.contains("division by zero"), "{direct}");
}

/// Columns have the types that the policy declares, as in a clear copy; all else is the database's own.
#[test]
fn psql_describes_tables() {
    let world = world();
    let columns = "\\d people\n\\d comments\n";
    let through = show(world.gateway.port(), "app", &[], columns);
    similar(&show(world.pg.port(), "clear", &[], columns), &through);
    assert!(through.contains("people_email_key") && through.contains("birth_date"), "{through}");
    let script = "\\dt\n\\dt+ people\n\\d+ comments\n\\di\n\\ds\n\\dn\n\\du app\n\\dp people\n\\l app\n\\df now\n\\dT uuid\n\\sf now\n\\dconfig max_connections\n\\conninfo\n";
    let through = show(world.gateway.port(), "app", &[], script);
    let direct = show(world.pg.port(), "app", &[], script);
    let ports = |text: &str, port: u16| text.replace(&format!("port \"{port}\""), "port");
    similar(&ports(&direct, world.pg.port()), &ports(&through, world.gateway.port()));
    let version = output({
        let mut command = Command::new(program("psql"));
        command.arg("--version");
        command
    });
    let version = version.split_whitespace().nth(2).unwrap().to_owned();
    let exercised = "\\d and its like, \\copy, \\gdesc, \\gset, \\gexec, \\gx, \\watch, \\crosstabview, FETCH_COUNT, ON_ERROR_ROLLBACK";
    record("psql", &version, exercised);
}
