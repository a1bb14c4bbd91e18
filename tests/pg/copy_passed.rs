//! COPY FROM STDIN of tables that are not protected, by the extended protocol: its data, the Syncs in between, and what comes instead.

use crate::support::{Raw, World, raw};

fn done() -> Vec<u8> {
    raw::other(b'c', &[])
}

fn fail() -> Vec<u8> {
    raw::other(b'f', b"no more\0")
}

fn data(lines: &str) -> Vec<u8> {
    raw::other(b'd', lines.as_bytes())
}

fn run(sql: &str) -> Vec<u8> {
    [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
}

fn answer(client: &mut Raw, bytes: &[u8]) -> Vec<String> {
    client.send(bytes);
    client.until_ready().iter().map(|message| message.line()).collect()
}

fn world() -> World {
    let world = World::new();
    for mut client in [world.through(), world.clear()] {
        client.rows("CREATE TABLE plain (x int)");
    }
    world
}

#[test]
fn what_follows_a_copy_is_answered_however_the_copy_ends() {
    let world = world();
    let (mut through, mut clear) = (world.through(), world.clear());
    let copy = || run("COPY plain FROM STDIN");
    let (sync, flush) = (raw::sync, raw::flush);
    for (what, first) in [
        ("failed", vec![copy(), fail(), sync()]),
        ("wrong", vec![copy(), data("x\n"), done(), sync()]),
        ("good", vec![copy(), data("1\n"), done(), sync()]),
        ("a Sync before the data", vec![copy(), sync(), data("2\n"), done(), sync()]),
        ("Syncs and a Flush in it", vec![copy(), sync(), data("3\n"), flush(), sync(), done(), sync()]),
        ("failed after a Sync", vec![copy(), sync(), fail(), sync()]),
        ("two", vec![copy(), data("4\n"), done(), copy(), data("5\n"), done(), sync()]),
        ("two, of which one fails", vec![copy(), fail(), copy(), data("6\n"), done(), sync()]),
        ("stray ends", vec![done(), fail(), run("SELECT 1"), done(), copy(), data("7\n"), done(), sync()]),
        ("another statement behind it", vec![copy(), data("8\n"), done(), run("SELECT 1"), sync()]),
        ("a missing table", vec![run("COPY nothing FROM STDIN"), data("9\n"), done(), sync()]),
    ] {
        let first = first.concat();
        for next in [
            [run("INSERT INTO plain VALUES (10) RETURNING x"), sync()].concat(),
            raw::query("SELECT count(*) FROM plain"),
            [run("SELECT count(*) FROM people"), sync()].concat(),
        ] {
            for begin in [None, Some("BEGIN")] {
                let [through, clear] = [&mut through, &mut clear].map(|client| {
                    let mut lines = Vec::new();
                    lines.extend(begin.map(|sql| answer(client, &raw::query(sql))));
                    lines.push(answer(client, &[&first[..], &next].concat()));
                    let more = client.until_ready();
                    lines.push(more.iter().map(|message| message.line()).collect());
                    lines.push(answer(client, &[run("ROLLBACK"), sync()].concat()));
                    lines
                });
                assert_eq!(through, clear, "{what}, in a block: {begin:?}");
            }
        }
    }
}

#[test]
fn a_session_that_says_anything_else_within_a_copy_is_told_and_leaves_nothing_behind() {
    let world = world();
    for at_once in [true, false] {
        for instead in [raw::query("SELECT 1"), run("SELECT 1"), raw::execute("", 0)] {
            let mut client = world.through();
            let copy = [run("COPY plain FROM STDIN"), raw::flush(), data("1\n")].concat();
            if at_once {
                client.send(&[copy, instead].concat());
            } else {
                client.send(&copy);
                while client.read().expect("the server asks for the data").tag != b'G' {}
                client.send(&instead);
            }
            // Where the server is told, it ends the session from 14 on.
            let told = std::iter::from_fn(|| client.read()).find(|message| message.tag == b'E');
            assert_eq!(told.expect("the client is told").sqlstate(), "08P01");
        }
    }
    // Its lock is given back.
    let mut direct = world.direct();
    direct.rows("SET lock_timeout = '20s'");
    direct.rows("DROP TABLE plain");
}
