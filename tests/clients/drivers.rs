//! The story on drivers that install in a moment.

use crate::support::python::python;
use crate::support::story::{path, tell};
use std::path::Path;
use std::process::Command;

fn on_python(program: &str) -> Command {
    let requirements = std::fs::read_to_string(path("python/requirements.txt")).unwrap();
    let mut command = Command::new(python("story", &requirements));
    command.arg("-B").arg(path("python").join(program));
    command
}

#[test]
fn psycopg_3_tells_the_same_story() {
    let exercised = "text and binary values, prepared statements, values put in by the client, executemany, pipelines with an error at every \
                     position, transactions and savepoints, server-side cursors, COPY in text and binary";
    tell(exercised, &["text", "binary", "prepared", "client"], || on_python("on_psycopg.py"));
}

#[test]
fn psycopg_3_tells_the_same_story_asynchronously() {
    tell("AsyncConnection: the same, pipelines, connections at once", &["async"], || {
        on_python("on_psycopg_async.py")
    });
}

#[test]
fn psycopg2_tells_the_same_story() {
    let exercised = "execute_batch, execute_values, named cursors, blocks, COPY";
    tell(exercised, &["text"], || on_python("on_psycopg2.py"));
}

#[test]
fn asyncpg_tells_the_same_story() {
    let exercised = "binary values, statement cache, executemany, transactions, cursors, copy_records_to_table, pools, a change of the schema";
    tell(exercised, &["cached", "uncached"], || on_python("on_asyncpg.py"));
}

fn on_node(program: &str) -> Command {
    let packages = [
        ("pg", "8.23.1"),
        ("pg-cursor", "2.22.1"),
        ("pg-query-stream", "4.17.0"),
        ("pg-copy-streams", "7.0.0"),
        ("postgres", "3.4.9"),
    ];
    let modules = crate::support::node::modules("story-node", &packages);
    let mut command = Command::new("node");
    command.args(["--no-deprecation"]).arg(path("node").join(program));
    command.env("NODE_PATH", modules.join("node_modules"));
    command
}

#[test]
fn node_postgres_tells_the_same_story() {
    let exercised = "text and binary results, named statements, scripts, cursors, streams, COPY, pools";
    tell(exercised, &["text", "binary", "named", "rows"], || on_node("on_pg.js"));
}

#[test]
fn postgres_js_tells_the_same_story() {
    let exercised = "tagged and unprepared statements, pipelines, helpers for rows, transactions and savepoints, cursors, COPY";
    tell(exercised, &["prepared", "unprepared"], || on_node("on_postgres.js"));
}

#[test]
fn libpq_tells_the_same_story() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on_libpq-{}", std::process::id()));
    let config = |what: &str| {
        let out = Command::new("pg_config").arg(what).output().expect("pg_config is installed (`make deps`)");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let made = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(format!("-I{}", config("--includedir")))
        .arg(path("c/on_libpq.c"))
        .args([&format!("-L{}", config("--libdir")), "-lpq"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let exercised = "text and binary values, prepared and described statements, pipelines with an error at every position, \
                     rows one by one, COPY, cancel";
    tell(exercised, &["text", "binary"], || Command::new(&program));
    std::fs::remove_file(program).unwrap();
}
