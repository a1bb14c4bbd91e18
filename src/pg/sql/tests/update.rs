//! UPDATE and DELETE.

use super::world::{LAST, world};
use crate::pg::plan::{Action, SubjectSource};

#[test]
fn a_subject_fixed_by_the_condition_needs_no_lookup() {
    let world = world();
    for (condition, literal) in
        [("id = 5", true), ("$2 = people.id AND job = 'x'", false), ("(id IN (5))", true)]
    {
        let plan = world.run(&format!("UPDATE people SET last_name = $1 WHERE {condition}"));
        let write = plan.write.as_ref().unwrap();
        assert!(write.lookup.is_none(), "{condition}");
        match (&write.rows[0].subject, literal) {
            (SubjectSource::Literal(id), true) => assert_eq!(&**id, "5"),
            (SubjectSource::Client(1), false) => {}
            other => panic!("{condition}: {other:?}"),
        }
        assert_eq!(plan.params[0].action, Action::Seal { field: LAST, row: 0 });
    }
}

#[test]
fn any_other_condition_is_looked_up_first() {
    let plan = world()
        .run("UPDATE people p SET last_name = $1, job = 'a' WHERE p.email = $2 OR id = 3 RETURNING p.job");
    assert_eq!(
        plan.sql,
        "UPDATE people p SET last_name = ($1::text[])[array_position($3::bigint[], \"p\".\"id\")], job = 'a' \
         WHERE (p.email = $2 OR id = 3) AND \"p\".\"id\" = ANY($3::bigint[]) RETURNING p.job"
    );
    let write = plan.write.as_ref().unwrap();
    let lookup = write.lookup.as_ref().unwrap();
    assert_eq!(
        lookup.sql,
        "SELECT \"p\".\"id\" FROM \"public\".\"people\" AS \"p\" WHERE p.email = $2 OR id = 3\nFOR UPDATE"
    );
    assert_eq!(lookup.uses, [false, true, false]);
    assert!(matches!(write.rows[0].subject, SubjectSource::Found));
    assert_eq!(plan.params[0].action, Action::ProtectPerSubject { field: LAST });
    assert_eq!((plan.params[0].type_oid, plan.params[2].type_oid), (1009, 1016));
    assert_eq!(plan.params[2].action, Action::Subjects);
}

#[test]
fn without_a_condition_every_row_is_looked_up() {
    let plan = world().run("UPDATE comments SET body = 'x' -- all\nRETURNING body");
    assert_eq!(
        plan.sql,
        "UPDATE comments SET body = ($2::text[])[array_position($1::bigint[], \"comments\".\"author_id\")] \
         WHERE \"comments\".\"author_id\" = ANY($1::bigint[]) -- all\nRETURNING body, \
         \"comments\".\"author_id\" AS \"paravent 0\""
    );
    let lookup = plan.write.as_ref().unwrap().lookup.as_ref().unwrap();
    assert_eq!(lookup.sql, "SELECT \"comments\".\"author_id\" FROM \"public\".\"comments\" FOR UPDATE");
}

#[test]
fn a_row_changes_its_subject_only_with_all_it_holds() {
    let world = world();
    assert_eq!(world.refusal("UPDATE comments SET author_id = 7 WHERE id = 3").anchor, "subject-change");
    let plan = world.run("UPDATE comments SET author_id = 7, body = 'x', likes = 2 WHERE id = 3");
    let write = plan.write.as_ref().unwrap();
    assert!(matches!(&write.rows[0].subject, SubjectSource::Literal(id) if &**id == "7"));
    assert!(write.lookup.is_none());
    assert!(world.run("UPDATE comments SET author_id = author_id, likes = 1").write.is_none());
}

#[test]
fn null_default_and_itself_need_no_protection() {
    let plan = world()
        .run("UPDATE people SET last_name = NULL, birth_date = DEFAULT, email = email WHERE job = 'x'");
    assert!(plan.write.is_none());
}

#[test]
fn several_columns_at_once() {
    let plan = world().run("UPDATE people SET (last_name, job) = ROW('a', 'b') WHERE id = $1");
    assert_eq!(plan.sql, "UPDATE people SET (last_name, job) = ROW($2, 'b') WHERE id = $1");
    let sql = "UPDATE people SET (last_name, job) = (SELECT 'a', 'b') WHERE id = $1";
    assert_eq!(world().refusal(sql).anchor, "unknown-construct");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let world = world();
    for (sql, anchor) in [
        ("UPDATE people SET last_name = job", "protected-expression"),
        ("UPDATE people SET job = last_name", "encrypted-operator"),
        ("UPDATE people SET last_name = email WHERE id = 1", "protected-expression"),
        (
            "UPDATE people p SET last_name = c.body FROM comments c WHERE c.author_id = p.id",
            "protected-expression",
        ),
        ("UPDATE people SET last_name = COALESCE($1, job)", "protected-expression"),
        ("UPDATE people SET last_name = COALESCE($1, email)", "protected-expression"),
        ("UPDATE people SET last_name = COALESCE($1, last_name, 'x')", "protected-expression"),
        ("UPDATE triggered SET last_name = 'x' WHERE CURRENT OF c", "before-triggers"),
        ("UPDATE admin_log SET object_repr = 'x' WHERE CURRENT OF c", "when-update"),
        ("UPDATE admin_log SET object_repr = 'x' WHERE id = 3", "when-update"),
        ("UPDATE parted SET last_name = 'x' WHERE id = 1", "hierarchy"),
        ("UPDATE people SET last_name[1] = 'x' WHERE id = 1", "unknown-construct"),
    ] {
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
    world.run("UPDATE people p SET last_name = 'x' FROM articles o WHERE p.id = 7 AND o.id = 3");
    world.run("UPDATE admin_log SET object_repr = 'x' WHERE object_id = '3' AND content_type_id = $1");
}

#[test]
fn deletes_find_tokens_and_show_what_they_return() {
    let plan = world().run("DELETE FROM people USING comments c WHERE c.author_id = people.id AND people.email = 'x' RETURNING c.body");
    assert!(plan.sql.contains("people.email = $1 RETURNING c.body, \"c\".\"author_id\" AS \"paravent 0\""));
    assert!(plan.write.is_none());
}

#[test]
fn rows_of_the_erased_keep_what_they_hold_in_a_text_of_its_own() {
    let world = world();
    let keep = |sql: &str| world.run(sql).keep.as_ref().map(|k| k.sql.clone());
    assert_eq!(
        keep("UPDATE people SET email = '', last_name = $1::text, birth_date = NULL, job = 'x' WHERE id = 5")
            .unwrap(),
        "UPDATE people SET email = CASE WHEN $2 IS NULL THEN NULL ELSE \"people\".\"email\" END, \
         last_name = CASE WHEN $1 IS NULL THEN NULL ELSE \"people\".\"last_name\" END, birth_date = NULL, \
         job = 'x' WHERE id = 5"
    );
    let found = keep("UPDATE people p SET last_name = $1 WHERE job = 'x'").unwrap();
    assert!(found.contains(
        "last_name = CASE WHEN $1 IS NULL THEN NULL ELSE COALESCE(($1::text[])[array_position($2::bigint[], \
         \"p\".\"id\")], \"p\".\"last_name\") END WHERE"
    ));
    let upsert = "INSERT INTO people (id, last_name) VALUES (1, $1), (2, $2) ON CONFLICT (id) DO UPDATE SET \
                  last_name = EXCLUDED.last_name";
    let plan = world.run(upsert);
    let keep_plan = plan.keep.as_ref().unwrap();
    assert!(plan.sql.ends_with("DO UPDATE SET last_name = EXCLUDED.last_name"));
    assert!(keep_plan.sql.ends_with(
        "DO UPDATE SET last_name = CASE WHEN \"people\".\"id\" = ANY($3::bigint[]) AND EXCLUDED.last_name IS \
         NOT NULL THEN \"people\".\"last_name\" ELSE EXCLUDED.last_name END"
    ));
    let (rows, oid) = keep_plan.rows.as_ref().unwrap();
    assert_eq!(
        rows,
        "SELECT \"id\"::text FROM \"public\".\"people\" WHERE \"id\"::bigint = ANY($1::bigint[]) FOR UPDATE"
    );
    assert_eq!((*oid, &plan.params[2].action), (1016, &Action::Kept));
    // Nobody's row, or somebody else's.
    for sql in [
        "UPDATE people SET id = 6, email = '', last_name = '', birth_date = NULL, badge = NULL WHERE id = 5",
        "INSERT INTO people (id, last_name) VALUES (1, $1)",
        "INSERT INTO people (id, last_name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO people (id, email, last_name) VALUES (1, $1, $2) ON CONFLICT (email) DO UPDATE SET \
         last_name = EXCLUDED.last_name",
        "UPDATE people SET job = 'x' WHERE id = 5",
    ] {
        assert!(keep(sql).is_none(), "{sql}");
    }
}

#[test]
fn a_lookup_has_the_statements_own_from_and_with() {
    let plan = world().run(
        "WITH w AS (SELECT id FROM articles -- all\n) UPDATE ONLY people SET last_name = $1 FROM w, contacts c -- more\n \
         WHERE w.id = people.id AND c.email = 'x' RETURNING c.email",
    );
    let lookup = plan.write.as_ref().unwrap().lookup.as_ref().unwrap();
    assert_eq!(
        lookup.sql,
        "WITH w AS (SELECT id FROM articles -- all\n) SELECT \"people\".\"id\" FROM ONLY \"public\".\"people\", \
         w, contacts c -- more\n \n WHERE w.id = people.id AND c.email = $3\nFOR UPDATE OF \"people\""
    );
    assert!(
        lookup.distinct.contains("SELECT DISTINCT \"people\".\"id\"")
            && !lookup.distinct.contains("FOR UPDATE")
    );
    assert!(!lookup.unique, "a row may be found several times");
    let plan = world().run("UPDATE people AS \"P\" SET last_name = 'x' FROM articles a");
    let lookup = plan.write.as_ref().unwrap().lookup.as_ref().unwrap();
    assert_eq!(
        lookup.sql,
        "SELECT \"P\".\"id\" FROM \"public\".\"people\" AS \"P\", articles a\n\nFOR UPDATE OF \"P\""
    );
}

#[test]
fn the_row_of_a_cursor_tells_whose_it_is() {
    let plan = world()
        .run("UPDATE people p SET last_name = $1, job = 'x', email = 'y' WHERE CURRENT OF c RETURNING p.job");
    assert!(plan.sql.ends_with(
        "WHERE CURRENT OF c RETURNING p.job, \"p\".\"id\" AS \"paravent 0\", \"p\".\"last_name\" AS \"paravent 1\", \
         \"p\".\"email\" AS \"paravent 2\""
    ));
    let write = plan.write.as_ref().unwrap();
    assert!(matches!(write.rows[0].subject, SubjectSource::Returned) && write.lookup.is_none());
    let bind = write.bind.as_ref().unwrap();
    assert_eq!((bind.subject, &bind.witnesses[..]), (1, &[2, 3][..]));
    assert!(plan.keep.is_none());
    assert!(world().run("UPDATE people SET job = 'x' WHERE CURRENT OF c").write.is_none());
}

#[test]
fn a_value_that_is_null_may_leave_the_column_as_it_is() {
    let plan = world().run("UPDATE people SET last_name = COALESCE($1::text, people.last_name) WHERE id = 5");
    assert_eq!(plan.sql, "UPDATE people SET last_name = COALESCE($1, people.last_name) WHERE id = 5");
    assert_eq!(plan.params[0].action, Action::Seal { field: LAST, row: 0 });
    let plan = world().run("UPDATE people SET last_name = COALESCE($1, last_name)");
    assert!(
        plan.sql
            .contains("COALESCE(($1::text[])[array_position($2::bigint[], \"people\".\"id\")], last_name)")
    );
}
