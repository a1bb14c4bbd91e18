//! A simple Query of several statements is a block to statements that must, or must not, stand in one.

use crate::support::{Message, Raw, World, raw, row};

const ROWS: &str = "INSERT INTO people (id, email, first_name, title, birth_date) VALUES \
     (1, 'ana@x.example', 'Ana', 'one', '1987-03-29'), (2, 'bea@x.example', 'Bea', 'two', NULL)";

/// Scripts of which a direct connection and the gateway must give the same, message for message.
const SCRIPTS: &[&str] = &[
    // What must stand in a block.
    "LOCK TABLE people IN SHARE MODE; UPDATE people SET title = 'x' WHERE id = 1",
    "UPDATE people SET title = 'x' WHERE id = 1; LOCK TABLE people IN SHARE MODE",
    "LOCK people; UPDATE people SET first_name = 'Ada' WHERE id = 1 RETURNING id, first_name, email",
    "LOCK people; INSERT INTO people (id, email) VALUES (3, 'cleo@x.example'); SELECT email FROM people ORDER BY id",
    "DECLARE c CURSOR FOR SELECT email, first_name FROM people ORDER BY id; FETCH ALL FROM c",
    "DECLARE c CURSOR FOR SELECT email, first_name FROM people ORDER BY id; FETCH 1 FROM c; FETCH 1 FROM c; CLOSE c",
    "DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id; DECLARE d CURSOR FOR SELECT 1; FETCH ALL FROM d; FETCH c",
    "SELECT first_name FROM people WHERE email = 'ana@x.example'; DECLARE c CURSOR FOR SELECT first_name FROM people; FETCH c",
    "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM people ORDER BY id; FETCH ALL FROM c; CLOSE c",
    "SET LOCAL work_mem = '1MB'; SELECT email FROM people ORDER BY id; SHOW work_mem",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT email FROM people WHERE id = 1; SHOW transaction_isolation",
    "SELECT first_name FROM people WHERE id = 1; SET CONSTRAINTS ALL DEFERRED",
    // In a block of its own, and beside one.
    "BEGIN; LOCK TABLE people IN SHARE MODE; UPDATE people SET title = 'x' WHERE id = 1; COMMIT",
    "BEGIN; DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id; FETCH ALL FROM c; ROLLBACK",
    "BEGIN; LOCK people; UPDATE people SET title = 'x'",
    "UPDATE people SET title = 'x' WHERE id = 1; BEGIN; LOCK people; COMMIT",
    // What must not.
    "VACUUM people; SELECT email FROM people WHERE id = 1",
    "SELECT email FROM people WHERE id = 1; VACUUM people",
    "REINDEX TABLE CONCURRENTLY comments; SELECT email FROM people WHERE id = 1",
    "SAVEPOINT s; SELECT email FROM people WHERE id = 1",
    "LOCK people; SELECT email FROM people WHERE id = 1; VACUUM people",
    "UPDATE people SET title = 'x'; DO 'BEGIN COMMIT; END'",
    // Failures: before, within and behind, and at the very end.
    "LOCK people; UPDATE people SET first_name = 'Ada', dept_id = 99 WHERE id = 1; SELECT 1",
    "UPDATE people SET first_name = 'Ada' WHERE id = 1; LOCK people; SELECT 1/0; SELECT email FROM people",
    "LOCK nothing; SELECT email FROM people",
    "LOCK people; SELECT email FROM people ORDER BY id; SELECT nothing FROM people",
    "LOCK people; SELECT email FROM people ORDER BY id; FETCH ALL FROM nothing",
    "LOCK people; INSERT INTO people (id, email) VALUES (4, 'dora@x.example'); INSERT INTO people (id, email) VALUES (5, 'ana@x.example')",
    "DECLARE c CURSOR FOR SELECT email FROM people; FETCH ALL FROM d",
];

fn lines(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::line).collect()
}

const SHOWN: &str = "SELECT id, email, first_name, title, birth_date FROM people ORDER BY id";

/// What a script gives, what it leaves open, and what it leaves behind.
fn run(client: &mut Raw, script: &str, block: bool) -> Vec<String> {
    client.query("ROLLBACK");
    client.rows("DELETE FROM people");
    client.rows(ROWS);
    if block {
        client.rows("BEGIN");
    }
    // What follows it does not wait.
    client.send(&[raw::query(script), raw::query("FETCH ALL FROM c"), raw::query("SHOW work_mem")].concat());
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(lines(&client.until_ready()));
    }
    seen.extend(lines(&client.query("COMMIT")));
    // Addresses of people who were not kept are free.
    seen.extend(lines(&client.query("INSERT INTO people (id, email) VALUES (9, 'dora@x.example')")));
    seen.extend(lines(&client.query(SHOWN)));
    seen
}

#[test]
fn statements_that_mind_a_block_find_the_one_that_a_query_is() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    for script in SCRIPTS {
        for block in [false, true] {
            let direct = run(&mut clear, script, block);
            assert_eq!(run(&mut through, script, block), direct, "{script} (in a block: {block})");
        }
    }
}

#[test]
fn a_script_that_fails_as_it_ends_leaves_nothing() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    for client in [&mut clear, &mut through] {
        client.rows("ALTER TABLE people ALTER CONSTRAINT people_dept_id_fkey DEFERRABLE");
        client.rows(ROWS);
        let answers = client.query(
            "SET CONSTRAINTS ALL DEFERRED; INSERT INTO people (id, email, dept_id) VALUES (3, 'cleo@x.example', 99)",
        );
        let [.., error, ready] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((error.sqlstate().as_str(), ready.line().as_str()), ("23503", "ReadyForQuery I"));
        assert_eq!(client.rows("SELECT count(*) FROM people"), [row(["2"])]);
        client.rows("INSERT INTO people (id, email) VALUES (4, 'cleo@x.example')");
    }
    assert_eq!(world.gateway.admin().state(3), None);
}

#[test]
fn a_row_that_can_not_be_shown_undoes_its_script() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let taken = "UPDATE people SET first_name = (SELECT first_name FROM people WHERE id = 1) WHERE id = 2";
    world.direct().rows(taken);
    let mut client = world.through();
    let answers =
        client.query("LOCK people; UPDATE people SET title = 'x'; SELECT first_name FROM people ORDER BY id");
    let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{answers:?}"));
    assert_eq!(error.sqlstate(), "XX001");
    assert_eq!(answers.iter().filter(|m| m.tag == b'E').count(), 1, "{answers:?}");
    assert_eq!(answers.last().unwrap().line(), "ReadyForQuery I");
    assert_eq!(client.rows("SELECT count(title) FROM people"), [row(["0"])]);
}
