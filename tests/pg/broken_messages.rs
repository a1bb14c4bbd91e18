//! Messages that are well framed and wrong within: errors that a session survives, in the words of a direct connection.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Message, Raw, World, raw};

const READ: &str = "SELECT id, email, first_name FROM people WHERE email = $1 AND id > $2";
const WRITE: &str = "INSERT INTO people (email, first_name) VALUES ($1, $2)";
const CANARY: &str = "canari-message";

/// A Bind of the unnamed portal, its parts as they are given.
fn bind(statement: &str, formats: &[i16], count: u16, values: &[&str], rest: &[u8]) -> Vec<u8> {
    let mut body = format!("\0{statement}\0").into_bytes();
    body.extend(u16::try_from(formats.len()).unwrap().to_be_bytes());
    formats.iter().for_each(|f| body.extend(f.to_be_bytes()));
    body.extend(count.to_be_bytes());
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend(rest);
    raw::other(b'B', &body)
}

fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    for statement in ["read", "write", "plain"] {
        let mut add = |what, message| all.push((what, message));
        let first = if statement == "plain" { "harmless" } else { CANARY };
        let two = [first, "7"];
        add("more formats than parameters", bind(statement, &[0, 0, 0], 2, &two, &[0, 0]));
        add("fewer formats than parameters", bind(statement, &[0, 0], 3, &[first, "7", "8"], &[0, 0]));
        add("too few values", bind(statement, &[], 1, &[first], &[0, 0]));
        add("too many values", bind(statement, &[], 3, &[first, "7", "8"], &[0, 0]));
        add("no values", bind(statement, &[], 0, &[], &[0, 0]));
        add("more values than lie in the message", bind(statement, &[], 2, &[first], &[]));
        add("very many values", bind(statement, &[], u16::MAX, &two, &[0, 0]));
        add("a value beyond the end", bind(statement, &[], 2, &[first], &[0, 0, 1, 0, b'7']));
        add("a value of negative length", bind(statement, &[], 2, &[first], &[0xff, 0xff, 0xff, 0xfe, 0, 0]));
        add("no result formats", bind(statement, &[], 2, &two, &[]));
        add("fewer result formats than told", bind(statement, &[], 2, &two, &[0, 2, 0, 0]));
        add("result formats for other columns", bind(statement, &[], 2, &two, &[0, 2, 0, 0, 0, 1]));
        add("bytes after the end", bind(statement, &[], 2, &two, &[0, 0, 0]));
        add("an unknown format", bind(statement, &[7], 2, &two, &[0, 0]));
        let names = format!("\0{statement}\0");
        add("no formats", raw::other(b'B', names.as_bytes()));
        add("fewer formats than told", raw::other(b'B', &[names.as_bytes(), &[0, 2, 0, 0]].concat()));
        add("a count cut short", raw::other(b'B', &[names.as_bytes(), &[0, 0, 0]].concat()));
        add("a name without end", raw::other(b'B', &names.as_bytes()[..names.len() - 1]));
        add("a Describe of what is no kind", raw::other(b'D', format!("X{statement}\0").as_bytes()));
        add("a Describe with more", raw::other(b'D', format!("S{statement}\0x").as_bytes()));
        add("a Describe without end", raw::other(b'D', format!("S{statement}").as_bytes()));
        add("a Close of what is no kind", raw::other(b'C', format!("s{statement}\0").as_bytes()));
        add("a Close with more", raw::other(b'C', format!("S{statement}\0x").as_bytes()));
        add("a Close without end", raw::other(b'C', format!("S{statement}").as_bytes()));
    }
    let text = format!("SELECT 1 FROM people WHERE email = '{CANARY}'");
    all.extend([
        ("an empty Bind", raw::other(b'B', b"")),
        ("an empty Describe", raw::other(b'D', b"")),
        ("an empty Close", raw::other(b'C', b"")),
        ("an empty Execute", raw::other(b'E', b"")),
        ("an Execute without count", raw::other(b'E', b"\0\0")),
        ("an Execute with more", raw::other(b'E', b"\0\0\0\0\0\0")),
        ("an Execute of nothing", raw::execute("nothing", 0)),
        ("an empty Parse", raw::other(b'P', b"")),
        ("a Parse without end", raw::other(b'P', format!("\0{text}").as_bytes())),
        ("a Parse without count", raw::other(b'P', format!("\0{text}\0").as_bytes())),
        ("a Parse of fewer types than told", raw::other(b'P', format!("\0{text}\0\0\x01\0").as_bytes())),
        ("a Parse with more", raw::other(b'P', format!("\0{text}\0\0\0x").as_bytes())),
        ("a Flush with more", raw::other(b'H', b"x")),
        ("a Bind of nothing", raw::bind_text("", "nothing", &[Some("harmless")], &[])),
    ]);
    all
}

/// The context of an error is left out: on a direct connection it holds the values.
fn line(message: &Message) -> String {
    let line = message.line();
    if message.tag == b'E' { line.split(" W=").next().unwrap().to_owned() } else { line }
}

fn prepared(client: &mut Raw) {
    let plain = "SELECT 1 WHERE $1::text = 'x' AND $2::text = 'y'";
    let parses = [("read", READ), ("write", WRITE), ("plain", plain)];
    client.send(&parses.map(|(name, sql)| raw::parse(name, sql, &[])).concat());
    client.send(&raw::sync());
    assert!(client.until_ready().iter().all(|m| m.tag != b'E'));
}

/// Alone, in the middle of a pipeline, in an open transaction, and in one that has failed.
#[test]
fn a_message_that_is_wrong_within_is_an_error_as_on_a_direct_connection() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let (mut direct, mut through) = (world.clear(), world.through());
    prepared(&mut direct);
    prepared(&mut through);
    let run = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
    };
    let insert = run("INSERT INTO people (email, first_name) VALUES ('a@x.example', 'A')");
    let cases: Vec<(String, Vec<u8>, usize)> = broken()
        .into_iter()
        .flat_map(|(what, message)| {
            [
                ("alone", vec![], vec![], 1),
                ("in a pipeline", vec![], [run("SELECT 1"), insert.clone()].concat(), 1),
                ("in a transaction", raw::query("BEGIN"), insert.clone(), 2),
                ("in a failed one", [raw::query("BEGIN"), raw::query("SELECT 1/0")].concat(), vec![], 3),
            ]
            .map(|(place, before, within, readies)| {
                let after = [run("SELECT 2"), raw::sync(), raw::query("ROLLBACK"), raw::query("SELECT 3")];
                let bytes = [before, within, message.clone(), after.concat()].concat();
                (format!("{what}, {place}"), bytes, readies + 2)
            })
        })
        .collect();
    let told = |client: &mut Raw, bytes: &[u8], readies: usize| {
        client.send(bytes);
        let answers = (0..readies).flat_map(|_| client.until_ready());
        answers.filter(|m| m.tag != b'N').map(|m| line(&m)).collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    for (_, bytes, readies) in &cases {
        let lines = told(&mut through, bytes, *readies);
        if lines.last().is_none_or(|line| !line.starts_with("Ready")) {
            through = world.through();
            prepared(&mut through);
        }
        seen.push(lines);
    }
    assert_absent("the log", world.pg.log().as_bytes(), &[CANARY.as_bytes()]);
    let mut different = Vec::new();
    for ((what, bytes, readies), seen) in cases.iter().zip(seen) {
        let expected = told(&mut direct, bytes, *readies);
        if expected != seen {
            different.push(format!("{what}\n  direct:  {expected:?}\n  through: {seen:?}"));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert_eq!(through.rows("SELECT count(*) FROM people"), direct.rows("SELECT count(*) FROM people"));
}

/// Simple Queries, and messages that end them.
#[test]
fn a_query_that_does_not_read_leaves_the_session_as_it_is() {
    let world = World::new();
    let (mut direct, mut through) = (world.clear(), world.through());
    for message in [
        raw::other(b'Q', b""),
        raw::other(b'Q', b"SELECT first_name FROM people"),
        raw::other(b'Q', b"SELECT first_name FROM people\0 "),
        raw::other(b'S', b"x"),
    ] {
        for before in [vec![], raw::query("BEGIN")] {
            let readies = usize::from(!before.is_empty()) + 3;
            let bytes = [before, message.clone(), raw::query("ROLLBACK"), raw::query("SELECT 1")].concat();
            let told = |client: &mut Raw| {
                client.send(&bytes);
                (0..readies).flat_map(|_| client.until_ready()).map(|m| m.line()).collect::<Vec<_>>()
            };
            assert_eq!(told(&mut through), told(&mut direct), "{message:?}");
        }
    }
}

/// What is no message ends the connection, also where messages are passed over.
#[test]
fn a_message_of_no_type_is_fatal() {
    let world = World::new();
    for before in [vec![], raw::bind_text("", "nothing", &[], &[])] {
        let told = |mut client: Raw| {
            client.send(&[before.clone(), raw::other(b'x', b"y"), raw::sync()].concat());
            client.until_closed().last().map(Message::line)
        };
        assert_eq!(told(world.through()), told(world.clear()));
    }
}

/// Texts that no server reads, or reads and fails later.
const TEXTS: &[&str] = &[
    "SELEC email FROM people",
    "SELECT email FROM people WHERE",
    "SELECT email FROM people; SELEC 1",
    "SELECT email, FROM people",
    "SELECT 'open FROM people",
    "SELECT \"open FROM people",
    "SELECT email FROM people WHERE email = 'canari-message' AND",
    "INSERT INTO people (email) VALUES ('canari-message'",
    "SELEC 1",
    "SELECT nothing FROM people",
    "SELECT email FROM people",
    "SELECT $0 FROM people",
    "",
    " ; ",
    "ROLLBACK TO nothing",
    "COMMIT; SELEC people",
];

/// What the server reads before it looks at the transaction. Of texts the gateway says in its own words that they don't read.
#[test]
fn in_a_failed_block_what_does_not_read_is_told_first() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let (mut direct, mut through) = (world.clear(), world.through());
    prepared(&mut direct);
    prepared(&mut through);
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for (what, message) in broken() {
        cases.push((what.to_owned(), [message, raw::sync()].concat()));
    }
    for text in TEXTS {
        cases.push((format!("Query {text}"), raw::query(text)));
        cases.push((format!("Parse {text}"), [raw::parse("", text, &[]), raw::sync()].concat()));
    }
    for name in ["read", "write", "plain"] {
        let bind = raw::bind_text("", name, &[Some(CANARY), Some("1")], &[]);
        cases.push((format!("Bind {name}"), [bind, raw::sync()].concat()));
    }
    let told = |client: &mut Raw, message: &[u8]| {
        client.query("BEGIN");
        client.query("SELECT 1/0");
        client.send(message);
        let answers = client.until_ready();
        client.query("ROLLBACK");
        let of = |m: &Message| match m.tag {
            b'E' if m.sqlstate() == "42601" => m.sqlstate(),
            _ => line(m),
        };
        answers.iter().map(of).collect::<Vec<_>>()
    };
    let seen: Vec<_> = cases.iter().map(|(_, message)| told(&mut through, message)).collect();
    assert_absent("the log", world.pg.log().as_bytes(), &[CANARY.as_bytes()]);
    for ((what, message), seen) in cases.iter().zip(seen) {
        assert_eq!(seen, told(&mut direct, message), "{what}");
    }
}
