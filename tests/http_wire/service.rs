//! A service that breaks the protocol, breaks off, or takes its time: the client gets the right status or a closed
//! connection, never another request's answer.

use crate::gateway::{Gateway, Setup};
use crate::peer::{Asked, Peer, Service, field, status};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

fn problem(head_and_body: &(String, String), code: u16, anchor: &str) {
    let (head, body) = head_and_body;
    assert_eq!(status(head), code, "{head}{body}");
    assert!(body.contains(&format!("docs/errors.md#{anchor}\"")), "{body}");
}

/// A request that got as far as the service.
fn asked(gateway: &Gateway, service: &Service) -> (Peer, Asked) {
    let mut client = gateway.client();
    client.send(GET);
    (client, service.next())
}

#[test]
fn an_answer_with_two_framings_is_not_passed_on() {
    for (fields, body) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        ("Content-Length: 5\r\nContent-Length: 6", "hello!"),
        ("Content-Length: 5, 6", "hello!"),
        ("Content-Length: +5", "hello"),
        ("Content-Length: 05", "hello"),
        ("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: gzip", "xx"),
        ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding : chunked", "0\r\n\r\n"),
        ("Connection: content-length\r\nContent-Length: 5", "hello"),
        ("X: a\r\n folded", ""),
        ("X: a\0", ""),
    ] {
        let (gateway, service) = Gateway::plain();
        let (mut client, mut asked) = asked(&gateway, &service);
        asked.peer.send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}"));
        problem(&client.message(), 502, "http-upstream-protocol");
        assert!(asked.peer.is_closed(), "its connection is dropped: {fields}");
        gateway.is_well(&service);
    }
}

#[test]
fn one_length_said_twice_is_one_length() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.message().1, "hello");
}

#[test]
fn what_is_no_http_is_not_passed_on() {
    for garbage in [
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let (gateway, service) = Gateway::plain();
        let (mut client, mut asked) = asked(&gateway, &service);
        asked.peer.send(garbage);
        assert_eq!(status(&client.message().0), 502, "{garbage:?}");
        gateway.is_well(&service);
    }
}

#[test]
fn a_head_that_never_ends_is_not_kept() {
    let (gateway, service) = Gateway::set("[http.limits]\nheader_bytes = 8192");
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send("HTTP/1.1 200 OK\r\nX: ");
    while asked.peer.try_send([b'x'; 4096]).is_ok() {}
    problem(&client.message(), 502, "http-upstream-protocol");
}

#[test]
fn a_second_answer_to_one_request_reaches_nobody() {
    for (method, first) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let (gateway, service) = Gateway::plain();
        let mut client = gateway.client();
        client.send(format!("{method} /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut asked = service.next();
        asked.peer.send(format!("{first}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"));
        let head = client.head();
        if first.ends_with("first") {
            assert_eq!(client.exactly(5), b"first");
        } else if first.contains("chunked") {
            client.until("0\r\n\r\n");
        }
        assert!(status(&head) < 400);
        // The next request of the same client goes over another connection.
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut second = service.next();
        assert_eq!(second.line(), "GET /2 HTTP/1.1");
        second.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
        assert_eq!(client.message().1, "second", "{first:?}");
    }
}

#[test]
fn a_body_after_an_answer_that_has_none_reaches_nobody() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    asked
        .peer
        .send("HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(field(&client.head(), "content-length"), Some("38"));
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut second = service.next();
    second.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
    assert_eq!(client.message().1, "second");
}

#[test]
fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    assert_eq!(client.message().1, "1");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned");
    assert!(asked.peer.is_closed(), "the gateway lets go of it");
    client.send(GET);
    let mut second = service.next();
    second.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
    assert_eq!(client.message().1, "second");
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    for (framing, part) in [
        ("Content-Length: 10", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nzz\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nffffffffffffffffff\r\n"),
    ] {
        for reset in [false, true] {
            let (gateway, service) = Gateway::plain();
            let (mut client, mut asked) = asked(&gateway, &service);
            asked.peer.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}"));
            // What was sent arrives before the reset.
            let head = client.head();
            client.until("h");
            if reset {
                asked.peer.reset();
            } else {
                drop(asked);
            }
            let rest = client.rest();
            assert_eq!(status(&head), 200);
            assert!(!rest.contains("0\r\n\r\n") && rest.len() < 10, "{framing} {part:?}: {rest:?}");
            gateway.is_well(&service);
        }
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole() {
    for version in ["1.0", "1.1"] {
        let (gateway, service) = Gateway::plain();
        let (mut client, mut asked) = asked(&gateway, &service);
        asked.peer.send(format!("HTTP/{version} 200 OK\r\n\r\nhello"));
        drop(asked);
        assert_eq!(field(&client.head(), "transfer-encoding"), Some("chunked"));
        assert!(client.until("0\r\n\r\n").contains("hello"));
    }
}

#[test]
fn a_service_that_is_gone_is_said_to_be() {
    let mut setup = Setup::new("");
    // A port on which nobody listens any more.
    setup.upstream = Service::new().url();
    let gateway = setup.start();
    let mut client = gateway.client();
    client.send(GET);
    problem(&client.message(), 502, "http-upstream-unreachable");
    // The client's connection is still good.
    client.send(GET);
    problem(&client.message(), 502, "http-upstream-unreachable");
}

#[test]
fn a_connection_that_ends_without_an_answer_is_said_to_have_done_so() {
    for part in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-"] {
        let (gateway, service) = Gateway::plain();
        let (mut client, mut asked) = asked(&gateway, &service);
        asked.peer.send(part);
        drop(asked);
        problem(&client.message(), 502, "http-upstream-lost");
        gateway.is_well(&service);
    }
}

/// A connection to the service that was used before, with a second request on it.
fn used(gateway: &Gateway, service: &Service, request: &str) -> (Peer, Asked) {
    let (mut client, mut first) = asked(gateway, service);
    first.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    client.message();
    client.send(request);
    (client, first.peer.asked())
}

#[test]
fn a_harmless_request_is_sent_again_when_a_kept_connection_had_ended() {
    for method in ["GET", "HEAD", "DELETE", "PUT", "OPTIONS"] {
        let (gateway, service) = Gateway::plain();
        let (mut client, lost) =
            used(&gateway, &service, &format!("{method} /again HTTP/1.1\r\nHost: a\r\n\r\n"));
        drop(lost);
        let mut second = service.next();
        assert_eq!(second.line(), format!("{method} /again HTTP/1.1"));
        second.peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(status(&client.head()), 204);
    }
}

#[test]
fn a_request_that_does_something_is_sent_once() {
    for request in [
        "POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "PATCH /once HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /once HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let (gateway, service) = Gateway::plain();
        let (mut client, lost) = used(&gateway, &service, request);
        drop(lost);
        problem(&client.message(), 502, "http-upstream-lost");
        gateway.is_well(&service);
    }
}

#[test]
fn a_request_whose_answer_had_begun_is_not_sent_again() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut lost) = used(&gateway, &service, GET);
    lost.peer.send("HTTP/1.1 20");
    drop(lost);
    problem(&client.message(), 502, "http-upstream-lost");
    gateway.is_well(&service);
}

#[test]
fn a_kept_connection_that_the_service_ended_is_not_used() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut first) = asked(&gateway, &service);
    first.peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1");
    let (head, _) = client.message();
    assert_eq!(field(&head, "connection"), None, "the client's connection is another");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    let mut second = service.next();
    assert_eq!(second.peer.exactly(2), b"hi");
    second.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&client.head()), 200);
}

#[test]
fn answers_before_the_answer_end_here() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let (head, body) = client.message();
    assert_eq!((status(&head), body.as_str()), (200, "ok"));
    assert_eq!(field(&head, "link"), None);
}

#[test]
fn a_change_of_protocol_that_nobody_asked_for_is_not_passed_on() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw");
    problem(&client.message(), 502, "http-upstream-protocol");
    gateway.is_well(&service);
}

#[test]
fn fields_of_the_services_connection_stay_there() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send(
        "HTTP/1.1 200 Quite Right\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\n\
         Proxy-Connection: x\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nServer: s\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n",
    );
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 Quite Right\r\n"), "{head}");
    for gone in ["connection", "keep-alive", "x-hop", "upgrade", "proxy-connection"] {
        assert_eq!(field(&head, gone), None, "{head}");
    }
    assert!(head.contains("set-cookie: a=b\r\nset-cookie: c=d\r\n"), "{head}");
    assert_eq!((field(&head, "server"), field(&head, "etag")), (Some("s"), Some("\"x\"")));
    assert!(field(&head, "date").is_some(), "RFC 9110 6.6.1: added where the service has none");
}

#[test]
fn what_the_client_should_upgrade_to_is_passed_on() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    asked.peer.send(
        "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: foo/2\r\nContent-Length: 0\r\n\r\n",
    );
    let head = client.head();
    assert_eq!((status(&head), field(&head, "upgrade")), (426, Some("foo/2")), "RFC 9110 15.5.22");
}

#[test]
fn an_answer_with_too_many_fields_names_the_limit() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut asked) = asked(&gateway, &service);
    let many: String = (0..120).map(|i| format!("X-{i}: y\r\n")).collect();
    asked.peer.send(format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n"));
    let message = client.message();
    problem(&message, 502, "http-upstream-protocol");
    assert!(message.1.contains("http.limits.headers"), "{}", message.1);
}
