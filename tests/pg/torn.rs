//! An answer of the server may come in parts, cut anywhere: what it says counts all the same.

use crate::support::gateway::Setup;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, raw, row};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const COMMIT: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// A line to a server, on which the answer to a COMMIT is torn: its second half waits until the first has arrived.
struct Line {
    port: u16,
    tears: Arc<AtomicBool>,
    arrived: Sender<()>,
}

impl Line {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tears = Arc::new(AtomicBool::new(false));
        let (arrived, waits) = channel();
        let (of, waits) = (Arc::clone(&tears), Arc::new(Mutex::new(waits)));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (of, waits) = (Arc::clone(&of), Arc::clone(&waits));
                std::thread::spawn(move || carry(client, server, &of, &waits));
            }
        });
        Self { port, tears, arrived }
    }
}

fn carry(mut client: TcpStream, server: u16, tears: &AtomicBool, arrived: &Mutex<Receiver<()>>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    let (mut bytes, mut kept) = ([0; 4096], Vec::new());
    while let Ok(n) = server.read(&mut bytes)
        && n > 0
    {
        kept.extend_from_slice(&bytes[..n]);
        if tears.load(Ordering::SeqCst) {
            // What comes before it goes in the same write: who has read that has read the half.
            let Some(at) = kept.windows(COMMIT.len()).position(|w| w == COMMIT) else { continue };
            let rest = kept.split_off(at + 7);
            client.write_all(&kept).unwrap();
            kept = rest;
            arrived.lock().unwrap().recv().unwrap();
            tears.store(false, Ordering::SeqCst);
        }
        if client.write_all(&kept).is_err() {
            break;
        }
        kept.clear();
    }
    client.shutdown(Shutdown::Both).ok();
    server.shutdown(Shutdown::Both).ok();
}

#[test]
fn what_was_written_is_kept_where_the_answer_to_its_commit_comes_in_two_parts() {
    let pg = Postgres::start();
    make_tables(&pg);
    let line = Line::to(pg.port());
    let gateway = Gateway::with(Setup::towards(format!("postgres://paravent@127.0.0.1:{}/app", line.port)));
    let mut client = Raw::connect(gateway.port(), "app");
    let run = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind("", "", &[], &[], &[]), raw::execute("", 0)].concat()
    };
    let ways = [
        raw::query("SELECT 'arrived'; COMMIT"),
        [run("SELECT 'arrived'"), run("COMMIT"), raw::sync()].concat(),
    ];
    for (burst, id) in ways.into_iter().zip(1..) {
        let insert = "INSERT INTO people (email, first_name) VALUES";
        client.rows("BEGIN");
        client.rows(&format!("{insert} ('p{id}@x.example', 'P{id}')"));
        line.tears.store(true, Ordering::SeqCst);
        client.send(&burst);
        while client.read().unwrap().tag != b'D' {}
        line.arrived.send(()).unwrap();
        client.until_ready();
        // Others see it too, and nobody else has that address.
        let read = format!("SELECT email, first_name FROM people WHERE email = 'p{id}@x.example'");
        for mut reader in [Raw::connect(gateway.port(), "app"), Raw::connect(gateway.port(), "app")] {
            assert_eq!(reader.rows(&read), [row([&format!("p{id}@x.example"), &format!("P{id}")])]);
        }
    }
}
