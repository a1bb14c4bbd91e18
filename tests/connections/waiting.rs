//! Many clients that come while the catalog can't be read: here, since a view's table is locked.

use crate::support::{Message, Raw, World, eventually, raw, row};
use std::thread::{self, JoinHandle};

const CLIENTS: usize = 20;

/// A table that is locked, the gateway's reading of the catalog that waits for it, and clients that wait for that.
struct Waiting {
    lock: Raw,
    clients: Vec<JoinHandle<Message>>,
}

fn waiting(world: &World) -> Waiting {
    let mut lock = world.direct();
    lock.rows("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE");
    let mut watch = world.direct();
    let own = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'paravent' AND wait_event_type = 'Lock'";
    eventually("the gateway waits for the table", || (watch.rows(own) == [row(["1"])]).then_some(()));
    let port = world.gateway.port();
    let connect = move || {
        let mut client = Raw::dial(port);
        client.send(&raw::startup(196_608, &[("user", "app"), ("database", "app")]));
        std::iter::from_fn(|| client.read()).find(|message| matches!(message.tag, b'E' | b'Z')).unwrap()
    };
    let clients = (0..CLIENTS).map(|_| thread::spawn(connect)).collect();
    let there = format!(
        "SELECT count(*) >= {CLIENTS} FROM pg_stat_activity \
         WHERE usename = 'app' AND state = 'idle' AND backend_start > pg_catalog.now() - interval '1 min'"
    );
    eventually("the server has let them in", || (watch.rows(&there) == [row(["t"])]).then_some(()));
    Waiting { lock, clients }
}

#[test]
fn clients_that_wait_for_the_catalog_go_on_together() {
    let world = World::new();
    world.direct().rows("CREATE VIEW staff AS SELECT id, email FROM people");
    // Its database's catalog is read every few seconds.
    let mut first = world.through();
    let Waiting { mut lock, clients } = waiting(&world);
    lock.rows("COMMIT");
    assert!(clients.into_iter().all(|client| client.join().unwrap().tag == b'Z'));
    first.rows("SELECT id FROM people");
}

/// Twenty that each tried for themselves would try a hundred times, one after the other.
#[test]
fn a_reading_that_fails_fails_for_all_who_wait_for_it() {
    let world = World::new();
    world.direct().rows("CREATE VIEW staff AS SELECT id, email FROM people");
    let mut first = world.through();
    let Waiting { mut lock, clients } = waiting(&world);
    let mut direct = world.direct();
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
