//! What the database can't evaluate: conditions and orders on sealed values, evaluated by the gateway on the
//! client's own connection. The answers are those of a clear copy, and no constant reaches the server.

use super::differential::{Mode, compare_corpus};
use crate::support::canary::assert_absent;
use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, raw, row, tags};

pub const CORPUS: &str = include_str!("predicates.sql");

fn compare(mode: Mode) {
    let world = World::new();
    assert!(compare_corpus(CORPUS, mode, world.clear(), world.through()) > 100);
}

#[test]
fn conditions_in_simple_queries_answer_as_a_clear_copy_does() {
    compare(Mode::Simple);
}

#[test]
fn conditions_in_extended_queries_in_text_answer_as_a_clear_copy_does() {
    compare(Mode::Extended(0));
}

#[test]
fn conditions_in_extended_queries_in_binary_answer_as_a_clear_copy_does() {
    compare(Mode::Extended(1));
}

fn logged() -> World {
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    make_tables(&pg);
    let gateway = Gateway::start(&pg);
    World { gateway, pg }
}

#[test]
fn no_constant_of_a_condition_reaches_the_server() {
    let world = logged();
    let mut client = world.through();
    client.rows(
        "INSERT INTO people (id, email, first_name, last_name, birth_date) VALUES \
         (1, 'canary.mail@x.example', 'Canary-first', 'Canary-last', '1912-06-23')",
    );
    client.rows("INSERT INTO comments (id, author_id, body) VALUES (1, 1, 'canary-body it is')");
    for sql in [
        "SELECT id FROM people WHERE last_name = 'Canary-last'",
        "SELECT id FROM people WHERE (first_name) LIKE ('%' || 'nary-fir' || '%')",
        "SELECT id FROM people WHERE ((UPPER(first_name::text)) LIKE UPPER('%canary-first%') OR email ILIKE '%canary.mail%')",
        "SELECT id FROM people WHERE last_name IN ('Canary-last', 'canary-other') AND title IS NULL",
        "SELECT id FROM people WHERE last_name ~* E'^canary\\\\-last$' -- in any case\n AND id > 0",
        "SELECT id FROM people WHERE birth_date BETWEEN DATE '1912-06-23' AND CAST('1912-06-23' AS date)",
        "SELECT id FROM people WHERE last_name LIKE 'Canary!-last%' ESCAPE '!' ORDER BY last_name || 'canary-sort'",
        "SELECT id, last_name = $$Canary-last$$ AS hit FROM people ORDER BY coalesce(nick, 'canary-nick')",
        "SELECT p.id FROM people p JOIN comments c ON c.author_id = p.id AND c.body LIKE 'canary-body%' WHERE NOT p.last_name = 'canary-not'",
        "UPDATE people SET title = 'found' WHERE last_name = 'Canary-last'",
        "UPDATE people SET nick = 'canary-nick' WHERE last_name = 'Canary-last' AND first_name <> 'canary-x'",
        "DELETE FROM comments WHERE body = 'canary-none'",
        "COPY (SELECT id FROM people WHERE last_name = 'Canary-last') TO STDOUT",
        "EXPLAIN SELECT id FROM people WHERE last_name = 'Canary-last' ORDER BY first_name",
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM people WHERE last_name = 'Canary-last'; FETCH ALL FROM c; COMMIT",
    ] {
        let answers = client.query(sql);
        assert!(answers.iter().all(|m| m.tag != b'E'), "{sql}: {answers:?}");
    }
    let sql = "SELECT id FROM people WHERE last_name LIKE $1 OR birth_date = $2 OR first_name = ANY($3)";
    let values = [Some("Canary-la%"), Some("1912-06-23"), Some("{Canary-first}")];
    client.send(
        &[raw::parse("", sql, &[]), raw::bind_text("", "", &values, &[]), raw::execute("", 0), raw::sync()]
            .concat(),
    );
    assert_eq!(tags(&client.until_ready()), "12DCZ");
    // What is refused, or fails, is not sent on either.
    client.fails("SELECT id FROM people WHERE last_name ~ 'canary-(' ");
    client.fails("SELECT id FROM people WHERE age > 'canary-age'");
    client.fails("SELECT a.id FROM people a JOIN people b ON a.last_name || 'canary-join' = b.last_name");
    let canaries: Vec<&[u8]> = vec![b"canary", b"Canary", b"nary-fir", b"1912-06-23"];
    assert_absent("the server's log", world.pg.log().as_bytes(), &canaries);
    assert_absent("the gateway's log", &world.gateway.log(), &canaries);
    assert!(world.pg.log().contains("ANY("), "the statements were logged");
}

#[test]
fn a_prepared_statement_takes_other_constants_each_time() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo", "Dan", "Eve", "Flo", "Gil"]);
    let mut client = world.through();
    let sql = "SELECT first_name FROM people WHERE last_name = $1 AND id = $2 ORDER BY first_name LIMIT $3";
    client.send(&[raw::parse("s", sql, &[]), raw::describe(b'S', "s"), raw::sync()].concat());
    let answers = client.until_ready();
    assert_eq!(answers[1].line(), "ParameterDescription [25, 23, 20]", "{answers:?}");
    for (n, name) in ["Ana", "Bea", "Cleo", "Dan", "Eve", "Flo", "Gil"].iter().enumerate() {
        let (last, id) = (format!("Last-{name}"), (n + 1).to_string());
        let bind = raw::bind_text("", "s", &[Some(&last), Some(&id), Some("5")], &[]);
        client.send(&[bind, raw::execute("", 0), raw::sync()].concat());
        let answers = client.until_ready();
        assert_eq!(tags(&answers), "2DCZ", "{answers:?}");
        assert_eq!(answers[1].texts(), row([name]));
    }
}

#[test]
fn a_pipeline_sees_what_it_wrote_and_a_portal_gives_its_rows_by_and_by() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    let mut client = world.through();
    let insert =
        "INSERT INTO people (email, first_name, last_name) VALUES ('d@x.example', 'Dan', 'Last-Dan')";
    let select = "SELECT first_name FROM people WHERE last_name LIKE $1 ORDER BY last_name DESC";
    client.send(
        &[
            raw::parse("", "BEGIN", &[]),
            raw::bind_text("", "", &[], &[]),
            raw::execute("", 0),
            raw::parse("", insert, &[]),
            raw::bind_text("", "", &[], &[]),
            raw::execute("", 0),
            raw::parse("", select, &[]),
            raw::bind_text("p", "", &[Some("Last-%")], &[]),
            raw::execute("p", 2),
            raw::execute("p", 0),
            raw::sync(),
        ]
        .concat(),
    );
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "12C12C12DDsDDCZ", "{answers:?}");
    let seen: Vec<_> = answers.iter().filter(|m| m.tag == b'D').map(|m| m.texts()).collect();
    assert_eq!(seen, [row(["Dan"]), row(["Cleo"]), row(["Bea"]), row(["Ana"])]);
    client.rows("ROLLBACK");
    assert_eq!(client.rows("SELECT count(*) FROM people WHERE last_name = 'Last-Dan'"), [row(["0"])]);
}

#[test]
fn the_erased_are_not_found_and_the_restricted_are_an_error_as_in_a_read() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    let mut client = world.through();
    let found = "SELECT id FROM people WHERE last_name LIKE 'Last-%' ORDER BY first_name";
    assert_eq!(client.rows(found).len(), 3);
    world.gateway.admin().erase(2);
    assert_eq!(client.rows(found), [row(["1"]), row(["3"])]);
    assert!(client.rows("SELECT id FROM people WHERE last_name = 'Last-Bea'").is_empty());
    assert_eq!(
        client.rows("SELECT id FROM people ORDER BY last_name DESC"),
        [row(["2"]), row(["3"]), row(["1"])]
    );
    assert_eq!(
        client.rows("SELECT id FROM people WHERE last_name IS DISTINCT FROM 'Last-Ana' ORDER BY id").len(),
        2
    );
    // An e-mail address can't be NULL: the placeholder is what a read shows, and what is found.
    assert_eq!(
        client.rows("SELECT id FROM people WHERE email LIKE '%@%' ORDER BY id"),
        [row(["1"]), row(["3"])]
    );
    let restricted = world.gateway.admin().ask("POST", "/v1/subjects/person/3/restrict");
    assert!(restricted.status < 300, "{restricted:?}");
    assert_eq!(client.fails(found).sqlstate(), "42501");
    assert_eq!(client.rows("SELECT id FROM people WHERE last_name LIKE 'Last-%' AND id < 3"), [row(["1"])]);
}

/// More than are read at once, in a cache that has none of them.
#[test]
fn hundreds_of_addresses_are_found_by_a_gateway_that_has_just_started() {
    let mut world = World::new();
    let mut client = world.through();
    client.send(&raw::query("COPY people (id, email, last_name) FROM STDIN"));
    let lines: String = (1..=1_100).map(|n| format!("{n}\tp{n}@x.example\tLast-{n}\n")).collect();
    client.send(&[raw::other(b'd', lines.as_bytes()), raw::other(b'c', b"")].concat());
    let answers = client.until_ready();
    assert!(answers.iter().any(|m| m.tag == b'C' && m.command() == "COPY 1100"), "{answers:?}");
    client.rows("INSERT INTO logins (id, email) SELECT id, email FROM people WHERE id IN (9, 900)");
    world.gateway.admin().erase(900);
    world.gateway.restart();
    let mut client = world.through();
    let found = "SELECT count(*), min(id), max(id) FROM people WHERE email LIKE 'p%@x.example' OR last_name LIKE 'none%'";
    assert_eq!(client.rows(found), [row(["1099", "1", "1100"])]);
    assert_eq!(
        client.rows("SELECT id FROM people WHERE upper(email) LIKE upper('p899@%') OR email LIKE 'p900@%'"),
        [row(["899"])]
    );
    assert_eq!(client.rows("SELECT id FROM logins WHERE email LIKE 'p9%'"), [row(["9"])]);
}

#[test]
fn an_envelope_in_another_persons_row_is_found_out() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world
        .direct()
        .rows("UPDATE people SET last_name = (SELECT last_name FROM people WHERE id = 1) WHERE id = 2");
    let mut client = world.through();
    assert_eq!(client.fails("SELECT id FROM people WHERE last_name = 'x'").sqlstate(), "XX001");
    assert_eq!(client.fails("SELECT id FROM people ORDER BY last_name").sqlstate(), "XX001");
    assert!(client.rows("SELECT id FROM people WHERE last_name = 'x' AND id = 1").is_empty());
}

#[test]
fn only_rows_that_the_rest_of_the_condition_leaves_are_opened() {
    let world = logged();
    world.people(&["Ana", "Bea", "Cleo"]);
    let mut client = world.through();
    client.rows("UPDATE people SET title = 'x' WHERE id = 2");
    let opened = |world: &World| world.gateway.admin().metric(&["paravent_fields_total", "opened"]);
    let before = opened(&world);
    let sql = "SELECT id FROM people WHERE title = 'x' AND (id > 0 OR email = 'z@x.example') AND last_name LIKE 'L%'";
    assert_eq!(client.rows(sql), [row(["2"])]);
    assert_eq!(opened(&world) - before, 1.0, "one last name");
    assert!(world.pg.log().contains("WHERE (title = 'x'"), "{}", world.pg.log());
}

#[test]
fn too_many_candidates_are_refused_with_the_way_out() {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.fields.push_str("\n[limits]\ncandidate_rows = 3\n");
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    for n in 1..=5 {
        client.rows(&format!("INSERT INTO people (email, first_name) VALUES ('p{n}@x.example', 'P{n}')"));
    }
    client.rows("BEGIN");
    let error = client.fails("SELECT id FROM people WHERE first_name = 'P1'");
    assert_eq!(error.sqlstate(), "54000");
    assert!(error.line().contains("more than 3 rows"), "{error:?}");
    assert!(error.fields()[&'H'].contains("limits.candidate_rows"), "{error:?}");
    assert_eq!(client.query("COMMIT")[0].command(), "ROLLBACK", "it failed as any error does");
    assert_eq!(client.rows("SELECT id FROM people WHERE first_name = 'P1' AND id < 4"), [row(["1"])]);
}

/// A row that waits for a lock is tested again on what it holds by then.
#[test]
fn a_write_never_hits_a_row_that_no_longer_matches() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    for (sql, command) in [
        ("UPDATE people SET title = 'hit' WHERE last_name = 'Last-Bea'", "UPDATE 0"),
        ("UPDATE people SET nick = 'hit' WHERE last_name = 'Last-Bea'", "UPDATE 0"),
        ("DELETE FROM people WHERE last_name = 'Last-Bea'", "DELETE 0"),
    ] {
        let (mut first, mut second) = (world.through(), world.through());
        first.rows("UPDATE people SET last_name = 'Last-Bea' WHERE id = 2");
        first.rows("BEGIN");
        first.rows("UPDATE people SET last_name = 'Married' WHERE id = 2");
        second.send(&raw::query(sql));
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        let mut direct = world.direct();
        while direct.rows(waits).is_empty() {
            std::thread::yield_now();
        }
        first.rows("COMMIT");
        let answers = second.until_ready();
        assert_eq!(answers[0].command(), command, "{sql}: {answers:?}");
    }
    let mut client = world.through();
    assert_eq!(client.rows("SELECT nick, title FROM people WHERE id = 2"), [row(["NULL", "NULL"])]);
}

/// The same where it is only locked, as those do who claim a job.
#[test]
fn a_row_that_waits_to_be_locked_is_not_shown_if_it_no_longer_matches() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    let claim =
        "UPDATE people SET title = 'mine' WHERE id = (SELECT id FROM people WHERE last_name = 'Last-Bea'";
    for (sql, expected) in [
        ("SELECT id FROM people WHERE last_name = 'Last-Bea' FOR UPDATE".to_owned(), "SELECT 0"),
        (
            "SELECT id FROM people WHERE last_name = 'Last-Bea' LIMIT 1 FOR NO KEY UPDATE".to_owned(),
            "SELECT 0",
        ),
        (
            "SELECT p.id FROM people p LEFT JOIN depts d ON d.id = p.dept_id \
             WHERE p.last_name LIKE '%-Bea' OR p.id = 1 FOR SHARE OF p"
                .to_owned(),
            "SELECT 1",
        ),
        (format!("{claim} FOR UPDATE)"), "UPDATE 0"),
        (
            "SELECT id FROM people WHERE last_name > 'Last' ORDER BY id FOR UPDATE SKIP LOCKED".to_owned(),
            "SELECT 2",
        ),
        (format!("{claim} LIMIT 1 FOR UPDATE SKIP LOCKED)"), "UPDATE 0"),
    ] {
        let (mut first, mut second) = (world.through(), world.through());
        first.rows("UPDATE people SET last_name = 'Last-Bea' WHERE id = 2");
        first.rows("BEGIN");
        first.rows("UPDATE people SET last_name = 'Married' WHERE id = 2");
        second.send(&raw::query(&sql));
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        let mut direct = world.direct();
        while !sql.contains("SKIP") && direct.rows(waits).is_empty() {
            std::thread::yield_now();
        }
        if sql.contains("SKIP") {
            let answers = second.until_ready();
            assert_eq!(answers[answers.len() - 2].command(), expected, "{sql}: {answers:?}");
            first.rows("ROLLBACK");
            continue;
        }
        first.rows("COMMIT");
        let answers = second.until_ready();
        assert_eq!(answers[answers.len() - 2].command(), expected, "{sql}: {answers:?}");
    }
    let (mut holder, mut client) = (world.through(), world.through());
    holder.rows("BEGIN");
    holder.rows("SELECT id FROM people WHERE id = 1 FOR UPDATE");
    let refused = client.fails("SELECT id FROM people WHERE last_name = 'Last-Ana' FOR UPDATE NOWAIT");
    assert_eq!(refused.sqlstate(), "55P03");
    // Each of two takes one of three.
    let takes = "SELECT id FROM people WHERE last_name > 'Last' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    client.rows("BEGIN");
    client.rows("UPDATE people SET last_name = 'Last-Bea' WHERE id = 2");
    client.rows("COMMIT");
    let mut other = world.through();
    client.rows("BEGIN");
    assert_eq!(client.rows(takes), [row(["2"])]);
    assert_eq!(other.rows(takes), [row(["3"])]);
}

#[test]
fn a_table_without_a_key_of_one_column_is_refused_by_name() {
    let pg = Postgres::start();
    make_tables(&pg);
    Raw::connect(pg.port(), "app").rows(
        "CREATE TABLE notes (a integer, b integer, person integer, said text, PRIMARY KEY (a, b)); \
         CREATE TABLE parent (id integer PRIMARY KEY, said text); \
         CREATE TABLE child () INHERITS (parent); \
         CREATE TABLE parted (id integer PRIMARY KEY, said text) PARTITION BY HASH (id); \
         CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
    );
    let mut setup = Setup::new(&pg);
    setup.fields.push_str("said = \"encrypt\"\n");
    setup.tables.push_str(
        "\n[postgres.tables.notes]\nsubject = \"person\"\nfields = [\"said\"]\n\
         \n[postgres.tables.parent]\nsubject = \"id\"\nfields = [\"said\"]\n\
         \n[postgres.tables.parted]\nsubject = \"id\"\nfields = [\"said\"]\n",
    );
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    for sql in [
        "SELECT a FROM notes WHERE said = 'x'",
        "SELECT a FROM notes ORDER BY said",
        "SELECT id FROM parent WHERE said = 'x'",
    ] {
        let error = client.fails(sql);
        assert_eq!(error.sqlstate(), "0A000", "{sql}");
        assert!(error.line().contains("said") && error.line().contains("#predicate-key"), "{error:?}");
    }
    // The key of a partitioned table is that of all its rows.
    client.rows("INSERT INTO parted VALUES (1, 'one'), (2, 'two')");
    assert_eq!(client.rows("SELECT id FROM parted WHERE said LIKE 't%'"), [row(["2"])]);
    assert_eq!(client.rows("SELECT said FROM part ORDER BY said DESC"), [row(["two"]), row(["one"])]);
}

/// A constant beside a date is read as one, as Postgres reads it; what is none gives Postgres's error.
#[test]
fn a_text_beside_a_protected_date_is_read_as_postgres_reads_it() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    for client in [&mut clear, &mut through] {
        client.rows("INSERT INTO people (email, birth_date, seen_at) VALUES ('a@x.example', '1990-05-06', '2020-01-02 03:04:05+00')");
    }
    for text in [
        "1989-12-31",
        "May 6, 1990",
        "06-may-1990",
        "may-06-1990",
        "1990-05-06 europe/paris",
        "infinity",
        "text literal",
        "not-a-date",
        "no.date",
        "a/b",
        "europe/paris",
        "europe/paris 1990-05-06",
        "1990-05-06 no/where",
        "1990-05-06 nowhere",
        "1990-13-01",
        "jan-",
        "x1",
        "",
        "é",
    ] {
        for (column, operator) in [("birth_date", ">"), ("birth_date", "="), ("seen_at", "<")] {
            let sql = format!("SELECT id FROM people WHERE {column} {operator} '{text}'");
            let param = format!("SELECT id FROM people WHERE {column} {operator} $1");
            let bound = [
                raw::parse("", &param, &[]),
                raw::bind_text("", "", &[Some(text)], &[]),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat();
            let seen = [&mut through, &mut clear].map(|client| {
                let simple = client.query(&sql);
                client.send(&bound);
                [simple, client.until_ready()].map(|answers| match answers.iter().find(|m| m.tag == b'E') {
                    Some(error) => error.sqlstate(),
                    None => format!("{} rows", answers.iter().filter(|m| m.tag == b'D').count()),
                })
            });
            assert_eq!(seen[0], seen[1], "{column} {operator} '{text}'");
        }
    }
}
