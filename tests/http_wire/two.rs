//! HTTP/2 towards the client, HTTP/1.1 towards the service: what one may say and the other would read as more.

use crate::gateway::{Gateway, Setup};
use crate::peer::{Peer, Service, field};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Fields as HPACK literals without an index, and without Huffman's code (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            out.push(u8::try_from(text.len()).unwrap());
            out.extend(text.as_bytes());
        }
    }
    out
}

/// The payload of a SETTINGS frame.
fn of_settings(settings: &[(u16, u32)]) -> Vec<u8> {
    settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// The next frame: kind, flags, stream, payload.
fn any_frame(peer: &mut Peer) -> (u8, u8, u32, Vec<u8>) {
    let head = peer.exactly(9);
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    (head[3], head[4], stream, peer.exactly(length))
}

/// The windows that the other side opens, as it says when it begins: of a stream, and of the connection.
fn windows(peer: &mut Peer) -> (u32, u32) {
    let (mut stream, mut connection) = (0, 0);
    while stream == 0 || connection == 0 {
        let (kind, flags, _, payload) = any_frame(peer);
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match kind {
            SETTINGS if flags & 1 == 0 => {
                let initial = (0..payload.len() / 6).find(|i| payload[i * 6..i * 6 + 2] == [0, 4]).unwrap();
                stream = number(initial * 6 + 2);
            }
            // Both begin with so many (RFC 9113 §6.9.2).
            WINDOW_UPDATE => connection = 65_535 + number(0),
            _ => {}
        }
    }
    (stream, connection)
}

struct Client {
    peer: Peer,
    next: u32,
}

impl Client {
    fn new(gateway: &Gateway) -> Self {
        Self::with(gateway, &[])
    }

    fn with(gateway: &Gateway, settings: &[(u16, u32)]) -> Self {
        let mut peer = gateway.client();
        peer.send([PREFACE, &frame(SETTINGS, 0, 0, &of_settings(settings))].concat());
        Self { peer, next: 1 }
    }

    fn request(&mut self, fields: &[(&str, &str)], body: Option<&str>) -> u32 {
        let stream = self.next;
        self.next += 2;
        let end = if body.is_none() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, END_HEADERS | end, stream, &block(fields));
        if let Some(body) = body {
            bytes.extend(frame(DATA, END_STREAM, stream, body.as_bytes()));
        }
        self.peer.send(bytes);
        stream
    }

    /// The next frame that concerns a stream or ends the connection: kind, flags, stream, payload.
    fn frame(&mut self) -> (u8, u8, u32, Vec<u8>) {
        loop {
            let (kind, flags, stream, payload) = any_frame(&mut self.peer);
            match kind {
                SETTINGS if flags & 1 == 0 => self.peer.send(frame(SETTINGS, 1, 0, &[])),
                DATA | HEADERS | RST_STREAM | GOAWAY => return (kind, flags, stream, payload),
                _ => {}
            }
        }
    }
}

const GOOD: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "app.example"), (":path", "/good")];

/// The good request with some fields in place of others, or more of them.
fn with<'a>(changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = GOOD.to_vec();
    for (name, value) in changed {
        match fields.iter_mut().find(|(n, _)| n == name && n.starts_with(':')) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

/// HPACK's index of `:status: 400` in the static table, as a field of its own (RFC 7541, appendix A).
const STATUS_400: u8 = 0x80 | 12;

/// A request that must not reach the service: its stream or connection ends, or it is answered with 400.
fn refused(fields: &[(&str, &str)], body: Option<&str>) {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(fields, body);
    let (kind, _, _, payload) = client.frame();
    let answered = kind == HEADERS && payload.first() == Some(&STATUS_400);
    assert!(answered || kind == RST_STREAM || kind == GOAWAY, "{fields:?}: frame {kind} {payload:?}");
    gateway.is_well(&service);
}

#[test]
fn a_request_becomes_one_of_http_1() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    let stream = client.request(
        &with(&[(":method", "POST"), ("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")]),
        Some("hello"),
    );
    let mut asked = service.next();
    assert_eq!(asked.line(), "POST /good HTTP/1.1");
    assert_eq!(asked.field("host"), Some("app.example"));
    assert_eq!(asked.field("transfer-encoding"), Some("chunked"));
    assert_eq!(asked.peer.until("0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    asked
        .peer
        .send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: x\r\nContent-Length: 2\r\n\r\nok");
    let (kind, _, of, head) = client.frame();
    assert_eq!((kind, of), (HEADERS, stream));
    assert!(!head.windows(10).any(|w| w == b"keep-alive"), "RFC 9113 8.2.2");
    let (kind, _, _, body) = client.frame();
    assert_eq!((kind, body.as_slice()), (DATA, b"ok".as_slice()));
}

#[test]
fn a_length_that_was_said_is_kept() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(&with(&[(":method", "POST"), ("content-length", "5")]), Some("hello"));
    let mut asked = service.next();
    assert_eq!(asked.field("content-length"), Some("5"));
    assert_eq!(asked.field("transfer-encoding"), None);
    assert_eq!(asked.peer.exactly(5), b"hello");
}

#[test]
fn fields_that_would_become_other_lines_are_refused() {
    for changed in [
        ("x", "a\r\nTransfer-Encoding: chunked"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x\r\ny", "a"),
        ("x: y", "a"),
        ("x y", "a"),
        ("X", "a"),
        ("", "a"),
        (":path", "/a HTTP/1.1\r\nX: y"),
        (":path", "/a b"),
        (":path", "/a\r\n"),
        (":path", "/a\0"),
        (":path", ""),
        (":path", "a"),
        (":path", "*"),
        (":path", "http://evil/"),
        (":method", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"),
        (":method", "G T"),
        (":method", ""),
        (":authority", "a\r\nX: y"),
        (":authority", "a b"),
        (":authority", "u@a"),
        (":authority", "a/b"),
        (":authority", "a,b"),
        (":scheme", "http://a/?"),
        (":scheme", "ht tp"),
        (":scheme", "ftp"),
    ] {
        refused(&with(&[changed]), None);
    }
}

#[test]
fn fields_of_a_connection_have_no_place_here() {
    for changed in [
        ("connection", "close"),
        ("connection", "x-user"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("host", "other.example"),
        ("content-length", "3"),
        ("content-length", "x"),
        ("content-length", "5, 5"),
        ("content-length", "+5"),
    ] {
        refused(&with(&[(":method", "POST"), changed]), Some("hello"));
    }
}

#[test]
fn pseudo_fields_that_are_missing_doubled_unknown_or_late_are_refused() {
    for fields in [
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a")],
        vec![(":scheme", "http"), (":authority", "a"), (":path", "/")],
        vec![(":method", "GET"), (":scheme", "http"), (":path", "/")],
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), (":path", "/b")],
        vec![
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/"),
            (":status", "200"),
        ],
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), ("x", "y"), (":path", "/")],
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), (":other", "1")],
    ] {
        refused(&fields, None);
    }
}

#[test]
fn tunnels_are_refused() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(&[(":method", "CONNECT"), (":authority", "a:443")], None);
    let (kind, _, _, _) = client.frame();
    assert!([HEADERS, RST_STREAM].contains(&kind));
    let mut client = Client::new(&gateway);
    // Extended CONNECT (RFC 8441), which no SETTINGS of ours allows.
    client.request(&with(&[(":method", "CONNECT"), (":protocol", "websocket")]), None);
    let (kind, _, _, _) = client.frame();
    assert!([RST_STREAM, GOAWAY].contains(&kind), "{kind}");
    gateway.is_well(&service);
}

/// A request with part of its body.
fn part(gateway: &Gateway, service: &Service) -> (Client, Peer) {
    let mut client = Client::new(gateway);
    let fields = with(&[(":method", "POST")]);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    bytes.extend(frame(DATA, 0, 1, b"hello"));
    client.peer.send(bytes);
    let mut asked = service.next();
    asked.peer.until("hello");
    (client, asked.peer)
}

#[test]
fn a_stream_that_is_reset_leaves_no_whole_request() {
    let (gateway, service) = Gateway::plain();
    let (mut client, mut peer) = part(&gateway, &service);
    client.peer.send(frame(RST_STREAM, 0, 1, &8u32.to_be_bytes()));
    assert!(!peer.rest().contains("0\r\n\r\n"));
    // The connection goes on.
    client.next = 3;
    client.request(&GOOD, None);
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.frame().0, HEADERS);
}

#[test]
fn an_answer_that_breaks_off_ends_its_stream_with_an_error() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(&GOOD, None);
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.frame().0, HEADERS);
    assert_eq!(client.frame().3, b"hello");
    drop(asked);
    let (kind, flags, _, _) = client.frame();
    assert!(kind == RST_STREAM || (kind == DATA && flags & END_STREAM == 0), "frame {kind}, flags {flags}");
}

#[test]
fn streams_of_one_connection_do_not_mix() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    let paths = ["/1", "/2", "/3", "/4"];
    let streams: Vec<u32> =
        paths.iter().map(|path| client.request(&with(&[(":path", path)]), None)).collect();
    let mut asked: Vec<_> = paths.iter().map(|_| service.next()).collect();
    // The service answers the last one first.
    asked.sort_by_key(|asked| std::cmp::Reverse(asked.line().to_owned()));
    for one in &mut asked {
        let path = one.line().split(' ').nth(1).unwrap().to_owned();
        one.peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
    }
    let mut bodies = Vec::new();
    while bodies.len() < paths.len() {
        let (kind, _, stream, payload) = client.frame();
        if kind == DATA && !payload.is_empty() {
            bodies.push((stream, String::from_utf8(payload).unwrap()));
        }
    }
    for (stream, path) in streams.iter().zip(paths) {
        assert!(bodies.contains(&(*stream, path.to_owned())), "{bodies:?}");
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_others_answered() {
    let (gateway, service) = Gateway::set("[http.limits]\nstreams = 2");
    let mut client = Client::new(&gateway);
    let held: Vec<u32> = (0..2).map(|_| client.request(&GOOD, None)).collect();
    let asked: Vec<_> = held.iter().map(|_| service.next()).collect();
    let third = client.request(&GOOD, None);
    // REFUSED_STREAM: nothing of it was done, and it may be sent again (RFC 9113 §8.7).
    let (kind, _, stream, payload) = client.frame();
    assert_eq!((kind, stream, &payload[..]), (RST_STREAM, third, &7u32.to_be_bytes()[..]));
    for mut asked in asked {
        asked.peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        let (kind, _, stream, _) = client.frame();
        assert!(kind == HEADERS && held.contains(&stream), "frame {kind} of {stream}");
    }
}

#[test]
fn a_connection_is_told_to_end_when_the_gateway_ends() {
    let (mut gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(&GOOD, None);
    let mut asked = service.next();
    gateway.ask_to_end();
    assert_eq!(client.frame().0, GOAWAY);
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    loop {
        let (kind, _, _, payload) = client.frame();
        if kind == DATA {
            assert_eq!(payload, b"ok");
            break;
        }
    }
    assert_eq!(gateway.ended(), Some(0));
    assert_eq!(field(&asked.head, "host"), Some("app.example"));
}

#[test]
fn joins_cookies_for_a_service_of_http_1() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(&with(&[("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f; g=h")]), None);
    assert_eq!(service.next().field("cookie"), Some("a=b; c=d; e=f; g=h"), "RFC 9113 8.2.3");
}

#[test]
fn via_tells_how_the_request_came() {
    let (gateway, service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    client.request(&GOOD, None);
    assert!(service.next().field("via").unwrap().starts_with("2.0 paravent-"));
}

#[test]
fn a_refused_head_request_is_answered_without_a_body() {
    let (gateway, _service) = Gateway::plain();
    let mut client = Client::new(&gateway);
    let stream = client.request(&with(&[(":method", "HEAD"), ("expect", "wonders")]), None);
    let (kind, flags, of, _) = client.frame();
    assert_eq!((kind, of), (HEADERS, stream));
    assert_eq!(flags & END_STREAM, END_STREAM, "RFC 9110 9.3.2");
}

#[test]
fn more_fields_than_the_limit_are_refused() {
    let (gateway, service) = Gateway::set("[http.limits]\nheaders = 20");
    let mut client = Client::new(&gateway);
    let names: Vec<String> = (0..21).map(|i| format!("x-{i}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
    client.request(&with(&fields), None);
    assert_eq!(client.frame().0, HEADERS);
    let (kind, _, _, body) = client.frame();
    assert_eq!(kind, DATA);
    assert!(String::from_utf8(body).unwrap().contains("#http-fields\""));
    gateway.is_well(&service);
}

#[test]
fn a_stream_whose_answer_is_not_taken_is_reset_and_the_others_go_on() {
    let (gateway, service) = Gateway::set("[http.timeouts]\nbody_idle_seconds = 1");
    // Its window never opens.
    let mut client = Client::with(&gateway, &[(4, 0)]);
    let stream = client.request(&GOOD, None);
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(client.frame().0, HEADERS);
    let (kind, _, of, _) = client.frame();
    assert_eq!((kind, of), (RST_STREAM, stream));
    assert!(asked.peer.is_closed(), "the service is let go of");
    client.request(&GOOD, None);
    service.next().peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.frame().0, HEADERS);
}

#[test]
fn every_stream_of_a_client_has_its_own_window() {
    let (gateway, _service) = Gateway::set("[http.limits]\nstreams = 7");
    let (stream, connection) = windows(&mut Client::new(&gateway).peer);
    assert!(connection >= 7 * stream, "one upload that nobody reads stops the others: {stream} {connection}");
}

#[test]
fn a_connection_too_many_is_told_so_once_and_let_go() {
    let (gateway, _service) = Gateway::plain();
    // Its configuration allows 300.
    let _held: Vec<Peer> = (0..300).map(|_| gateway.client()).collect();
    let mut client = Client::new(&gateway);
    client.request(&GOOD, None);
    // In either order: its answer, and that nothing more is taken.
    let (mut answered, mut told) = (false, false);
    while !(answered && told) {
        let kind = client.frame().0;
        answered |= kind == HEADERS;
        told |= kind == GOAWAY;
    }
    client.peer.rest();
}

/// A service that speaks HTTP/2, as far as requests go: its side of a new connection.
fn service_of_two(service: &Service, settings: &[(u16, u32)]) -> Peer {
    let mut peer = service.accept();
    assert_eq!(peer.exactly(PREFACE.len()), PREFACE);
    peer.send(frame(SETTINGS, 0, 0, &of_settings(settings)));
    peer
}

/// The stream of the next request.
fn asked_of_two(peer: &mut Peer) -> u32 {
    loop {
        let (kind, flags, stream, _) = any_frame(peer);
        match kind {
            SETTINGS if flags & 1 == 0 => peer.send(frame(SETTINGS, 1, 0, &[])),
            HEADERS => return stream,
            _ => {}
        }
    }
}

fn in_front_of_two() -> (Gateway, Service) {
    let service = Service::new();
    let gateway = Setup::new(service.url().replace("http://", "h2c://")).start();
    (gateway, service)
}

fn ask_in_1(gateway: &Gateway) -> Peer {
    let mut client = gateway.client();
    client.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
    client
}

#[test]
fn every_stream_from_a_service_has_its_own_window() {
    let (gateway, service) = in_front_of_two();
    let _client = ask_in_1(&gateway);
    let (stream, connection) = windows(&mut service_of_two(&service, &[]));
    assert!(
        connection >= 100 * stream,
        "one client that doesn't read stops the others: {stream} {connection}"
    );
}

#[test]
fn more_requests_than_a_service_takes_on_a_connection_go_on_another() {
    let (gateway, service) = in_front_of_two();
    let mut clients = vec![ask_in_1(&gateway)];
    let mut first = service_of_two(&service, &[(3, 2)]);
    asked_of_two(&mut first);
    // By then what the service allows is known.
    clients.push(ask_in_1(&gateway));
    let second = asked_of_two(&mut first);
    clients.push(ask_in_1(&gateway));
    let mut other = service_of_two(&service, &[(3, 2)]);
    let third = asked_of_two(&mut other);
    // An index of the static table: `:status: 204`.
    other.send(frame(HEADERS, END_HEADERS | END_STREAM, third, &[0x80 | 9]));
    assert_eq!(crate::peer::status(&clients[2].head()), 204);
    first.send(frame(HEADERS, END_HEADERS | END_STREAM, second, &[0x80 | 9]));
    assert_eq!(crate::peer::status(&clients[1].head()), 204);
}
