//! What a client does next: bytes for either connection, and how many ReadyForQuery answer them.

use crate::statements::{Source, Statement};
use crate::support::raw;
use rand::RngExt as _;
use std::collections::HashMap;

/// One exchange, made for both connections alike.
pub struct Step {
    pub what: &'static str,
    pub direct: Vec<u8>,
    pub through: Vec<u8>,
    /// Answers up to so many ReadyForQuery.
    pub readies: usize,
}

/// Names of prepared statements that are in use on both connections.
pub type Prepared = HashMap<String, Statement>;

/// Builds a step from what either connection is sent.
fn step(what: &'static str, readies: usize, bytes: impl Fn(bool) -> Vec<u8>) -> Step {
    Step { what, direct: bytes(false), through: bytes(true), readies }
}

/// Parse, Bind, Describe, Execute of one statement, unnamed.
fn unnamed(statement: &Statement, binary: i16, through: bool) -> Vec<u8> {
    [
        raw::parse("", statement.sql(through), &[]),
        raw::bind_text("", "", &statement.given(), &[binary]),
        raw::describe(b'P', ""),
        raw::execute("", 0),
    ]
    .concat()
}

pub fn simple(source: &mut Source) -> Step {
    let statement = if source.random.random_bool(0.2) { source.error(true) } else { source.statement() };
    step("a simple Query", 1, |through| raw::query(&statement.plain(through)))
}

/// Several statements in one Query, one of them maybe wrong. None is refused: then nothing of the text would be sent.
pub fn script(source: &mut Source) -> Step {
    let length = source.random.random_range(2..5);
    let wrong = source.random.random_range(0..2 * length);
    let list: Vec<Statement> =
        (0..length).map(|n| if n == wrong { source.error(false) } else { source.statement() }).collect();
    step("a script", 1, |through| {
        raw::query(&list.iter().map(|one| one.plain(through)).collect::<Vec<_>>().join("; "))
    })
}

/// A pipeline with an error at any position, and a Sync here and there.
pub fn pipeline(source: &mut Source) -> Step {
    let length = source.random.random_range(1..8);
    let wrong = source.random.random_range(0..2 * length);
    let binary = source.random.random_range(0..2);
    let list: Vec<(Statement, bool)> = (0..length)
        .map(|n| {
            let statement = if n == wrong { source.error(true) } else { source.statement() };
            (statement, n + 1 == length || source.random.random_bool(0.2))
        })
        .collect();
    let readies = list.iter().filter(|(_, sync)| *sync).count();
    step("a pipeline", readies, |through| {
        let mut bytes = Vec::new();
        for (statement, sync) in &list {
            bytes.extend(unnamed(statement, binary, through));
            if *sync {
                bytes.extend(raw::sync());
            }
        }
        bytes
    })
}

/// A name: prepared and used, used again, prepared twice, closed, or used when it is none.
pub fn named(source: &mut Source, prepared: &mut Prepared) -> Step {
    let name = format!("s{}", source.random.random_range(0..6));
    let fresh = source.statement();
    let known = prepared.get(&name).cloned();
    match (source.random.random_range(0..4), known) {
        (0, Some(_)) => {
            prepared.remove(&name);
            step("a name closed, then used", 1, |_| {
                [
                    raw::close(b'S', &name),
                    raw::bind_text("", &name, &[], &[]),
                    raw::execute("", 0),
                    raw::sync(),
                ]
                .concat()
            })
        }
        (1, Some(_)) => {
            prepared.insert(name.clone(), fresh.clone());
            step("a name given to another", 1, |through| {
                [
                    raw::close(b'S', &name),
                    raw::parse(&name, fresh.sql(through), &[]),
                    raw::describe(b'S', &name),
                    raw::bind_text("", &name, &fresh.given(), &[]),
                    raw::execute("", 0),
                    raw::sync(),
                ]
                .concat()
            })
        }
        (2, Some(_)) => step("a name prepared twice", 1, |through| {
            [raw::parse(&name, fresh.sql(through), &[]), raw::sync()].concat()
        }),
        (_, Some(statement)) => step("a name used again", 1, |_| {
            [
                raw::bind_text("", &name, &statement.given(), &[]),
                raw::describe(b'P', ""),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat()
        }),
        (_, None) => {
            prepared.insert(name.clone(), fresh.clone());
            // By itself, so that the name stays whatever becomes of the statement.
            step("a name prepared", 1, |through| {
                [raw::parse(&name, fresh.sql(through), &[]), raw::sync()].concat()
            })
        }
    }
}

/// A portal read in parts, within a block.
pub fn portal(source: &mut Source) -> Step {
    let change = source.statement();
    let [first, last] = source.range();
    let parts = format!(
        "SELECT g, first_name, birth_date FROM generate_series({first}, {last}) g LEFT JOIN people ON id = g ORDER BY g"
    );
    step("a portal in parts", 2, |through| {
        [
            raw::parse("", "BEGIN", &[]),
            raw::bind_text("", "", &[], &[]),
            raw::execute("", 0),
            unnamed(&change, 0, through),
            raw::parse("", &parts, &[]),
            raw::bind_text("parts", "", &[], &[]),
            raw::execute("parts", 1),
            raw::execute("parts", 4),
            raw::close(b'P', "parts"),
            raw::parse("", "COMMIT", &[]),
            raw::bind_text("", "", &[], &[]),
            raw::execute("", 0),
            raw::sync(),
            // Where the change failed.
            raw::query("ROLLBACK"),
        ]
        .concat()
    })
}

/// A block with a savepoint, committed or not.
pub fn block(source: &mut Source) -> Step {
    let (first, second, last) = (source.statement(), source.statement(), source.statement());
    let wrong = source.error(true);
    let end = if source.random.random_bool(0.6) { "COMMIT" } else { "ROLLBACK" };
    step("a block", 8, |through| {
        [
            raw::query("BEGIN"),
            raw::query(&first.plain(through)),
            raw::query("SAVEPOINT here"),
            [unnamed(&second, 1, through), unnamed(&wrong, 0, through), raw::sync()].concat(),
            raw::query(&last.plain(through)),
            raw::query("ROLLBACK TO SAVEPOINT here"),
            [unnamed(&last, 0, through), raw::sync()].concat(),
            raw::query(end),
        ]
        .concat()
    })
}

/// COPY in, given up or not, and out.
pub fn copy(source: &mut Source) -> Step {
    let rows: Vec<String> = (0..source.random.random_range(1..6)).map(|_| source.copied()).collect();
    let end =
        if source.random.random_bool(0.7) { raw::other(b'c', b"") } else { raw::other(b'f', b"given up\0") };
    step("COPY", 1, |_| {
        let mut bytes = raw::query("COPY comments (author_id, body) FROM STDIN");
        rows.iter().for_each(|row| bytes.extend(raw::other(b'd', row.as_bytes())));
        bytes.extend(&end);
        bytes
    })
}

/// A statement that takes until it is cancelled.
pub fn endless() -> Step {
    step("a statement to be cancelled", 1, |_| {
        raw::query("SELECT first_name, pg_sleep(600) FROM people RIGHT JOIN (VALUES (-1)) v (n) ON id = n")
    })
}

/// Work that is never ended: the connection is lost in the middle of it.
pub fn cut_off(source: &mut Source) -> Step {
    let (one, other) = (source.statement(), source.statement());
    let block = source.random.random_bool(0.5);
    let torn = source.random.random_bool(0.5);
    step("what is cut off", 0, |through| {
        // Without a Sync or COMMIT none of it stays.
        let mut bytes = if block { raw::query("BEGIN") } else { Vec::new() };
        bytes.extend(unnamed(&one, 0, through));
        bytes.extend(unnamed(&other, 0, through));
        if torn {
            bytes.extend(&raw::query("SELECT first_name FROM people")[..9]);
        }
        bytes
    })
}
