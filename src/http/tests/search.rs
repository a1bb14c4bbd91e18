//! What is searched for: filters, operators, parameters that may pass, GraphQL.

use super::*;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const SEARCH: &str = r#"
[[http.routes]]
path = "/people/{id}"
subject = "path:id"
fields = { "/email" = "email", "/badge" = "badge" }
[[http.routes]]
path = "/people"
parameters = ["sort", "fields"]
subject = "json:/data/*/id"
fields = { "/data/*/email" = "email", "query:filter#/**/email" = { field = "email", operators = ["_eq", "_in"] }, "query:filter#/**/badge" = { field = "badge", operators = ["_eq", "_in"] }, "/filter/**/email" = { field = "email", find = true, operators = ["_eq"] } }
[[http.routes]]
path = "/rest"
fields = { "query:email" = { field = "email", operators = ["eq.", "not.eq."] } }
[[http.routes]]
path = "/graphql"
graphql = true
parameters = ["variables"]
subject = "response:/data/create/id"
fields = { "/data/people/*/email" = { field = "email", subject = "json:/data/people/*/id" }, "/variables/data/email" = "email", "/variables/filter/**/email" = { field = "email", find = true, operators = ["_eq"] } }
"#;

/// A world that knows one person, with their tokens.
async fn world() -> (World, String, String) {
    let world = World::new(SEARCH).await;
    let sent = world.json(Method::PUT, "/people/1", r#"{"email":"ali@b.example","badge":7}"#).await.unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    sent.exchange.json(200, "{}").await.unwrap();
    (world, stored["email"].as_str().unwrap().to_owned(), stored["badge"].to_string())
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The query that reaches the service, decoded.
async fn query(world: &World, path: &str, query: &str) -> Result<String, &'static str> {
    let request = Request::get(format!("{path}?{query}")).body(body("")).unwrap();
    let sent = world.request(request).await.map_err(|problem| problem.code)?;
    let query = sent.head.uri.query().unwrap();
    Ok(percent_decode_str(query).decode_utf8().unwrap().into_owned())
}

#[tokio::test]
async fn identifiers_in_a_filter_are_asked_for_by_their_tokens() {
    let (world, token, badge) = world().await;
    for (filter, reached) in [
        (
            r#"{"_or": [{"email":{"_eq":"ali@b.example"}}, {"team":{"_eq":"x"}}]}"#,
            format!(r#"{{"_or": [{{"email":{{"_eq":"{token}"}}}}, {{"team":{{"_eq":"x"}}}}]}}"#),
        ),
        (
            r#"{"author":{"em\u0061il":{"_in":["ali@b.example",null]}},"badge":{"_in":[7]}}"#,
            format!(
                r#"{{"author":{{"em\u0061il":{{"_in":["{token}",null]}}}},"badge":{{"_in":[{badge}]}}}}"#
            ),
        ),
        (r#"{"email":"ali@b.example"}"#, format!(r#"{{"email":"{token}"}}"#)),
        (r#"{"email":{"_null":true}}"#, r#"{"email":{"_null":true}}"#.to_owned()),
    ] {
        let got = query(&world, "/people", &format!("sort=id&filter={}", escaped(filter))).await.unwrap();
        assert_eq!(got, format!("sort=id&filter={reached}"));
    }
    for name in
        ["filter[email][_eq]", "filter[_and][0][author][email][_in][1]", "filter[_or][][email][_in][]"]
    {
        let got = query(&world, "/people", &format!("{}=ali%40b.example", escaped(name))).await.unwrap();
        assert_eq!(got, format!("{name}={token}"));
    }
    let got =
        query(&world, "/people", "filter[email][_null]=true&filter[team][_eq]=x&fields[]=id").await.unwrap();
    assert_eq!(got, "filter[email][_null]=true&filter[team][_eq]=x&fields[]=id");
}

#[tokio::test]
async fn a_search_that_could_go_on_in_clear_is_refused() {
    let (world, ..) = world().await;
    for (filter, code) in [
        (r#"{"email":{"_contains":"ali"}}"#, "comparison"),
        (r#"{"email":{"_eq":{"x":"ali"}}}"#, "comparison"),
        (r#"{"_and":[{"x":{"y":{"email":{"_starts_with":"ali"}}}}]}"#, "comparison"),
        (r#"{"email":["ali@b.example"]}"#, "value"),
        (r#"{"Email":{"_eq":"ali@b.example"}}"#, "body-spelling"),
        (r#"{"email":{"_eq":"a"},"email":{"_eq":"b"}}"#, "body-duplicate"),
        ("{email:'ali@b.example'}", "body-syntax"),
    ] {
        let refused = query(&world, "/people", &format!("filter={}", escaped(filter))).await;
        assert_eq!(refused, Err(code), "{filter}");
    }
    for (search, code) in [
        ("search=ali", "parameter"),
        ("sorted=ali", "parameter"),
        ("ali", "parameter"),
        ("Filter[email][_eq]=ali", "body-spelling"),
        ("filter[Email][_eq]=ali", "body-spelling"),
        ("filter[email][_contains]=ali", "comparison"),
        ("filter[email][_eq][x]=ali", "comparison"),
        ("filter[email][_eq=ali", "body-spelling"),
        ("filter[email]_eq]=ali", "body-spelling"),
        ("sort=id;filter[email][_eq]=ali", "body-spelling"),
    ] {
        assert_eq!(query(&world, "/people", search).await, Err(code), "{search}");
    }
    for body in [
        r#"{"filter":{"_or":[{"email":{"_contains":"ali"}}]}}"#,
        r#"{"filter":{"email":{"_eq":"a"},"EMAIL":1}}"#,
    ] {
        assert!(world.json(Method::POST, "/people", body).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn a_filter_in_a_body_is_one_too() {
    let (world, token, _) = world().await;
    let sent = world
        .json(Method::POST, "/people", r#"{"filter":{"_or":[{"email":{"_eq":"ali@b.example"}},[]]}}"#)
        .await;
    assert_eq!(
        sent.unwrap().text(),
        format!(r#"{{"filter":{{"_or":[{{"email":{{"_eq":"{token}"}}}},[]]}}}}"#)
    );
}

#[tokio::test]
async fn an_operator_stands_before_a_parameter_s_own_text() {
    let (world, token, _) = world().await;
    for operator in ["eq.", "not.eq."] {
        let got = query(&world, "/rest", &format!("select=id&email={operator}ali@b.example")).await.unwrap();
        assert_eq!(got, format!("select=id&email={operator}{token}"));
    }
    for search in ["email=like.ali*", "email=ali@b.example", "email=in.(ali@b.example)"] {
        assert_eq!(query(&world, "/rest", search).await, Err("comparison"), "{search}");
    }
    assert_eq!(query(&world, "/rest", "Email=eq.ali").await, Err("body-spelling"));
    assert_eq!(query(&world, "/rest", "e.mail=x&x;email=eq.ali").await, Err("body-spelling"));
}

#[tokio::test]
async fn graphql_takes_values_as_variables_only() {
    let (world, token, _) = world().await;
    let asked = r#"{"query":"query($f: filter) { people(filter: $f) { id email } }","variables":{"filter":{"email":{"_eq":"ali@b.example"}}}}"#;
    let sent = world.json(Method::POST, "/graphql", asked).await.unwrap();
    assert_eq!(sent.text(), asked.replace("ali@b.example", &token));
    let answer = format!(r#"{{"data":{{"people":[{{"id":"1","email":"{token}"}}]}}}}"#);
    let got = sent.exchange.json(200, &answer).await.unwrap();
    assert_eq!(
        String::from_utf8(got.body).unwrap(),
        r#"{"data":{"people":[{"id":"1","email":"ali@b.example"}]}}"#
    );
    let made = r#"{"query":"mutation($data: new!) { create(data: $data) { id } }","variables":{"data":{"email":"new@b.example"}}}"#;
    let sent = world.json(Method::POST, "/graphql", made).await.unwrap();
    assert!(!sent.text().contains("new@"), "{}", sent.text());
    sent.exchange.json(200, r#"{"data":{"create":{"id":"2"}}}"#).await.unwrap();
    for text in [
        r#"{"query":"{ people(filter: {email: {_eq: \"ali@b.example\"}}) { id } }"}"#,
        r#"{"query":"{ people(filter: {badge: {_eq: 7}}) { id } }"}"#,
        r#"{"qu\u0065ry":"{ people(email: \u0022ali\u0022) { id } }"}"#,
        r#"{"query":["{ people { id } }"]}"#,
    ] {
        assert_eq!(code(world.json(Method::POST, "/graphql", text).await).1, "graphql-values", "{text}");
    }
    for variables in [r#""{\"filter\":{\"email\":\"ali\"}}""#, r#"[{"email":"ali"}]"#, "7"] {
        let text = format!(r#"{{"query":"{{a}}","variables":{variables}}}"#);
        assert!(matches!(
            code(world.json(Method::POST, "/graphql", &text).await).1,
            "graphql-values" | "body-shape"
        ));
    }
    for (text, why) in [
        (r#"[{"query":"{ people(email: \"ali\") { id } }"}]"#, "body-shape"),
        (r#"{"query":"{a}","Query":"{ people(email: \"ali\") { id } }"}"#, "body-spelling"),
        (r#"{"query":"{a}","query":"{ people(email: \"ali\") { id } }"}"#, "body-duplicate"),
    ] {
        assert_eq!(code(world.json(Method::POST, "/graphql", text).await).1, why, "{text}");
    }
    assert_eq!(
        query(&world, "/graphql", &format!("query={}", escaped("{ p(e: \"ali\") { id } }"))).await,
        Err("graphql-values")
    );
    for (name, why) in [("Query", "body-spelling"), ("query[]", "body-spelling"), ("q", "parameter")] {
        let refused = query(&world, "/graphql", &format!("{name}={}", escaped("{ p(e: \"ali\") }"))).await;
        assert_eq!(refused, Err(why), "{name}");
    }
    let plain = Request::post("/graphql")
        .header("content-type", "application/graphql")
        .body(body("{ p(e: \"ali\") }"))
        .unwrap();
    assert_eq!(code(world.request(plain).await).1, "content-type");
}
