//! What real services read that a strict reader does not: each of these was a way for a clear value to go on.

use super::*;
use crate::http::exchange::Verdict;

const ROUTES: &str = r#"
[classes.member]
id = "integer"
[[http.routes]]
path = "/people/{id}"
methods = ["PATCH"]
subject = ["form:id", "query:user", "path:id"]
fields = { "/email" = "email", "/profile/firstName" = "first_name", "/phones/*/note" = "note", "/tags/*" = "note", "/pr\u00e9nom" = "first_name", "form:email" = "email" }
[[http.routes]]
path = "/list"
subject = "json:/*/id"
fields = { "/*/email" = "email" }
[[http.routes]]
path = "/members/{id}"
class = "member"
subject = "path:id"
fields = { "/email" = "email" }
[[http.routes]]
path = "/search"
methods = ["GET"]
parameters = ["sort"]
graphql = true
fields = { "query:q" = "email" }
"#;

fn patch(kind: &str, text: &str) -> Request<Body> {
    let request = Request::patch("/people/1").header("content-type", kind);
    request.body(body(text.to_owned())).unwrap()
}

#[tokio::test]
async fn json_that_some_readers_take_for_what_is_declared_is_refused() {
    let world = World::new(ROUTES).await;
    for (text, why) in [
        // Made a list by Mongoose, or an object by SQL's json types.
        (r#"{"tags":"canary"}"#, "body-shape"),
        (r#"{"tags":1234}"#, "body-shape"),
        (r#"{"profile":"{\"firstName\":\"canary\"}"}"#, "body-shape"),
        (r#"{"phones":" [{\"note\":\"canary\"}]"}"#, "body-shape"),
        (r#"{"profile":"\u007b"}"#, "body-shape"),
        (r#""{}""#, "body-shape"),
        // Names that are paths.
        (r#"{"profile.firstName":"canary"}"#, "body-spelling"),
        (r#"{"phones.0.note":"canary"}"#, "body-spelling"),
        (r#"{"phones.$.note":"canary"}"#, "body-spelling"),
        (r#"{"phones.$[].note":"canary"}"#, "body-spelling"),
        (r#"{"phones[0]":{"note":"canary"}}"#, "body-spelling"),
        (r#"{"$set":1,"profile[firstName]":"canary"}"#, "body-spelling"),
        // No case, also outside ASCII.
        (r#"{"PRÉNOM":"canary"}"#, "body-spelling"),
        (r#"{"prÉnom":"canary"}"#, "body-spelling"),
    ] {
        assert_eq!(code(world.request(patch("application/json", text)).await).1, why, "{text}");
    }
    // What a client writes as a relation is an id.
    for text in [
        r#"{"profile":5,"phones":[1,2,{"id":3}]}"#,
        r#"{"profile":"/profiles/5","phones":""}"#,
        r#"{".":1,"[]":2}"#,
        r#"{"profile":null,"phones":false}"#,
        r#"{"a.b":"x","profile.x":1}"#,
        "null",
    ] {
        let sent = world.request(patch("application/json", text)).await.unwrap();
        assert_eq!(sent.text(), text);
    }
}

#[tokio::test]
async fn a_type_that_readers_take_for_another_is_refused() {
    let world = World::new(ROUTES).await;
    for kind in [
        "application/json; x=urlencoded",
        "application/json; x=multipart; boundary=q",
        "application/urlencoded+json",
        "application/x-www-form-urlencoded; x=json",
        "multipart/form-data; xboundary=q; boundary=x",
        "multipart/form-data; boundary=x; y=z",
        "multipart/form-data; boundary=\"x,y\"",
        "application/json-patch+json",
    ] {
        assert_eq!(code(world.request(patch(kind, "[]")).await).1, "content-type", "{kind}");
    }
    for kind in [
        "application/vnd.api+json; ext=\"https://jsonapi.org/ext/atomic\"",
        "application/json;odata.metadata=minimal",
    ] {
        assert!(world.request(patch(kind, "{}")).await.is_ok(), "{kind}");
    }
    let list = Request::put("/list").header("content-type", "application/json-patch+json");
    let list = list.body(body(r#"[{"op":"replace","path":"/0/email","value":"canary"}]"#)).unwrap();
    assert_eq!(code(world.request(list).await).1, "content-type");
}

#[tokio::test]
async fn a_subject_in_another_spelling_is_refused() {
    let world = World::new(ROUTES).await;
    for text in
        ["id=7&id]=8&email=a@b.example", "ID=8&email=a@b.example", "id%00=8", "+id=8", "id[]=8", "x=1;id=8"]
    {
        let sent = world.request(patch("application/x-www-form-urlencoded", text)).await;
        assert_eq!(code(sent).1, "body-spelling", "{text}");
    }
    for query in ["User=8", "user[]=8", "x=1;user%00=8", "x=1;user=8", ".user=8"] {
        let request = Request::patch(format!("/people/1?{query}")).header("content-type", "application/json");
        let sent = world.request(request.body(body("{}")).unwrap()).await;
        assert_eq!(code(sent).1, "subject-id", "{query}");
    }
}

#[tokio::test]
async fn a_parameter_is_no_control_and_a_control_no_parameter() {
    let world = World::new(&format!("{ROUTES}\n[[http.routes]]\npath = \"/note/{{id}}\"\nsubject = \"path:id\"\nfields = {{ \"query:note\" = \"note\", \"form:email\" = \"email\" }}\n")).await;
    let form = |uri: &str, text: &'static str| {
        Request::post(uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body(text))
            .unwrap()
    };
    for (uri, text) in
        [("/note/1?email=canary", "a=1"), ("/note/1?Email=canary", "a=1"), ("/note/1", "note=canary")]
    {
        assert_eq!(code(world.request(form(uri, text)).await).1, "body-spelling", "{uri} {text}");
    }
    assert!(world.request(form("/note/1?note=x&b=1", "email=a@b.example")).await.is_ok());
}

#[tokio::test]
async fn an_id_that_its_class_does_not_take_is_nobody_s() {
    let world = World::new(ROUTES).await;
    let text = r#"{"email":"ali@b.example"}"#;
    for id in ["me", "1.json", "1.0", "0x1", "1e0", "1,"] {
        let sent = world.json(Method::PUT, &format!("/members/{id}"), text).await;
        assert_eq!(code(sent).1, "subject-id", "{id}");
    }
    assert!(world.json(Method::PUT, "/members/1", text).await.is_ok());
}

#[tokio::test]
async fn another_method_is_not_asked_for_under_another_name_either() {
    let world = World::new(ROUTES).await;
    let judged = |request: request::Builder| world.gate.judge(&request.body(()).unwrap().into_parts().0);
    let post = || Request::post("/people/1");
    for name in ["X_HTTP_Method_Override", "x.http.method.override"] {
        assert!(judged(post().header(name, "PATCH")) == Verdict::Method, "{name}");
    }
    for query in
        [".method=PATCH", "%5B_method%5D=PATCH", "+_method=PATCH", "_method%00=PATCH", "a=1;_method=PATCH"]
    {
        let request = Request::post(format!("/people/1?{query}"));
        assert!(judged(request) == Verdict::Method, "{query}");
    }
    // A form of a method that nobody declared may ask for one that is.
    for kind in ["application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"] {
        assert!(judged(post().header("content-type", kind)) == Verdict::Method, "{kind}");
    }
    for kind in ["application/json", "", "application/x-www-form-urlencoded; a=\u{ff}"] {
        let kind = http::HeaderValue::from_bytes(kind.as_bytes()).unwrap();
        assert!(judged(post().header("content-type", kind)) == Verdict::Method);
    }
    assert!(judged(post()) == Verdict::Method);
    assert!(judged(post().header("content-length", "0")) == Verdict::Relay);
    assert!(judged(post().header("content-type", "text/plain")) == Verdict::Relay);
    assert!(judged(Request::get("/people/1?method=email")) == Verdict::Relay);
}

#[tokio::test]
async fn a_form_asks_for_no_other_method_than_its_route_takes() {
    let route = |methods: &str| {
        format!(
            "\n[[http.routes]]\npath = \"/note/{{id}}\"\nmethods = [{methods}]\nsubject = \"path:id\"\nfields = {{ \"form:note\" = \"note\" }}\n"
        )
    };
    let form = |text: &'static str| {
        let request = Request::post("/note/1").header("content-type", "application/x-www-form-urlencoded");
        request.body(body(text)).unwrap()
    };
    let world = World::new(&format!("{ROUTES}{}", route("\"POST\""))).await;
    assert_eq!(code(world.request(form("_method=PATCH&email=canary")).await).1, "method-override");
    assert!(world.request(form("_method=post&note=x")).await.is_ok());
    let world = World::new(&format!("{ROUTES}{}", route("\"POST\", \"PATCH\""))).await;
    assert!(world.request(form("_method=patch&note=x")).await.is_ok());
    let parts = "--bound\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPATCH\r\n--bound--";
    let request = Request::post("/note/1").header("content-type", "multipart/form-data; boundary=bound");
    let sent = world.request(request.body(body(parts)).unwrap()).await;
    assert_eq!(code(sent).1, "method-override");
}

#[tokio::test]
async fn an_answer_about_an_id_that_its_class_does_not_take_shows_nothing() {
    let world = World::new(ROUTES).await;
    let sent = world.json(Method::PUT, "/members/1", r#"{"email":"ali@b.example"}"#).await.unwrap();
    let stored = sent.text().to_owned();
    sent.exchange.json(200, "{}").await.unwrap();
    assert_eq!(world.read("/members/1.0", &stored).await.unwrap_err().code, "subject-id");
    assert!(world.read("/members/1", &stored).await.unwrap().contains("ali@b.example"));
}

#[tokio::test]
async fn parameters_behind_a_semicolon_pass_as_others_do() {
    let world = World::new(ROUTES).await;
    for (query, why) in [
        ("sort=email;search=canary", "parameter"),
        ("sort=1;query={a(e:1)}", "body-spelling"),
        ("sort=1;variables=1", "body-spelling"),
        ("[q]=canary", "body-spelling"),
        ("sort=1;!q=canary", "body-spelling"),
    ] {
        let query: String = query.replace('[', "%5B").replace(']', "%5D").replace(['{', '}'], "_");
        let request = Request::get(format!("/search?{query}")).body(body("")).unwrap();
        assert_eq!(code(world.request(request).await).1, why, "{query}");
    }
}

#[tokio::test]
async fn addresses_in_other_headers_tell_nobody_either() {
    let world = World::new(&format!(
        "{ROUTES}\n[[http.routes]]\npath = \"/by/{{email}}\"\nfields = {{ \"path:email\" = \"email\" }}\n"
    ))
    .await;
    let mut request = Request::get("/");
    for name in [
        "HX-Current-URL",
        "Turbolinks-Referrer",
        "X-Original-URI",
        "X_Original_URL",
        "X_Rewrite_URL",
        "Destination",
    ] {
        request = request.header(name, "http://gw.example/by/ali@b.example");
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    world.gate.disguise(&mut head.headers);
    assert!(head.headers.is_empty(), "{:?}", head.headers.keys());
}
