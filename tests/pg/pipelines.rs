//! Transactions whose messages are sent without waiting for any answer: what they wrote is kept or undone as the server does.

use crate::support::{Raw, World, raw, row, tags};

/// Sends simple Queries at once; all answers.
fn at_once(client: &mut Raw, queries: &[&str]) {
    client.send(&queries.iter().flat_map(|sql| raw::query(sql)).collect::<Vec<_>>());
    queries.iter().for_each(|_| drop(client.until_ready()));
}

#[test]
fn going_back_to_a_savepoint_undoes_what_came_after_it_and_nothing_else() {
    let world = World::new();
    let mut through = world.through();
    let insert = |id: u32, name: &str| {
        format!("INSERT INTO people (id, email, first_name) VALUES ({id}, '{name}@x.example', '{name}')")
    };
    let (before, undone, kept) = (insert(1, "before"), insert(2, "undone"), insert(3, "kept"));
    at_once(
        &mut through,
        &[
            "BEGIN",
            &before,
            "SAVEPOINT here",
            &undone,
            "SELECT 1/0",
            "ROLLBACK TO SAVEPOINT here",
            &kept,
            "COMMIT",
        ],
    );
    let all = "SELECT id, email, first_name FROM people ORDER BY id";
    let expected = [row(["1", "before@x.example", "before"]), row(["3", "kept@x.example", "kept"])];
    assert_eq!(through.rows(all), expected);
    // The address of what was kept is known, that of what was undone is nobody's.
    assert_eq!(through.fails(&insert(9, "before")).sqlstate(), "23505");
    through.rows(&insert(4, "undone"));
    assert_eq!(through.rows("SELECT count(*) FROM (SELECT DISTINCT email FROM people) e"), [row(["3"])]);
    assert_eq!(through.rows("SELECT DISTINCT email FROM people WHERE id = 4"), [row(["undone@x.example"])]);
}

#[test]
fn two_blocks_and_a_savepoint_in_one_burst() {
    let world = World::new();
    let mut through = world.through();
    let queries: Vec<String> = (1..20)
        .flat_map(|n| {
            let insert = |id: u32| {
                format!(
                    "INSERT INTO people (id, email, first_name) VALUES ({id}, 'p{id}@x.example', 'P{id}')"
                )
            };
            ["BEGIN".to_owned(), insert(n), "SAVEPOINT s".into(), insert(n + 100), "ROLLBACK TO s".into()]
                .into_iter()
                .chain([insert(n + 200), if n % 2 == 0 { "ROLLBACK".into() } else { "COMMIT".to_owned() }])
        })
        .collect();
    at_once(&mut through, &queries.iter().map(String::as_str).collect::<Vec<_>>());
    let expected: Vec<_> = (1..20)
        .chain(201..220)
        .filter(|id| id % 2 == 1)
        .map(|id| row([&id.to_string(), &format!("p{id}@x.example"), &format!("P{id}")]))
        .collect();
    assert_eq!(through.rows("SELECT id, email, first_name FROM people ORDER BY id"), expected);
}

/// COMMIT in the middle of a pipeline: what follows it is a transaction of its own, which its Sync ends.
#[test]
fn what_follows_a_commit_in_its_pipeline_is_kept() {
    let world = World::new();
    let mut through = world.through();
    for (id, end) in [(1, "COMMIT"), (2, "ROLLBACK")] {
        through.rows("BEGIN");
        let insert =
            format!("INSERT INTO people (id, email, first_name) VALUES ({id}, 'p{id}@x.example', 'P{id}')");
        through.send(&[run("SELECT 1"), run(end), run(&insert), raw::sync()].concat());
        assert!(through.until_ready().iter().all(|m| m.tag != b'E'));
        let read = format!("SELECT email, first_name FROM people WHERE id = {id}");
        assert_eq!(through.rows(&read), [row([&format!("p{id}@x.example"), &format!("P{id}")])]);
    }
}

fn run(sql: &str) -> Vec<u8> {
    [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
}

/// The error arrives while the gateway asks for what it needs to decide on the Parse.
#[test]
fn a_parse_that_is_skipped_while_it_is_decided_on_leaves_its_name_as_it_was() {
    let world = World::new();
    let mut through = world.through();
    let named = |name: &str, sql: &str| {
        let portal = [raw::bind_text("p", name, &[], &[]), raw::execute("p", 0), raw::close(b'P', "p")];
        [raw::parse(name, sql, &[]), portal.concat(), raw::close(b'S', name)].concat()
    };
    let insert = "INSERT INTO people (email, first_name) VALUES ($1, $2)";
    let read = "SELECT first_name FROM people WHERE email = $1";
    for name in ["s", ""] {
        for text in [insert, "SELECT $1::text, $2::text"] {
            through.send(&[raw::parse(name, text, &[]), raw::sync()].concat());
            assert_eq!(tags(&through.until_ready()), "1Z");
            // From here on the search path must be asked for.
            through.send(&[named("m", "SET search_path = public"), raw::sync()].concat());
            through.until_ready();
            let skipped = [named("f", "SELECT 1 / 0"), raw::parse(name, read, &[]), raw::sync()].concat();
            through.send(&skipped);
            let answers = through.until_ready();
            assert_eq!(answers[answers.len() - 2].sqlstate(), "22012");
            let email = format!("{}@x.example", name.len());
            let values = [Some(email.as_str()), Some("Kept")];
            let again = [raw::bind_text("", name, &values, &[]), raw::execute("", 0), raw::sync()].concat();
            through.send(&again);
            let answers = tags(&through.until_ready());
            let expected = match (text == insert, name) {
                (true, _) => "2CZ",
                // Meant for what was skipped, most likely.
                (false, "") => "EZ",
                (false, _) => "2DCZ",
            };
            assert_eq!(answers, expected, "{name:?}: {text}");
            through.send(&[raw::close(b'S', name), raw::close(b'S', "f"), raw::sync()].concat());
            through.until_ready();
        }
    }
    // What was skipped under a new name is not there, and what is bound to it stays here.
    through.rows("SET search_path = public");
    through.send(&[named("f", "SELECT 1 / 0"), raw::parse("new", insert, &[]), raw::sync()].concat());
    through.until_ready();
    through.send(&[raw::bind_text("", "new", &[Some("a"), Some("b")], &[]), raw::sync()].concat());
    assert_eq!(through.until_ready()[0].sqlstate(), "26000");
    assert_eq!(
        through.rows("SELECT email, first_name FROM people ORDER BY id"),
        [row(["1@x.example", "Kept"]), row(["0@x.example", "Kept"])]
    );
}

/// The error arrives while the gateway waits for the COMMIT before it.
#[test]
fn a_savepoint_that_is_skipped_while_it_waits_is_not_sent() {
    let world = World::new();
    let mut through = world.through();
    for end in ["SAVEPOINT s", "ROLLBACK TO SAVEPOINT s"] {
        through.rows("BEGIN");
        let insert =
            format!("INSERT INTO people (email, first_name) VALUES ('{}@x.example', 'P')", end.len());
        through.send(&[run(&insert), run("COMMIT"), run("SELECT 1 / 0"), run(end), raw::sync()].concat());
        let answers = through.until_ready();
        assert_eq!(answers[answers.len() - 2].sqlstate(), "22012");
        assert_eq!(through.rows("SELECT 1"), [row(["1"])]);
    }
    assert_eq!(through.rows("SELECT first_name FROM people"), [row(["P"]), row(["P"])]);
}

/// A row that can't be shown fails the pipeline, also while the gateway asks for what the next statement needs.
#[test]
fn a_statement_after_a_row_that_cannot_be_shown_is_skipped_as_the_server_skips_it() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut direct = world.direct();
    direct.rows("UPDATE people SET last_name = (SELECT last_name FROM people WHERE id = 2) WHERE id = 1");
    direct.rows("UPDATE people SET title = repeat('x', 300000)");
    let mut through = world.through();
    through
        .send(&[raw::parse("s", "SELECT first_name FROM people WHERE id = $1", &[]), raw::sync()].concat());
    through.until_ready();
    let long = "SELECT last_name, title FROM people, generate_series(1, 4) ORDER BY id";
    let other = "SELECT id FROM people WHERE first_name = $1";
    for _ in 0..10 {
        through.rows("BEGIN");
        through.rows("SET LOCAL search_path = public");
        through.send(
            &[
                run(long),
                raw::parse("other", other, &[]),
                raw::bind_text("", "s", &[Some("1")], &[]),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat(),
        );
        let answers = through.until_ready();
        // From 18 on the path that the block had set is reported behind it.
        let errors: Vec<_> = answers.iter().filter(|m| m.tag == b'E').map(|m| m.sqlstate()).collect();
        assert_eq!(errors, ["XX001"]);
        assert_eq!(answers[answers.len() - 1].body, b"E");
        through.rows("ROLLBACK");
        through
            .send(&[raw::bind_text("", "s", &[Some("2")], &[]), raw::execute("", 0), raw::sync()].concat());
        assert_eq!(tags(&through.until_ready()), "2DCZ");
    }
}

/// A Query is skipped as well, where it comes before the Sync.
#[test]
fn a_query_in_a_pipeline_that_fails_while_it_is_decided_on_is_skipped() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut through = world.through();
    let style = "SET datestyle = 'ISO, MDY'";
    let path = "SET search_path = public";
    for query in [
        "INSERT INTO comments (author_id, body) VALUES (1, 'P')",
        "SELECT 1; INSERT INTO comments (author_id, body) VALUES (1, 'P')",
        "SELECT 1; SELECT attname FROM pg_attribute LIMIT 1",
        "SELECT attname FROM pg_attribute LIMIT 1",
        "ALTER TABLE people SET (fillfactor = 90)",
        "PREPARE p AS SELECT attname FROM pg_attribute LIMIT 1",
        "PREPARE p AS SELECT 1",
        "SAVEPOINT a",
        "SELECT 1",
    ] {
        for settle in [style, path, "CREATE TABLE IF NOT EXISTS more (id integer)", "SELECT 1"] {
            through.rows(query.strip_prefix("SAVEPOINT").map_or(query, |_| "SELECT 1"));
            through.query("DEALLOCATE ALL");
            through.send(&[run(settle), run("SELECT 1 / 0"), raw::query(query), raw::sync()].concat());
            let answers = through.until_ready();
            let errors = answers.iter().filter(|m| m.tag == b'E').map(|m| m.sqlstate()).collect::<Vec<_>>();
            assert_eq!(errors, ["22012"], "{settle}: {query}");
            assert_eq!(through.rows("SELECT 2"), [row(["2"])], "{settle}: {query}");
            assert_eq!(through.fails("EXECUTE p").sqlstate(), "26000", "{settle}: {query}");
        }
    }
    // As often as it was sent by itself.
    assert_eq!(through.rows("SELECT count(*) FROM comments WHERE body = 'P'"), [row(["8"])]);
}
