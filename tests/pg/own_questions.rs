//! What the gateway asks in a client's session leaves no trace there: what must come first comes first, and where such a
//! question fails the client is told why.

use crate::support::postgres::Options;
use crate::support::{Raw, World, raw};

/// In both databases, by simple Queries: the last of each is what such a question would spoil.
const SPOILT: &[&[&str]] = &[
    // A snapshot was taken before.
    &[
        "SET search_path = public",
        "BEGIN",
        "SET datestyle TO iso",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ],
    &[
        "SET search_path = public",
        "BEGIN",
        "SET bytea_output = hex",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ],
    &["SET search_path = public", "BEGIN", "DEALLOCATE ALL", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
    // The temporary schema was made before.
    &[
        "SET search_path = pg_temp",
        "SET datestyle TO iso",
        "BEGIN",
        "SELECT current_schema() ~ 'pg_temp'",
        "PREPARE TRANSACTION 'temporary'",
    ],
    &[
        "SET search_path = pg_temp",
        "PREPARE harmless AS SELECT 1",
        "BEGIN; SET datestyle TO iso",
        "EXECUTE harmless",
        "SELECT current_schema() ~ 'pg_temp'",
        "PREPARE TRANSACTION 'temporary'",
    ],
];

fn world() -> World {
    let world =
        World::with(&Options { settings: "max_prepared_transactions = 5\n".into(), ..Options::default() });
    world.people(&["Ana"]);
    world
}

fn lines(client: &mut Raw, sql: &str) -> Vec<String> {
    client.query(sql).iter().map(|message| message.line()).collect()
}

#[test]
fn a_text_that_hangs_on_no_search_path_is_not_preceded_by_a_question_for_it() {
    let world = world();
    for texts in SPOILT {
        let (mut through, mut clear) = (world.through(), world.clear());
        for sql in *texts {
            assert_eq!(lines(&mut through, sql), lines(&mut clear, sql), "{sql} of {texts:?}");
        }
    }
}

#[test]
fn how_dates_are_written_is_asked_without_a_snapshot() {
    let world = world();
    let run = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
    };
    let texts = ["BEGIN", "SET datestyle TO German", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"];
    let read = "SELECT birth_date FROM people WHERE false";
    let pipeline: Vec<u8> = texts.iter().chain([&read]).flat_map(|sql| run(sql)).chain(raw::sync()).collect();
    let mut seen = [world.through(), world.clear()].map(|mut client| {
        client.send(&pipeline);
        client.until_ready().iter().map(|message| message.line()).collect::<Vec<_>>()
    });
    let [through, clear] = &mut seen;
    assert_eq!(through, clear);
    assert!(through.iter().all(|line| !line.starts_with("Error")), "{through:?}");
}

#[test]
fn a_statement_stays_good_under_another_path_where_it_hangs_on_none() {
    let world = world();
    let (mut through, mut clear) = (world.through(), world.clear());
    for client in [&mut through, &mut clear] {
        client.send(&[raw::parse("style", "SET datestyle TO iso", &[]), raw::sync()].concat());
        client.until_ready();
        client.rows("SET search_path = pg_catalog");
    }
    let bound = [raw::bind_text("", "style", &[], &[]), raw::execute("", 0), raw::sync()].concat();
    let answers = [through, clear].map(|mut client| {
        client.send(&bound);
        client.until_ready().iter().map(|message| message.line()).collect::<Vec<_>>()
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_question_that_the_clients_timeout_cancels_fails_its_statement_with_that_error() {
    let world = world();
    for extended in [false, true] {
        let (mut client, mut holds) = (world.through(), world.direct());
        client.rows("BEGIN");
        client.rows("CREATE TEMP TABLE own (x integer)");
        client.rows("SET statement_timeout = 100");
        // The catalog can't be read meanwhile.
        holds.rows("BEGIN");
        holds.rows("LOCK TABLE pg_catalog.pg_collation IN ACCESS EXCLUSIVE MODE");
        let sql = "SELECT count(*) FROM people";
        let answers = match extended {
            false => client.query(sql),
            true => {
                client.send(&raw::extended(sql));
                client.until_ready()
            }
        };
        let errors: Vec<_> = answers.iter().filter(|message| message.tag == b'E').collect();
        assert_eq!(errors.len(), 1, "{:?}", answers.iter().map(|m| m.line()).collect::<Vec<_>>());
        assert_eq!(errors[0].sqlstate(), "57014", "extended: {extended}");
        holds.rows("ROLLBACK");
        assert_eq!(client.fails(sql).sqlstate(), "25P02", "the block has failed");
        client.rows("ROLLBACK");
        assert_eq!(client.rows(sql).len(), 1);
    }
}

#[test]
fn what_must_be_first_in_a_pipeline_is_first() {
    let world = world();
    let (mut through, mut clear) = (world.through(), world.clear());
    for sql in [
        "CREATE INDEX CONCURRENTLY people_by_title ON people (title)",
        "REINDEX INDEX CONCURRENTLY people_by_title",
        "DROP INDEX CONCURRENTLY people_by_title",
        "VACUUM people",
        "COMMIT PREPARED 'people'",
        "ROLLBACK PREPARED 'people'",
        "CREATE DATABASE people",
        "DROP DATABASE people",
    ] {
        for again in [false, true] {
            let [through, clear] = [&mut through, &mut clear].map(|client| {
                if again {
                    // The catalog is read anew after it.
                    client.query("ALTER TABLE people ADD COLUMN one_more text");
                    client.query("ALTER TABLE people DROP COLUMN one_more");
                    if sql.contains("PREPARED") {
                        for sql in ["BEGIN", "UPDATE people SET title = 'x'", "PREPARE TRANSACTION 'people'"]
                        {
                            client.query(sql);
                        }
                    }
                }
                client.send(&raw::extended(sql));
                client.until_ready().iter().map(|message| message.line()).collect::<Vec<_>>()
            });
            assert_eq!(through, clear, "{sql}, again: {again}");
        }
    }
}
