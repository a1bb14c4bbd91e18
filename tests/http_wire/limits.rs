//! Time and size: what takes too long or is too much ends, with the right status or a closed connection.

use crate::gateway::{Gateway, Setup};
use crate::peer::{Peer, status};
use std::time::{Duration, Instant};

const QUICK: &str = "[http.timeouts]\nheader_seconds = 1\nbody_idle_seconds = 1\nkeep_alive_seconds = 1\nresponse_seconds = 1\nupgrade_idle_seconds = 1";

fn problem(message: &(String, String), code: u16, anchor: &str) {
    assert_eq!(status(&message.0), code, "{message:?}");
    assert!(message.1.contains(&format!("#{anchor}\"")), "{message:?}");
}

/// How long it took until nothing more was to be read.
fn closed(client: &mut Peer) -> Duration {
    let began = Instant::now();
    assert!(client.is_closed());
    began.elapsed()
}

#[test]
fn a_connection_that_says_nothing_ends() {
    let (gateway, _service) = Gateway::set(QUICK);
    assert!(closed(&mut gateway.client()) < Duration::from_secs(10));
}

#[test]
fn a_head_that_drips_ends_in_time_however_regular_it_is() {
    let (gateway, service) = Gateway::set(QUICK);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let began = Instant::now();
    while !client.ended_within(Duration::from_millis(100)) {
        if client.try_send("x").is_err() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "each byte gains it time");
    }
    gateway.is_well(&service);
}

#[test]
fn a_connection_between_two_requests_ends_in_time() {
    let (gateway, service) = Gateway::set(QUICK);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.message();
    let took = closed(&mut client);
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_body_that_stops_coming_is_answered_with_408() {
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let (gateway, service) = Gateway::set(QUICK);
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        let mut asked = service.next();
        asked.peer.until("hello");
        problem(&client.message(), 408, "http-client-slow");
        assert!(client.is_closed(), "what comes next could be the rest of the body");
        assert!(!asked.peer.rest().contains("0\r\n\r\n"));
    }
}

#[test]
fn a_service_that_does_not_answer_is_given_up() {
    let (gateway, service) = Gateway::set(QUICK);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    problem(&client.message(), 504, "http-upstream-timeout");
    assert!(asked.peer.is_closed(), "its late answer must meet nobody");
    gateway.is_well(&service);
}

#[test]
fn the_time_to_answer_begins_when_the_request_has_ended() {
    let (gateway, service) = Gateway::set("[http.timeouts]\nresponse_seconds = 2\nbody_idle_seconds = 5");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
    let mut asked = service.next();
    for _ in 0..20 {
        assert!(
            !client.ended_within(Duration::from_millis(150)),
            "the client takes three seconds, piece by piece"
        );
        client.send("x");
    }
    assert_eq!(asked.peer.exactly(20).len(), 20);
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.message().1, "ok");
}

#[test]
fn an_answer_that_stops_coming_breaks_off() {
    let (gateway, service) = Gateway::set(QUICK);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let rest = client.rest();
    assert!(rest.ends_with("5\r\nhello\r\n"), "never looks whole: {rest}");
    assert!(asked.peer.is_closed());
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let (gateway, service) = Gateway::set(QUICK);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while asked.peer.try_send(&piece).is_ok() {
        sent += piece.len();
        assert!(sent < 1_000_000_000, "the gateway takes it all in");
    }
    drop(client);
    gateway.is_well(&service);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let (gateway, service) = Gateway::set("[http.limits]\nheader_bytes = 8192\nheaders = 20");
    let long = "x".repeat(10_000);
    let many: String = (0..30).map(|i| format!("X-{i}: y\r\n")).collect();
    for (request, code) in [
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000)), 414),
    ] {
        let mut client = gateway.client();
        // The gateway may hang up before it has all of it.
        let _ = client.try_send(&request);
        let answer = client.rest();
        assert!(answer.is_empty() || [431, 414].contains(&status(&answer)), "{code}: {answer}");
    }
    gateway.is_well(&service);
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    let (gateway, service) = Gateway::set("[http.limits]\nbody_bytes = 10");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    problem(&client.message(), 413, "http-body-too-large");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    problem(&client.message(), 413, "http-body-too-large");
    gateway.is_well(&service);
    let mut client = gateway.client();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhelloworld\r\n0\r\n\r\n");
    let mut asked = service.next();
    assert_eq!(asked.peer.until("0\r\n\r\n").to_lowercase(), "a\r\nhelloworld\r\n0\r\n\r\n");
}

#[test]
fn a_refusal_reaches_a_client_that_writes_first() {
    let route = "[http.limits]\nbody_bytes = 4000000\n[[http.routes]]\npath = \"/people/{id}\"\n\
                 subject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\
                 [fields]\nemail = { protect = \"pseudonym\" }";
    let (gateway, service) = Gateway::set(route);
    for (path, length, code, anchor) in [
        ("/", 5_000_000, 413, "http-body-too-large"),
        ("/people/1", 3_000_000, 415, "content-type"),
        ("/People/1", 3_000_000, 400, "path-spelling"),
    ] {
        let mut client = gateway.client();
        client.send(format!(
            "PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(vec![b'x'; length]);
        problem(&client.message(), code, anchor);
        if code != 413 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            service.next().peer.send("HTTP/1.1 204 No Content\r\n\r\n");
            assert_eq!(status(&client.head()), 204, "the connection goes on");
        }
    }
}

#[test]
fn a_body_that_nobody_wants_is_not_awaited_for_ever() {
    let (gateway, service) = Gateway::set("[http.limits]\nbody_bytes = 10");
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello");
    problem(&client.message(), 413, "http-body-too-large");
    assert!(closed(&mut client) < Duration::from_secs(15));
    gateway.is_well(&service);
}

#[test]
fn connections_beyond_the_limit_are_answered_with_503() {
    let (gateway, service) = Gateway::plain();
    // Its configuration allows 300.
    let held: Vec<Peer> = (0..300).map(|_| gateway.client()).collect();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let message = client.message();
    problem(&message, 503, "http-connections");
    assert!(client.is_closed());
    drop(held);
    crate::support::eventually("room again", || {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut peer = loop {
            if let Some(peer) = service.try_accept() {
                break peer;
            }
            if client.ended_or_has_within(Duration::from_millis(10)) {
                return None;
            }
        };
        peer.head();
        peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        (status(&client.head()) == 204).then_some(())
    });
}

#[test]
fn a_service_that_accepts_nobody_is_given_up() {
    // TEST-NET-1 (RFC 5737) is routed nowhere; some networks say so at once.
    let gateway = Setup::new("http://192.0.2.1:9").with("[http.timeouts]\nconnect_seconds = 1").start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!([502, 504].contains(&status(&client.message().0)));
}
