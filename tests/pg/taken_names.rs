//! A Parse that fails under a name that is taken: the server keeps what it has there, the unnamed statement is gone. So it is
//! here, where the server finds what is wrong and where the gateway does.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Message, Raw, World, raw};

/// What stands under the name, with its values.
const TAKEN: &[(&str, &[Option<&str>])] = &[
    (
        "UPDATE people SET first_name = $1 WHERE id = $2 RETURNING id, first_name",
        &[Some("Canari"), Some("1")],
    ),
    ("SELECT email, first_name FROM people WHERE email = $1", &[Some("canari@x.example")]),
    ("SELECT id FROM people WHERE first_name LIKE $1", &[Some("Canar%")]),
    ("SELECT name FROM depts WHERE id = $1", &[Some("1")]),
    ("SELECT first_name FROM people", &[]),
];

const FAILING: &[&str] = &[
    "SELECT first_name, nothing FROM people",
    "UPDATE people SET first_name = $1 WHERE nothing = $2",
    "SELECT nothing FROM depts",
    "SELEC",
    "SELECT first_name FROM people; SELECT 1",
    "SELECT 1; SELECT 2",
    "INSERT INTO people (email, nothing) VALUES ($1, $2)",
];

fn lines(messages: &[Message]) -> Vec<String> {
    let line = |m: &Message| match m.tag {
        b'E' => format!("Error {} {}", m.sqlstate(), m.fields()[&'M']),
        _ => m.line(),
    };
    messages.iter().map(line).collect()
}

fn run(name: &str, values: &[Option<&str>]) -> Vec<u8> {
    let (bound, described) = (raw::bind_text("", name, values, &[]), raw::describe(b'P', ""));
    [raw::describe(b'S', name), bound, described, raw::execute("", 0), raw::sync()].concat()
}

/// Whether a pipeline waits for the answers to the one before it, and where it runs.
#[derive(Debug, Clone, Copy)]
enum Way {
    Waits,
    AtOnce,
    Block,
    FailedBlock,
}

fn answers(
    client: &mut Raw,
    way: Way,
    name: &str,
    taken: (&str, &[Option<&str>]),
    failing: &str,
) -> Vec<String> {
    client.rows("SELECT 1");
    client.send(&[raw::close(b'S', name), raw::parse(name, taken.0, &[]), raw::sync()].concat());
    client.until_ready();
    let mut seen = Vec::new();
    if matches!(way, Way::Block | Way::FailedBlock) {
        seen.extend(lines(&client.query("BEGIN")));
    }
    if matches!(way, Way::FailedBlock) {
        seen.extend(lines(&client.query("SELECT 1/0")));
    }
    let fails = [raw::parse(name, failing, &[]), run(name, &[Some("x"), Some("y")])].concat();
    let again = run(name, taken.1);
    if matches!(way, Way::AtOnce) {
        client.send(&[fails, again].concat());
        seen.extend(lines(&client.until_ready()));
    } else {
        client.send(&fails);
        seen.extend(lines(&client.until_ready()));
        if !matches!(way, Way::Waits) {
            seen.extend(lines(&client.query("ROLLBACK")));
            // A Query takes the unnamed statement with it.
        }
        client.send(&again);
    }
    seen.extend(lines(&client.until_ready()));
    seen.extend(lines(&client.query("EXECUTE \"s\"")));
    seen
}

#[test]
fn a_name_that_is_taken_stands_for_what_it_did_after_a_parse_that_fails() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    for mut client in [world.through(), world.clear()] {
        client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'canari@x.example', 'Canari')");
    }
    let mut different = Vec::new();
    for way in [Way::Waits, Way::AtOnce, Way::Block, Way::FailedBlock] {
        let (mut through, mut direct) = (world.through(), world.clear());
        for name in ["s", ""] {
            for taken in TAKEN {
                for failing in FAILING {
                    let seen = answers(&mut through, way, name, *taken, failing);
                    let expected = answers(&mut direct, way, name, *taken, failing);
                    if seen != expected {
                        different.push(format!(
                            "{way:?} {name:?}: {}; {failing}\n  through: {seen:#?}\n  direct: {expected:#?}",
                            taken.0
                        ));
                    }
                }
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    let rows = world.direct().rows("SELECT email, first_name FROM people");
    assert_absent("the table", format!("{rows:?}").to_lowercase().as_bytes(), &[b"canari"]);
}

/// What is bound to a name after a Parse that the policy refuses was meant for that, and goes nowhere.
#[test]
fn a_name_stands_for_the_refusal_of_what_was_to_stand_there() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let mut client = world.through();
    client
        .send(&[raw::parse("s", "INSERT INTO depts (id, name) VALUES ($1, $2)", &[]), raw::sync()].concat());
    client.until_ready();
    let refused = raw::parse("s", "INSERT INTO people (id, first_name) VALUES ($1, $2 || 'x')", &[]);
    let bound = raw::bind_text("", "s", &[Some("9"), Some("Canari")], &[]);
    client.send(&[refused, raw::sync(), bound, raw::execute("", 0), raw::sync()].concat());
    for _ in 0..2 {
        assert_eq!(client.until_ready()[0].sqlstate(), "0A000");
    }
    assert_absent("the log", world.pg.log().as_bytes(), &[b"Canari"]);
}
