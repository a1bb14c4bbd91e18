//! ORMs with their own terms for one story: rows made one by one and many at once, found, changed, upserted, deleted,
//! transactions within transactions, errors.

use crate::support::node::{dependencies, install};
use crate::support::story::{output, path, tell_own};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

/// The packages of all three. No package's own script is run: Prisma's would fetch a program for migrations.
fn modules() -> PathBuf {
    let packages = [
        ("@prisma/adapter-pg", "7.10.0"),
        ("@prisma/client", "7.10.0"),
        ("pg", "8.23.1"),
        ("pg-query-stream", "4.17.0"),
        ("prisma", "7.10.0"),
        ("reflect-metadata", "0.2.2"),
        ("sequelize", "6.37.8"),
        ("typeorm", "1.1.1"),
    ];
    let manifest = json!({"private": true, "dependencies": dependencies(&packages)});
    install("story-orms", &manifest, &["--ignore-scripts"])
}

fn on_node(program: &str) -> Command {
    let mut node = Command::new("node");
    node.arg("--no-deprecation")
        .arg(path("orm").join(program))
        .env("NODE_PATH", modules().join("node_modules"));
    node
}

#[test]
fn prisma_runs_unmodified() {
    let home = modules();
    // Beside the packages, where the schema's generator looks for its own.
    std::fs::copy(path("orm/schema.prisma"), home.join("schema.prisma")).unwrap();
    let mut generate = Command::new(home.join("node_modules/.bin/prisma"));
    generate.current_dir(&home).args(["generate", "--schema", "schema.prisma"]);
    // The program for migrations is not asked for anything here.
    generate.envs([("PRISMA_SCHEMA_ENGINE_BINARY", "/bin/true"), ("CHECKPOINT_DISABLE", "1")]);
    output(generate);
    let exercised = "the client over @prisma/adapter-pg: nested and many creates, upsert, include, pages, aggregates, groupBy, $transaction, $queryRaw";
    tell_own(exercised, &["adapter"], || on_node("on_prisma.js"));
}

#[test]
fn typeorm_runs_unmodified() {
    let exercised =
        "save with cascades, insert, upsert, relations, pages, query builder, streams, nested transactions";
    tell_own(exercised, &["postgres"], || on_node("on_typeorm.js"));
}

#[test]
fn sequelize_runs_unmodified() {
    let exercised = "create with includes, bulkCreate, upsert, findCreateFind, nested transactions, bind and replacements; findOrCreate is refused: it makes a function";
    tell_own(exercised, &["postgres"], || on_node("on_sequelize.js"));
}

#[test]
fn activerecord_runs_unmodified() {
    let exercised = "prepared and unprepared statements, insert_all, upsert_all, includes, find_each, validations, create_or_find_by, locks, nested transactions, a change of the schema; \
                     columns that are stored as bytea declare their type by `attribute`";
    tell_own(exercised, &["prepared", "unprepared"], || {
        let mut ruby = Command::new("ruby");
        ruby.arg("-W0").arg(path("orm/on_activerecord.rb"));
        ruby
    });
}
