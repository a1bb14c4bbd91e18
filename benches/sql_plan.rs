//! Deciding what becomes of a statement: the fast test alone, the whole plan the first time it is
//! seen, and the plan from a session's cache.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a bench stops at any fault")]

use criterion::{Criterion, criterion_group, criterion_main};
use hashbrown::HashMap;
use paravent::pg::catalog::model::{Catalog, Column, ForeignKey, Relation, RelationKind};
use paravent::pg::plan::Verdict;
use paravent::pg::sql::{Filter, Scope, plan};
use std::hint::black_box;
use std::sync::Arc;

const POLICY: &str = r#"
[fields]
last_name  = "encrypt"
first_name = "encrypt"
email      = { protect = "pseudonym", kind = "email" }
comment    = "encrypt"

[[postgres]]
[postgres.tables.people]
subject = "id"
fields  = ["last_name", "first_name", "email"]

[postgres.tables.comments]
subject = "author_id"
fields  = { body = "comment" }
"#;

const STATEMENTS: &[(&str, &str)] = &[
    ("select by id", "SELECT last_name, first_name, email FROM people WHERE id = $1"),
    ("insert", "INSERT INTO people (last_name, first_name, email) VALUES ($1, $2, $3) RETURNING id"),
    ("update by e-mail", "UPDATE people SET last_name = $1 WHERE email = $2"),
    (
        "join with a CTE",
        "WITH recent AS (SELECT id, author_id, body FROM comments WHERE id > $1) \
         SELECT p.first_name, p.last_name, r.body FROM recent r JOIN people p ON p.id = r.author_id \
         WHERE p.email = $2 ORDER BY r.id DESC LIMIT 20",
    ),
];
const ELSEWHERE: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";

const TEXT: u32 = 25;
const BIGINT: u32 = 20;

fn table(oid: u32, name: &str, columns: &[(&str, u32)], foreign: Vec<ForeignKey>) -> Arc<Relation> {
    let column = |(i, (name, type_oid)): (usize, &(&str, u32))| Column {
        name: (*name).into(),
        attnum: i16::try_from(i + 1).unwrap(),
        type_oid: *type_oid,
        typmod: -1,
        not_null: true,
        generated: i == 0,
        computed: false,
        defaults: false,
        collation: 0,
    };
    Arc::new(Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        definition: None,
        odd: false,
        columns: columns.iter().enumerate().map(column).collect(),
        unique: vec![vec!["id".into()]],
        foreign,
        has_rules: false,
        has_before_triggers: false,
        in_hierarchy: false,
        touches_protected: false,
        writes_protected: false,
        truncates: false,
    })
}

fn catalog() -> Catalog {
    let people = [("id", BIGINT), ("last_name", TEXT), ("first_name", TEXT), ("email", TEXT)];
    let comments = [("id", BIGINT), ("author_id", BIGINT), ("body", TEXT)];
    let author = ForeignKey {
        columns: vec!["author_id".into()],
        references: ("public".into(), "people".into()),
        referenced: vec!["id".into()],
    };
    let tables = [table(1, "people", &people, vec![]), table(2, "comments", &comments, vec![author])];
    let relations = tables.into_iter().map(|t| ((t.schema.clone(), t.name.clone()), t)).collect();
    Catalog { version: 1, server_version: 150_018, relations, ..Catalog::default() }
}

fn sql_plan(c: &mut Criterion) {
    let policy = paravent::config::policy_only(POLICY).unwrap();
    let catalog = catalog();
    let search_path: Vec<Arc<str>> = vec!["public".into()];
    let scope = Scope {
        policy: &policy,
        tables: &policy.postgres[0],
        catalog: &catalog,
        search_path: search_path[..].into(),
        refreshed: false,
        server_version: 150_018,
    };
    let filter = Filter::new(scope.tables, &catalog);
    assert!(!filter.may_touch(ELSEWHERE.as_bytes()));

    let mut group = c.benchmark_group("sql_plan");
    group.bench_function("fast test, nothing protected", |b| {
        b.iter(|| filter.may_touch(black_box(ELSEWHERE.as_bytes())));
    });
    for (name, sql) in STATEMENTS {
        assert!(filter.may_touch(sql.as_bytes()));
        let planned = plan(sql, &[], &scope).unwrap();
        let Verdict::Run(first) = &planned[0].verdict else { panic!("{name}: {:?}", planned[0].verdict) };
        let first = first.clone();
        group.bench_function(format!("{name}, first time"), |b| {
            b.iter(|| plan(black_box(sql), &[], &scope).unwrap());
        });
        // What a session asks its cache: the exact text, on the same versions.
        let cache: HashMap<Box<str>, Arc<paravent::pg::plan::Plan>> = HashMap::from([((*sql).into(), first)]);
        group.bench_function(format!("{name}, cached"), |b| {
            b.iter(|| {
                filter.may_touch(black_box(sql.as_bytes())).then(|| cache.get(black_box(*sql)).cloned())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sql_plan);
criterion_main!(benches);
