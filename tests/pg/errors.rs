//! Errors look as they do on a direct connection, down to what drivers go by.

use crate::support::{Message, Raw, World, raw};

fn fields(answers: &[Message]) -> std::collections::BTreeMap<char, String> {
    answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("an error, not {answers:?}")).fields()
}

/// Of what names a column or table that isn't there, with its position.
#[test]
fn what_is_missing_is_told_where_it_stands() {
    let world = World::new();
    let (mut direct, mut through) = (world.clear(), world.through());
    for sql in [
        "SELECT first_name, shoe_size FROM people",
        "SELECT p.first_name,\n  'é', p.shoe_size FROM people p",
        "SELECT id FROM people WHERE shoe_size = 1 AND email = 'x'",
        "SELECT q.first_name FROM people p",
        "UPDATE people SET first_name = 'Zoé', shoe_size = 7 WHERE id = 1",
        "DELETE FROM people WHERE shoe_size = 1",
        "INSERT INTO people (email, first_name, shoe_size) VALUES ('a@x.example', 'é', 1)",
        "INSERT INTO people (email) VALUES ('a@x.example') RETURNING id, shoe_size",
        "SELECT first_name FROM people JOIN shoes ON shoes.id = people.id",
        "SELECT 1; SELECT first_name, shoe_size FROM people",
    ] {
        let told = |client: &mut Raw| {
            let error = fields(&client.query(sql));
            ['C', 'M', 'P'].map(|field| error.get(&field).cloned())
        };
        assert_eq!(told(&mut through), told(&mut direct), "{sql}");
    }
}

/// Errors of every part of a statement, by both protocols, before and behind what the gateway changes in the text.
#[test]
fn an_error_is_told_where_it_stands_in_the_client_s_text() {
    let world = World::new();
    world.people(&["ana"]);
    world.clear().rows("INSERT INTO people (email, first_name) VALUES ('ana@people.example', 'ana')");
    for client in [&mut world.clear(), &mut world.through()] {
        client.rows("CREATE FUNCTION told(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1::int; END'");
    }
    let (mut direct, mut through) = (world.clear(), world.through());
    let mut different = Vec::new();
    for sql in [
        "SELECT first_name FROM people WHERE email = 'ana@people.example' AND id = 'x'",
        "SELECT first_name, 'é', id + 'x' FROM people WHERE email IN ('a@x.example', 'b@x.example') AND title = 7",
        "SELECT first_name FROM people WHERE email = 'é@x.example' AND told('x') = 1",
        "SELECT first_name FROM people WHERE email = 'a@x.example' AND nowhere(id)",
        "UPDATE people SET first_name = 'Zoé', title = 7 + 'x' WHERE id = 1",
        "UPDATE people SET first_name = 'Zoé' WHERE email = 'a@x.example' AND id = 'x'",
        "UPDATE people SET first_name = 'Zoé' WHERE title = 'x' AND nowhere(id)",
        "DELETE FROM people WHERE email = 'a@x.example' AND id = 'x'",
        "INSERT INTO people (id, email, first_name, version) VALUES ('x', 'b@x.example', 'B', 7)",
        "INSERT INTO people (id, email, first_name, version) VALUES (7, 'b@x.example', 'B', 'x')",
        "INSERT INTO people (id, email, first_name, version) VALUES (7, 'b@x.example', 'B', 'x') RETURNING id",
        "INSERT INTO people (email, first_name, version) VALUES ('b@x.example', 'B', nowhere(1))",
        "INSERT INTO people (email, first_name) VALUES ('b@x.example', 'B') RETURNING first_name, id + 'x'",
        "INSERT INTO people (email, first_name) VALUES ('b@x.example', 'B') ON CONFLICT (title) DO NOTHING",
        "INSERT INTO people (email, first_name) VALUES ('b@x.example', 'B') ON CONFLICT (nothing) DO NOTHING",
        "SELECT first_name FROM people WHERE first_name LIKE 'a%' AND id = 'x' ORDER BY first_name",
        "SELECT first_name FROM people WHERE first_name = 'ana' AND told('x') = 1",
        "SELECT first_name FROM people WHERE id = 1; SELECT nowhere FROM depts",
        "SELECT 'é'; SELECT first_name FROM people; SELECT 1 FROM depts WHERE id = 'x'",
        "SELECT first_name FROM people; INSERT INTO depts (id, name) VALUES ('x', 'y')",
        "SELECT 1; INSERT INTO people (email, first_name, version) VALUES ('b@x.example', 'B', 'x')",
        "SELECT 1; SELECT first_name, nowhere FROM people",
        "SELECT 1; SELECT first_name FROM people WHERE id = 'x'",
        "PREPARE s AS SELECT first_name FROM people WHERE email = 'é' AND id = 'x'",
        "SELECT 1; PREPARE s AS SELECT first_name FROM people WHERE email = 'é' AND id = 'x'",
        "EXPLAIN SELECT first_name FROM people WHERE email = 'é@x.example' AND id = 'x'",
        "DECLARE c CURSOR FOR SELECT first_name FROM people WHERE email = 'é@x.example' AND id = 'x'",
        "COPY (SELECT first_name FROM people WHERE id = 'x') TO STDOUT",
        "WITH x AS (SELECT first_name, id FROM people WHERE email = 'é@x.example') SELECT first_name FROM x WHERE id = 'x'",
        "SELECT first_name FROM people GROUP BY id HAVING count(*) = 'x'",
        "SELECT (SELECT first_name FROM people WHERE email = 'é@x.example' AND id = 'x')",
        "SELECT first_name FROM people p JOIN depts d ON d.id = p.id + 'x' WHERE p.email = 'é@x.example'",
        "SELECT first_name FROM people WHERE birth_date = '2020-01-01' AND id = 'x'",
        "SELECT first_name FROM people WHERE email = 'a@x.example' ORDER BY 7",
        "SELECT first_name FROM people LIMIT 'x'",
        "SELECT first_name FROM people WHERE id = 1 FOR UPDATE OF nobody",
    ] {
        for extended in [false, true] {
            let bytes = if extended {
                [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()]
                    .concat()
            } else {
                raw::query(sql)
            };
            let told = |client: &mut Raw| {
                client.send(&bytes);
                let answers = client.until_ready();
                let error = answers.iter().find(|m| m.tag == b'E').map(Message::fields);
                let told = ['C', 'P', 'p', 'q'].map(|field| error.as_ref()?.get(&field).cloned());
                client.query("DEALLOCATE ALL");
                told
            };
            let (seen, expected) = (told(&mut through), told(&mut direct));
            if seen != expected {
                different.push(format!("{sql} (extended: {extended}): {seen:?}, not {expected:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    // Behind a constant that stands for another one nothing is told rather than what is wrong.
    let copied = "COPY (SELECT first_name FROM people WHERE email = 'é@x.example' AND id = 'x') TO STDOUT";
    assert_eq!(fields(&through.query(copied)).get(&'P'), None);
}

/// Whoever sends an identifier that is taken reads it in the DETAIL, also where the new row would have been its second
/// holder.
#[test]
fn an_identifier_that_is_taken_is_told_to_who_sent_it() {
    let world = World::new();
    world.people(&["ana"]);
    let mut through = world.through();
    let taken = "INSERT INTO people (id, email) VALUES (9, 'ana@people.example')";
    for _ in 0..2 {
        let error = through.fails(taken).fields();
        assert_eq!(error[&'D'], "Key (email)=(ana@people.example) already exists.");
    }
    let copied = "COPY people (id, email) FROM STDIN";
    through.send(&raw::query(copied));
    through.send(&raw::other(b'd', b"10\tana@people.example\n"));
    through.send(&raw::other(b'c', b""));
    let error = fields(&through.until_ready());
    assert_eq!(error[&'D'], "Key (email)=(ana@people.example) already exists.");
}

/// Drivers prepare again by themselves when the error says so in the server's own way.
#[test]
fn a_statement_to_be_prepared_again_is_told_as_the_server_does() {
    let world = World::new();
    world.people(&["ana"]);
    for (mut client, through) in [(world.clear(), false), (world.through(), true)] {
        let all = "SELECT * FROM people";
        client.send(&[raw::parse("all", all, &[]), raw::sync()].concat());
        assert!(client.until_ready().iter().all(|m| m.tag != b'E'));
        client.rows("ALTER TABLE people ADD COLUMN shoe_size integer");
        client.send(&[raw::bind_text("", "all", &[], &[]), raw::execute("", 0), raw::sync()].concat());
        let error = fields(&client.until_ready());
        assert_eq!((&*error[&'C'], &*error[&'R']), ("0A000", "RevalidateCachedQuery"), "through: {through}");
        client.send(
            &[raw::parse("again", all, &[]), raw::bind_text("", "again", &[], &[]), raw::sync()].concat(),
        );
        assert!(client.until_ready().iter().all(|m| m.tag != b'E'));
    }
}

/// Rows of a write are described once it is done: nothing comes before the error of one that fails.
#[test]
fn a_write_that_fails_describes_no_rows() {
    let world = World::new();
    world.people(&["ana"]);
    world.clear().rows("INSERT INTO people (email) VALUES ('ana@people.example')");
    for sql in [
        "INSERT INTO comments (author_id, body) VALUES (-1, 'x') RETURNING body",
        "INSERT INTO people (email, first_name) VALUES ('b@x.example', 'B'), ('ana@people.example', 'A') RETURNING id, first_name",
        "UPDATE people SET first_name = 'Z', dept_id = 99 RETURNING first_name",
        "DELETE FROM people WHERE id / 0 = 1 RETURNING email",
        "UPDATE people SET first_name = 'Z' WHERE id = 1 RETURNING first_name",
        "SELECT first_name FROM people; INSERT INTO comments (author_id, body) VALUES (-1, 'x') RETURNING body",
    ] {
        let told = |mut client: Raw| {
            let answers = client.query(sql);
            answers.iter().map(|m| if m.tag == b'E' { m.sqlstate() } else { m.line() }).collect::<Vec<_>>()
        };
        assert_eq!(told(world.through()), told(world.clear()), "{sql}");
    }
}

/// What ends a failed transaction, or goes back to a savepoint, and what follows it, sent at once.
#[test]
fn a_failed_transaction_goes_on_without_waiting() {
    let world = World::new();
    world.people(&["ana"]);
    world.clear().rows("INSERT INTO people (email, first_name) VALUES ('ana@people.example', 'ana')");
    let extended = |sql: &str| {
        [
            raw::parse("", sql, &[]),
            raw::bind_text("", "", &[], &[]),
            raw::describe(b'P', ""),
            raw::execute("", 0),
        ]
        .concat()
    };
    let read = "SELECT first_name FROM people WHERE id = 1";
    let begun = [raw::query("BEGIN"), raw::query("SAVEPOINT here"), raw::query("SELECT 1/0")].concat();
    for (what, bytes, readies) in [
        ("simple", [raw::query("ROLLBACK TO here"), raw::query(read), raw::query("COMMIT")].concat(), 3),
        (
            "simple, then extended",
            [raw::query("ROLLBACK TO here"), extended(read), raw::sync(), raw::query("COMMIT")].concat(),
            3,
        ),
        (
            "one pipeline",
            [extended("ROLLBACK TO here"), extended(read), extended("COMMIT"), raw::sync()].concat(),
            1,
        ),
        ("the end, in a pipeline", [extended("ROLLBACK"), extended(read), raw::sync()].concat(), 1),
        ("the end, then more", [raw::query("ROLLBACK"), extended(read), raw::sync()].concat(), 2),
        ("still failed", [extended(read), raw::sync(), raw::query("ROLLBACK"), raw::query(read)].concat(), 3),
    ] {
        let told = |mut client: Raw| {
            client.send(&[begun.clone(), bytes.clone()].concat());
            (0..3 + readies).flat_map(|_| client.until_ready()).map(|m| m.line()).collect::<Vec<_>>()
        };
        assert_eq!(told(world.through()), told(world.clear()), "{what}");
    }
}

/// Even where the block made a view, after which every text is looked at.
#[test]
fn nothing_is_said_in_a_failed_block_without_an_error() {
    let world = World::new();
    for nothing in ["", ";", " ;; ", "-- people", "/* people */ ;"] {
        let told = |mut client: Raw| {
            client.rows("BEGIN");
            client.rows("CREATE TEMP VIEW staff AS SELECT id FROM people");
            client.fails("SELECT 1 / 0");
            let simple: Vec<_> = client.query(nothing).iter().map(Message::line).collect();
            client.send(&[raw::parse("", nothing, &[]), raw::describe(b'S', ""), raw::sync()].concat());
            let extended: Vec<_> = client.until_ready().iter().map(Message::line).collect();
            (simple, extended)
        };
        assert_eq!(told(world.through()), told(world.clear()), "{nothing:?}");
    }
}
