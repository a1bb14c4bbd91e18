//! A route with a say: what is opened goes out with its true length, and is sent for as anything else is.

use crate::gateway::{Gateway, Setup};
use crate::peer::{Asked, Peer, Service, field, status};

const GET: &str = "GET /people/1 HTTP/1.1\r\nHost: a\r\n\r\n";
const CLEAR: &str = r#"{"id":1,"note":"Ada"}"#;

fn declared() -> (Gateway, Service) {
    let service = Service::new();
    let more = "[[http.routes]]\npath = \"/people/{id}\"\nsubject = \"path:id\"\nfields = { \"/note\" = \"note\" }\n\
        [fields]\nnote = \"encrypt\"\n";
    let gateway = Setup::new(service.url()).with(more).start();
    (gateway, service)
}

/// A client that has written about a person, what the service holds since then, and its connection.
fn written(gateway: &Gateway, service: &Service) -> (Peer, String, Peer) {
    let mut client = gateway.client();
    let length = CLEAR.len();
    client.send(format!(
        "PUT /people/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{CLEAR}"
    ));
    let Asked { head, mut peer } = service.next();
    let length = field(&head, "content-length").unwrap().parse().unwrap();
    let stored = String::from_utf8(peer.exactly(length)).unwrap();
    assert!(stored.contains("pv1.") && !stored.contains("Ada"), "{stored}");
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(status(&client.head()), 204);
    (client, stored, peer)
}

fn answer(stored: &str) -> String {
    let length = stored.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nETag: \"1\"\r\nAge: 3\r\n\r\n{stored}"
    )
}

#[test]
fn a_short_answer_is_opened_with_its_true_length_and_the_connections_go_on() {
    let (gateway, service) = declared();
    let (mut client, stored, mut held) = written(&gateway, &service);
    for cut in [answer(&stored).len(), 20, answer(&stored).len() - 5] {
        client.send(GET);
        let mut asked = held.asked();
        let whole = answer(&stored);
        let (first, rest) = whole.split_at(cut);
        asked.peer.send(first);
        asked.peer.send(rest);
        let (head, body) = client.message();
        assert_eq!(body, CLEAR);
        assert_eq!(field(&head, "content-length"), Some(CLEAR.len().to_string().as_str()), "{head}");
        assert_eq!((field(&head, "cache-control"), field(&head, "age")), (Some("no-store"), None), "{head}");
        held = asked.peer;
    }
}

#[test]
fn a_short_answer_that_breaks_off_is_no_answer_and_the_next_is_whole() {
    let (gateway, service) = declared();
    let (mut client, stored, held) = written(&gateway, &service);
    client.send(GET);
    let mut asked = held.asked();
    let whole = answer(&stored);
    asked.peer.send(&whole[..whole.len() - 9]);
    drop(asked);
    let (head, body) = client.message();
    assert_eq!(status(&head), 502, "{head}{body}");
    assert!(!body.contains("Ada") && !body.contains("pv1."), "{body}");
    client.send(GET);
    service.next().peer.send(answer(&stored));
    assert_eq!(client.message().1, CLEAR);
}

#[test]
fn a_harmless_request_on_a_declared_path_is_sent_again_when_a_kept_connection_had_ended() {
    let (gateway, service) = declared();
    let (mut client, stored, held) = written(&gateway, &service);
    client.send(GET);
    drop(held.asked());
    let mut second = service.next();
    assert_eq!(second.line(), "GET /people/1 HTTP/1.1");
    second.peer.send(answer(&stored));
    assert_eq!(client.message().1, CLEAR);
}
