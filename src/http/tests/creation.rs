//! Creations: whose the data is, the answer tells.

use super::*;

const PEOPLE: &str = r#"
[[http.routes]]
path = "/people"
methods = ["POST"]
subject = "response:/id"
fields = { "/email" = "email", "/note" = "note", "/phones/*" = "first_name" }
[[http.routes]]
path = "/people/{id}"
subject = "path:id"
fields = { "/email" = "email", "/note" = "note", "/phones/*" = "first_name" }
[[http.routes]]
path = "/located"
subject = "response:Location"
fields = { "/note" = "note" }
[[http.routes]]
path = "/bulk"
subject = "response:/*/id"
fields = { "/*/email" = "email", "/*/note" = "note" }
"#;

fn with_id(text: &str, id: &str) -> String {
    text.replacen('{', &format!("{{\"id\":{id},"), 1)
}

#[tokio::test]
async fn a_creation_is_bound_to_the_id_that_comes_back() {
    let world = World::new(PEOPLE).await;
    let body = r#"{"email":"a@x.org","note":"secret canary","phones":["1","2"]}"#;
    let sent = world.json(Method::POST, "/people", body).await.unwrap();
    let stored = sent.text().to_owned();
    assert!(!stored.contains("a@x.org") && !stored.contains("canary"));
    // The key is durable before the request leaves.
    assert!(world.house.unsettled().await > 0);
    let got = sent.exchange.json(201, &with_id(&stored, "43")).await.unwrap();
    assert_eq!(String::from_utf8(got.body).unwrap(), with_id(body, "43"));
    assert_eq!(world.house.unsettled().await, 0);
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), body);
    assert_eq!(world.read("/people/44", &stored).await.unwrap_err().code, "wrong-subject");
    world.erase("person", "43").await;
    assert_eq!(
        world.read("/people/43", &stored).await.unwrap(),
        r#"{"email":null,"note":"[removed]","phones":[null,null]}"#
    );
}

#[tokio::test]
async fn a_creation_that_fails_leaves_nothing() {
    let world = World::new(PEOPLE).await;
    let sent = world.json(Method::POST, "/people", r#"{"email":"a@x.org","note":"one"}"#).await.unwrap();
    sent.exchange.json(409, r#"{"error":"taken"}"#).await.unwrap();
    assert_eq!(world.house.unsettled().await, 0);
}

#[tokio::test]
async fn a_creation_that_tells_no_id_is_no_success() {
    let world = World::new(PEOPLE).await;
    for answer in [r#"{"ok":true}"#, r#"{"id":null}"#, r#"{"id":"042"}"#, "[]"] {
        let sent = world.json(Method::POST, "/people", r#"{"note":"one"}"#).await.unwrap();
        let problem = sent.exchange.json(201, answer).await.err().unwrap();
        assert_eq!(
            (problem.status, problem.code),
            (StatusCode::BAD_GATEWAY, "no-subject-returned"),
            "{answer}"
        );
    }
    let sent = world.json(Method::POST, "/people", r#"{"note":"one"}"#).await.unwrap();
    assert_eq!(sent.exchange.json(204, "").await.err().unwrap().code, "no-subject-returned");
    // The service may have stored them: their keys are kept.
    assert_eq!(world.house.unsettled().await, 5);
}

#[tokio::test]
async fn a_location_tells_as_well() {
    let world = World::new(PEOPLE).await;
    let sent = world.json(Method::POST, "/located", r#"{"note":"one"}"#).await.unwrap();
    let stored = sent.text().to_owned();
    let answer = Response::builder().status(201).header("location", "/people/51").body(body("")).unwrap();
    sent.exchange.answer(answer).await.unwrap();
    assert_eq!(world.house.unsettled().await, 0);
    assert_eq!(world.read("/people/51", &stored).await.unwrap(), r#"{"note":"one"}"#);
}

#[tokio::test]
async fn several_are_created_at_once_and_answered_in_any_order() {
    let world = World::new(PEOPLE).await;
    let body = r#"[{"email":"a@x.org","note":"one"},{"email":"b@x.org","note":"two"}]"#;
    let sent = world.json(Method::POST, "/bulk", body).await.unwrap();
    let stored = sent.text().to_owned();
    let (first, second) = stored[1..stored.len() - 1].split_once("},").unwrap();
    let (first, second) = (format!("{first}}}"), second.to_owned());
    let answer = format!("[{},{}]", with_id(&second, "8"), with_id(&first, "7"));
    let got = sent.exchange.json(200, &answer).await.unwrap();
    assert_eq!(
        String::from_utf8(got.body).unwrap(),
        r#"[{"id":8,"email":"b@x.org","note":"two"},{"id":7,"email":"a@x.org","note":"one"}]"#
    );
    assert_eq!(world.read("/people/7", &first).await.unwrap(), r#"{"email":"a@x.org","note":"one"}"#);
    // One that isn't answered is nobody's: its key must not be lost.
    let sent = world.json(Method::POST, "/bulk", body).await.unwrap();
    assert_eq!(sent.exchange.json(200, r#"[{"id":9}]"#).await.err().unwrap().code, "no-subject-returned");
    // Where nothing is echoed, the order counts.
    let sent = world.json(Method::POST, "/bulk", body).await.unwrap();
    let stored = sent.text().to_owned();
    sent.exchange.json(200, r#"[{"id":10},{"id":11}]"#).await.unwrap();
    let second = stored.split_once("},").unwrap().1.trim_end_matches(']');
    assert_eq!(world.read("/people/11", second).await.unwrap(), r#"{"email":"b@x.org","note":"two"}"#);
}
