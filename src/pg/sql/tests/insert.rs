//! INSERT.

use super::world::{BIRTH, EMAIL, LAST, REPR, world};
use crate::pg::plan::{Action, Source, SubjectSource, WhenTest};

#[test]
fn seals_each_row_for_its_subject() {
    let plan = world().run(
        "INSERT INTO people (id, email, last_name, birth_date) VALUES (1, 'a', 'b', DATE '1990-01-01'), ($1, $2, NULL, $3::date)",
    );
    assert_eq!(
        plan.sql,
        "INSERT INTO people (id, email, last_name, birth_date) VALUES (1, $4, $5, $6), ($1, $2, NULL, $3)"
    );
    let write = plan.write.as_ref().unwrap();
    assert!(matches!(&write.rows[0].subject, SubjectSource::Literal(id) if &**id == "1"));
    assert!(matches!(write.rows[1].subject, SubjectSource::Client(0)));
    assert!(write.bind.is_none() && plan.hidden.is_empty());
    assert_eq!(plan.params[1].action, Action::Hold { field: EMAIL, row: 1 });
    assert_eq!(plan.params[2].action, Action::Seal { field: BIRTH, row: 1 });
    assert_eq!((plan.params[0].type_oid, plan.params[2].type_oid), (0, 17));
}

#[test]
fn a_subject_that_the_database_makes_comes_back_with_witnesses() {
    let world = world();
    for subject in ["", "DEFAULT, ", "nextval('s'), "] {
        let id = if subject.is_empty() { "" } else { "id, " };
        let plan = world.run(
            &format!("INSERT INTO people ({id}email, last_name) VALUES ({subject}$1, $2);").replace(';', ""),
        );
        assert!(plan.sql.ends_with(
            " RETURNING \"people\".\"id\" AS \"paravent 0\", \"people\".\"email\" AS \"paravent 1\", \
             \"people\".\"last_name\" AS \"paravent 2\""
        ));
        assert!(plan.swallow_rows);
        let write = plan.write.as_ref().unwrap();
        let bind = write.bind.as_ref().unwrap();
        assert_eq!((bind.subject, bind.witnesses.as_slice()), (0, &[1, 2][..]));
        assert!(matches!(write.rows[0].subject, SubjectSource::Returned));
        assert_eq!(plan.hidden, [20, 1043, 1043]);
    }
}

#[test]
fn returning_shows_what_it_can_reuse() {
    let plan = world()
        .run("INSERT INTO people AS p (email, last_name) VALUES ($1, $2) RETURNING p.last_name AS n, id");
    assert!(plan.sql.ends_with("RETURNING p.last_name AS n, id, \"p\".\"email\" AS \"paravent 0\""));
    let bind = plan.write.as_ref().unwrap().bind.as_ref().unwrap();
    assert_eq!((bind.subject, bind.witnesses.as_slice()), (1, &[2, 0][..]));
    assert_eq!((plan.visible, plan.swallow_rows), (Some(2), false));
    assert_eq!((plan.outputs[0].field, plan.outputs[0].subject), (LAST, Some(1)));
}

#[test]
fn an_upsert_on_the_subject_keeps_it_and_any_other_asks_whose_row_it_was() {
    let world = world();
    let sql = "INSERT INTO people (id, last_name) VALUES (42, 'x') ON CONFLICT (id) DO UPDATE SET last_name = EXCLUDED.last_name";
    assert!(world.run(sql).write.as_ref().unwrap().bind.is_none());
    for target in
        ["(email) DO UPDATE SET last_name = EXCLUDED.last_name", "DO NOTHING", "(id, email) DO NOTHING"]
    {
        let plan = world.run(&format!(
            "INSERT INTO people (id, email, last_name) VALUES (42, 'y', 'x') ON CONFLICT {target}"
        ));
        let write = plan.write.as_ref().unwrap();
        assert!(write.bind.is_some(), "{target}");
        assert!(matches!(write.rows[0].subject, SubjectSource::Returned), "{target}");
    }
}

#[test]
fn an_upsert_that_cannot_be_followed_is_refused() {
    let world = world();
    let on = "INSERT INTO people (email, last_name) VALUES ('a', 'b'), ('c', 'd') ON CONFLICT (email) DO UPDATE SET";
    assert_eq!(world.refusal(&format!("{on} last_name = 'q'")).anchor, "upsert-values");
    assert_eq!(world.refusal(&format!("{on} last_name = EXCLUDED.job")).anchor, "protected-expression");
    assert_eq!(world.refusal(&format!("{on} id = EXCLUDED.id")).anchor, "subject-change");
    assert_eq!(world.refusal(&format!("{on} job = EXCLUDED.last_name")).anchor, "encrypted-operator");
    world.run(&format!(
        "{on} last_name = people.last_name, job = EXCLUDED.job WHERE people.email <> EXCLUDED.email"
    ));
}

#[test]
fn a_row_of_nobody_is_marked() {
    let plan = world().run("INSERT INTO comments (author_id, body) VALUES (NULL, 'x')");
    assert!(matches!(plan.write.as_ref().unwrap().rows[0].subject, SubjectSource::Nobody));
}

#[test]
fn nothing_protected_written_needs_no_write() {
    let plan = world().run("INSERT INTO people (job, last_name) VALUES ('x', NULL) RETURNING *");
    assert!(plan.write.is_none());
    assert_eq!(plan.outputs.len(), 4);
    assert!(world().run("INSERT INTO people DEFAULT VALUES").write.is_none());
}

#[test]
fn arrays_of_unnest_are_protected_element_by_element() {
    let plan = world().run(
        "INSERT INTO \"admin_log\" (\"object_id\", \"object_repr\", \"content_type_id\") SELECT * FROM \
         UNNEST(('{3,4}')::text[], (ARRAY['bob', 'al\"i', NULL])::varchar[], (ARRAY[4, 4])::integer[]) RETURNING \"admin_log\".\"id\"",
    );
    assert!(plan.sql.contains("UNNEST(('{3,4}')::text[], ($1)::text[], (ARRAY[4, 4])::integer[])"));
    assert_eq!(plan.params[0].action, Action::ProtectEach { field: REPR });
    assert!(
        matches!(&plan.params[0].source, Source::Literal(Some(v)) if v.bytes() == br#"{"bob","al\"i",NULL}"#)
    );
    let row = &plan.write.as_ref().unwrap().rows[0];
    assert!(matches!(&row.subject, SubjectSource::Each(Source::Literal(_))));
    let when = row.when.as_ref().unwrap();
    assert!(matches!(&when.value, SubjectSource::Each(_)));
    assert!(matches!(&when.equals, WhenTest::Query(q) if q.starts_with("SELECT \"id\"::text FROM")));
    let plan =
        world().run("INSERT INTO people (id, birth_date) SELECT * FROM UNNEST($1::bigint[], $2::date[])");
    assert!(plan.sql.ends_with("UNNEST($1::bigint[], $2::bytea[])"));
}

#[test]
fn other_selects_into_protected_columns_are_refused() {
    let world = world();
    for sql in [
        "INSERT INTO people (last_name) SELECT title FROM articles",
        "INSERT INTO people (id, last_name) SELECT * FROM UNNEST($1::int[], $2::text[]) WITH ORDINALITY",
        "INSERT INTO people (last_name) SELECT upper(x) FROM UNNEST($1::text[]) x",
        "INSERT INTO people (id, last_name) SELECT * FROM UNNEST($1::int[], ARRAY[$2])",
        "INSERT INTO articles (title) SELECT last_name FROM people",
    ] {
        assert_eq!(world.refusal(sql).anchor, "insert-select", "{sql}");
    }
    world.run("INSERT INTO articles (title) SELECT job FROM people WHERE email = 'x'");
}

#[test]
fn tables_where_rows_cannot_be_followed_are_refused() {
    let world = world();
    assert_eq!(world.refusal("INSERT INTO ruled (id, last_name) VALUES (1, 'x')").anchor, "rules");
    assert_eq!(world.refusal("INSERT INTO parted (id, last_name) VALUES (1, 'x')").anchor, "hierarchy");
    assert_eq!(world.refusal("INSERT INTO triggered (last_name) VALUES ('x')").anchor, "before-triggers");
    world.run("INSERT INTO triggered (id, last_name) VALUES (1, 'x')");
    let sql = "INSERT INTO admin_log (object_id, object_repr, content_type_id) VALUES ('1', 'x', 2 + 2)";
    assert_eq!(world.refusal(sql).anchor, "when-expression");
}

#[test]
fn a_value_that_is_no_constant_is_refused() {
    assert_eq!(
        world().refusal("INSERT INTO people (last_name) VALUES (lower('x'))").anchor,
        "protected-expression"
    );
    assert_eq!(world().refusal("INSERT INTO people (last_name) VALUES ('x'::varchar(2))").anchor, "cast");
}

#[test]
fn an_upsert_sets_nothing_protected_where_rows_hold_persons_only_in_part() {
    let world = world();
    let lead = "INSERT INTO admin_log (id, content_type_id, object_id, object_repr) VALUES (1, 2, '1', 'x') \
                ON CONFLICT (id) DO";
    for set in [
        "object_repr = excluded.object_repr",
        "object_repr = 'y'",
        "content_type_id = excluded.content_type_id",
        "object_id = excluded.object_id",
    ] {
        assert_eq!(world.refusal(&format!("{lead} UPDATE SET {set}")).anchor, "when-update", "{set}");
    }
    world.run(&format!("{lead} NOTHING"));
    world.run(&format!("{lead} UPDATE SET note = 'x'"));
}

#[test]
fn a_constant_whose_cast_changes_its_spelling_tells_no_row() {
    let sql =
        "INSERT INTO admin_log (content_type_id, object_id, object_repr) VALUES ('2'::text::int, '1', 'x')";
    assert_eq!(world().refusal(sql).anchor, "when-expression");
    let plan = world()
        .run("INSERT INTO admin_log (content_type_id, object_id, object_repr) VALUES (2::int8, '1', 'x')");
    assert_eq!(plan.write.as_ref().unwrap().rows[0].when.as_ref().unwrap().oid, 23);
}

#[test]
fn rows_of_values_in_from_are_protected_row_by_row() {
    let world = world();
    let plan = world.run(
        "INSERT INTO people (email, last_name, birth_date, job) SELECT p0::VARCHAR, p1::VARCHAR, p2::DATE, p3 \
         FROM (VALUES ($1, $2, NULL, 'a', 0), ($3, 'x', $4, 'b', 1)) AS imp_sen(p0, p1, p2, p3, sen_counter) \
         ORDER BY sen_counter RETURNING people.id, people.id AS id__1",
    );
    assert_eq!(
        plan.sql,
        "INSERT INTO people (email, last_name, birth_date, job) SELECT p0::text, p1::text, p2::bytea, p3 \
         FROM (VALUES ($1, $2, NULL, 'a', 0), ($3, $5, $4, 'b', 1)) AS imp_sen(p0, p1, p2, p3, sen_counter) \
         ORDER BY sen_counter RETURNING people.id, people.id AS id__1, \"people\".\"email\" AS \"paravent 0\", \
         \"people\".\"last_name\" AS \"paravent 1\", \"people\".\"birth_date\" AS \"paravent 2\""
    );
    assert_eq!(plan.params[0].action, Action::Hold { field: EMAIL, row: 0 });
    assert_eq!(plan.params[3].action, Action::Seal { field: BIRTH, row: 1 });
    assert_eq!(plan.params[4].action, Action::Seal { field: LAST, row: 1 });
    assert_eq!(plan.write.as_ref().unwrap().rows.len(), 2);
    let plan = world.run(
        "INSERT INTO people (id, last_name) SELECT v.a::bigint, v.b FROM (VALUES ($1, $2), (7, $3)) AS v(a, b)",
    );
    assert!(
        plan.sql
            .ends_with("SELECT v.a::bigint, v.b::text FROM (VALUES ($1::bigint, $2), (7, $3)) AS v(a, b)")
    );
    let rows = &plan.write.as_ref().unwrap().rows;
    assert!(matches!(rows[0].subject, SubjectSource::Client(0)));
    assert!(matches!(&rows[1].subject, SubjectSource::Literal(id) if &**id == "7"));
}

#[test]
fn values_in_from_that_cannot_be_followed_are_refused() {
    let world = world();
    let into = "INSERT INTO people (email, last_name) SELECT";
    for (select, anchor) in [
        ("a, lower(b) FROM (VALUES ('x', 'y')) v(a, b)", "insert-select"),
        ("a, a FROM (VALUES ('x')) v(a)", "insert-select"),
        ("a, b FROM (VALUES ('x', 'y')) v(a, b) WHERE a > 'b'", "insert-select"),
        ("a, b FROM (VALUES ('x', 'y')) v(a, b) LIMIT 1", "insert-select"),
        ("a, b FROM (VALUES ('x', 'y')) v(a, b), comments", "insert-select"),
        ("a, b FROM (SELECT 'x', 'y') v(a, b)", "insert-select"),
        ("a, b FROM (VALUES ('x', 'y')) v(a, b) ORDER BY b", "encrypted-operator"),
        ("a, b::integer FROM (VALUES ('x', 'y')) v(a, b)", "cast"),
        ("a, b FROM (VALUES ('x', upper('y'))) v(a, b)", "protected-expression"),
    ] {
        assert_eq!(world.refusal(&format!("{into} {select}")).anchor, anchor, "{select}");
    }
    let twice = "INSERT INTO people (email, job) SELECT a, a FROM (VALUES ('x')) v(a)";
    assert_eq!(world.refusal(twice).anchor, "insert-select");
    let computed = "INSERT INTO people (email, job) SELECT a, a || 'x' FROM (VALUES ('x')) v(a)";
    assert_eq!(world.refusal(computed).anchor, "token-operator");
}
