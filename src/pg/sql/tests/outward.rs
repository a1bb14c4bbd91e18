//! The subject of rows that a subquery or a WITH query leaves out.

use super::world::{LAST, world};

/// What is sent, and the result column of the subject.
fn sent(sql: &str) -> (String, Option<u16>) {
    let plan = world().run(sql);
    let output = plan.outputs.iter().find(|o| o.field == LAST).unwrap();
    (plan.sql.clone(), output.subject)
}

#[test]
fn is_passed_outward_level_by_level() {
    for (sql, expected, subject) in [
        (
            "SELECT x.last_name FROM (SELECT last_name FROM people -- all\n) x",
            "SELECT x.last_name, \"x\".\"paravent s0\" AS \"paravent 0\" FROM (SELECT last_name, \"people\".\"id\" AS \
             \"paravent s0\" FROM people -- all\n) x",
            1,
        ),
        (
            "SELECT v FROM (SELECT b AS v FROM (SELECT last_name FROM people p) y(b)) x",
            "SELECT v, \"x\".\"paravent s1\" AS \"paravent 0\" FROM (SELECT b AS v, \"y\".\"paravent s0\" AS \"paravent s1\" \
             FROM (SELECT last_name, \"p\".\"id\" AS \"paravent s0\" FROM people p) y(b)) x",
            1,
        ),
        (
            "WITH w AS MATERIALIZED (SELECT last_name FROM people) SELECT a.last_name, b.last_name FROM w a, w b",
            "WITH w AS MATERIALIZED (SELECT last_name, \"people\".\"id\" AS \"paravent s0\" FROM people) SELECT a.last_name, \
             b.last_name, \"a\".\"paravent s0\" AS \"paravent 0\", \"b\".\"paravent s0\" AS \"paravent 1\" FROM w a, w b",
            2,
        ),
        (
            "SELECT l.last_name FROM articles a, LATERAL (SELECT last_name FROM people p WHERE p.id = a.author_id) l",
            "SELECT l.last_name, \"l\".\"paravent s0\" AS \"paravent 0\" FROM articles a, LATERAL (SELECT last_name, \
             \"p\".\"id\" AS \"paravent s0\" FROM people p WHERE p.id = a.author_id) l",
            1,
        ),
        (
            "SELECT x.v FROM (SELECT a IS DISTINCT FROM 1, last_name v FROM people, (SELECT 1 AS a) one LIMIT 3) x",
            "SELECT x.v, \"x\".\"paravent s0\" AS \"paravent 0\" FROM (SELECT a IS DISTINCT FROM 1, last_name v, \
             \"people\".\"id\" AS \"paravent s0\" FROM people, (SELECT 1 AS a) one LIMIT 3) x",
            1,
        ),
    ] {
        assert_eq!(sent(sql), (expected.to_owned(), Some(subject)), "{sql}");
    }
}

#[test]
fn shows_through_no_star() {
    for (sql, part) in [
        (
            "SELECT * FROM (SELECT last_name, 1 AS n FROM people) x",
            "SELECT \"x\".\"last_name\", \"x\".\"n\", ",
        ),
        (
            "SELECT x.*, 2 FROM (SELECT last_name FROM people) x",
            "SELECT \"x\".\"last_name\", 2, \"x\".\"paravent s0\"",
        ),
        (
            "SELECT * FROM articles a JOIN (SELECT last_name FROM people) x ON true",
            "SELECT \"a\".*, \"x\".\"last_name\", \"x\".\"paravent s0\" AS",
        ),
        (
            "SELECT * FROM articles JOIN (SELECT last_name, id AS title FROM people) x USING (title)",
            // The subject is there already.
            "SELECT *, \"x\".\"title\" AS \"paravent 0\" FROM",
        ),
        (
            "SELECT * FROM contacts c JOIN (SELECT last_name, job AS kind FROM people) x USING (kind)",
            "SELECT \"kind\", \"id\", \"person_id\", \"email\", \"last_name\", \"x\".\"paravent s0\" AS",
        ),
        (
            "WITH w AS (SELECT last_name FROM people) SELECT last_name FROM w WHERE EXISTS (SELECT * FROM w v)",
            "EXISTS (SELECT \"v\".\"last_name\" FROM w v)",
        ),
        (
            "WITH w AS (SELECT last_name, upper(job), NULLIF(job, ''), CASE WHEN true THEN 1::int8 END FROM people) \
             SELECT * FROM (SELECT * FROM w) x",
            "SELECT \"x\".\"last_name\", \"x\".\"upper\", \"x\".\"nullif\", \"x\".\"case\", \"x\".\"paravent s1\"",
        ),
    ] {
        let (sql, _) = sent(sql);
        assert!(sql.contains(part), "{sql}");
        pg_raw_parse::parse(&sql).unwrap();
    }
}

#[test]
fn is_left_out_where_a_column_more_would_show_or_change_the_rows() {
    for sql in [
        "WITH w AS (SELECT last_name, job FROM people) SELECT a.v FROM w a(v, job) NATURAL JOIN w b(u, job)",
        "WITH w AS (SELECT last_name FROM people) SELECT last_name FROM w WHERE EXISTS (TABLE w)",
        "WITH w AS (SELECT last_name FROM people) SELECT a.last_name FROM w a, (w CROSS JOIN (SELECT 1) o) j",
        "WITH RECURSIVE w AS (SELECT last_name FROM people) SELECT last_name FROM w",
        "SELECT j.last_name FROM ((SELECT last_name FROM people) x CROSS JOIN depts) j",
        "SELECT x.last_name FROM (SELECT last_name FROM people GROUP BY id, last_name) x",
        "SELECT x.last_name FROM (SELECT last_name FROM people UNION ALL SELECT last_name FROM archive) x",
        "SELECT * FROM (SELECT last_name, (SELECT * FROM (SELECT 1) o) FROM people) x",
        "SELECT * FROM (SELECT last_name, job, job FROM people) x",
        "SELECT DISTINCT ON (n) last_name FROM (SELECT l.last_name, 1 AS n FROM people p, LATERAL (SELECT p.last_name) l) x",
        "SELECT x.a FROM (SELECT last_name FROM people) x(a, b)",
    ] {
        let sql = sql.replace("depts", "articles");
        let (sent, subject) = sent(&sql);
        assert_eq!((sent, subject), (sql.clone(), None), "{sql}");
    }
    let sql = "SELECT last_name FROM (SELECT last_name FROM people) x WHERE EXISTS (SELECT 1 FROM (SELECT last_name FROM people) y)";
    assert_eq!(sent(sql).0.matches("paravent s").count(), 2, "a subquery that nobody asks stays as it is");
    let explained = "EXPLAIN SELECT x.last_name FROM (SELECT last_name FROM people) x";
    assert_eq!(world().run(explained).sql, explained);
}

#[test]
fn of_an_outer_table_is_not_taken_from_another_of_its_name() {
    let sql = "SELECT l.last_name FROM people t, LATERAL (SELECT last_name FROM articles t) l";
    assert_eq!(sent(sql), (sql.to_owned(), None));
}

#[test]
fn of_chosen_values_is_theirs_only_where_it_is_one() {
    let world = world();
    let plan = world.run("SELECT COALESCE(x.a, x.b) FROM (SELECT p.last_name AS a, q.last_name AS b FROM people p, people q) x");
    assert_eq!(plan.outputs[0].subject, None);
    let plan =
        world.run("SELECT COALESCE(x.a, x.b) FROM (SELECT last_name AS a, last_name AS b FROM people) x");
    assert_eq!(plan.outputs[0].subject, Some(1));
    let plan = world.run("SELECT max(x.n), (SELECT last_name FROM people LIMIT 1) FROM (SELECT 1 AS n, last_name FROM people) x");
    assert_eq!(plan.outputs[0].subject, None);
}

#[test]
fn has_a_name_that_the_statement_does_not_use() {
    let (sql, _) = sent("SELECT x.last_name, 'paravent s0' FROM (SELECT last_name FROM people) x");
    assert!(sql.contains("AS \"paravent s1\" FROM people"), "{sql}");
}

#[test]
fn serves_returning_of_what_is_joined() {
    let plan = world().run(
        "UPDATE articles a SET title = 'x' FROM (SELECT last_name FROM people) x RETURNING x.last_name, a.id",
    );
    assert_eq!(
        plan.sql,
        "UPDATE articles a SET title = 'x' FROM (SELECT last_name, \"people\".\"id\" AS \"paravent s0\" FROM people) x \
         RETURNING x.last_name, a.id, \"x\".\"paravent s0\" AS \"paravent 0\""
    );
    let sql = "UPDATE articles a SET title = 'x' FROM (SELECT last_name FROM people) x RETURNING *";
    assert_eq!(world().run(sql).sql, sql);
    let plan = world().run(
        "UPDATE people p SET last_name = 'x' FROM (SELECT last_name FROM archive) x RETURNING x.last_name",
    );
    assert!(
        plan.write
            .as_ref()
            .unwrap()
            .lookup
            .as_ref()
            .unwrap()
            .sql
            .contains("(SELECT last_name FROM archive) x")
    );
}

#[test]
fn copies_within_the_database_are_judged_as_before() {
    let sql = "INSERT INTO archive (id, last_name) SELECT * FROM (SELECT id, last_name FROM people) x";
    assert!(world().run(sql).sql.starts_with(sql));
    let sql = "INSERT INTO archive (last_name) SELECT * FROM (SELECT last_name FROM people) x";
    assert_eq!(world().refusal(sql).anchor, "insert-select");
}
