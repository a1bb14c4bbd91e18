//! Transactions whose messages are sent without waiting for any answer: what they wrote is kept or undone as the server does.

use crate::support::{Raw, World, raw, row};

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
    let run = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
    };
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
