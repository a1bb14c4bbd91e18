//! Connections that go on in another protocol.

use crate::gateway::{Gateway, Setup};
use crate::peer::{field, status};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn a_websocket_passes_both_ways_from_its_first_byte() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(ASK);
    let mut asked = service.next();
    assert_eq!((asked.field("connection"), asked.field("upgrade")), (Some("upgrade"), Some("websocket")));
    // The service speaks first, in the same breath.
    asked.peer.send(format!("{AGREED}welcome"));
    let head = client.head();
    assert_eq!((status(&head), field(&head, "upgrade")), (101, Some("websocket")));
    assert_eq!(field(&head, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.exactly(7), b"welcome");
    for i in 0..100u8 {
        client.send([i; 1000]);
        assert_eq!(asked.peer.exactly(1000), [i; 1000]);
        asked.peer.send([i, i]);
        assert_eq!(client.exactly(2), [i, i]);
    }
    // One side may end before the other.
    client.finish();
    assert!(asked.peer.is_closed());
    asked.peer.send("bye");
    drop(asked);
    assert_eq!(client.rest(), "bye");
}

#[test]
fn a_service_that_does_not_agree_answers_as_ever() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(ASK);
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(status(&client.message().0), 426);
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(asked.peer.asked().line(), "GET /next HTTP/1.1");
}

#[test]
fn http_itself_is_no_other_protocol() {
    for protocol in [
        "h2c",
        "H2C",
        "h2c, websocket",
        "websocket, h2c",
        "HTTP/2.0",
        "TLS/1.0",
        "",
        "websocket\r\nUpgrade: h2c",
    ] {
        let (gateway, service) = Gateway::plain();
        let mut client = gateway.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: {protocol}\r\n\r\n"
        ));
        let mut asked = service.next();
        for gone in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(asked.field(gone), None, "{protocol}: {}", asked.head);
        }
        asked.peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
        assert_eq!(status(&client.head()), 502, "a service that goes ahead all the same");
    }
}

#[test]
fn an_upgrade_without_its_connection_option_is_none() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(service.next().field("upgrade"), None);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(service.next().field("upgrade"), None);
}

#[test]
fn a_tunnel_in_which_nothing_is_said_ends() {
    let service = crate::peer::Service::new();
    let gateway = Setup::new(service.url())
        .with("[http.timeouts]\nupgrade_idle_seconds = 1\nkeep_alive_seconds = 1")
        .start();
    let mut client = gateway.client();
    client.send(ASK);
    let mut asked = service.next();
    asked.peer.send(AGREED);
    assert_eq!(status(&client.head()), 101);
    assert!(client.is_closed());
    assert!(asked.peer.is_closed());
}
