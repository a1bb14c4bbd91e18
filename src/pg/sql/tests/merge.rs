//! MERGE.

use super::world::{BIRTH, LAST, world};
use crate::pg::plan::{Action, SubjectSource, Verdict};

#[test]
fn rows_of_constants_are_protected_each_for_its_subject() {
    let world = world();
    let plan = world.run(
        "MERGE INTO people p USING (VALUES (1, 'x', NULL), (2, $1, $2::date)) AS s(id, name, birth) ON p.id = s.id \
         WHEN MATCHED THEN UPDATE SET last_name = s.name, birth_date = s.birth \
         WHEN NOT MATCHED THEN INSERT (id, last_name, job) VALUES (s.id, s.name, 'new')",
    );
    assert_eq!(
        plan.sql,
        "MERGE INTO people p USING (VALUES (1, $3::varchar, NULL::bytea), (2, $1::varchar, $2::bytea)) AS s(id, name, birth) \
         ON p.id = s.id WHEN MATCHED THEN UPDATE SET last_name = s.name, birth_date = s.birth \
         WHEN NOT MATCHED THEN INSERT (id, last_name, job) VALUES (s.id, s.name, 'new')"
            .replace("::varchar", "::text")
    );
    let write = plan.write.as_ref().unwrap();
    assert_eq!(write.rows.len(), 2);
    assert!(matches!(&write.rows[1].subject, SubjectSource::Literal(id) if &**id == "2"));
    assert_eq!(plan.params[0].action, Action::Seal { field: LAST, row: 1 });
    assert_eq!(plan.params[1].action, Action::Seal { field: BIRTH, row: 1 });
    // As Hibernate writes it.
    let plan = world.run(
        "merge into people as t using (select cast($1 as bigint) id, cast($2 as text) last_name) s on (t.id=s.id) \
         when not matched then insert (id, last_name) values (s.id, s.last_name) \
         when matched then update set last_name=s.last_name",
    );
    assert!(
        plan.sql.contains("using (select cast($1 as bigint) id, $2::text last_name) s")
            || plan.sql.contains("($2::text )"),
        "{}",
        plan.sql
    );
    assert!(matches!(plan.write.as_ref().unwrap().rows[0].subject, SubjectSource::Client(0)));
}

#[test]
fn constants_in_its_actions_need_a_subject_that_is_one() {
    let world = world();
    let plan = world.run(
        "MERGE INTO people p USING articles a ON p.id = $1 AND a.id = 3 WHEN MATCHED AND a.title = 'x' THEN UPDATE SET last_name = $2 \
         WHEN NOT MATCHED THEN INSERT (id, last_name) VALUES ($1, 'y')",
    );
    assert_eq!(plan.write.as_ref().unwrap().rows.len(), 2);
    assert!(plan.sql.ends_with("VALUES ($1, $3)"));
    for (sql, anchor) in [
        (
            "MERGE INTO people p USING articles a ON p.id = a.author_id WHEN MATCHED THEN UPDATE SET last_name = 'x'",
            "merge",
        ),
        (
            "MERGE INTO people p USING articles a ON p.id = a.author_id WHEN NOT MATCHED THEN INSERT (id, last_name) VALUES (a.author_id, 'x')",
            "merge",
        ),
        (
            "MERGE INTO people p USING articles a ON false WHEN NOT MATCHED THEN INSERT (last_name) VALUES ('x')",
            "merge",
        ),
        (
            "MERGE INTO people p USING articles a ON p.id = a.author_id WHEN MATCHED THEN UPDATE SET last_name = a.title",
            "protected-expression",
        ),
        (
            "MERGE INTO people p USING articles a ON p.id = 1 WHEN MATCHED THEN UPDATE SET id = 2",
            "subject-change",
        ),
        (
            "MERGE INTO articles a USING people p ON p.id = a.author_id WHEN MATCHED THEN UPDATE SET title = p.last_name",
            "encrypted-operator",
        ),
        (
            "MERGE INTO people p USING (VALUES (1, 'x')) s(id, n) ON p.id = s.id WHEN MATCHED AND s.n <> 'y' THEN UPDATE SET last_name = s.n",
            "encrypted-operator",
        ),
        (
            "MERGE INTO people p USING (VALUES (1, 'x')) s(id, n) ON p.id = s.id WHEN MATCHED THEN UPDATE SET last_name = s.n, job = s.n",
            "encrypted-operator",
        ),
        (
            "MERGE INTO people p USING (VALUES (1 + 1, 'x')) s(id, n) ON p.id = s.id WHEN MATCHED THEN UPDATE SET last_name = s.n",
            "merge",
        ),
        (
            "MERGE INTO people p USING (VALUES (1, upper('x'))) s(id, n) ON p.id = s.id WHEN MATCHED THEN UPDATE SET last_name = s.n",
            "protected-expression",
        ),
        ("MERGE INTO staff_view v USING articles a ON v.id = a.id WHEN MATCHED THEN DELETE", "view-write"),
        (
            "MERGE INTO admin_log l USING articles a ON l.id = 1 WHEN MATCHED THEN UPDATE SET object_repr = 'x'",
            "merge",
        ),
        (
            "MERGE INTO people p USING articles a ON p.last_name = 'x' WHEN MATCHED THEN DELETE",
            "encrypted-operator",
        ),
    ] {
        let refusal = world.refusal(sql);
        assert_eq!(refusal.anchor, anchor, "{sql}: {}", refusal.message);
    }
}

#[test]
fn stored_values_are_copied_where_on_names_the_subject() {
    let world = world();
    let sql = "MERGE INTO archive a USING people p ON a.id = p.id WHEN MATCHED AND a.job = 'x' THEN UPDATE SET last_name = p.last_name, job = p.job \
               WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, email, last_name) VALUES (p.id, p.email, p.last_name)";
    let plan = world.run(sql);
    assert!(plan.write.is_none() && plan.modifies);
    assert_eq!(plan.sql, sql);
    for sql in [
        "MERGE INTO archive a USING people p ON a.job = p.job WHEN MATCHED THEN UPDATE SET last_name = p.last_name",
        "MERGE INTO archive a USING people p ON a.id = p.id OR p.id = 3 WHEN MATCHED THEN UPDATE SET last_name = p.last_name",
        "MERGE INTO archive a USING people p ON a.id = p.id WHEN MATCHED THEN UPDATE SET email = p.last_name",
        "MERGE INTO archive a USING people p ON a.id = p.id WHEN NOT MATCHED THEN INSERT (id, last_name) VALUES (p.id + 1, p.last_name)",
    ] {
        assert_eq!(world.refusal(sql).anchor, "protected-expression", "{sql}");
    }
    assert!(matches!(
        world.verdict("MERGE INTO articles a USING people p ON p.id = a.author_id AND p.email = 'x' WHEN MATCHED THEN DELETE"),
        Verdict::Run(_)
    ));
    let plan = world.run(
        "MERGE INTO archive a USING people p ON a.id = p.id WHEN MATCHED THEN UPDATE SET job = 'x' RETURNING a.id, a.last_name",
    );
    assert_eq!((plan.outputs[0].column, plan.outputs[0].subject), (1, Some(0)));
}
