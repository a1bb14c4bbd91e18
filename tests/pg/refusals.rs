//! What can't be protected is refused by name, inside the session, with the way out.

use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, raw, row, tags};

/// Statements that must be refused, and a word that the message must hold.
const REFUSED: &[(&str, &str)] = &[
    ("SELECT id FROM people WHERE last_name = (SELECT title FROM people LIMIT 1)", "last_name"),
    ("SELECT id FROM people WHERE md5(last_name) = 'x'", "last_name"),
    ("SELECT id FROM people WHERE email = title || random()", "email"),
    ("SELECT title FROM people GROUP BY title HAVING last_name = 'x'", "last_name"),
    ("SELECT p.id FROM people p JOIN logins l ON p.email < l.email", "email"),
    ("SELECT id FROM (SELECT id, last_name FROM people) x WHERE last_name = 'x'", "last_name"),
    ("SELECT id FROM open_view WHERE last_name = 'x'", "last_name"),
    ("SELECT last_name FROM open_view ORDER BY last_name", "last_name"),
    ("SELECT count(*) FROM people GROUP BY upper(last_name)", "last_name"),
    ("UPDATE people SET title = 'x' RETURNING last_name = 'x'", "last_name"),
    (
        "INSERT INTO people (id, email) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET title = 'y' WHERE people.last_name = 'x'",
        "last_name",
    ),
    ("SELECT last_name || 'x' FROM people", "last_name"),
    ("SELECT length(last_name) FROM people", "last_name"),
    ("SELECT age + 1 FROM people", "age"),
    ("SELECT max(birth_date::text) FROM people", "birth_date"),
    ("SELECT sum(salary) FROM people", "salary"),
    ("SELECT array_agg(last_name) FROM people", "last_name"),
    ("SELECT email || 'x' FROM people", "email"),
    ("SELECT age::bigint FROM people", "age"),
    ("SELECT profile->>'a' FROM people", "profile"),
    ("SELECT people FROM people", "people"),
    ("SELECT to_jsonb(people) FROM people", "people"),
    ("SELECT row_to_json(p) FROM people p", "p"),
    ("SELECT first_name FROM people UNION SELECT last_name FROM people", ""),
    ("SELECT a.id FROM people a JOIN people b ON a.last_name = b.last_name", "last_name"),
    ("COPY people TO '/tmp/people'", "COPY"),
    ("COPY people (id, last_name) FROM STDIN WHERE id > 1", "COPY"),
    ("COPY people (id, last_name) FROM STDIN (ON_ERROR ignore)", "on_error"),
    ("COPY (SELECT last_name || 'x' FROM people) TO STDOUT", "last_name"),
    ("SELECT * FROM people_view", "people_view"),
    ("UPDATE open_view SET last_name = 'x'", "open_view"),
    ("INSERT INTO open_view (id, last_name) VALUES (1, 'x')", "open_view"),
    ("DELETE FROM open_view", "open_view"),
    ("SELECT upper(last_name) FROM open_view", "last_name"),
    ("CREATE VIEW another AS SELECT id FROM people WHERE email = 'a@x.example'", "VIEW"),
    ("SELECT count_people()", "count_people"),
    ("DO $$ BEGIN PERFORM last_name FROM people; END $$", ""),
    ("CREATE TABLE copy_of AS SELECT * FROM people", ""),
    ("SELECT * INTO copy_of FROM people", ""),
    ("INSERT INTO people (email, last_name) SELECT title, title FROM people", ""),
    ("INSERT INTO people (email, last_name) VALUES ('a@x.example', upper('x'))", "last_name"),
    ("UPDATE people SET first_name = last_name", "first_name"),
    ("UPDATE people SET title = last_name", ""),
    ("UPDATE people SET last_name = last_name || 'x'", "last_name"),
    ("UPDATE people SET last_name = title", "last_name"),
    ("UPDATE comments SET author_id = 2 WHERE id = 1", "comments"),
    ("MERGE INTO people p USING depts d ON p.id = d.id WHEN MATCHED THEN UPDATE SET last_name = d.name", ""),
];

fn world() -> World {
    let world = World::new();
    world.direct().rows("CREATE VIEW people_view AS SELECT id, length(last_name) FROM people");
    world.direct().rows("CREATE VIEW open_view AS SELECT id, last_name FROM people");
    world.direct().rows("GRANT ALL ON open_view TO app");
    world.direct().rows("GRANT SELECT ON people_view TO app");
    world.direct().rows(
        "CREATE FUNCTION count_people() RETURNS bigint LANGUAGE sql AS 'SELECT count(last_name) FROM people'",
    );
    world.people(&["Ana"]);
    world.through().rows("INSERT INTO comments (author_id, body) VALUES (1, 'Bonjour')");
    world
}

#[test]
fn refuses_by_name_with_a_hint_in_both_protocols() {
    let world = world();
    let mut client = world.through();
    let mut wrong = Vec::new();
    for (sql, word) in REFUSED {
        client.send(&raw::query(sql));
        let simple = client.until_ready();
        client.send(&[raw::parse("", sql, &[]), raw::describe(b'S', ""), raw::sync()].concat());
        let extended = client.until_ready();
        for (protocol, answers) in [("simple", simple), ("extended", extended)] {
            if tags(&answers) != "EZ" || answers[0].sqlstate() != "0A000" {
                wrong.push(format!("{protocol} {sql}: {answers:?}"));
                continue;
            }
            let fields = answers[0].fields();
            if !fields.get(&'M').is_some_and(|m| m.contains(word)) || !fields.contains_key(&'H') {
                wrong.push(format!("{protocol} {sql}: no name or no hint in {:?}", answers[0]));
            }
            if answers[1].line() != "ReadyForQuery I" {
                wrong.push(format!("{protocol} {sql}: {:?}", answers[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), 2 * REFUSED.len(), wrong.join("\n"));
    assert!(world.gateway.admin().metric(&["paravent_refusals_total"]) >= REFUSED.len() as f64);
    assert!(world.gateway.admin().metric(&["paravent_statements_total", "refused"]) >= 1.0);
}

/// A body that the server keeps parsed has no text; what it uses is known all the same.
#[test]
fn a_function_whose_body_is_kept_parsed_touches_what_it_uses() {
    let world = World::new();
    if world.direct().server_major() < 14 {
        // It keeps none parsed.
        return;
    }
    for function in [
        "text_of_people() RETURNS bigint LANGUAGE sql AS 'SELECT count(last_name) FROM people'",
        "deep() RETURNS bigint BEGIN ATOMIC SELECT count(last_name) FROM people; END",
        "deeper() RETURNS bigint BEGIN ATOMIC SELECT deep(); END",
        "plain() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM depts; END",
    ] {
        world.direct().rows(&format!("CREATE FUNCTION {function}"));
    }
    let mut client = world.through();
    let refused = client.fails("SELECT text_of_people()").line();
    for name in ["deep", "deeper"] {
        assert_eq!(client.fails(&format!("SELECT {name}()")).line(), refused.replace("text_of_people", name));
    }
    assert_eq!(client.rows("SELECT plain() >= 0"), [row(["t"])]);
}

#[test]
fn a_refusal_aborts_the_transaction_as_any_error_does() {
    let world = world();
    let mut client = world.through();
    client.rows("BEGIN");
    client.rows("UPDATE people SET title = 'Lost' WHERE id = 1");
    let refused = client.query("SELECT length(last_name) FROM people");
    assert_eq!(tags(&refused), "EZ");
    assert_eq!(refused[1].line(), "ReadyForQuery E");
    // In an aborted transaction the server's own error stands, for good statements and bad ones.
    for sql in ["SELECT first_name FROM people", "SELECT length(last_name) FROM people", "SELECT 1"] {
        let answers = client.query(sql);
        assert_eq!(tags(&answers), "EZ");
        assert_eq!(answers[0].sqlstate(), "25P02", "{sql}");
    }
    assert_eq!(client.query("COMMIT")[0].command(), "ROLLBACK");
    assert_eq!(client.rows("SELECT title FROM people"), [row(["NULL"])]);
}

#[test]
fn a_savepoint_outlives_a_refusal() {
    let world = world();
    let mut client = world.through();
    client.rows("BEGIN");
    client.rows("UPDATE people SET first_name = 'Kept' WHERE id = 1");
    client.rows("SAVEPOINT s");
    assert_eq!(client.fails("SELECT length(last_name) FROM people").sqlstate(), "0A000");
    client.rows("ROLLBACK TO s");
    client.rows("COMMIT");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Kept"])]);
}

#[test]
fn nothing_of_a_text_is_sent_before_all_of_it_is_planned() {
    let world = world();
    let mut client = world.through();
    let answers = client.query(
        "INSERT INTO people (email, first_name) VALUES ('first@x.example', 'First'); \
         UPDATE people SET title = 'x'; SELECT length(last_name) FROM people",
    );
    assert_eq!(answers.iter().filter(|m| m.tag == b'E').count(), 1);
    assert_eq!(answers.iter().find(|m| m.tag == b'E').unwrap().sqlstate(), "0A000");
    assert_eq!(client.rows("SELECT title FROM people"), [row(["NULL"])]);
}

#[test]
fn refuses_one_parameter_in_a_protected_and_another_place() {
    let world = world();
    let mut client = world.through();
    let sql = "UPDATE people SET last_name = $1, title = $1 WHERE id = 1";
    client.send(&[raw::parse("", sql, &[]), raw::sync()].concat());
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "EZ");
    assert_eq!(answers[0].sqlstate(), "0A000");
}

#[test]
fn refuses_settings_that_would_change_how_statements_read() {
    let world = world();
    let mut client = world.through();
    for sql in ["SET standard_conforming_strings = off", "SET client_encoding = 'SJIS'"] {
        let error = client.fails(sql);
        assert_eq!(error.sqlstate(), "0A000", "{sql}");
    }
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
}

#[test]
fn a_text_that_does_not_parse_is_not_sent_on() {
    let world = world();
    let mut client = world.through();
    let error = client.fails("SELECT * FROM people WHERE last_name = 'never");
    assert_eq!(error.sqlstate(), "42601");
    // What names nothing protected goes to the server, whose own words are shown.
    let error = client.fails("SELEC 1");
    assert_eq!((error.sqlstate().as_str(), error.fields()[&'P'].as_str()), ("42601", "1"));
}

#[test]
fn an_order_by_token_that_is_not_evaluated_is_stable_and_counted() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    let mut client = world.through();
    let sql = "SELECT DISTINCT email FROM people ORDER BY email";
    let first = client.rows(sql);
    assert_eq!(first.len(), 3);
    assert_eq!(client.rows(sql), first, "arbitrary, but stable");
}

#[test]
fn an_update_of_too_many_people_is_refused_before_it_locks_them_all() {
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.fields.push_str("\n[limits]\nsubjects_per_statement = 3\n");
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    for n in 1..=5 {
        client.rows(&format!("INSERT INTO people (email, first_name) VALUES ('p{n}@x.example', 'P{n}')"));
    }
    let error = client.fails("UPDATE people SET last_name = 'All' WHERE first_name IS NOT NULL");
    assert_eq!(error.sqlstate(), "0A000");
    assert!(error.line().contains("more than 3 subjects"), "{error:?}");
    assert!(pg.log().contains("FOR UPDATE LIMIT 4"), "one row more than may be written is looked for");
    assert_eq!(
        client.query("UPDATE people SET last_name = 'Three' WHERE id <= 3 OR id > 90")[0].command(),
        "UPDATE 3"
    );
    // One person may have any number of rows.
    let mut direct = Raw::connect(pg.port(), "app");
    direct.rows("INSERT INTO comments (author_id) SELECT 1 + n % 2 FROM generate_series(1, 10050) n");
    let answers = client.query("UPDATE comments SET body = 'x' WHERE likes = 0");
    assert_eq!(answers[0].command(), "UPDATE 10050", "{:?}", answers[0]);
    direct.rows("INSERT INTO comments (author_id) SELECT n FROM generate_series(1, 5) n");
    let error = client.fails("UPDATE comments SET body = 'y' WHERE likes = 0");
    assert!(error.line().contains("more than 3 subjects"), "{error:?}");
    assert!(pg.log().contains("SELECT DISTINCT"), "their subjects are counted first");
}

#[test]
fn an_address_that_somebody_held_before_needs_the_subject_where_rows_are_merged() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (email, first_name) VALUES ('e@x.example', 'Ana')");
    client.rows("DELETE FROM people");
    client.rows("INSERT INTO people (email, first_name) VALUES ('e@x.example', 'Bea')");
    for sql in [
        "SELECT email FROM people UNION SELECT email FROM logins",
        "SELECT email, count(*) FROM people GROUP BY email",
    ] {
        let error = client.fails(sql);
        assert_eq!(error.sqlstate(), "0A000", "{sql}");
        let hint = error.fields()[&'H'].clone();
        assert!(hint.contains("subject column to the select list"), "{hint}");
        assert!(hint.contains("docs/errors.md#shared-token"), "{hint}");
        assert!(!error.line().contains("e@x.example"));
    }
    let seen = client.rows("SELECT id, email FROM people UNION SELECT id, email FROM logins");
    assert_eq!(seen, [row(["2", "e@x.example"])]);
    let seen = client.rows("SELECT id, email, count(*) FROM people GROUP BY id, email");
    assert_eq!(seen, [row(["2", "e@x.example", "1"])]);
    assert_eq!(client.rows("SELECT email FROM people"), [row(["e@x.example"])]);
}
