//! SIGTERM: requests are answered, idle connections end, nothing new begins.

use crate::gateway::{Gateway, Setup};
use crate::peer::{Service, field, status};

#[test]
fn a_request_that_had_begun_is_answered_and_idle_connections_end() {
    let (mut gateway, service) = Gateway::plain();
    let mut idle = gateway.client();
    idle.send("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    idle.head();
    let mut busy = gateway.client();
    busy.send("POST /busy HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let mut asked = asked.peer.asked();
    asked.peer.exactly(5);
    let mut silent = gateway.client();
    gateway.ask_to_end();
    assert!(idle.is_closed(), "it had nothing to wait for");
    assert!(silent.is_closed(), "nor had one that never asked");
    busy.send("world");
    assert_eq!(asked.peer.exactly(5), b"world");
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    let (head, body) = busy.message();
    assert_eq!((status(&head), body.as_str()), (200, "done"));
    assert_eq!(field(&head, "connection"), Some("close"));
    assert!(busy.is_closed());
    assert_eq!(gateway.ended(), Some(0));
}

#[test]
fn a_connection_that_never_ends_is_ended() {
    let service = Service::new();
    let mut gateway = Setup::new(service.url()).start();
    let mut client = gateway.client();
    client.send("GET /for-ever HTTP/1.1\r\nHost: a\r\n\r\n");
    let asked = service.next();
    gateway.ask_to_end();
    assert_eq!(gateway.ended(), Some(0));
    assert!(client.is_closed());
    drop(asked);
}
