//! A server that is down, goes away, or breaks off in the middle of a row.

use crate::support::gateway::Setup;
use crate::support::world::make_tables;
use crate::support::{Gateway, Message, Postgres, Raw, World, eventually, raw, row};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A cable between gateway and server that breaks after so many bytes from the server.
struct Cable {
    port: u16,
    left: Arc<AtomicUsize>,
}

impl Cable {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let limit = Arc::clone(&left);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    std::io::copy(&mut from, &mut to).map(|_| to.shutdown(Shutdown::Both))
                });
                let limit = Arc::clone(&limit);
                std::thread::spawn(move || pass(server, client, &limit));
            }
        });
        Self { port, left }
    }

    fn breaks_after(&self, bytes: usize) {
        self.left.store(bytes, Ordering::SeqCst);
    }
}

fn pass(mut server: TcpStream, mut client: TcpStream, limit: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = server.read(&mut bytes) {
        let left = limit.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(if left == usize::MAX { left } else { left.saturating_sub(n) })
        });
        let n = n.min(left.unwrap());
        if client.write_all(&bytes[..n]).is_err() || limit.load(Ordering::SeqCst) == 0 {
            break;
        }
    }
    client.shutdown(Shutdown::Both).ok();
    server.shutdown(Shutdown::Both).ok();
}

#[test]
fn a_server_that_breaks_off_anywhere_gives_08006_and_no_half_rows() {
    let pg = Postgres::start();
    make_tables(&pg);
    let cable = Cable::to(pg.port());
    let mut setup = Setup::new(&pg);
    setup.upstream = format!("postgres://paravent@127.0.0.1:{}/app", cable.port);
    let mut gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    for n in 0..20 {
        client.rows(&format!("INSERT INTO people (email, first_name) VALUES ('{n}@x.example', 'Name-{n}')"));
    }
    let mut survivor = Raw::connect(gateway.port(), "app");
    let mut lost = 0;
    for bytes in (0..3000).step_by(97) {
        let mut client = Raw::connect(gateway.port(), "app");
        cable.breaks_after(bytes);
        client.send(&raw::query("SELECT id, first_name, email FROM people ORDER BY id"));
        let answers = client.until_ready();
        cable.breaks_after(usize::MAX);
        if answers.last().is_some_and(|m| m.tag == b'Z') {
            continue;
        }
        lost += 1;
        let error = answers.last().expect("one clear line before the end");
        assert_eq!(error.sqlstate(), "08006", "{answers:?}");
        for (n, row) in answers.iter().filter(|m| m.tag == b'D').enumerate() {
            assert_eq!(row.texts()[1], Some(format!("Name-{n}")));
        }
    }
    assert!(lost > 10, "the cable did break");
    // Connections that were idle meanwhile go on.
    assert_eq!(survivor.rows("SELECT count(*) FROM people"), [row(["20"])]);
    assert!(gateway.alive());
}

#[test]
fn a_server_that_is_down_gives_08006_and_is_found_again() {
    let pg = Postgres::start();
    make_tables(&pg);
    let cable = Cable::to(pg.port());
    let mut setup = Setup::new(&pg);
    setup.upstream = format!("postgres://paravent@127.0.0.1:{}/app", cable.port);
    let mut gateway = Gateway::with(setup);
    Raw::connect(gateway.port(), "app");
    pg.stop();
    for _ in 0..5 {
        let mut client = Raw::dial(gateway.port());
        client.send(&raw::startup(196_608, &[("user", "app"), ("database", "app")]));
        let answers = client.until_closed();
        assert_eq!(answers.last().expect("one clear line").sqlstate(), "08006");
    }
    assert!(gateway.alive());
    assert_eq!(gateway.admin().get("/healthz").status, 200);
}

#[test]
fn a_killed_backend_ends_only_its_own_client() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    let pid = client.rows("SELECT pg_backend_pid()")[0][0].clone().unwrap();
    client.rows("BEGIN");
    client.rows("INSERT INTO people (email, first_name) VALUES ('lost@x.example', 'Lost')");
    world.direct().rows(&format!("SELECT pg_terminate_backend({pid})"));
    let told = client.until_closed();
    let codes: Vec<String> = told.iter().map(Message::sqlstate).collect();
    assert_eq!(codes, ["57P01"], "the server's own words, and no others");
    let mut other = world.through();
    assert_eq!(other.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    other.rows("INSERT INTO people (email) VALUES ('lost@x.example')");
    // A crash of the whole server: every session ends, and new ones find it again.
    let pid = other.rows("SELECT pg_backend_pid()")[0][0].clone().unwrap();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    other.until_closed();
    eventually("the server has recovered", || {
        let mut probe = Raw::dial(world.gateway.port());
        probe.send(&raw::startup(196_608, &[("user", "app"), ("database", "app")]));
        probe.until_ready().last().filter(|m| m.tag == b'Z')?;
        // A connection may still have come in before the server noticed its crash.
        probe.try_send(&raw::query("SELECT first_name FROM people WHERE id = 1")).ok()?;
        probe.until_ready().iter().any(|m| m.tag == b'D' && m.body.ends_with(b"Ana")).then_some(())
    });
}

#[test]
fn a_client_that_leaves_amid_a_result_leaves_nothing_behind() {
    let world = World::new();
    for _ in 0..10 {
        let mut client = world.through();
        client.send(&raw::query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
        client.read();
    }
    let mut watch = world.direct();
    eventually("the server's sessions end", || {
        let busy = watch.rows("SELECT 1 FROM pg_stat_activity WHERE usename = 'app'");
        busy.is_empty().then_some(())
    });
}
