//! Requests that two readers could take apart differently: refused, or passed on in one reading only.

use crate::gateway::Gateway;
use crate::peer::status;

/// Sends bytes that must not reach the service, in part or whole; what the client got.
fn refused(bytes: &[u8]) -> String {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(bytes);
    let answer = client.rest();
    gateway.is_well(&service);
    answer
}

fn refused_with(code: u16, request: &str) {
    let answer = refused(request.as_bytes());
    assert_eq!(status(&answer), code, "{request:?} got {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer, to one request: {answer}");
}

#[test]
fn transfer_codings_in_odd_spellings_are_refused() {
    for coding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\x00: chunked",
    ] {
        refused_with(
            400,
            &format!(
                "POST / HTTP/1.1\r\nHost: a\r\n{coding}\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
        );
    }
}

#[test]
fn lengths_that_are_not_one_whole_number_are_refused() {
    for length in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 05",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: five",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 5\x00",
        "Content-Length : 5",
    ] {
        refused_with(
            400,
            &format!("POST / HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\nhelloGET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
        );
    }
}

#[test]
fn chunks_in_a_request_of_http_1_0_are_refused() {
    let answer = refused(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(status(&answer), 400);
}

#[test]
fn of_a_length_and_chunks_only_the_chunks_count_and_the_connection_ends() {
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Transfer-Encoding: chunked\r\nContent-Length: 6, 7",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let (gateway, service) = Gateway::plain();
        let mut client = gateway.client();
        client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        if let Some(mut peer) = answered_or_refused(&service, &mut client) {
            let head = peer.head();
            assert!(head.starts_with("POST /a "), "{head}");
            assert!(!head.to_lowercase().contains("content-length"), "one framing goes on: {head}");
            assert_eq!(peer.until("0\r\n\r\n"), "0\r\n\r\n");
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let answer = client.rest();
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "nothing after it is answered: {answer}");
            // The connection to the service may live on; the next request on it is the next one asked.
            drop(peer);
        }
        gateway.is_well(&service);
    }
}

/// The service's connection, or `None` once the client was refused.
fn answered_or_refused(
    service: &crate::peer::Service,
    client: &mut crate::peer::Peer,
) -> Option<crate::peer::Peer> {
    loop {
        if let Some(peer) = service.try_accept() {
            return Some(peer);
        }
        if client.ended_or_has_within(std::time::Duration::from_millis(20)) {
            let answer = client.rest();
            assert_eq!(status(&answer), 400, "{answer}");
            return None;
        }
    }
}

#[test]
fn chunks_that_can_not_be_read_never_become_a_whole_request() {
    for chunks in [
        "g\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX y\r\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\nC: d\x00\r\n\r\n",
    ] {
        let (gateway, service) = Gateway::plain();
        let mut client = gateway.client();
        client.send(format!("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        let answer = client.rest();
        assert!(answer.is_empty() || status(&answer) == 400, "{chunks:?} got {answer}");
        gateway.is_well(&service);
    }
}

#[test]
fn what_stands_beside_a_chunk_size_is_not_passed_on() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChUnKeD\r\n\r\n5;x=\"y\"\r\nhello\r\n0;z\r\n\r\n",
    );
    let mut asked = service.next();
    assert_eq!(asked.field("transfer-encoding"), Some("chunked"));
    assert_eq!(asked.peer.until("0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    asked.peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(status(&client.head()), 204);
}

#[test]
fn a_chunk_extension_without_end_is_refused() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;");
    // Until the gateway has enough of it.
    while client.try_send([b'x'; 4096]).is_ok() {}
    gateway.is_well(&service);
}

#[test]
fn control_characters_and_folded_lines_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\x7f: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX y: a\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    ] {
        refused_with(400, head);
    }
}

#[test]
fn lines_that_end_without_a_carriage_return_are_rewritten_or_refused() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("POST /lf HTTP/1.1\nHost: a\nX: y\nContent-Length: 2\n\nhi");
    if let Some(peer) = answered_or_refused(&service, &mut client) {
        let mut asked = peer.asked();
        assert!(!asked.head.replace("\r\n", "").contains('\n'), "{:?}", asked.head);
        assert_eq!(asked.field("x"), Some("y"));
        assert_eq!(asked.peer.exactly(2), b"hi");
    }
}

#[test]
fn requests_sent_at_once_are_answered_in_their_order() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\noneGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n",
    );
    let mut asked = service.next();
    assert_eq!(asked.line(), "POST /1 HTTP/1.1");
    assert_eq!(asked.peer.exactly(3), b"one");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    let mut asked = asked.peer.asked();
    assert_eq!(asked.line(), "GET /2 HTTP/1.1");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    let mut asked = asked.peer.asked();
    assert_eq!(asked.line(), "POST /3 HTTP/1.1");
    assert_eq!(asked.peer.until("0\r\n\r\n"), "5\r\nthree\r\n0\r\n\r\n");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3");
    for expected in ["1", "2", "3"] {
        assert_eq!(client.message().1, expected);
    }
}
