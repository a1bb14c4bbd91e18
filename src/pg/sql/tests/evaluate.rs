//! What the gateway evaluates: keys in the place of conditions, ranks in that of sort keys.

use super::world::{LAST, world};
use crate::pg::evaluation::Answer;
use crate::pg::plan::{Action, ClientParam, Source};

fn answers(plan: &crate::pg::plan::Plan) -> Vec<Answer> {
    let of = |p: &crate::pg::plan::Param| match p.action {
        Action::Answer(answer) => Some(answer),
        _ => None,
    };
    plan.params.iter().filter_map(of).collect()
}

#[test]
fn keys_come_in_the_place_of_a_condition() {
    let plan = world().run("SELECT id FROM people WHERE (last_name) LIKE ('x%') AND job = $1 ORDER BY id");
    assert_eq!(
        plan.sql,
        "SELECT id FROM people WHERE (\"people\".\"id\" = ANY($2::bigint[])) AND job = $1 ORDER BY id"
    );
    assert_eq!(answers(&plan), [Answer::True(0)]);
    let [evaluation] = plan.evaluations.as_slice() else { panic!("{plan:?}") };
    assert_eq!(
        evaluation.sql,
        "SELECT \"people\".\"id\", \"people\".\"id\", \"people\".\"last_name\" FROM \"public\".\"people\" WHERE (job = $1\n)"
    );
    assert_eq!(evaluation.uses, [true, false]);
    assert_eq!(evaluation.columns[0].field, Some(LAST));
    assert!(evaluation.tests[0].decides && evaluation.again.is_none());
    assert!(matches!(evaluation.tests[0].slots[0].source, Source::Literal(Some(_))));
    assert!(!plan.cacheable && !plan.stays_simple());
}

#[test]
fn null_and_false_are_told_apart_where_they_differ() {
    let world = world();
    let three = "(CASE WHEN \"people\".\"id\" = ANY($1::bigint[]) THEN true \
                 WHEN \"people\".\"id\" = ANY($2::bigint[]) THEN NULL ELSE false END)";
    for (sql, expected) in [
        ("SELECT last_name = 'x' FROM people", format!("SELECT {three} AS \"?column?\" FROM people")),
        ("SELECT 1 FROM people WHERE NOT last_name = 'x'", format!("SELECT 1 FROM people WHERE NOT {three}")),
        (
            "SELECT 1 FROM people WHERE job = 'y' OR (id = 1 AND last_name = 'x')",
            "SELECT 1 FROM people WHERE job = 'y' OR (id = 1 AND (\"people\".\"id\" = ANY($1::bigint[])))"
                .into(),
        ),
    ] {
        assert_eq!(world.run(sql).sql, expected);
    }
}

#[test]
fn an_or_of_nothing_else_is_one_condition() {
    let world = world();
    let sql = "SELECT id FROM people WHERE (UPPER(last_name::text) LIKE UPPER('%x%') OR UPPER(email::text) LIKE UPPER('%x%')) LIMIT 3";
    let plan = world.run(sql);
    assert_eq!(plan.sql, "SELECT id FROM people WHERE ((\"people\".\"id\" = ANY($1::bigint[]))) LIMIT 3");
    assert_eq!(plan.evaluations[0].columns.len(), 2);
    // What the server can do is left to it.
    let plan = world.run("SELECT id FROM people WHERE email = 'x' OR last_name = 'y'");
    assert_eq!(plan.sql, "SELECT id FROM people WHERE email = $1 OR (\"people\".\"id\" = ANY($2::bigint[]))");
}

#[test]
fn the_nullable_side_of_a_join_is_not_narrowed_and_has_a_row_of_nulls() {
    let world = world();
    let plan = world.run(
        "SELECT 1 FROM articles a LEFT JOIN people p ON p.id = a.author_id AND p.last_name = 'x' WHERE p.job IS NULL",
    );
    assert!(!plan.evaluations[0].sql.contains("WHERE"), "{}", plan.evaluations[0].sql);
    assert!(plan.sql.contains(
        "(CASE WHEN \"p\".\"id\" IS NULL THEN $1::boolean ELSE \"p\".\"id\" = ANY($2::bigint[]) END)"
    ));
    assert_eq!(answers(&plan), [Answer::Absent(0), Answer::True(0)]);
    let plan = world.run("SELECT 1 FROM articles a JOIN people p ON p.id = a.author_id AND p.last_name = 'x' WHERE p.job IS NULL AND a.title = 'y'");
    assert!(plan.evaluations[0].sql.ends_with("FROM \"public\".\"people\" AS \"p\" WHERE (p.job IS NULL\n)"));
}

#[test]
fn ranks_come_in_the_place_of_sort_keys_and_equal_ones_are_the_same() {
    let world = world();
    let rank = "NULLIF(($1::integer[])[pg_catalog.width_bucket(\"people\".\"id\", $2::bigint[])], 0)";
    let plan =
        world.run("SELECT id, row_number() OVER (ORDER BY last_name DESC) FROM people ORDER BY last_name, 1");
    assert_eq!(
        plan.sql,
        format!("SELECT id, row_number() OVER (ORDER BY {rank} DESC) FROM people ORDER BY {rank}, 1")
    );
    assert_eq!(answers(&plan), [Answer::Ranks(0), Answer::Keys(0)]);
    assert!(plan.cacheable);
    let plan = world.run("SELECT DISTINCT last_name, job FROM people");
    assert!(
        plan.sql.starts_with(&format!("SELECT DISTINCT ON ({rank}, 2) last_name, job, ")),
        "{}",
        plan.sql
    );
    let plan = world.run("SELECT count(*), last_name FROM people GROUP BY last_name ORDER BY last_name");
    assert_eq!(
        plan.sql,
        format!(
            "SELECT count(*), (pg_catalog.array_agg(\"people\".\"last_name\"))[1] AS \"last_name\" FROM people \
             GROUP BY {rank} ORDER BY {rank}"
        )
    );
    assert_eq!(plan.outputs.iter().map(|o| (o.column, o.subject)).collect::<Vec<_>>(), [(1, None)]);
    let plan = world.run("SELECT max(last_name), min(last_name) AS least FROM people");
    assert!(
        plan.sql.contains(&format!(
            "ORDER BY {rank} DESC) FILTER (WHERE {rank} IS NOT NULL))[1] AS \"max\", (pg"
        ))
    );
    assert!(plan.sql.ends_with("[1] AS least FROM people"));
    assert!(world.run("SELECT count(DISTINCT last_name) FROM people").sql.contains(rank));
    let plan = world.run("SELECT object_repr FROM admin_log ORDER BY object_repr");
    assert!(plan.evaluations[0].when);
}

#[test]
fn clients_are_told_the_types_of_constants() {
    let plan = world().run("SELECT 1 FROM people WHERE last_name LIKE $1 AND birth_date < $2 AND last_name = ANY($3) AND job = $4");
    assert_eq!(
        plan.client_params,
        [ClientParam::Type(25), ClientParam::Type(1082), ClientParam::Type(1009), ClientParam::AsServer]
    );
    assert!(plan.params[..3].iter().all(|p| p.action == Action::Null && p.type_oid == 25));
    assert!(plan.cacheable);
    let twice = world().run("SELECT 1 FROM people WHERE last_name LIKE $1 OR email LIKE $1");
    assert_eq!(twice.client_params, [ClientParam::Type(25)]);
    let refusal = world().refusal("SELECT 1 FROM people WHERE last_name LIKE $1 OR job = $1");
    assert_eq!(refusal.anchor, "mixed-parameter");
}

#[test]
fn rows_that_are_written_are_locked_and_fetched_again() {
    let world = world();
    let plan = world.run("UPDATE people SET birth_date = '2000-01-01' WHERE last_name = 'x'");
    let (again, oid) = plan.evaluations[0].again.clone().unwrap();
    assert!(
        again.ends_with("FROM \"public\".\"people\" WHERE \"people\".\"id\" = ANY($1::bigint[]) FOR UPDATE"),
        "{again}"
    );
    assert_eq!(oid, 1016);
    let lookup = plan.write.as_ref().unwrap().lookup.as_ref().unwrap();
    assert!(lookup.sql.contains("WHERE (\"people\".\"id\" = ANY("), "{}", lookup.sql);
    assert!(world.run("DELETE FROM people WHERE last_name = 'x'").evaluations[0].again.is_some());
    assert!(world.run("EXPLAIN DELETE FROM people WHERE last_name = 'x'").evaluations[0].again.is_none());
}

#[test]
fn what_is_only_being_written_or_kept_is_not_evaluated() {
    let world = world();
    for sql in [
        "UPDATE people SET job = 'x' RETURNING last_name = 'x'",
        "INSERT INTO people (id, last_name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET job = 'y' WHERE people.last_name = 'x'",
        "INSERT INTO people (id, last_name) VALUES (1, 'x') RETURNING last_name < 'x'",
        "CREATE VIEW v AS SELECT id FROM people WHERE last_name = 'x'",
        "CREATE MATERIALIZED VIEW v AS SELECT id FROM people ORDER BY last_name",
        "CREATE INDEX i ON people (id) WHERE last_name = 'x'",
    ] {
        assert_eq!(world.refusal(sql).anchor, "encrypted-operator", "{sql}");
    }
}
