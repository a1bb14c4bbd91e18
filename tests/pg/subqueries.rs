//! Subqueries and WITH queries that leave the subject's column out: it is passed outward, and the client sees nothing of it.

use super::differential::{Mode, compare_corpus};
use crate::support::{World, row};

const CORPUS: &str = include_str!("subqueries.sql");

fn compare(mode: Mode) {
    let world = World::new();
    assert!(compare_corpus(CORPUS, mode, world.clear(), world.through()) > 70);
}

#[test]
fn subqueries_in_simple_queries_answer_as_a_clear_copy_does() {
    compare(Mode::Simple);
}

#[test]
fn subqueries_in_extended_queries_in_text_answer_as_a_clear_copy_does() {
    compare(Mode::Extended(0));
}

#[test]
fn subqueries_in_extended_queries_in_binary_answer_as_a_clear_copy_does() {
    compare(Mode::Extended(1));
}

#[test]
fn cursors_prepared_statements_and_copies_of_subqueries_show_what_they_name() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    let query = "SELECT * FROM (SELECT last_name AS v FROM people ORDER BY id) x";
    let rows = [row(["Last-Ana"]), row(["Last-Bea"])];
    client.rows("BEGIN");
    client.rows(&format!("DECLARE c CURSOR FOR {query}"));
    assert_eq!(client.rows("FETCH ALL FROM c"), rows);
    client.rows("COMMIT");
    client.rows(&format!("PREPARE s AS {query}"));
    assert_eq!(client.rows("EXECUTE s"), rows);
    let answers = client.query(&format!("COPY ({query}) TO STDOUT (FORMAT csv, HEADER)"));
    let data = answers.iter().filter(|m| m.tag == b'd').flat_map(|m| m.body.clone()).collect::<Vec<_>>();
    assert_eq!(String::from_utf8(data).unwrap(), "v\nLast-Ana\nLast-Bea\n");
}
