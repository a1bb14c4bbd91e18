//! Every message of a session, truncated at every byte and mutated at random.

use crate::support::{Raw, World, raw, row};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One of each message that a client may send, after which a Sync or the end follows.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let insert = "INSERT INTO people (email, first_name, age) VALUES ($1, $2, $3) RETURNING age";
    let values: [Option<&[u8]>; 3] = [Some(b"m@x.example"), Some(b"Mia"), Some(&[0, 0, 0, 7])];
    vec![
        ("Query", raw::query("SELECT first_name, email FROM people WHERE email = 'a@x.example'")),
        ("Parse", raw::parse("s", insert, &[25, 25, 23])),
        ("Bind", raw::bind("p", "t", &[0, 0, 1], &values, &[1])),
        ("Describe", raw::describe(b'S', "t")),
        ("Execute", raw::execute("", 5)),
        ("Close", raw::close(b'S', "t")),
        ("Flush", raw::flush()),
        ("Sync", raw::sync()),
        ("FunctionCall", raw::other(b'F', &[0, 0, 0, 99, 0, 0, 0, 0, 0, 0])),
        ("CopyData", raw::other(b'd', b"1\tx\n")),
        ("CopyDone", raw::other(b'c', b"")),
        ("CopyFail", raw::other(b'f', b"no\0")),
        ("Password", raw::other(b'p', b"secret\0")),
        ("Unknown", raw::other(b'?', b"what")),
        ("Terminate", raw::terminate()),
    ]
}

/// A session with a statement `t` that `Bind` needs.
fn prepared(world: &World) -> Raw {
    let mut client = world.through();
    let insert = "INSERT INTO people (email, first_name, age) VALUES ($1, $2, $3) RETURNING age";
    client.send(&[raw::parse("t", insert, &[25, 25, 23]), raw::sync()].concat());
    assert_eq!(client.until_ready().len(), 2);
    client
}

fn well(world: &mut World) {
    assert!(world.gateway.alive());
    assert_eq!(world.through().rows("SELECT 1"), [row(["1"])]);
    let log = String::from_utf8_lossy(&world.gateway.log()).into_owned();
    let panicked: Vec<&str> = log.lines().filter(|l| l.contains("panicked")).collect();
    assert!(panicked.is_empty(), "{panicked:?}");
}

#[test]
fn a_message_may_break_off_at_any_byte() {
    let mut world = World::new();
    for (name, message) in messages() {
        for len in 1..message.len() {
            let mut client = prepared(&world);
            client.try_send(&message[..len]).ok();
            client.finish();
            let answer = client.drain();
            assert!(!answer.windows(3).any(|w| w == b"Mia"), "{name} at {len}");
        }
    }
    well(&mut world);
    let rows = world.direct().rows("SELECT count(*) FROM people");
    assert_eq!(rows, [row(["0"])], "half a message does nothing");
}

#[test]
fn a_body_may_end_at_any_byte() {
    let mut world = World::new();
    for (name, message) in messages() {
        // FunctionCall aside, which is refused whole, each is answered with an error or taken as it is.
        for len in 0..message.len() - 5 {
            let mut client = prepared(&world);
            let short = raw::other(message[0], &message[5..5 + len]);
            client
                .try_send(&[short, raw::sync(), raw::query("SELECT 'after'"), raw::terminate()].concat())
                .ok();
            client.finish();
            let answers = client.drain();
            let told = answers.windows(5).any(|w| w == b"after") || memchr::memchr(b'E', &answers).is_some();
            assert!(
                told || answers.is_empty(),
                "{name} cut to {len} bytes: {:?}",
                String::from_utf8_lossy(&answers)
            );
        }
    }
    well(&mut world);
}

#[test]
fn random_changes_of_a_conversation_crash_nothing() {
    let mut world = World::new();
    world.people(&["Ana"]);
    let conversation: Vec<u8> = messages().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let changes = prop::collection::vec((0..conversation.len(), any::<u8>()), 1..6);
    let cut = 0..conversation.len();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    runner
        .run(&(changes, cut), |(changes, cut)| {
            let mut bytes = conversation.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.rotate_left(cut);
            let mut client = prepared(&world);
            client.try_send(&bytes).ok();
            client.finish();
            client.drain();
            Ok(())
        })
        .unwrap();
    well(&mut world);
}

#[test]
fn random_changes_of_one_message_crash_nothing() {
    let mut world = World::new();
    let all = messages();
    let which = 0..all.len();
    let change = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    runner
        .run(&(which, change), |(which, (at, byte, insert))| {
            let (_, message) = &all[which];
            let mut body = message[5..].to_vec();
            if insert || body.is_empty() {
                body.insert(at.index(body.len() + 1), byte);
            } else {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let mut client = prepared(&world);
            client.try_send(&[raw::other(message[0], &body), raw::sync(), raw::terminate()].concat()).ok();
            client.finish();
            client.drain();
            Ok(())
        })
        .unwrap();
    well(&mut world);
}

#[test]
fn a_message_that_claims_to_be_huge_costs_nothing() {
    let mut world = World::new();
    for tag in *b"QPBDECSFHdXp?" {
        for len in [0_u32, 3, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let mut client = world.through();
            client.try_send(&[&[tag][..], &len.to_be_bytes(), b"abc"].concat()).ok();
            client.finish();
            client.drain();
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.gateway.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 600_000, "at its highest: {kib} KiB resident");
    well(&mut world);
}

#[test]
fn refuses_function_calls() {
    let world = World::new();
    let mut client = world.through();
    // to_char or any other: nothing says what such a call touches.
    client.send(&raw::other(b'F', &[0, 0, 0, 99, 0, 0, 0, 0, 0, 0]));
    let answers = client.until_ready();
    assert_eq!(answers[0].sqlstate(), "0A000");
    assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
}

#[test]
fn texts_that_are_not_utf_8_are_refused() {
    let world = World::new();
    let mut client = world.through();
    let mut sql = b"INSERT INTO people (email, first_name) VALUES ('a@x.example', '".to_vec();
    sql.extend([0xc3, 0x28]);
    sql.extend(b"')\0");
    client.send(&raw::other(b'Q', &sql));
    let answers = client.until_ready();
    assert!(matches!(&*answers[0].sqlstate(), "22021" | "42601" | "0A000"), "{answers:?}");
    let insert = "INSERT INTO people (email, first_name) VALUES ($1, $2)";
    for bad in [&[0xff, 0xfe][..], b"a\0b"] {
        let values: [Option<&[u8]>; 2] = [Some(b"u@x.example"), Some(bad)];
        client.send(
            &[
                raw::parse("", insert, &[]),
                raw::bind("", "", &[], &values, &[]),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat(),
        );
        let answers = client.until_ready();
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{answers:?}"));
        assert_eq!(error.sqlstate(), "22021");
    }
    assert_eq!(world.direct().rows("SELECT count(*) FROM people"), [row(["0"])]);
}
