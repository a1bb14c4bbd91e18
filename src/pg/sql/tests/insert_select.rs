//! INSERT … SELECT: constants, and what is copied within the database.

use super::world::{EMAIL, LAST, world};
use crate::pg::plan::{Action, SubjectSource};

#[test]
fn constants_are_protected_as_in_values() {
    let world = world();
    let plan = world.run(
        "INSERT INTO people (id, email, last_name, job) SELECT $1, $2, 'x'::text, upper($3) \
         WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = $2)",
    );
    assert_eq!(
        plan.sql,
        "INSERT INTO people (id, email, last_name, job) SELECT $1, $5, $6, upper($3) \
         WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = $4)"
    );
    let write = plan.write.as_ref().unwrap();
    assert!(write.bind.is_none());
    assert!(matches!(write.rows[0].subject, SubjectSource::Client(0)));
    assert_eq!(plan.params[3].action, Action::Find { field: EMAIL });
    assert_eq!(plan.params[4].action, Action::Hold { field: EMAIL, row: 0 });
    assert_eq!(plan.params[5].action, Action::Seal { field: LAST, row: 0 });
    let plan = world.run("INSERT INTO people (email, last_name) SELECT $1, $2 RETURNING id");
    let bind = plan.write.as_ref().unwrap().bind.as_ref().unwrap();
    assert!(!bind.repeats, "one row at most");
    assert_eq!(bind.witnesses.len(), 2);
}

#[test]
fn each_branch_of_a_union_is_a_row() {
    let plan = world().run(
        "INSERT INTO people (id, email, last_name) SELECT 1, 'a', 'b' UNION ALL SELECT 2, $1, NULL UNION ALL SELECT 3, 'c', 'd'",
    );
    assert_eq!(
        plan.sql,
        "INSERT INTO people (id, email, last_name) SELECT 1, $2, $3 UNION ALL SELECT 2, $1, NULL UNION ALL SELECT 3, $4, $5"
    );
    let rows = &plan.write.as_ref().unwrap().rows;
    assert!(matches!(&rows[2].subject, SubjectSource::Literal(id) if &**id == "3"));
    assert_eq!(plan.params[0].action, Action::Hold { field: EMAIL, row: 1 });
}

#[test]
fn a_subject_that_is_selected_comes_back() {
    let plan = world()
        .run("INSERT INTO comments (author_id, body) SELECT p.id, $1 FROM people p WHERE p.email = $2");
    let bind = plan.write.as_ref().unwrap().bind.as_ref().unwrap();
    assert!(bind.repeats, "it may be several");
    assert!(plan.sql.ends_with(
        "RETURNING \"comments\".\"author_id\" AS \"paravent 0\", \"comments\".\"body\" AS \"paravent 1\""
    ));
}

#[test]
fn stored_values_are_copied_where_field_and_subject_are_the_same() {
    let world = world();
    for sql in [
        "INSERT INTO archive (id, email, last_name) SELECT id, email, last_name FROM people WHERE job = 'x'",
        "INSERT INTO archive (last_name, job, id) SELECT p.last_name, 'gone', p.id FROM people p JOIN articles a ON a.author_id = p.id",
        "INSERT INTO archive (id, last_name) SELECT id, COALESCE(last_name, NULL) FROM people ORDER BY id LIMIT 3",
        "INSERT INTO archive (id, email) SELECT id, email FROM people UNION ALL SELECT person_id, email FROM contacts",
        "INSERT INTO archive (id, last_name) SELECT id, last_name FROM people ON CONFLICT (id) DO UPDATE SET last_name = EXCLUDED.last_name",
        "INSERT INTO archive (id, last_name) SELECT id, last_name FROM staff_view ON CONFLICT DO NOTHING",
        "INSERT INTO archive SELECT id, email, last_name, birth_date FROM people",
        "INSERT INTO archive (id, email) SELECT x.* FROM (SELECT id, email FROM people) x",
    ] {
        let plan = world.run(sql);
        assert!(plan.write.is_none() && plan.params.is_empty(), "{sql}");
        assert_eq!(plan.sql, sql);
    }
    let plan =
        world.run("INSERT INTO archive (id, last_name) SELECT id, last_name FROM people WHERE email = 'x'");
    assert!(plan.sql.ends_with("WHERE email = $1") && plan.write.is_none());
}

#[test]
fn what_is_not_the_same_is_not_copied() {
    let world = world();
    for sql in [
        // No subject, another subject, one that is computed.
        "INSERT INTO archive (email) SELECT email FROM people",
        "INSERT INTO archive (id, email) SELECT person_id + 1, email FROM contacts",
        "INSERT INTO archive (id, last_name) SELECT a.author_id, p.last_name FROM people p JOIN articles a ON a.author_id = p.id",
        "INSERT INTO archive (id, last_name) SELECT a.id, b.last_name FROM people a, people b",
        "INSERT INTO archive (id, last_name) SELECT 7, last_name FROM people",
        "INSERT INTO archive (id, last_name) SELECT id, (SELECT last_name FROM people LIMIT 1) FROM people",
        "INSERT INTO people (id, last_name) SELECT id + 1000, last_name FROM people",
        // Another field.
        "INSERT INTO archive (id, email) SELECT id, last_name FROM people",
        "INSERT INTO comments (author_id, body) SELECT id, last_name FROM people",
        // To where nothing is protected, from where nothing is.
        "INSERT INTO archive (id, job) SELECT id, last_name FROM people",
        "INSERT INTO archive (id, last_name) SELECT id, job FROM people",
        "INSERT INTO archive (id, last_name) SELECT id, title FROM articles",
        // One branch tells the subject, the other does not.
        "INSERT INTO archive (id, email) SELECT id, email FROM people UNION ALL SELECT 7, email FROM contacts",
        "INSERT INTO archive (id, email) SELECT id, email FROM people UNION ALL SELECT 7, 'x'",
        "INSERT INTO archive (id, last_name) SELECT 1, 'x' UNION SELECT 1, 'x'",
        // The row that is met may be another person's.
        "INSERT INTO archive (id, email, last_name) SELECT id, email, last_name FROM people \
         ON CONFLICT (email) DO UPDATE SET last_name = EXCLUDED.last_name",
        "INSERT INTO comments (author_id, body) SELECT p.id, 'x' FROM people p ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body",
    ] {
        let refusal = world.refusal(sql);
        assert_eq!(refusal.anchor, "insert-select", "{sql}: {}", refusal.message);
    }
}
