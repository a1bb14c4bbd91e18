//! What stands in a request's target and headers, and the addresses that come back.

use super::*;

const PEOPLE: &str = r#"
[[http.routes]]
path = "/people/{email}"
location = true
links = ["/self", "/items/*/href"]
fields = { "path:email" = "email" }
[[http.routes]]
path = "/search"
fields = { "query:email" = "email", "query:filter[email][_eq]" = "email", "header:x-email" = { field = "email", find = true }, "/email" = { field = "email", find = true } }
[[http.routes]]
path = "/users/{id}"
subject = "path:id"
fields = { "/email" = "email", "header:x-name" = "first_name", "query:note" = "note" }
"#;

async fn alice(world: &World) -> String {
    let sent = world.json(Method::PUT, "/users/1", r#"{"email":"alice@example.org"}"#).await.unwrap();
    let token = sent.text().split('"').nth(3).unwrap().to_owned();
    sent.exchange.json(200, "{}").await.unwrap();
    token
}

#[tokio::test]
async fn an_identifier_in_a_path_is_asked_for_by_its_token() {
    let world = World::new(PEOPLE).await;
    let token = alice(&world).await;
    for path in ["/people/alice@example.org", "/people/alice%40example.org"] {
        let sent = world.get(&format!("{path}?x=1&y=%20")).await;
        assert_eq!(sent.head.uri, *format!("/people/{token}?x=1&y=%20"));
    }
    // Who isn't known is asked for by a token that nobody has.
    let sent = world.get("/people/bob@example.org").await;
    let path = sent.head.uri.path();
    assert!(path.starts_with("/people/psn_") && path != format!("/people/{token}"), "{path}");
    assert!(!path.contains("bob"));
    assert_eq!(world.house.unsettled().await, 0);
}

#[tokio::test]
async fn an_identifier_in_a_query_is_asked_for_by_its_token() {
    let world = World::new(PEOPLE).await;
    let token = alice(&world).await;
    let sent = world
        .get("/search?a=1&email=alice%40example.org&b&filter%5Bemail%5D%5B_eq%5D=alice@example.org&email=")
        .await;
    assert_eq!(
        sent.head.uri.query(),
        Some(&*format!("a=1&email={token}&b&filter%5Bemail%5D%5B_eq%5D={token}&email="))
    );
    let request = Request::get("/search").header("x-email", "alice@example.org").body(body("")).unwrap();
    assert_eq!(world.request(request).await.unwrap().head.headers["x-email"], *token);
    let sent = world.json(Method::POST, "/search", r#"{"email":"alice@example.org"}"#).await.unwrap();
    assert_eq!(sent.text(), format!(r#"{{"email":"{token}"}}"#));
    let bad = Request::get("/search?email=%ff").body(body("")).unwrap();
    assert_eq!(code(world.request(bad).await).1, "form-syntax");
}

#[tokio::test]
async fn headers_and_parameters_are_sealed_and_headers_opened() {
    let world = World::new(PEOPLE).await;
    let request =
        Request::put("/users/1?note=secret+canary&x=1").header("x-name", "Zoë").body(body("")).unwrap();
    let sent = world.request(request).await.unwrap();
    let query = sent.head.uri.query().unwrap();
    assert!(query.starts_with("note=pv1.") && query.ends_with("&x=1"), "{query}");
    let name = sent.head.headers["x-name"].clone();
    assert!(name.to_str().unwrap().starts_with("pv1."));
    let got = sent
        .exchange
        .answer(Response::builder().header("x-name", name).body(body("")).unwrap())
        .await
        .unwrap();
    assert_eq!(got.head.headers["x-name"].as_bytes(), "Zoë".as_bytes());
}

async fn ask(world: &World) -> Sent {
    let request = Request::get("/people/alice@example.org").header("host", "h");
    world.request(request.body(body("")).unwrap()).await.unwrap()
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_is_told_nothing() {
    let world = World::new(PEOPLE).await;
    let token = alice(&world).await;
    for (origin, own) in [
        ("http://h", true),
        ("https://H", true),
        ("//h", true),
        ("http://127.0.0.1:1", true),
        ("https://evil.example", false),
        ("//evil.example", false),
        ("http://h@evil.example", false),
        ("http://h:81", false),
        ("http://h.evil.example", false),
    ] {
        for address in [format!("{origin}/people/{token}"), format!("{origin}/search?email={token}")] {
            let reply =
                Response::builder().header("content-type", "application/json").header("location", &address);
            let reply = reply.body(body(format!(r#"{{"self":"{address}"}}"#))).unwrap();
            let got = ask(&world).await.exchange.answer(reply).await.unwrap();
            let location = got.head.headers["location"].to_str().unwrap().to_owned();
            assert_eq!(location.contains("alice"), own, "{location}");
            assert_eq!(String::from_utf8(got.body).unwrap().contains("alice"), own, "{address}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_written_back_has_its_token_again() {
    let world = World::new(PEOPLE).await;
    let token = alice(&world).await;
    for (own, stored) in [
        ("/people/alice@example.org".to_owned(), format!("/people/{token}")),
        ("/people/alice%40example.org?a=1".into(), format!("/people/{token}?a=1")),
        (
            "http://h/search?x=1&email=alice@example.org#f".into(),
            format!("http://h/search?x=1&email={token}#f"),
        ),
        ("https://elsewhere.example/people/x".into(), "https://elsewhere.example/people/x".into()),
        ("mailto:x".into(), "mailto:x".into()),
    ] {
        let text = format!(r#"{{"self": "{own}", "items":[{{"href":"{own}"}}], "n":1}}"#);
        let request = Request::put("/people/alice@example.org").header("host", "h");
        let request = request.header("content-type", "application/json").body(body(text)).unwrap();
        let sent = world.request(request).await.unwrap();
        assert_eq!(sent.text(), format!(r#"{{"self": "{stored}", "items":[{{"href":"{stored}"}}], "n":1}}"#));
    }
    // What was not shown stays: a token that nobody holds any more.
    let other = world.json(Method::PUT, "/users/2", r#"{"email":"bob@example.org"}"#).await.unwrap();
    let dead = other.text().split('"').nth(3).unwrap().to_owned();
    other.exchange.json(200, "{}").await.unwrap();
    world.erase("person", "2").await;
    let text = format!(r#"{{"self":"/people/{dead}"}}"#);
    let request =
        Request::put("/people/a@b.example").header("host", "h").header("content-type", "application/json");
    assert_eq!(world.request(request.body(body(text.clone())).unwrap()).await.unwrap().text(), text);
    // Who isn't known is written as nobody's token.
    let request =
        Request::put("/people/a@b.example").header("host", "h").header("content-type", "application/json");
    let sent =
        world.request(request.body(body(r#"{"self":"/people/bob@example.org"}"#)).unwrap()).await.unwrap();
    assert!(sent.text().contains("/people/psn_") && !sent.text().contains("bob"), "{}", sent.text());
    // What is no JSON holds no such member.
    let request = Request::put("/people/a@b.example").header("content-type", "text/plain");
    assert_eq!(world.request(request.body(body("note")).unwrap()).await.unwrap().text(), "note");
}

#[tokio::test]
async fn addresses_that_come_back_are_turned_around() {
    let world = World::new(PEOPLE).await;
    let token = alice(&world).await;
    let sent = ask(&world).await;
    let answer = format!(
        r#"{{"self":"http://h/people/{token}?a=1","items":[{{"href":"/search?x=1&email={token}#f"}},{{"href":"/other/{token}"}},{{"href":"mailto:x"}}],"other":"/people/{token}"}}"#
    );
    let reply = Response::builder()
        .header("content-type", "application/json")
        .header("location", format!("/people/{token}"));
    let got = sent.exchange.answer(reply.body(body(answer.clone())).unwrap()).await.unwrap();
    assert_eq!(got.head.headers["location"], "/people/alice@example.org");
    let expected = answer
        .replacen(&format!("people/{token}?a"), "people/alice@example.org?a", 1)
        .replace(&format!("email={token}#f"), "email=alice@example.org#f");
    assert_eq!(String::from_utf8(got.body).unwrap(), expected);
}

#[tokio::test]
async fn an_address_that_repeats_what_was_asked_for_is_turned_around_whoever_holds_it() {
    let world = World::new(PEOPLE).await;
    let token = alice(&world).await;
    let erased = world.json(Method::PUT, "/users/2", r#"{"email":"bob@example.org"}"#).await.unwrap();
    let gone = erased.text().split('"').nth(3).unwrap().to_owned();
    erased.exchange.json(200, "{}").await.unwrap();
    world.erase("person", "2").await;
    for name in ["nobody", "alice", "bob"] {
        let path = format!("/people/{name}@example.org");
        let sent = world.get(&path).await;
        let asked = sent.head.uri.path().to_owned();
        let reply = Response::builder()
            .header("content-type", "application/json")
            .header("location", &asked)
            .header("link", format!("<{asked}?page=2>; rel=\"next\", </search?email={token}>; rel=x"))
            .header("link", "</other>; title=\"<x>\"");
        // Another's, that is gone, and what is no token at all.
        let answer =
            format!(r#"{{"self":"{asked}","items":[{{"href":"/people/{gone}"}},{{"href":"/people/me"}}]}}"#);
        let got = sent.exchange.answer(reply.body(body(answer.clone())).unwrap()).await.unwrap();
        assert_eq!(got.head.headers["location"], *path);
        let links: Vec<_> = got.head.headers.get_all("link").iter().collect();
        assert_eq!(
            links[0],
            &*format!("<{path}?page=2>; rel=\"next\", </search?email=alice@example.org>; rel=x")
        );
        assert_eq!(links[1], "</other>; title=\"<x>\"");
        assert_eq!(String::from_utf8(got.body).unwrap(), answer.replace(&asked, &path));
    }
}
