//! Statements that write, in WITH.

use super::world::{LAST, world};
use crate::pg::plan::{Action, SubjectSource, Verdict, Witness};

#[test]
fn what_a_statement_in_with_returns_flows_on() {
    let world = world();
    let sql = "WITH gone AS (DELETE FROM people WHERE id = $1 RETURNING *) INSERT INTO archive (id, email, last_name) \
               SELECT id, email, last_name FROM gone";
    let plan = world.run(sql);
    assert_eq!(plan.sql, sql);
    assert!(plan.write.is_none() && plan.modifies);
    let plan = world.run(
        "WITH u AS (UPDATE people SET last_name = $1 WHERE id = $2 RETURNING id, last_name) SELECT last_name FROM u",
    );
    assert_eq!((plan.outputs[0].field, plan.outputs[0].subject), (LAST, Some(1)));
    assert_eq!(plan.hidden, [20]);
    assert!(matches!(plan.write.as_ref().unwrap().rows[0].subject, SubjectSource::Client(1)));
    for (sql, anchor) in [
        (
            "WITH gone AS (DELETE FROM people RETURNING id, last_name) INSERT INTO articles (title) SELECT last_name FROM gone",
            "insert-select",
        ),
        (
            "WITH gone AS (DELETE FROM people RETURNING last_name) SELECT upper(last_name) FROM gone",
            "encrypted-operator",
        ),
        ("WITH gone AS (DELETE FROM people RETURNING upper(last_name)) SELECT 1", "encrypted-operator"),
    ] {
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
}

#[test]
fn rows_whose_subject_the_database_makes_tell_it_by_a_setting() {
    let plan = world().run(
        "WITH p (a) AS (INSERT INTO people (email, last_name) VALUES ($1, $2) RETURNING id, job) \
         INSERT INTO comments (author_id, body) SELECT a, $3 FROM p RETURNING id",
    );
    let told = "pg_catalog.set_config('paravent.rows', pg_catalog.concat(pg_catalog.current_setting('paravent.rows', \
                true), pg_catalog.json_build_array(0, \"people\".\"id\"::text, \"people\".\"email\"::text, \
                pg_catalog.left(\"people\".\"last_name\"::text, 26))::text, pg_catalog.chr(10)), true)";
    assert_eq!(
        plan.sql,
        format!(
            "WITH \"paravent 5\" (c0, c1, c2) AS (INSERT INTO people (email, last_name) VALUES ($1, $2) RETURNING id, job, \
             {told}), p (a) AS (SELECT c0 AS \"id\", c1 AS \"job\" FROM \"paravent 5\") \
             INSERT INTO comments (author_id, body) SELECT a, $3 FROM p RETURNING id, \
             \"comments\".\"author_id\" AS \"paravent 0\", \"comments\".\"body\" AS \"paravent 1\""
        )
    );
    let write = plan.write.as_ref().unwrap();
    assert_eq!(write.within[0].witnesses, [Witness::Token, Witness::Text]);
    assert_eq!(write.rows.len(), 2);
    assert!(matches!(plan.params[1].action, Action::Seal { row: 0, .. }));
    assert!(matches!(plan.params[2].action, Action::Seal { row: 1, .. }));
    assert!(write.bind.as_ref().unwrap().repeats);
    // Nobody reads what returns nothing.
    let plan = world().run("WITH p AS (INSERT INTO people (last_name) VALUES ($1)) SELECT 1");
    assert!(plan.sql.contains("VALUES ($1) RETURNING pg_catalog.set_config("), "{}", plan.sql);
    assert!(plan.sql.ends_with(") SELECT 1"));
}

#[test]
fn several_statements_write_their_own_rows() {
    let plan = world().run(
        "WITH a AS (UPDATE people SET last_name = 'x' WHERE id = 1), \
         b AS (INSERT INTO comments (author_id, body) VALUES (2, 'y'), (3, 'z')) \
         UPDATE people SET last_name = 'w' WHERE id = 4",
    );
    let write = plan.write.as_ref().unwrap();
    let ids: Vec<&str> = write
        .rows
        .iter()
        .map(|r| match &r.subject {
            SubjectSource::Literal(id) => &**id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    let rows: Vec<u16> = plan
        .params
        .iter()
        .filter_map(|p| if let Action::Seal { row, .. } = p.action { Some(row) } else { None })
        .collect();
    assert_eq!(rows, [0, 1, 2, 3]);
    assert!(plan.keep.is_none());
}

#[test]
fn one_of_them_may_look_its_subjects_up() {
    let world = world();
    let plan = world.run(
        "WITH u AS (UPDATE people SET last_name = $1 WHERE job = $2 RETURNING id) SELECT count(*) FROM u",
    );
    let lookup = plan.write.as_ref().unwrap().lookup.as_ref().unwrap();
    assert!(lookup.sql.ends_with("WHERE job = $2\nFOR UPDATE"), "{}", lookup.sql);
    for (sql, anchor) in [
        (
            "WITH u AS (UPDATE people SET last_name = $1 WHERE job = $2), v AS (UPDATE people SET last_name = $3 WHERE id = 1) SELECT 1",
            "data-modifying-cte",
        ),
        (
            "WITH x AS (SELECT 1 AS a), u AS (UPDATE people SET last_name = $1 WHERE job IN (SELECT a::text FROM x)) SELECT 1",
            "update-lookup",
        ),
        ("EXPLAIN ANALYZE WITH u AS (DELETE FROM people RETURNING id) SELECT * FROM u", "explain-analyze"),
        ("COPY (WITH u AS (DELETE FROM people RETURNING id) SELECT * FROM u) TO STDOUT", "copy"),
        (
            "CREATE TABLE x AS WITH u AS (DELETE FROM people RETURNING id) SELECT * FROM u",
            "data-modifying-cte",
        ),
        (
            "SELECT * FROM (WITH u AS (DELETE FROM people RETURNING id) SELECT * FROM u) x",
            "data-modifying-cte",
        ),
    ] {
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
    assert!(matches!(
        world.verdict(
            "EXPLAIN WITH u AS (INSERT INTO people (last_name) VALUES ('x') RETURNING id) SELECT * FROM u"
        ),
        Verdict::Run(_)
    ));
}
