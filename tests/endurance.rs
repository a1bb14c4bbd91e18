//! What must not grow: a gibibyte each way, relayed and sealed, and many connections for a while. `make soak-http` runs
//! it (`PARAVENT_SOAK_MIB`, `PARAVENT_SOAK_SECONDS`, `PARAVENT_SOAK_CONNECTIONS`); `cargo test` leaves it out.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http_wire/gateway.rs"]
mod gateway;
#[path = "http_wire/peer.rs"]
mod peer;
#[path = "support/mod.rs"]
mod support;

use gateway::{Gateway, Setup};
use peer::{Peer, Service, status};
use std::io::{Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The most that the process may ever hold: thirty mebibytes. The code of a build with assertions alone is larger by some.
const LIMIT_KIB: u64 = if cfg!(debug_assertions) { 36 << 10 } else { 30 << 10 };
/// What it may hold more at the end than after a quarter of the time.
const GROWTH_KIB: u64 = 2 << 10;
const PIECE: usize = 1 << 20;

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// A figure of `/proc/PID/status`, in KiB.
fn memory(gateway: &Gateway, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn quiet(more: &str) -> (Gateway, Service) {
    let service = Service::new();
    (Setup { log: "info", ..Setup::new(service.url()) }.with(more).start(), service)
}

/// A byte of the body: each chunk of it is another.
fn piece(number: usize) -> Vec<u8> {
    (0..PIECE).map(|at| (at ^ (at >> 8) ^ number) as u8).collect()
}

fn send(peer: &mut Peer, pieces: usize) {
    (0..pieces).for_each(|number| peer.send(piece(number)));
}

fn receive(peer: &mut Peer, pieces: usize) {
    (0..pieces).for_each(|number| assert!(peer.exactly(PIECE) == piece(number), "the body as it was"));
}

#[test]
fn a_gibibyte_passes_each_way_in_thirty_mebibytes() {
    let pieces = setting("PARAVENT_SOAK_MIB", 1024);
    let length = pieces * PIECE;
    let (gateway, service) = quiet("");
    let mut client = gateway.client();
    client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    let mut asked = service.next();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&mut client, pieces));
        receive(&mut asked.peer, pieces);
    });
    asked.peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
    assert_eq!(status(&client.head()), 200);
    std::thread::scope(|scope| {
        scope.spawn(|| send(&mut asked.peer, pieces));
        receive(&mut client, pieces);
    });
    let most = memory(&gateway, "VmHWM");
    println!("{pieces} MiB each way: {most} KiB at most");
    assert!(most < LIMIT_KIB, "{most} KiB");
}

const PHOTO: &str = r#"
[[http.routes]]
path = "/photos/{id}"
subject = "path:id"
body = "photo"
[fields]
photo = { protect = "encrypt", type = "bytea" }
"#;

#[test]
fn a_gibibyte_is_sealed_and_opened_in_thirty_mebibytes() {
    let pieces = setting("PARAVENT_SOAK_MIB", 1024);
    let length = pieces * PIECE;
    let (gateway, service) = quiet(PHOTO);
    let mut client = gateway.client();
    client.send(format!(
        "PUT /photos/7 HTTP/1.1\r\nHost: a\r\nContent-Type: video/mp4\r\nContent-Length: {length}\r\n\r\n"
    ));
    let mut stored = tempfile::tempfile().unwrap();
    let mut asked = std::thread::scope(|scope| {
        scope.spawn(|| send(&mut client, pieces));
        let mut asked = service.next();
        let mut left: usize = asked.field("content-length").unwrap().parse().unwrap();
        assert!(left > length, "sealed, and of a length that is known before");
        while left > 0 {
            let part = asked.peer.exactly(left.min(PIECE));
            left -= part.len();
            stored.write_all(&part).unwrap();
        }
        asked
    });
    asked.peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(status(&client.head()), 204);
    let sealed = stored.stream_position().unwrap();
    stored.rewind().unwrap();
    client.send("GET /photos/7 HTTP/1.1\r\nHost: a\r\n\r\n");
    asked.peer.head();
    asked
        .peer
        .send(format!("HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {sealed}\r\n\r\n"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut part = vec![0; PIECE];
            loop {
                match stored.read(&mut part).unwrap() {
                    0 => break,
                    n => asked.peer.send(&part[..n]),
                }
            }
        });
        assert!(client.head().contains(&format!("content-length: {length}\r\n")));
        receive(&mut client, pieces);
    });
    let most = memory(&gateway, "VmHWM");
    println!("{pieces} MiB sealed and opened: {most} KiB at most");
    assert!(most < LIMIT_KIB, "{most} KiB");
}

const ANSWER: usize = 1024;

/// Answers every request with a kilobyte, on as many connections as there are.
async fn serve(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {ANSWER}\r\n\r\n"
            );
            let answer = [head.into_bytes(), vec![b'x'; ANSWER]].concat();
            let mut buffer = vec![0; 4096];
            let mut held = 0;
            while let Ok(n @ 1..) = stream.read(&mut buffer[held..]).await {
                held += n;
                if buffer[..held].ends_with(b"\r\n\r\n") {
                    held = 0;
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// Asks again and again until it is time; any answer but a whole 200 is an error.
async fn ask(address: String, until: Instant, asked: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut buffer = vec![0; 4096];
    while Instant::now() < until {
        stream.write_all(b"GET /people/7 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut held = 0;
        loop {
            let n = stream.read(&mut buffer[held..]).await.unwrap();
            assert!(n > 0, "the connection ended");
            held += n;
            let head = memchr::memmem::find(&buffer[..held], b"\r\n\r\n");
            if head.is_some_and(|head| held == head + 4 + ANSWER) {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 "));
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn many_connections_for_a_while_leave_nothing_behind() {
    let seconds = u64::try_from(setting("PARAVENT_SOAK_SECONDS", 60)).unwrap();
    let connections = setting("PARAVENT_SOAK_CONNECTIONS", 256);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (gateway, port) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener));
        let gateway = Setup { log: "info", ..Setup::new(format!("http://127.0.0.1:{port}")) }.start();
        (gateway, port)
    });
    assert!(port > 0);
    let asked = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..connections)
        .map(|_| runtime.spawn(ask(gateway.address.clone(), until, Arc::clone(&asked))))
        .collect();
    let mut seen = Vec::new();
    for _ in 0..8 {
        std::thread::sleep(Duration::from_secs(seconds) / 8);
        seen.push(memory(&gateway, "VmRSS"));
    }
    runtime.block_on(async {
        for client in clients {
            client.await.expect("no error, on any connection");
        }
    });
    println!(
        "{connections} connections, {seconds} s, {} requests: {seen:?} KiB",
        asked.load(Ordering::Relaxed)
    );
    let (early, late) = (seen[1], seen[7]);
    assert!(late < early + GROWTH_KIB, "it grew: {seen:?} KiB");
}
