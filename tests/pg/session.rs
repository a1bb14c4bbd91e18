//! One client connection is one server connection.

use crate::support::{Raw, World, eventually, raw, row};

#[test]
fn cancels_a_running_statement() {
    let world = World::new();
    let mut client = world.through();
    let key = client.key.clone();
    client.send(&raw::query("SELECT pg_sleep(30)"));
    let mut watch = world.direct();
    eventually("the statement runs", || {
        let running = watch
            .rows("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'");
        (!running.is_empty()).then_some(())
    });
    let mut other = Raw::dial(world.gateway.port());
    other.send(&raw::cancel(&key));
    assert!(other.until_closed().is_empty());
    let answers = client.until_ready();
    let error = answers.iter().find(|m| m.tag == b'E').expect("it was cancelled");
    assert_eq!(error.sqlstate(), "57014");
    assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
}

#[test]
fn passes_on_the_real_backend_key() {
    let world = World::new();
    let mut client = world.through();
    let told = i32::from_be_bytes(client.key[..4].try_into().unwrap());
    assert_eq!(client.rows("SELECT pg_backend_pid()"), [row([&told.to_string()])]);
    let through: Vec<String> = client.status.iter().map(crate::support::Message::line).collect();
    let direct: Vec<String> = world.clear().status.iter().map(crate::support::Message::line).collect();
    assert_eq!(through, direct, "the same parameters are reported");
}

#[test]
fn the_server_session_ends_with_the_client() {
    let world = World::new();
    let mut client = world.through();
    let pid = client.rows("SELECT pg_backend_pid()")[0][0].clone().unwrap();
    client.send(&raw::terminate());
    assert!(client.until_closed().is_empty());
    let mut watch = world.direct();
    eventually("its server process ends", || {
        watch.rows(&format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid}")).is_empty().then_some(())
    });
}

#[test]
fn shows_values_in_the_session_s_own_style() {
    let world = World::new();
    let mut client = world.through();
    client.rows(
        "INSERT INTO people (email, birth_date, seen_at, photo) \
         VALUES ('s@x.example', '1987-03-29', '2024-07-01 12:00:00+00', '\\x6162ff')",
    );
    let sql = "SELECT birth_date, seen_at, photo FROM people";
    client.rows("SET DateStyle = 'German'");
    client.rows("SET TimeZone = 'Europe/Paris'");
    client.rows("SET bytea_output = 'escape'");
    assert_eq!(client.rows(sql), [row(["29.03.1987", "01.07.2024 14:00:00 CEST", "ab\\377"])]);
    client.rows("BEGIN");
    client.rows("SET LOCAL DateStyle = 'SQL, DMY'");
    assert_eq!(client.rows(sql)[0][0].as_deref(), Some("29/03/1987"));
    client.rows("ROLLBACK");
    assert_eq!(client.rows(sql)[0][0].as_deref(), Some("29.03.1987"));
    client.rows("RESET ALL");
    assert_eq!(client.rows(sql), [row(["1987-03-29", "2024-07-01 12:00:00+00", "\\x6162ff"])]);
}

#[test]
fn many_sessions_at_once_see_their_own_rows() {
    let world = World::new();
    let port = world.gateway.port();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            std::thread::spawn(move || {
                let mut client = Raw::connect(port, "app");
                for n in 0..15 {
                    let name = format!("W{worker}-{n}");
                    let made = client.rows(&format!(
                        "INSERT INTO people (email, first_name) VALUES ('{name}@x.example', '{name}') RETURNING id"
                    ));
                    let id = made[0][0].clone().unwrap();
                    assert_eq!(client.rows(&format!("SELECT first_name FROM people WHERE id = {id}")), [row([&name])]);
                    let found = client.rows(&format!("SELECT id FROM people WHERE email = '{name}@x.example'"));
                    assert_eq!(found, [row([&id])]);
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|w| w.join().unwrap());
    assert_eq!(
        world.through().rows("SELECT count(*), count(DISTINCT email) FROM people"),
        [row(["120", "120"])]
    );
}

#[test]
fn relays_large_values_and_results() {
    let world = World::new();
    let mut client = world.through();
    let long = "é".repeat(400_000);
    client.rows(&format!("INSERT INTO people (email, first_name) VALUES ('l@x.example', '{long}')"));
    assert_eq!(client.rows("SELECT first_name FROM people"), [row([&long])]);
    let answers = client.query("SELECT repeat('x', 100), n FROM generate_series(1, 50000) n");
    assert_eq!(answers.iter().filter(|m| m.tag == b'D').count(), 50_000);
    let copied = client.query("COPY depts TO STDOUT");
    assert_eq!(copied.iter().filter(|m| m.tag == b'd').count(), 3);
}

#[test]
fn takes_a_copy_into_a_table_that_holds_nothing_protected() {
    let world = World::new();
    let mut client = world.through();
    client.send(&raw::query("COPY depts FROM STDIN"));
    assert_eq!(client.read().unwrap().tag, b'G');
    client.send(&raw::other(b'd', b"10\tDix\n11\tOnze\n"));
    client.send(&raw::other(b'c', b""));
    let answers = client.until_ready();
    assert_eq!(answers[0].command(), "COPY 2");
    client.send(&raw::query("COPY depts FROM STDIN"));
    assert_eq!(client.read().unwrap().tag, b'G');
    client.send(&raw::other(b'f', b"changed my mind\0"));
    assert_eq!(client.until_ready()[0].sqlstate(), "57014");
    assert_eq!(client.rows("SELECT count(*) FROM depts"), [row(["5"])]);
}

#[test]
fn hears_notifications_while_idle() {
    let world = World::new();
    let (mut client, mut other) = (world.through(), world.through());
    client.rows("LISTEN news");
    other.rows("NOTIFY news, 'fresh'");
    let heard = client.read().expect("a notification arrives by itself");
    assert_eq!(heard.tag, b'A');
    assert!(heard.body.windows(5).any(|w| w == b"fresh"));
}
