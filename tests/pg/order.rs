//! What an attack found once: nothing overtakes rows that may fail their transaction, nothing is planned
//! with a schema or search path that has moved on, and a write that wrote nothing leaves nothing.

use crate::support::{World, raw, row, tags};

/// A person whose first name lies in clear behind the gateway: reading it fails.
fn with_a_bad_row() -> World {
    let world = World::new();
    world.through().rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    world.direct().rows("UPDATE people SET first_name = 'planted' WHERE id = 1");
    world
}

const BAD: &str = "SELECT first_name FROM people WHERE id = 1";

fn run(sql: &str) -> Vec<u8> {
    [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
}

#[test]
fn rolls_back_a_pipeline_whose_row_can_t_be_shown() {
    let world = with_a_bad_row();
    let mut client = world.through();
    let insert = "INSERT INTO depts VALUES (90, 'before')";
    let later = "INSERT INTO depts VALUES (91, 'after')";
    client.send(&[run(insert), run(BAD), run(later), raw::sync()].concat());
    let answers = client.until_ready();
    let errors: Vec<_> = answers.iter().filter(|m| m.tag == b'E').collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].sqlstate(), "XX001");
    assert!(world.direct().rows("SELECT id FROM depts WHERE id >= 90").is_empty());
}

#[test]
fn fails_a_block_whose_row_can_t_be_shown_although_more_is_on_its_way() {
    let world = with_a_bad_row();
    let mut client = world.through();
    let texts =
        ["BEGIN", "INSERT INTO depts VALUES (90, 'x')", BAD, "INSERT INTO depts VALUES (91, 'y')", "COMMIT"];
    client.send(&texts.iter().flat_map(|sql| raw::query(sql)).collect::<Vec<u8>>());
    let states: Vec<String> = texts.iter().map(|_| tags(&client.until_ready())).collect();
    assert!(states[2].contains('E') && states[3].contains('E'), "{states:?}");
    assert!(world.direct().rows("SELECT id FROM depts WHERE id >= 90").is_empty());
    assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
}

#[test]
fn rolls_back_a_write_whose_returned_row_can_t_be_shown() {
    let world = with_a_bad_row();
    let mut client = world.through();
    assert_eq!(
        client.fails("UPDATE people SET title = 'x' WHERE id = 1 RETURNING first_name").sqlstate(),
        "XX001"
    );
    assert_eq!(world.direct().rows("SELECT title FROM people"), [row(["NULL"])]);
}

#[test]
fn gives_the_rows_of_plain_statements_in_a_script() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (email) VALUES ('a@x.example')");
    assert_eq!(
        client.rows("SELECT 5; SELECT email FROM people; SELECT 6"),
        [row(["5"]), row(["a@x.example"]), row(["6"])]
    );
}

#[test]
fn refuses_a_script_that_moves_the_search_path_or_the_schema_under_its_own_statements() {
    let world = World::new();
    let mut client = world.through();
    for sql in [
        "SET search_path = public; INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana')",
        "ALTER TABLE people ADD COLUMN more text; INSERT INTO people (email) VALUES ('a@x.example')",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
    }
    assert!(world.direct().rows("SELECT 1 FROM people").is_empty());
}

#[test]
fn does_not_bind_a_statement_that_was_prepared_before_its_columns_moved() {
    let world = World::new();
    let (mut client, mut other) = (world.through(), world.through());
    client.send(
        &[raw::parse("p", "INSERT INTO comments VALUES ($1, NULL, NULL, $2)", &[]), raw::sync()].concat(),
    );
    client.until_ready();
    other.rows("ALTER TABLE comments DROP COLUMN body");
    other.rows("ALTER TABLE comments DROP COLUMN likes");
    other.rows("ALTER TABLE comments ADD COLUMN likes integer");
    other.rows("ALTER TABLE comments ADD COLUMN body text");
    let bind = raw::bind_text("", "p", &[Some("1"), Some("canary")], &[]);
    client.send(&[bind, raw::execute("", 0), raw::sync()].concat());
    let answers = client.until_ready();
    assert_eq!(answers.iter().find(|m| m.tag == b'E').expect("it is refused").sqlstate(), "0A000");
    assert!(world.direct().rows("SELECT 1 FROM comments").is_empty());
}

#[test]
fn leaves_no_holder_of_a_write_that_wrote_no_row() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (id, email) VALUES (1, 'a@x.example')");
    client.rows("UPDATE people SET email = 'e@x.example' WHERE id = 77");
    client.rows("UPDATE people SET email = 'e@x.example' WHERE id = 1 AND title = 'none'");
    client.rows("INSERT INTO people (id, email) VALUES (1, 'e@x.example') ON CONFLICT (id) DO NOTHING");
    client.rows("INSERT INTO people (id, email) VALUES (2, 'e@x.example')");
    // Were there another holder, the address could not be shown without the row's subject.
    assert_eq!(
        client.rows("SELECT DISTINCT email FROM people WHERE email = 'e@x.example'"),
        [row(["e@x.example"])]
    );
    assert_eq!(world.gateway.admin().state(77), None);
}

#[test]
fn goes_on_after_a_look_up_that_failed() {
    let world = World::new();
    let (mut holder, mut client) = (world.through(), world.through());
    holder.rows("INSERT INTO people (id, email, last_name) VALUES (1, 'a@x.example', 'A')");
    holder.rows("BEGIN");
    holder.rows("UPDATE people SET last_name = 'B' WHERE id = 1");
    client.rows("SET lock_timeout = '50ms'");
    let update = "UPDATE people SET last_name = 'C' WHERE email = 'a@x.example'";
    assert_eq!(client.fails(update).sqlstate(), "55P03");
    holder.rows("COMMIT");
    client.query(update);
    assert_eq!(client.rows("SELECT last_name FROM people"), [row(["C"])]);
}

#[test]
fn says_in_the_server_s_words_what_a_wrong_qualifier_is() {
    let world = World::new();
    let mut client = world.through();
    for _ in 0..2 {
        let error = client.fails("SELECT p.email FROM people");
        assert_eq!(error.sqlstate(), "42P01");
    }
    client.rows("BEGIN");
    client.fails("SELECT p.email FROM people");
    assert_eq!(client.fails("SELECT 1").sqlstate(), "25P02");
}
