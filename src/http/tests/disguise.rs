//! Clear values in disguise: what a lenient service would read at a declared place never goes on.

use super::*;
use crate::http::exchange::Verdict;

const ROUTES: &str = r#"
[[http.routes]]
path = "/people/{id}"
methods = ["PUT", "POST"]
subject = ["header:x-user", "path:id"]
fields = { "/email" = "email", "form:email" = "email", "query:note" = "note", "header:x-note" = "note" }
[[http.routes]]
path = "/by/{email}"
fields = { "path:email" = "email" }
"#;

fn put(uri: &str) -> request::Builder {
    Request::put(uri)
}

async fn refused(world: &World, request: request::Builder, text: &str) -> &'static str {
    code(world.request(request.body(body(text.to_owned())).unwrap()).await).1
}

#[tokio::test]
async fn digests_of_other_bytes_are_taken_out_of_trailers_too() {
    let world = World::new(ROUTES).await;
    let digests = || {
        let mut trailers = HeaderMap::new();
        for name in ["digest", "content-digest", "repr-digest", "x-kept"] {
            trailers.insert(name, "sha-256=:x:".parse().unwrap());
        }
        Some(trailers)
    };
    let parts = vec![br#"{"note":"one"}"#.to_vec()];
    let request = Request::put("/people/1").header("content-type", "application/json");
    let sent = world.request(request.body(frames(parts, digests())).unwrap()).await.unwrap();
    assert_eq!(sent.trailers.unwrap().keys().collect::<Vec<_>>(), ["x-kept"]);
    let answer = Response::builder().header("content-type", "application/json");
    let (mut head, body) = answer.body(frames(vec![sent.body], digests())).unwrap().into_parts();
    let body = sent.exchange.response(&mut head, &mut Some(body)).await.unwrap().into_body();
    let (body, trailers) = collect(body).await.unwrap();
    assert_eq!(body, br#"{"note":"one"}"#);
    assert_eq!(trailers.unwrap().keys().collect::<Vec<_>>(), ["x-kept"]);
}

#[tokio::test]
async fn another_method_than_the_request_s_own_is_refused_on_a_declared_path() {
    let world = World::new(ROUTES).await;
    for (name, value) in
        [("x-http-method-override", "PATCH"), ("x-http-method", "DELETE"), ("x-method-override", "POST")]
    {
        assert_eq!(
            refused(&world, put("/people/1").header(name, value), "").await,
            "method-override",
            "{name}"
        );
        // Of a method that no route takes, too.
        let link =
            Request::builder().method("LINK").uri("/people/1").header(name, value).body(body("")).unwrap();
        let (head, _) = link.into_parts();
        assert!(world.gate.judge(&head) == Verdict::Method);
    }
    assert_eq!(refused(&world, put("/people/1?a=1&_method=PATCH"), "").await, "method-override");
    let same = put("/people/1").header("x-http-method-override", "put").body(body("")).unwrap();
    assert!(world.request(same).await.is_ok());
    let (head, _) = Request::patch("/people/1?x=_method").body(body("")).unwrap().into_parts();
    assert!(world.gate.judge(&head) == Verdict::Relay, "it passes as it is");
}

#[tokio::test]
async fn headers_that_a_gateway_interface_takes_for_declared_ones_are_refused() {
    let world = World::new(ROUTES).await;
    for name in ["x_note", "X_User", "x_user"] {
        assert_eq!(
            refused(&world, put("/people/1").header(name, "canary"), "").await,
            "body-spelling",
            "{name}"
        );
    }
    assert!(world.request(put("/people/1").header("x_other", "y").body(body("")).unwrap()).await.is_ok());
}

#[tokio::test]
async fn a_declared_header_among_the_trailers_does_not_go_on() {
    let world = World::new(ROUTES).await;
    let trailers: HeaderMap = [("x-note", "canary"), ("x-sum", "1")]
        .into_iter()
        .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
        .collect();
    for kind in ["application/json", "application/x-www-form-urlencoded"] {
        let text = if kind == "application/json" { "{}" } else { "a=1" };
        let request = put("/people/1").header("content-type", kind);
        let request = request.body(frames(vec![text.into()], Some(trailers.clone()))).unwrap();
        let left = world.request(request).await.unwrap().trailers.unwrap();
        assert_eq!(left.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    }
}

#[tokio::test]
async fn controls_that_some_services_read_otherwise_are_refused() {
    let world = World::new(ROUTES).await;
    let form = |text: &'static str| {
        let request = put("/people/1").header("content-type", "application/x-www-form-urlencoded");
        (request, text)
    };
    for text in [
        "a=1;email=canary",
        "Email=canary",
        "e%4dail=canary",
        "email%00=canary",
        "email[x]=canary",
        "a=1&+email=canary",
    ] {
        let (request, text) = form(text);
        assert_eq!(refused(&world, request, text).await, "body-spelling", "{text}");
    }
    let (request, text) = form("email[]=ali@b.example&email[1]=bob@b.example&x=1;2");
    let sent = world.request(request.body(body(text)).unwrap()).await.unwrap();
    assert!(!sent.text().contains("b.example") && sent.text().ends_with("&x=1;2"), "{}", sent.text());
    for (boundary, text) in [
        // One reader's preamble is another's part.
        ("\"a\\b\"", "--a\\b\r\nContent-Disposition: form-data; name=x\r\n\r\n--ab\r\n\r\n--a\\b--"),
        ("x; boundary*=utf-8''y", "--x\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--x--"),
    ] {
        let request =
            put("/people/1").header("content-type", format!("multipart/form-data; boundary={boundary}"));
        assert_eq!(refused(&world, request, text).await, "content-type", "{boundary}");
    }
    for name in ["\"em\\ail\"", "em\\ail", "\"=?utf-8?Q?email?=\""] {
        let text = format!("--x\r\nContent-Disposition: form-data; name={name}\r\n\r\ncanary\r\n--x--");
        let request = put("/people/1").header("content-type", "multipart/form-data; boundary=x");
        assert_eq!(refused(&world, request, &text).await, "form-syntax", "{name}");
    }
}

#[tokio::test]
async fn json_in_disguise_is_refused() {
    let world = World::new(ROUTES).await;
    let utf16: Vec<u8> = "{\"email\":\"canary\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (kind, bytes, why) in [
        ("application/json", utf16.clone(), "body-syntax"),
        ("application/json; charset=utf-16", utf16, "content-type"),
        ("application/json; charset=\"UTF-7\"", b"{}".to_vec(), "content-type"),
        ("text/plain", b"{\"email\":\"canary\"}".to_vec(), "content-type"),
        ("application/json, text/plain", b"{\"email\":\"canary\"}".to_vec(), "content-type"),
        ("application/xml", b"<email>canary</email>".to_vec(), "content-type"),
        ("application/json", b"{email:'canary'}".to_vec(), "body-syntax"),
        ("application/json", b"{/**/\"email\":\"canary\"}".to_vec(), "body-syntax"),
        ("application/json", b"{}{\"email\":\"canary\"}".to_vec(), "body-syntax"),
        ("application/json", b"{\"x\":NaN}".to_vec(), "body-syntax"),
        ("application/json", b"{\"EMAIL\":\"canary\"}".to_vec(), "body-spelling"),
        ("application/json", b"{\"email\":null,\"em\\u0061il\":\"canary\"}".to_vec(), "body-duplicate"),
        ("application/json", b"[{\"email\":\"canary\"}]".to_vec(), "body-shape"),
    ] {
        let request = put("/people/1").header("content-type", kind).body(body(bytes)).unwrap();
        assert_eq!(code(world.request(request).await).1, why, "{kind}");
    }
    let none = put("/people/1").body(body("{\"email\":\"canary\"}")).unwrap();
    assert_eq!(code(world.request(none).await).1, "content-type");
}

#[tokio::test]
async fn an_address_elsewhere_in_the_head_tells_nobody() {
    let world = World::new(ROUTES).await;
    let (mut head, _) = Request::get("/style.css")
        .header("referer", "http://u:p@gw.example:8080/by/ali@b.example?x#y")
        .header("x-rewrite-url", "/people/1")
        .header("x-original-url", "/people/1")
        .header("accept", "*/*")
        .body(body(""))
        .unwrap()
        .into_parts();
    world.gate.disguise(&mut head.headers);
    assert_eq!(head.headers["referer"], "http://gw.example:8080/");
    assert_eq!(head.headers.len(), 2);
}
