//! The story (`tests/clients/story`) on drivers that need another compiler or interpreter: `scripts/deps clients`
//! installs them from Debian.

use crate::support::story::{output, path, tell};
use std::path::Path;
use std::process::Command;

/// The version of a Debian package, without Debian's own part.
fn packaged(name: &str) -> String {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Version}", name]);
    let version = output(query);
    version.split(['-', '+']).next().unwrap_or(&version).to_owned()
}

#[test]
fn jdbc_tells_the_same_story() {
    let exercised = "server-prepared statements (from the fifth use, from the first, for binary values at once), batches, reWriteBatchedInserts, \
                     generated keys, fetch size, savepoints, updatable rows, CopyManager, a change of the schema";
    let modes =
        ["prepareThreshold=5", "prepareThreshold=1&reWriteBatchedInserts=true", "prepareThreshold=-1"];
    tell(exercised, &modes, || {
        let mut java = Command::new("java");
        java.args(["-cp", "/usr/share/java/postgresql.jar"]).arg(path("java/OnJdbc.java"));
        java
    });
}

#[test]
fn pdo_tells_the_same_story() {
    let exercised = "native and emulated prepares, names for parameters, LOBs, scrollable cursors, transactions, pgsqlCopy…";
    tell(exercised, &["native", "emulated"], || {
        let mut php = Command::new("php");
        php.arg(path("php/on_pdo.php"));
        php
    });
}

#[test]
fn ruby_pg_tells_the_same_story() {
    let exercised = "text and binary results, prepared and described statements, type maps, pipelines, rows one by one, COPY";
    tell(exercised, &["text", "binary"], || {
        let mut ruby = Command::new("ruby");
        ruby.arg("-W0").arg(path("ruby/on_pg.rb"));
        ruby
    });
}

#[test]
fn lib_pq_tells_the_same_story() {
    let exercised = "database/sql: prepared statements, binary_parameters, transactions, arrays, CopyIn";
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on_pq-{}", std::process::id()));
    let mut build = Command::new("go");
    // Debian's packages lie in a GOPATH; no module is fetched.
    build.args(["build", "-o"]).arg(&program).arg(path("go/on_pq.go"));
    build.envs([("GOPATH", "/usr/share/gocode"), ("GO111MODULE", "off")]);
    output(build);
    let version = packaged("golang-github-lib-pq-dev");
    tell(exercised, &["text", "binary"], || {
        let mut go = Command::new(&program);
        go.env("VERSION", &version);
        go
    });
    std::fs::remove_file(program).unwrap();
}

#[test]
fn sqlx_tells_the_same_story() {
    let exercised = "binary values, cached statements, raw_sql, nested transactions, arrays, COPY";
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sqlx");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(path("sqlx/Cargo.toml"));
    build.arg("--target-dir").arg(&target);
    output(build);
    tell(exercised, &["binary"], || Command::new(target.join("debug/on-sqlx")));
}
