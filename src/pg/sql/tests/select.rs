//! Reading.

use super::world::{BIRTH, EMAIL, LAST, world};
use crate::pg::plan::{Action, ClientParam, Source, Verdict};

#[test]
fn adds_the_subject_as_a_hidden_column() {
    let plan = world().run("SELECT last_name, birth_date FROM people WHERE email = $1 -- by e-mail");
    assert_eq!(
        plan.sql,
        "SELECT last_name, birth_date, \"people\".\"id\" AS \"paravent 0\" FROM people WHERE email = $1 -- by e-mail"
    );
    assert_eq!((plan.visible, plan.hidden.as_slice(), plan.cacheable), (Some(2), &[20][..], true));
    let fields: Vec<_> = plan.outputs.iter().map(|o| (o.column, o.field, o.subject, o.shown.oid)).collect();
    assert_eq!(fields, [(0, LAST, Some(2), 1043), (1, BIRTH, Some(2), 1082)]);
    assert_eq!(plan.params[0].action, Action::Find { field: EMAIL });
    assert_eq!(plan.client_params, [ClientParam::Type(1043)]);
}

#[test]
fn reuses_a_visible_subject_and_expands_stars() {
    let plan = world().run("SELECT * FROM people");
    assert_eq!(plan.sql, "SELECT * FROM people");
    assert!(plan.outputs.iter().all(|o| o.subject == Some(0)));
    assert_eq!(plan.outputs.iter().map(|o| o.column).collect::<Vec<_>>(), [1, 2, 3, 5]);
    let plan = world().run("SELECT c.*, p.last_name FROM people p JOIN comments c ON c.author_id = p.id");
    assert_eq!(
        plan.outputs.iter().map(|o| (o.column, o.subject)).collect::<Vec<_>>(),
        [(2, Some(1)), (4, Some(5))]
    );
}

#[test]
fn merges_the_columns_of_using() {
    let plan = world().run("SELECT * FROM people JOIN contacts USING (id, email)");
    let columns: Vec<_> = plan.outputs.iter().map(|o| (o.column, o.field)).collect();
    assert_eq!(columns[..2], [(1, EMAIL), (2, LAST)]);
    assert_eq!(plan.visible, Some(8));
}

#[test]
fn a_value_of_an_outer_joined_table_may_be_null() {
    let world = world();
    let plan = world.run("SELECT p.last_name FROM articles a LEFT JOIN people p ON p.id = a.author_id");
    assert!(!plan.outputs[0].not_null);
    assert!(world.run("SELECT last_name FROM people").outputs[0].not_null);
}

#[test]
fn keeps_the_subject_through_subqueries_and_ctes_that_show_it() {
    let world = world();
    for sql in [
        "SELECT x.last_name FROM (SELECT id, last_name FROM people) x",
        "WITH x (a, b) AS (SELECT id, last_name FROM people) SELECT b FROM x",
    ] {
        let plan = world.run(sql);
        assert_eq!((plan.outputs[0].subject, plan.hidden.len()), (Some(1), 1), "{sql}");
    }
    // Two columns of one name can't be told apart: the subject is shown a second time.
    let sql = "SELECT x.last_name FROM (SELECT p.id, c.id, p.last_name FROM people p, comments c) x";
    let plan = world.run(sql);
    assert_eq!((plan.outputs[0].subject, plan.hidden.len()), (Some(1), 1));
    assert!(plan.sql.contains("p.last_name, \"p\".\"id\" AS \"paravent s0\" FROM people p"));
}

#[test]
fn adds_nothing_where_rows_would_change() {
    let world = world();
    for sql in [
        "SELECT DISTINCT email FROM people",
        "SELECT email, count(*) FROM people GROUP BY email",
        "SELECT email FROM people UNION ALL SELECT email FROM contacts",
    ] {
        let plan = world.run(sql);
        assert_eq!(plan.sql, sql);
        assert_eq!((plan.outputs[0].subject, plan.hidden.len()), (None, 0));
    }
}

#[test]
fn a_cte_hides_a_protected_table() {
    let plan = world()
        .verdict("WITH people AS (SELECT 1 AS last_name) SELECT last_name FROM people WHERE last_name = 2");
    assert!(matches!(plan, Verdict::Pass));
}

#[test]
fn tells_rows_of_persons_by_when() {
    let plan = world().run("SELECT object_repr FROM admin_log");
    assert!(plan.sql.contains(
        "(\"admin_log\".\"content_type_id\" = (SELECT \"id\" FROM \"public\".\"content_type\" \
         WHERE \"app_label\" = 'auth' AND \"model\" = 'user')) AS"
    ));
    assert_eq!((plan.outputs[0].subject, plan.outputs[0].when), (Some(1), Some(2)));
    assert_eq!(
        world().refusal("SELECT object_repr FROM admin_log GROUP BY object_repr").anchor,
        "when-shape"
    );
    assert_eq!(world().refusal("SELECT (SELECT object_repr FROM admin_log LIMIT 1)").anchor, "when-shape");
}

#[test]
fn literals_and_casts_are_taken_out_of_comparisons() {
    let plan = world().run(
        "SELECT id FROM people WHERE email IN ('a', $1) AND email <> varchar 'b' AND email = ANY('{c}'::text[]) \
         AND email = ANY(ARRAY['d']::varchar[]) AND email = CAST('e' AS text)",
    );
    assert_eq!(
        plan.sql,
        "SELECT id FROM people WHERE email IN ($2, $1) AND email <> $3 AND email = ANY($4) \
         AND email = ANY(ARRAY[$5]) AND email = ($6 )"
    );
    assert!(!plan.cacheable);
    assert_eq!(plan.params[3].action, Action::FindEach { field: EMAIL });
    assert_eq!(plan.params[3].type_oid, 1009);
}

#[test]
fn a_folded_comparison_becomes_any() {
    let world = world();
    let plan = world.run("SELECT id FROM people WHERE UPPER(\"people\".\"email\"::text) = UPPER('Bob')");
    assert_eq!(plan.sql, "SELECT id FROM people WHERE \"people\".\"email\" = ANY($1)");
    assert_eq!(plan.params[0].action, Action::FindFolded { field: EMAIL });
    let plan = world.run("SELECT id FROM people p WHERE lower($1) <> lower(p.email)");
    assert_eq!(plan.sql, "SELECT id FROM people p WHERE p.email <> ALL($1)");
    // Not the same function on both sides: the gateway compares the identifiers.
    assert_eq!(world.run("SELECT id FROM people WHERE lower(email) = upper('x')").evaluations.len(), 1);
}

#[test]
fn a_parameter_needed_in_two_forms_gets_numbers_of_its_own() {
    let plan = world().run("SELECT id FROM people WHERE email = $1 OR email = ANY($1)");
    assert_eq!(plan.sql, "SELECT id FROM people WHERE email = $2 OR email = ANY($3)");
    assert_eq!(plan.params[0].action, Action::Null);
    assert!(plan.params.iter().all(|p| matches!(p.source, Source::Client(0))));
    assert_eq!(world().run("SELECT id FROM people WHERE email = $1 OR email = $1").params.len(), 1);
    assert_eq!(world().refusal("SELECT $1 FROM people WHERE email = $1").anchor, "mixed-parameter");
}

#[test]
fn casts_to_text_are_shown_as_text() {
    let plan = world().run("SELECT id, birth_date::text, CAST(birth_date AS date) FROM people");
    assert_eq!(plan.sql, "SELECT id, birth_date, (birth_date ) FROM people");
    assert_eq!((plan.outputs[0].shown.oid, plan.outputs[1].shown.oid), (25, 1082));
}

#[test]
fn counts_a_sort_by_token_that_is_not_ranked() {
    assert!(world().run("SELECT DISTINCT email FROM people ORDER BY email").sorts_by_token);
    assert!(!world().run("SELECT id FROM people ORDER BY email").sorts_by_token);
    assert!(!world().run("SELECT id, email FROM people ORDER BY id").sorts_by_token);
}

#[test]
fn groups_by_ciphertext_only_beside_a_key_of_its_table() {
    let world = world();
    for sql in [
        "SELECT p.last_name, count(c.id) FROM people p LEFT JOIN comments c ON c.author_id = p.id GROUP BY p.id, p.last_name",
        "SELECT DISTINCT p.id, p.last_name FROM people p JOIN comments c ON c.author_id = p.id",
        "SELECT id, last_name FROM people GROUP BY 1, last_name",
    ] {
        world.run(sql);
    }
    for sql in [
        "SELECT last_name FROM people GROUP BY GROUPING SETS ((id), (last_name))",
        "SELECT DISTINCT x.last_name FROM (SELECT last_name FROM people) x",
    ] {
        assert_eq!(world.refusal(sql).anchor, "encrypted-operator", "{sql}");
    }
}

#[test]
fn selects_among_values_of_one_field_only() {
    let world = world();
    let plan =
        world.run("SELECT id, CASE WHEN job = 'x' THEN last_name END, COALESCE(last_name, NULL) FROM people");
    assert_eq!(
        plan.outputs.iter().map(|o| (o.column, o.field, o.subject, o.not_null)).collect::<Vec<_>>(),
        [(1, LAST, Some(0), false), (2, LAST, Some(0), false)]
    );
    world.run("SELECT COALESCE(last_name, email) IS NULL FROM people");
    for sql in [
        "SELECT COALESCE(last_name, '') FROM people",
        "SELECT COALESCE(last_name, birth_date) FROM people",
        "SELECT CASE WHEN true THEN last_name ELSE job END FROM people",
        "SELECT COALESCE(p.last_name, q.last_name) FROM people p, people q",
        "SELECT CASE last_name WHEN 'x' THEN 1 END FROM people",
    ] {
        assert_eq!(world.refusal(sql).anchor, "encrypted-operator", "{sql}");
    }
}

#[test]
fn refuses_by_name_what_ciphertext_cannot_do() {
    let world = world();
    for (sql, anchor, names) in [
        (
            "SELECT 1 FROM people p, people q WHERE p.last_name = q.last_name",
            "encrypted-operator",
            "operator =",
        ),
        (
            "SELECT 1 FROM (SELECT last_name FROM people) p WHERE last_name = 'x'",
            "encrypted-operator",
            "operator =",
        ),
        (
            "SELECT 1 FROM people WHERE last_name = (SELECT job FROM people LIMIT 1)",
            "encrypted-operator",
            "operator =",
        ),
        ("SELECT 1 FROM people GROUP BY upper(last_name)", "encrypted-operator", "upper"),
        (
            "SELECT last_name FROM people GROUP BY GROUPING SETS ((last_name), ())",
            "encrypted-operator",
            "GROUP BY",
        ),
        ("SELECT job FROM people GROUP BY job HAVING last_name = 'x'", "predicate-group", "people.last_name"),
        ("SELECT job FROM people GROUP BY job ORDER BY last_name", "predicate-group", "people.last_name"),
        ("SELECT id FROM parted WHERE last_name = 'x'", "predicate-key", "parted.last_name"),
        ("SELECT last_name || 'x' FROM people", "encrypted-operator", "operator ||"),
        ("SELECT coalesce(last_name, '') FROM people", "encrypted-operator", "COALESCE"),
        ("SELECT array_agg(last_name) FROM people", "encrypted-operator", "array_agg"),
        ("SELECT last_name FROM people UNION SELECT last_name FROM people", "encrypted-operator", "UNION"),
        ("SELECT 1 FROM people p, contacts c WHERE p.email = c.kind", "protected-expression", "people.email"),
        ("SELECT 1 FROM people p, contacts c WHERE p.badge = c.email", "token-domain", "people.badge"),
        ("SELECT email::varchar(5) FROM people", "token-operator", "cast to varchar"),
        ("SELECT birth_date::timestamptz FROM people", "encrypted-operator", "cast to timestamptz"),
        ("SELECT p FROM people p", "whole-row", "p"),
        ("SELECT to_jsonb(p.*) FROM people p", "whole-row", "p"),
        ("SELECT ROW(p.*) FROM people p", "unknown-construct", "*"),
        ("SELECT * FROM unseen_view", "view", "unseen_view"),
        ("SELECT touch_people()", "function", "touch_people"),
        ("SELECT query_to_xml('select * from people', true, true, '')", "dynamic-sql", "query_to_xml"),
        ("SELECT last_name INTO x FROM people", "select-into", "SELECT INTO"),
        ("SELECT json_exists(job::jsonb, '$.a') FROM people", "unknown-construct", "Json"),
        ("SELECT 1_000 FROM people", "version-syntax", "underscores"),
    ] {
        let refusal = world.refusal(sql);
        assert_eq!(refusal.anchor, anchor, "{sql}: {}", refusal.message);
        assert!(refusal.message.contains(names), "{sql}: {}", refusal.message);
        assert_eq!(refusal.sqlstate, "0A000");
        assert!(!refusal.hint.is_empty());
    }
}

#[test]
fn passes_what_touches_nothing_protected() {
    let world = world();
    for sql in [
        "SELECT comments FROM articles WHERE title ~ 'x'",
        "SELECT a.comments, json_exists(a.title::jsonb, '$.x') FROM articles a",
        "SELECT id, comments FROM articles a, elsewhere e WHERE e.nope = 1",
        "SELECT 'people'::regclass",
        "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname IN ('people', 'comments')",
        "SELECT * FROM hr.people",
        "INSERT INTO articles (title) VALUES ('people')",
        "DROP TABLE people",
        "VACUUM people",
        "GRANT SELECT ON people TO somebody",
        "LOCK TABLE people IN ACCESS SHARE MODE",
    ] {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}: {:?}", world.verdict(sql));
    }
}

#[test]
fn asks_for_the_catalog_once_then_lets_the_server_complain() {
    let mut world = world();
    let cases = [
        ("SELECT nope FROM people", "SELECT \"nope\" FROM \"public\".\"people\""),
        ("SELECT q.id FROM people p", "SELECT \"q\".\"id\""),
        ("SELECT p.nope FROM people p", "SELECT \"p\".\"nope\" FROM \"public\".\"people\" AS \"p\""),
        ("UPDATE people SET nope = 1", "UPDATE \"public\".\"people\" SET \"nope\" = NULL WHERE false"),
        (
            "INSERT INTO people (id) VALUES (1, 'x')",
            "INSERT INTO \"public\".\"people\" (\"id\") SELECT NULL, NULL WHERE false",
        ),
        ("SELECT p.last_name FROM people p, missing", "SELECT 1 FROM \"missing\""),
        ("INSERT INTO future (email) VALUES ('secret')", "SELECT 1 FROM \"future\""),
    ];
    for (sql, _) in cases {
        assert!(matches!(world.verdict(sql), Verdict::NeedsCatalog), "{sql}");
    }
    world.refreshed = true;
    for (sql, fails) in cases {
        assert!(matches!(world.verdict(sql), Verdict::Fails(text) if text.trim_start() == fails), "{sql}");
    }
}

#[test]
fn a_column_that_the_catalog_does_not_know_yet_is_not_taken_for_another() {
    let mut world = world();
    world.tables[0].columns.push(crate::policy::model::Placed { column: "phone".into(), field: LAST });
    let sql = "SELECT 1 FROM generate_series(1, 2) g, people WHERE phone = '06'";
    assert!(matches!(world.verdict(sql), Verdict::NeedsCatalog));
}

#[test]
fn plans_under_explain_without_values_or_hidden_columns() {
    let plan = world().run("EXPLAIN SELECT last_name FROM people WHERE email = 'x'");
    assert_eq!(plan.sql, "EXPLAIN SELECT last_name FROM people WHERE email = $1");
    assert!(plan.outputs.is_empty() && plan.hidden.is_empty());
    let plan = world().run("EXPLAIN UPDATE people SET last_name = 'x'");
    assert_eq!(plan.sql, "EXPLAIN UPDATE people SET last_name = $1");
    assert!(plan.write.is_none());
    assert_eq!(plan.params[0].action, Action::Null);
    assert_eq!(world().refusal("EXPLAIN ANALYZE DELETE FROM people").anchor, "explain-analyze");
}

#[test]
fn reads_quoted_and_escaped_names() {
    let world = world();
    assert_eq!(world.run("SELECT * FROM U&\"p\\0065ople\"").outputs.len(), 4);
    let plan = world.run("SELECT \"Last Name\" FROM hr.\"Staff\"");
    assert_eq!(plan.sql, "SELECT \"Last Name\", \"hr\".\"Staff\".\"id\" AS \"paravent 0\" FROM hr.\"Staff\"");
    assert!(matches!(world.verdict("SELECT * FROM hr.staff"), Verdict::Pass));
}

#[test]
fn a_text_that_does_not_parse_is_forwarded_only_if_it_names_nothing() {
    let world = world();
    assert_eq!(world.script("SELEC * FROM people", &[]).unwrap_err().sqlstate, "42601");
    let planned = world.script("SELEC * FROM nothing", &[]).unwrap();
    assert!(matches!(planned[0].verdict, Verdict::Pass));
}

#[test]
fn a_recursive_query_is_followed() {
    let plan = world().run(
        "WITH RECURSIVE r AS (SELECT id, last_name FROM people WHERE email = 'x' UNION ALL \
         SELECT p.id, p.last_name FROM people p JOIN r ON r.id = p.id) SELECT * FROM r",
    );
    assert_eq!(plan.params.len(), 1);
    assert_eq!(plan.outputs[0].field, LAST);
}

#[test]
fn refuses_what_nests_too_deeply_and_does_not_overflow() {
    let sql = format!("SELECT id FROM people WHERE {}1=1{}", "NOT (".repeat(3000), ")".repeat(3000));
    assert_eq!(world().refusal(&sql).anchor, "too-deep");
}

#[test]
fn a_set_operation_whose_branches_show_the_subject_in_one_place_keeps_it() {
    let world = world();
    for (sql, subject) in [
        ("SELECT id, email FROM people UNION SELECT person_id, email FROM contacts", Some(0)),
        (
            "SELECT email, id FROM people UNION ALL SELECT email, person_id FROM contacts EXCEPT SELECT email, id FROM people",
            Some(1),
        ),
        (
            "SELECT u.email, u.n FROM (SELECT id AS n, email FROM people INTERSECT SELECT id, email FROM people) u",
            Some(1),
        ),
        ("SELECT email FROM people UNION SELECT email FROM contacts", None),
        ("SELECT id, email FROM people UNION SELECT id, email FROM contacts", None),
        ("SELECT id, email FROM people UNION SELECT NULL, email FROM contacts", None),
        ("SELECT id, id AS i, email FROM people UNION SELECT 1, person_id, email FROM contacts", Some(1)),
    ] {
        let plan = world.run(sql);
        let output = plan.outputs.iter().find(|o| o.field == EMAIL).unwrap();
        assert_eq!(output.subject, subject, "{sql}");
    }
}
