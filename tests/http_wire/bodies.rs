//! Bodies both ways: lengths, chunks, trailers, HEAD, expectations, and answers that come early.

use crate::gateway::Gateway;
use crate::peer::{field, status};
use std::io::Write as _;

#[test]
fn a_length_stays_a_length_and_chunks_stay_chunks() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let mut asked = service.next();
    assert_eq!((asked.field("content-length"), asked.field("transfer-encoding")), (Some("5"), None));
    assert_eq!(asked.peer.exactly(5), b"hello");
    asked.peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let head = client.head();
    assert_eq!((field(&head, "content-length"), field(&head, "transfer-encoding")), (None, Some("chunked")));
    assert!(client.until("0\r\n\r\n").contains("abc"));
    client.send("POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let mut asked = asked.peer.asked();
    assert_eq!((asked.field("content-length"), asked.field("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(asked.peer.until("0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld");
    assert_eq!(client.message().1, "world");
}

#[test]
fn a_get_with_a_body_keeps_it() {
    for (framing, sent) in
        [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
    {
        for method in ["GET", "HEAD", "DELETE"] {
            let (gateway, service) = Gateway::plain();
            let mut client = gateway.client();
            client.send(format!("{method} /q HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{sent}"));
            let mut asked = service.next();
            assert!(asked.head.to_lowercase().contains(&framing.to_lowercase()), "{}", asked.head);
            assert_eq!(asked.peer.exactly(sent.len()), sent.as_bytes());
            asked.peer.send("HTTP/1.1 204 No Content\r\n\r\n");
            assert_eq!(status(&client.head()), 204);
        }
    }
}

#[test]
fn trailers_pass_and_those_that_would_change_the_message_do_not() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum, Content-Length, Host\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Sum: 42\r\nContent-Length: 99\r\nHost: evil\r\n\r\n",
    );
    let mut asked = service.next();
    let body = asked.peer.until("42\r\n\r\n");
    assert_eq!(body.to_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n");
    asked.peer.send(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nTransfer-Encoding: x\r\n\r\n",
    );
    assert_eq!(field(&client.head(), "trailer"), Some("X-Sum"));
    assert_eq!(client.until("7\r\n\r\n").to_lowercase(), "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
}

#[test]
fn a_head_request_has_the_length_and_no_body() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"e\"\r\n\r\n");
    let head = client.head();
    assert_eq!((field(&head, "content-length"), field(&head, "etag")), (Some("1234"), Some("\"e\"")));
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = asked.peer.asked();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.message().1, "ok");
}

#[test]
fn the_body_waits_until_the_service_says_that_it_is_welcome() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    let mut asked = service.next();
    assert_eq!(asked.field("expect"), Some("100-Continue"));
    asked.peer.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(asked.peer.exactly(5), b"hello");
    asked.peer.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&client.head()), 201);
}

#[test]
fn a_body_that_is_not_welcome_is_never_asked_for() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let (head, body) = client.message();
    assert_eq!((status(&head), body.as_str()), (413, "no"));
    // Whether the five bytes still come can't be known: both connections end.
    assert!(client.is_closed());
    assert!(asked.peer.is_closed());
    gateway.is_well(&service);
}

#[test]
fn a_service_that_knows_no_expectations_gets_the_body_all_the_same() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut asked = service.next();
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(asked.peer.exactly(5), b"hello");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&client.head()), 200);
}

#[test]
fn other_expectations_are_refused() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(status(&client.head()), 417);
    gateway.is_well(&service);
}

#[test]
fn an_answer_may_come_before_the_end_of_its_request() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let mut asked = service.next();
    assert_eq!(asked.peer.exactly(5), b"hello");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
    assert_eq!(client.message().1, "early");
    // The rest still reaches the service, and the next request is one of its own.
    client.send("world");
    assert_eq!(asked.peer.exactly(5), b"world");
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut next = asked.peer.asked();
    assert_eq!(next.line(), "GET /next HTTP/1.1");
    next.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
    assert_eq!(client.message().1, "next");
}

#[test]
fn a_refusal_by_a_service_that_hangs_up_reaches_the_client() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    asked.peer.finish();
    let (head, body) = client.message();
    assert_eq!((status(&head), body.as_str()), (413, "no"));
    // Nobody wants the rest; the client notices sooner or later.
    let piece = vec![b'x'; 64 << 10];
    while client.try_send(&piece).is_ok() {}
    gateway.is_well(&service);
}

#[test]
fn a_client_that_breaks_off_leaves_no_whole_request() {
    for (framing, part) in [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")]
    {
        for reset in [false, true] {
            let (gateway, service) = Gateway::plain();
            let mut client = gateway.client();
            client.send(format!("POST /part HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{part}"));
            let mut asked = service.next();
            asked.peer.until("hello");
            if reset {
                client.reset();
            } else {
                drop(client);
            }
            let rest = asked.peer.rest();
            assert!(!rest.contains("0\r\n\r\n"), "{framing}: {rest:?}");
            gateway.is_well(&service);
        }
    }
}

#[test]
fn a_client_that_goes_away_ends_its_request_at_the_service() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    drop(client);
    assert!(asked.peer.is_closed());
}

/// The most that the process ever held, in KiB.
fn high_water(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// 256 MiB here; the bench sends a gibibyte.
const LARGE: usize = 256 << 20;

#[test]
fn a_large_body_passes_without_being_held() {
    let (gateway, service) = Gateway::plain();
    let before = high_water(gateway.pid());
    let mut client = gateway.client();
    client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"));
    let piece = vec![b'x'; 1 << 20];
    let mut asked = service.next();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..LARGE / piece.len()).for_each(|_| client.send(&piece)));
        (0..LARGE / piece.len()).for_each(|_| drop(asked.peer.exactly(piece.len())));
    });
    asked.peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
    assert_eq!(status(&client.head()), 200);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..LARGE / piece.len()).for_each(|_| asked.peer.send(&piece)));
        (0..LARGE / piece.len())
            .for_each(|_| assert!(client.exactly(piece.len()).iter().all(|b| *b == b'x')));
    });
    let grown = high_water(gateway.pid()) - before;
    writeln!(std::io::stderr(), "256 MiB each way: {grown} KiB more").unwrap();
    assert!(grown < 8 << 10, "{grown} KiB more than before");
}

#[test]
fn an_answer_that_ends_the_connection_says_so() {
    let (gateway, service) = Gateway::plain();
    for request in [
        "PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000000\r\n\r\nhello",
    ] {
        let mut client = gateway.client();
        client.send(request);
        let mut asked = service.next();
        asked.peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big");
        let (head, body) = client.message();
        assert_eq!((status(&head), body.as_str()), (413, "too big"));
        assert_eq!(field(&head, "connection"), Some("close"), "{request}");
    }
}

#[test]
fn a_client_that_sends_all_of_a_body_that_nobody_wants_goes_on() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\nhello");
    let mut asked = service.next();
    asked
        .peer
        .send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 7\r\n\r\ntoo big");
    drop(asked);
    assert_eq!(client.message().1, "too big");
    client.send(vec![b'x'; 3_000_000 - 5]);
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    service.next().peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(status(&client.head()), 204);
}
