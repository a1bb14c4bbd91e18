//! Views: what flows from their columns; what is kept in them; writes through them.

use super::world;
use super::world::LAST;
use crate::pg::plan::Verdict;
use std::sync::Arc;

#[test]
fn what_flows_from_a_view_is_opened_with_its_subject() {
    let world = world();
    let plan = world.run("SELECT v.last_name FROM staff_view v JOIN articles a ON a.author_id = v.id");
    assert_eq!(
        plan.sql,
        "SELECT v.last_name, \"v\".\"id\" AS \"paravent 0\" FROM staff_view v JOIN articles a ON a.author_id = v.id"
    );
    assert_eq!((plan.outputs[0].field, plan.outputs[0].subject), (LAST, Some(1)));
    let plan = world.run("SELECT * FROM staff_view");
    assert_eq!((plan.outputs[0].column, plan.outputs[0].subject), (1, Some(0)));
    for (sql, anchor) in [
        ("SELECT upper(last_name) FROM staff_view", "encrypted-operator"),
        ("SELECT staff_view FROM staff_view", "whole-row"),
        ("SELECT id FROM staff_view WHERE last_name = 'x'", "encrypted-operator"),
        ("INSERT INTO articles (title) SELECT last_name FROM staff_view", "insert-select"),
        ("SELECT * FROM unseen_view", "view"),
    ] {
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
}

#[test]
fn nothing_is_written_through_a_view() {
    let world = world();
    for sql in [
        "INSERT INTO staff_view VALUES (1, 'x')",
        "UPDATE staff_view SET last_name = 'x' WHERE id = 1",
        "UPDATE staff_view SET id = 2",
        "DELETE FROM staff_view",
        "INSERT INTO staff_view SELECT 1, 'x'",
    ] {
        assert_eq!(world.refusal(sql).anchor, "view-write", "{sql}");
    }
    assert_eq!(world.refusal("COPY staff_view FROM STDIN").anchor, "view-write");
    assert_eq!(world.refusal("COPY staff_view TO STDOUT").anchor, "copy");
}

#[test]
fn a_view_is_made_as_it_is_written_where_the_database_can_run_it_alone() {
    let world = world();
    for sql in [
        "CREATE VIEW v AS SELECT id, last_name FROM people",
        "CREATE OR REPLACE VIEW v AS SELECT p.last_name::text, c.body FROM people p JOIN comments c ON c.author_id = p.id",
        "CREATE MATERIALIZED VIEW v AS SELECT id, email FROM people WHERE email IS NOT NULL",
        "CREATE TABLE x AS SELECT id, job FROM people",
    ] {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}");
    }
}

#[test]
fn what_can_t_be_read_of_a_relation_closes_it_beside_what_is_protected() {
    let mut world = world();
    for (name, sql) in [
        ("staff_view", "SELECT id FROM staff_view"),
        ("content_type", "SELECT t.id FROM people p JOIN content_type t ON t.id = p.id"),
        ("people", "SELECT id FROM people"),
        ("people", "UPDATE people SET last_name = 'x' WHERE id = 1"),
        ("people", "INSERT INTO people (id, last_name) VALUES (1, 'x')"),
        ("people", "DELETE FROM people WHERE id = 1"),
        ("people", "COPY people (id, last_name) FROM STDIN"),
    ] {
        let relation = world.catalog.relations.get_mut(&("public".into(), name.into())).unwrap();
        Arc::make_mut(relation).odd = true;
        assert_eq!(world.refusal(sql).anchor, "odd-relation", "{sql}");
    }
    assert!(
        matches!(world.verdict("SELECT id FROM content_type"), Verdict::Pass),
        "nothing protected is named"
    );
}
