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
[[http.routes]]
path = "/invite"
subject = "response:/created/*/id"
fields = { "/people/*/email" = "email", "/people/*/note" = "note", "/invited/*/email" = { field = "email", subject = "json:/id" }, "/created/*/email" = "email", "/created/*/note" = "note" }
[[http.routes]]
path = "/several"
subject = "response:/id"
fields = { "header:x-note" = "note", "/note" = "note", "form:email" = "email", "form:note" = "note" }
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

#[tokio::test]
async fn a_redirect_tells_of_no_creation_but_below_the_route_s_own_path() {
    let world = World::new(PEOPLE).await;
    let redirect = |status: u16, to: &str| {
        Response::builder().status(status).header("location", to).body(body("see there")).unwrap()
    };
    // A session that is over. It passes, and what was made is kept until more is known.
    for (number, path) in ["/located", "/people"].iter().enumerate() {
        let sent = world.json(Method::POST, path, r#"{"note":"one"}"#).await.unwrap();
        let got = sent.exchange.answer(redirect(302, "/login?next=/located/5")).await.unwrap();
        assert_eq!((got.head.status, &*got.body), (StatusCode::FOUND, &b"see there"[..]));
        assert_eq!(world.house.unsettled().await, number + 1);
    }
    let login = crate::ids::Subject::new("person", "login");
    assert!(world.house.rights.erase(&login, "asked").await.is_err(), "nobody of that name was made");
    for (status, to, id) in
        [(302, "/located/61", "61"), (303, "http://h/located/62/", "62"), (201, "/other/63", "63")]
    {
        let sent = world.json(Method::POST, "/located", r#"{"note":"one"}"#).await.unwrap();
        let stored = sent.text().to_owned();
        sent.exchange.answer(redirect(status, to)).await.unwrap();
        assert_eq!(world.house.unsettled().await, 2, "{to}");
        assert_eq!(world.read(&format!("/people/{id}"), &stored).await.unwrap(), r#"{"note":"one"}"#);
    }
    // Where something else is told of, nothing is.
    let sent = world.json(Method::POST, "/located", r#"{"note":"one"}"#).await.unwrap();
    let got = sent.exchange.answer(redirect(202, "/jobs/7")).await;
    assert_eq!(got.err().unwrap().code, "no-subject-returned");
}

#[tokio::test]
async fn an_id_counts_for_the_item_that_it_stands_in() {
    let world = World::new(PEOPLE).await;
    let people = r#"[{"email":"a@x.org","note":"one"},{"email":"b@x.org","note":"two"}]"#;
    let halves = |stored: &str| {
        let (_, stored) = stored.split_once('[').unwrap();
        let (first, second) = stored.split_once("},").unwrap();
        (format!("{first}}}"), second.split_once(']').unwrap().0.to_owned())
    };
    // Other items come first, of another array.
    let sent = world.json(Method::POST, "/invite", &format!(r#"{{"people":{people}}}"#)).await.unwrap();
    let (first, second) = halves(sent.text());
    let (token, _) = first.split_once(",\"note\"").unwrap();
    let answer = format!(
        r#"{{"invited":[{token}}},{token}}}],"created":[{},{}]}}"#,
        with_id(&second, "8"),
        with_id(&first, "7")
    );
    sent.exchange.json(201, &answer).await.unwrap();
    assert_eq!(world.read("/people/7", &first).await.unwrap(), r#"{"email":"a@x.org","note":"one"}"#);
    assert_eq!(world.read("/people/8", &second).await.unwrap(), r#"{"email":"b@x.org","note":"two"}"#);
    // An item without an id comes first.
    let sent = world.json(Method::POST, "/bulk", people).await.unwrap();
    let (first, second) = halves(sent.text());
    let none = r#"{"id":null,"error":"x"}"#;
    let answer = format!("[{none},{},{}]", with_id(&second, "18"), with_id(&first, "17"));
    sent.exchange.json(201, &answer).await.unwrap();
    assert_eq!(world.read("/people/17", &first).await.unwrap(), r#"{"email":"a@x.org","note":"one"}"#);
}

#[tokio::test]
async fn a_creation_that_is_refused_leaves_nothing() {
    let world = World::new(PEOPLE).await;
    let post = |kind: &str| Request::post("/several").header("content-type", kind.to_owned());
    let noted = |kind: &str| post(kind).header("x-note", "one");
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n");
    let form = "multipart/form-data; boundary=b";
    for (request, text, why) in [
        (noted("application/json"), "{".to_owned(), "body-syntax"),
        (noted("application/json"), r#"{"note":"two"}"#.into(), "several-places"),
        (noted("text/plain"), "x".into(), "content-type"),
        (post(form), format!("{}{}--b--", part("email"), part("note")), "several-places"),
        (post(form), format!("{}--b\r\nfoo\r\n", part("email")), "form-syntax"),
    ] {
        assert_eq!(code(world.request(request.body(body(text)).unwrap()).await).1, why);
        assert_eq!(world.house.unsettled().await, 0, "{why}");
    }
    // The client goes away before its body came whole.
    let part = Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"{\"x\":")));
    let more = futures_util::stream::pending();
    let parts = futures_util::StreamExt::chain(futures_util::stream::iter([part]), more);
    let request = noted("application/json").body(StreamBody::new(parts).boxed_unsync()).unwrap();
    let (mut head, body) = request.into_parts();
    let verdict = world.gate.judge(&head);
    let asked = world.gate.request(verdict, &mut head, Some(body), None);
    let gone = async {
        while world.house.unsettled().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    futures_util::future::select(Box::pin(asked), Box::pin(gone)).await;
    assert_eq!(world.house.unsettled().await, 0);
}
