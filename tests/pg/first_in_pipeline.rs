//! What is the first statement of a client's pipeline is the first for the server, whatever the gateway asks before it: from
//! the second on it stands in a block, in which VACUUM fails, and LOCK and SET LOCAL do not.

use crate::support::{Raw, World, raw};

const FIRST: &[&str] = &[
    "SET LOCAL datestyle = 'German'",
    "SET LOCAL search_path = public",
    "SET LOCAL client_encoding = LATIN1",
    "SELECT set_config('datestyle', 'SQL, DMY', true)",
    "VACUUM people",
    "REINDEX TABLE CONCURRENTLY comments",
    "LOCK TABLE people IN SHARE MODE",
    "DECLARE c CURSOR FOR SELECT first_name FROM people",
    "RESET ALL",
    "DISCARD ALL",
    "BEGIN",
    "COMMIT",
    "SAVEPOINT s",
    "SELECT first_name, birth_date FROM people ORDER BY id",
    "UPDATE people SET first_name = 'Ada' WHERE version = 0",
    "UPDATE people SET first_name = 'Ada' WHERE id = 1",
    "EXECUTE nothing",
    "SELECT nothing FROM people",
];

const SECOND: &[&str] = &[
    "SELECT birth_date FROM people ORDER BY id",
    "VACUUM people",
    "LOCK TABLE people IN SHARE MODE",
    "SET LOCAL datestyle = 'SQL, DMY'",
    "UPDATE people SET birth_date = '01.02.1977' WHERE id = 1 RETURNING birth_date",
];

/// How the first statement comes.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Nothing was asked in this session yet.
    New,
    /// Where names are found is to be asked again.
    Moved,
    /// The same, and a Flush comes before.
    Flushed,
    /// The same, and the statement was prepared before.
    Prepared,
    /// In a block.
    Block,
}

fn run(sql: &str) -> Vec<u8> {
    [raw::parse("", sql, &[]), bound("")].concat()
}

fn bound(name: &str) -> Vec<u8> {
    [raw::bind("", name, &[], &[], &[]), raw::describe(b'P', ""), raw::execute("", 0)].concat()
}

/// All answers, of the pipeline and of what shows what it left.
fn answers(client: &mut Raw, way: Way, first: &str, second: &str) -> Vec<String> {
    client.rows("SET datestyle = 'ISO, MDY'");
    let begins = match way {
        Way::New => run(first),
        Way::Moved | Way::Flushed | Way::Block => {
            client.rows("SET search_path = public");
            if matches!(way, Way::Block) {
                client.rows("BEGIN");
            }
            let flush = if matches!(way, Way::Flushed) { raw::flush() } else { Vec::new() };
            [flush, run(first)].concat()
        }
        Way::Prepared => {
            client.send(&[raw::close(b'S', "p"), raw::parse("p", first, &[]), raw::sync()].concat());
            client.until_ready();
            client.rows("SET search_path = public");
            bound("p")
        }
    };
    client.send(&[begins, run(second), run("SELECT count(*) FROM people"), raw::sync()].concat());
    let mut seen: Vec<String> = client.until_ready().iter().map(|m| m.line()).collect();
    for sql in ["ROLLBACK", "SHOW datestyle", "SELECT id, birth_date FROM people ORDER BY id"] {
        seen.extend(client.query(sql).iter().map(|m| m.line()));
    }
    seen
}

#[test]
fn the_first_statement_of_a_pipeline_is_the_server_s_first_and_the_others_are_not() {
    let world = World::new();
    for mut client in [world.through(), world.clear()] {
        client.rows(
            "INSERT INTO people (id, email, first_name, birth_date) VALUES (1, 'a@x.example', 'A', '1977-02-01')",
        );
    }
    let mut different = Vec::new();
    for way in [Way::New, Way::Moved, Way::Flushed, Way::Prepared, Way::Block] {
        let (mut through, mut direct) = (world.through(), world.clear());
        for first in FIRST {
            for second in SECOND {
                if matches!(way, Way::New) {
                    (through, direct) = (world.through(), world.clear());
                }
                let seen = answers(&mut through, way, first, second);
                let expected = answers(&mut direct, way, first, second);
                if seen != expected {
                    different.push(format!(
                        "{way:?}: {first}; {second}\n  through: {seen:#?}\n  direct: {expected:#?}"
                    ));
                }
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}
