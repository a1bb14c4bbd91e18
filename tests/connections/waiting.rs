//! Many clients that come while a view's table is locked, or while the catalog can't be read.

use crate::support::{Message, Raw, World, eventually, raw, row};
use std::thread::{self, JoinHandle};

const CLIENTS: usize = 20;

/// Clients that connect at once; what each is told at last.
fn come(world: &World) -> Vec<JoinHandle<Message>> {
    let port = world.gateway.port();
    let connect = move || {
        let mut client = Raw::dial(port);
        client.send(&raw::startup(196_608, &[("user", "app"), ("database", "app")]));
        std::iter::from_fn(|| client.read()).find(|message| matches!(message.tag, b'E' | b'Z')).unwrap()
    };
    (0..CLIENTS).map(|_| thread::spawn(connect)).collect()
}

/// The rows of a query, once it is not refused any more.
fn rows_at_last(client: &mut Raw, sql: &str) -> Vec<Vec<Option<String>>> {
    eventually(sql, || {
        let answers = client.query(sql);
        let failed = answers.iter().any(|m| m.tag == b'E');
        (!failed).then(|| answers.iter().filter(|m| m.tag == b'D').map(Message::texts).collect())
    })
}

#[test]
fn a_table_that_is_locked_keeps_no_new_client_waiting() {
    let world = World::new();
    world.people(&["ana"]);
    let mut first = world.through();
    first.rows("CREATE VIEW staff AS SELECT id, email FROM people");
    first.rows("CREATE VIEW said AS SELECT author_id, body FROM comments");
    first.rows("INSERT INTO comments (author_id, body) VALUES (1, 'Bonjour')");
    assert_eq!(first.rows("SELECT email FROM staff"), [row(["ana@people.example"])]);
    let mut migration = world.direct();
    migration.rows("BEGIN; ALTER TABLE people ADD COLUMN more integer");
    assert!(come(&world).into_iter().all(|client| client.join().unwrap().tag == b'Z'));
    // Nor a session where the schema has changed: what is not known of a view is refused, other views go on.
    first.rows("CREATE TABLE plain (id integer)");
    let refused = first.fails("SELECT email FROM staff").fields();
    assert_eq!(refused[&'C'], "0A000");
    assert!(refused[&'H'].contains("docs/errors.md#view"), "{refused:?}");
    assert_eq!(first.rows("SELECT body FROM said"), [row(["Bonjour"])]);
    assert!(come(&world).into_iter().all(|client| client.join().unwrap().tag == b'Z'));
    migration.rows("COMMIT");
    assert_eq!(rows_at_last(&mut first, "SELECT email FROM staff"), [row(["ana@people.example"])]);
}

/// The server couldn't see such a deadlock: the gateway's reading would wait for the client's lock, the client for the reading.
#[test]
fn a_client_that_has_locked_a_views_table_does_not_wait_for_itself() {
    let world = World::new();
    world.people(&["ana"]);
    let mut holder = world.through();
    holder.rows("CREATE VIEW staff AS SELECT id, email FROM people");
    holder.rows("BEGIN");
    holder.rows("LOCK TABLE people IN ACCESS EXCLUSIVE MODE");
    world.through().rows("CREATE TABLE plain (id integer)");
    assert_eq!(holder.rows("SELECT email FROM people"), [row(["ana@people.example"])]);
    holder.rows("COMMIT");
    assert_eq!(rows_at_last(&mut holder, "SELECT email FROM staff"), [row(["ana@people.example"])]);
}

/// Nothing but the view's own query is another: no name, no column, no table.
#[test]
fn a_view_that_is_replaced_past_the_gateway_is_seen_through_anew() {
    let world = World::new();
    world.people(&["ana"]);
    let mut client = world.through();
    client.rows("CREATE VIEW staff AS SELECT id, (first_name)::text AS name FROM people");
    assert_eq!(client.rows("SELECT name FROM staff"), [row(["ana"])]);
    world.direct().rows("CREATE OR REPLACE VIEW staff AS SELECT id, email AS name FROM people");
    eventually("the new view is read as it is", || {
        let answers = client.query("SELECT name FROM staff WHERE name = 'ana@people.example'");
        answers.iter().find(|m| m.tag == b'D').map(|m| assert_eq!(m.texts(), row(["ana@people.example"])))
    });
}

/// Twenty that each tried for themselves would try a hundred times, one after the other.
#[test]
fn a_reading_that_fails_fails_for_all_who_wait_for_it() {
    let world = World::new();
    let mut first = world.through();
    let mut direct = world.direct();
    // The catalog itself: nothing else locks it, and only the gateway's reading waits for it.
    let mut lock = world.direct();
    lock.rows("BEGIN; LOCK TABLE pg_catalog.pg_partitioned_table IN ACCESS EXCLUSIVE MODE");
    let own = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'paravent' AND wait_event_type = 'Lock'";
    eventually("the gateway waits for the lock", || (direct.rows(own) == [row(["1"])]).then_some(()));
    let clients = come(&world);
    let there = format!(
        "SELECT count(*) >= {CLIENTS} FROM pg_stat_activity \
         WHERE usename = 'app' AND state = 'idle' AND backend_start > pg_catalog.now() - interval '1 min'"
    );
    eventually("the server has let them in", || (direct.rows(&there) == [row(["t"])]).then_some(()));
    direct.rows("ALTER ROLE paravent NOLOGIN");
    direct.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'paravent'");
    for client in clients {
        let told = client.join().unwrap();
        assert_eq!(told.tag, b'E');
        assert!(told.fields()[&'H'].contains("docs/errors.md#catalog-unavailable"), "{told:?}");
    }
    let tried = world.pg.log().matches("role \"paravent\" is not permitted to log in").count();
    assert!((4..=25).contains(&tried), "{tried} attempts");
    // What was there goes on, and so does everything once the login works.
    lock.rows("COMMIT");
    direct.rows("ALTER ROLE paravent LOGIN");
    first.rows("SELECT id FROM people");
    world.through().rows("SELECT id FROM people");
}
