//! Request heads: which service they are for, and what of them is for this connection only.

use crate::gateway::{Gateway, Setup};
use crate::peer::{Asked, Service, field, status};

/// What the service sees of a request; it answers with 204.
fn seen(gateway: &Gateway, service: &Service, request: &str) -> Asked {
    let mut client = gateway.client();
    client.send(request);
    let mut asked = service.next();
    asked.peer.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&client.head()), 204);
    asked
}

fn refused(code: u16, anchor: &str, request: &str) {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(request);
    let answer = client.rest();
    assert_eq!(status(&answer), code, "{request:?}: {answer}");
    assert!(answer.contains(&format!("docs/errors.md#{anchor}\"")), "{request:?}: {answer}");
    assert_eq!(field(&answer, "content-type"), Some("application/problem+json"));
    gateway.is_well(&service);
}

#[test]
fn a_target_with_an_authority_goes_on_as_a_path() {
    let (gateway, service) = Gateway::plain();
    for (target, path) in [
        ("http://app.example/a?b=c", "/a?b=c"),
        ("http://app.example", "/"),
        ("http://app.example?q=1", "/?q=1"),
        ("HTTP://app.example/", "/"),
    ] {
        let asked = seen(&gateway, &service, &format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n\r\n"));
        assert_eq!(asked.line(), format!("GET {path} HTTP/1.1"));
        assert_eq!(asked.field("host"), Some("app.example"));
    }
    let asked = seen(&gateway, &service, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(asked.line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn other_targets_are_refused() {
    for request in [
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(400, "http-target", request);
    }
    refused(501, "http-connect", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
}

#[test]
fn a_host_that_is_missing_doubled_or_another_is_refused() {
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(400, "http-host", request);
    }
}

#[test]
fn fields_of_this_connection_stay_here() {
    let (gateway, service) = Gateway::plain();
    let asked = seen(
        &gateway,
        &service,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nHTTP2-Settings: AAMAAABk\r\nX-End: 2\r\n\
         Accept: */*\r\nAuthorization: Bearer t\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
    );
    for gone in ["x-hop", "keep-alive", "proxy-connection", "http2-settings", "upgrade"] {
        assert_eq!(asked.field(gone), None, "{gone}");
    }
    assert_eq!(asked.field("te"), Some("trailers"));
    assert_eq!(asked.field("connection"), Some("te"));
    assert_eq!(asked.field("x-end"), Some("2"));
    assert_eq!(asked.field("authorization"), Some("Bearer t"));
    assert!(asked.head.contains("cookie: a=b\r\n") && asked.head.contains("cookie: c=d\r\n"));
}

#[test]
fn connection_can_not_take_out_what_is_for_everybody() {
    for name in ["Host", "Content-Length", "authorization", "Content-Type", "cookie"] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, {name}\r\nAuthorization: x\r\n\r\n");
        refused(400, "http-connection-option", &request);
    }
}

#[test]
fn the_service_learns_where_a_request_came_from() {
    let (gateway, service) = Gateway::plain();
    let asked = seen(
        &gateway,
        &service,
        "GET / HTTP/1.1\r\nHost: app.example:81\r\nX-Forwarded-For: 9.9.9.9\r\nVia: 1.0 other\r\n\r\n",
    );
    assert_eq!(asked.field("x-forwarded-for"), Some("9.9.9.9, 127.0.0.1"));
    assert_eq!(asked.field("x-forwarded-proto"), Some("http"));
    assert_eq!(asked.field("x-forwarded-host"), Some("app.example:81"));
    assert_eq!(asked.field("forwarded"), Some("for=127.0.0.1;proto=http"));
    assert_eq!(asked.field("host"), Some("app.example:81"));
    assert!(asked.field("via").unwrap().starts_with("1.0 other, 1.1 paravent-"));
}

#[test]
fn a_partner_learns_no_address_and_gets_its_own_host() {
    let (gateway, service) = Gateway::set("forwarded = \"none\"\nhost = \"upstream\"");
    let request = "GET / HTTP/1.1\r\nHost: inside\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\n\r\n";
    let asked = seen(&gateway, &service, request);
    assert_eq!(asked.field("host"), Some(service.authority().as_str()));
    assert!(
        !asked.head.contains("9.9.9.9") && !asked.head.to_lowercase().contains("forwarded"),
        "{}",
        asked.head
    );
    assert!(!asked.head.contains("inside"));
}

#[test]
fn a_request_that_goes_in_a_circle_is_stopped() {
    let (gateway, service) = Gateway::plain();
    let asked = seen(&gateway, &service, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let via = asked.field("via").unwrap().to_owned();
    let mut client = gateway.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nVia: {via}\r\n\r\n"));
    assert_eq!(status(&client.head()), 508);
}

#[test]
fn both_legs_may_be_unix_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::unix(&dir.path().join("app.sock"));
    let mut setup = Setup::new(service.url());
    setup.listen = format!("unix:{}", dir.path().join("gw.sock").display());
    let gateway = setup.start();
    assert!(gateway.address.starts_with("unix:/"), "{}", gateway.address);
    let asked = seen(&gateway, &service, "GET /u HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(asked.line(), "GET /u HTTP/1.1");
    assert_eq!(asked.field("forwarded"), Some("for=\"_unix\";proto=http"));
}

#[test]
fn a_client_of_http_1_0_is_answered_in_its_own_way() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    let mut asked = service.next();
    assert_eq!(asked.line(), "GET /old HTTP/1.1");
    assert_eq!(asked.field("host"), Some(service.authority().as_str()));
    asked.peer.send("HTTP/1.1 200 Fine By Me\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.0 200 Fine By Me\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[test]
fn nothing_of_a_request_is_logged() {
    let (gateway, service) = Gateway::plain();
    let mut client = gateway.client();
    client.send(
        "POST /canary-path/x?q=canary-query HTTP/1.1\r\nHost: canary-host\r\nX-Name: canary-header\r\n\
         Cookie: canary-cookie\r\nContent-Length: 11\r\n\r\ncanary-body",
    );
    let mut asked = service.next();
    asked
        .peer
        .send("HTTP/1.1 200 canary-reason\r\nX: canary-answer\r\nContent-Length: 13\r\n\r\ncanary-answer");
    client.message();
    // A request that can't be read, and one that nobody answers.
    let mut bad = gateway.client();
    bad.send("GET /canary-bad HTTP/1.1\r\nHost: a\r\nX: canary-\0\r\n\r\n");
    bad.rest();
    let mut lost = gateway.client();
    lost.send("POST /canary-lost HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\ncanary");
    asked.peer.head();
    drop(asked);
    assert_eq!(status(&lost.head()), 502);
    let log = gateway.log();
    assert!(!log.contains("canary"), "{}", log.lines().find(|l| l.contains("canary")).unwrap());
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it logs all it has");
}
