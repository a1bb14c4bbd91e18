//! JSON through the gate: sealed for the service, opened for the client.

use super::*;
use crate::http::exchange::Verdict;

const PEOPLE: &str = r#"
[[http.routes]]
path = "/people/{id}"
subject = "path:id"
fields = { "/email" = "email", "/profile/firstName" = "first_name", "/note" = "note", "/born" = "born", "/salary" = "salary", "/badge" = "badge" }
[[http.routes]]
path = "/people"
subject = "json:/id"
fields = { "/*/email" = "email", "/*/note" = "note", "/email" = "email", "/note" = "note" }
"#;

/// No spelling of the canary in it: as it is, escaped, in base64 or hexadecimal.
fn holds_no(canary: &str, bytes: &[u8]) {
    use base64::Engine;
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let escaped: String = canary.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let middle = &base64::engine::general_purpose::STANDARD.encode(canary)[1..];
    // Its last characters hang on what follows.
    let middle = middle.trim_end_matches('=').split_at(middle.trim_end_matches('=').len() - 1).0.to_owned();
    for form in [canary.to_owned(), escaped, hex::encode(canary), middle] {
        assert!(!text.contains(&form.to_lowercase()), "{form} in {text}");
    }
}

#[tokio::test]
async fn a_person_is_sealed_for_the_service_and_opened_for_the_client() {
    let world = World::new(PEOPLE).await;
    let body = "{ \"id\":42,\"email\" : \"alice@example.org\", \"profile\":{\"firstName\":\"Ali\\u0063e-canary\",\"x\":1.0},\n \"note\": null, \
        \"born\":\"1990-02-03\",\"salary\":12.50, \"badge\": 7777777, \"z\":[1,2] }";
    let sent = world.json(Method::PUT, "/people/42", body).await.unwrap();
    for canary in ["alice@example.org", "Alice-canary", "1990-02-03", "12.50", "7777777"] {
        holds_no(canary, &sent.body);
    }
    let text = sent.text().to_owned();
    assert!(text.starts_with("{ \"id\":42,\"email\" : \"psn_"), "{text}");
    assert!(text.contains("@p.invalid\", \"profile\":{\"firstName\":\"pv1."), "{text}");
    assert!(text.contains(",\"x\":1.0},\n \"note\": null, \"born\":\"pv1."), "{text}");
    assert!(text.ends_with(", \"z\":[1,2] }"), "{text}");
    let badge = text.split("\"badge\": ").nth(1).unwrap().split(',').next().unwrap();
    assert!(badge.parse::<i64>().is_ok(), "the token of a number is one: {badge}");
    let got = sent.exchange.json(200, &text).await.unwrap();
    // The value is the same; its needless escape is not kept.
    assert_eq!(String::from_utf8(got.body).unwrap(), body.replace("\\u0063", "c"));
    assert_eq!(got.head.headers["cache-control"], "no-store");
    let again = world.read("/people/42", &text).await.unwrap();
    assert_eq!(again, body.replace("\\u0063", "c"));
}

#[tokio::test]
async fn every_item_of_a_list_has_its_own_person() {
    let world = World::new(PEOPLE).await;
    let body = r#"[{"id":1,"email":"a@x.org","note":"one"},{"email":"b@x.org","id":"2","note":"two"}]"#;
    let sent = world.json(Method::POST, "/people", body).await.unwrap();
    let text = sent.text().to_owned();
    drop(sent.exchange.json(201, "{}").await.unwrap());
    assert_eq!(world.read("/people", &text).await.unwrap(), body);
    world.erase("person", "2").await;
    assert_eq!(
        world.read("/people", &text).await.unwrap(),
        r#"[{"id":1,"email":"a@x.org","note":"one"},{"email":null,"id":"2","note":"[removed]"}]"#
    );
    // And nobody writes about them again.
    let sent = world.json(Method::POST, "/people", r#"{"id":2,"note":"x"}"#).await;
    assert_eq!(code(sent), (StatusCode::CONFLICT, "erased-subject"));
}

#[tokio::test]
async fn a_copied_value_is_not_shown() {
    let world = World::new(PEOPLE).await;
    let sent =
        world.json(Method::POST, "/people", r#"{"id":1,"note":"one","email":"a@x.org"}"#).await.unwrap();
    let text = sent.text().to_owned();
    sent.exchange.json(201, "{}").await.unwrap();
    let moved = text.replace("\"id\":1", "\"id\":2");
    let problem = world.read("/people", &moved).await.unwrap_err();
    assert_eq!((problem.status, problem.code), (StatusCode::BAD_GATEWAY, "wrong-subject"));
    let envelope = text.split('"').find(|part| part.starts_with("pv1.")).unwrap();
    let damaged = text.replace(envelope, &format!("{}AAAA", &envelope[..envelope.len() - 4]));
    assert_eq!(world.read("/people", &damaged).await.unwrap_err().code, "not-authentic");
    assert_eq!(world.read("/people", r#"{"id":1,"note":"planted"}"#).await.unwrap_err().code, "in-clear");
    assert_eq!(world.read("/people", r#"{"id":1,"note":7}"#).await.unwrap_err().code, "in-clear");
    assert_eq!(
        world.read("/people", &format!(r#"{{"id":1,"email":"{envelope}"}}"#)).await.unwrap_err().code,
        "in-clear"
    );
    // In an undeclared place it is a text like another.
    let elsewhere = format!(r#"{{"id":1,"other":"{envelope}"}}"#);
    assert_eq!(world.read("/people", &elsewhere).await.unwrap(), elsewhere);
}

#[tokio::test]
async fn what_a_client_sends_is_a_clear_value_whatever_it_looks_like() {
    let world = World::new(PEOPLE).await;
    let sent = world.json(Method::POST, "/people", r#"{"id":1,"note":"one"}"#).await.unwrap();
    let envelope = sent.text().split('"').find(|part| part.starts_with("pv1.")).unwrap().to_owned();
    sent.exchange.json(201, "{}").await.unwrap();
    let body = format!(r#"{{"id":2,"note":"{envelope}"}}"#);
    let sent = world.json(Method::POST, "/people", &body).await.unwrap();
    assert!(!sent.text().contains(&envelope));
    let text = sent.text().to_owned();
    sent.exchange.json(201, "{}").await.unwrap();
    assert_eq!(world.read("/people", &text).await.unwrap(), body);
}

#[tokio::test]
async fn what_cannot_be_protected_is_refused() {
    let world = World::new(PEOPLE).await;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    for (body, expected) in [
        (r#"{"id":1,"note":"x""#, "body-syntax"),
        (r#"{"note":"x"}"#, "no-subject"),
        (r#"{"id":null,"note":"x"}"#, "no-subject"),
        (r#"{"id":"01","note":"x"}"#, "subject-id"),
        (r#"{"id":1.0,"note":"x"}"#, "subject-id"),
        (r#"{"id":1,"note":"x","note":"y"}"#, "body-duplicate"),
        (r#"{"id":1,"Note":"x"}"#, "body-spelling"),
        (r#"{"id":1,"email":{"a":1}}"#, "value"),
        (r#"{"id":1,"email":["a@b"]}"#, "value"),
        (r#"{"id":1,"note":"\ud800"}"#, "value"),
    ] {
        assert_eq!(
            code(world.json(Method::POST, "/people", body).await),
            (unprocessable, expected),
            "{body}"
        );
    }
    let deep = format!(r#"{{"id":1,"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(code(world.json(Method::POST, "/people", &deep).await).1, "body-depth");
    let long = format!(r#"{{"note":"{}","id":1}}"#, "x".repeat(9 << 20));
    let parts = long.as_bytes().chunks(64 << 10).map(<[u8]>::to_vec).collect();
    let request =
        Request::post("/people").header("content-type", "application/json").body(frames(parts, None));
    let refused = code(world.request(request.unwrap()).await);
    assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, "item-too-large"));
    for kind in ["text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"] {
        let request =
            Request::post("/people").header("content-type", kind).body(body(r#"{"id":1,"note":"x"}"#));
        let refused = code(world.request(request.unwrap()).await);
        assert_eq!(refused, (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type"), "{kind}");
    }
    let untyped = Request::post("/people").body(body(r#"{"id":1,"note":"x"}"#)).unwrap();
    assert_eq!(code(world.request(untyped).await).1, "content-type");
    for path in ["/People", "/people/042", "/people/4%32", "/people//42"] {
        let refused = code(world.json(Method::PUT, path, r#"{"note":"x"}"#).await).1;
        assert!(["path-spelling", "subject-id"].contains(&refused), "{path} {refused}");
    }
}

#[tokio::test]
async fn a_large_body_streams_and_keeps_its_trailers() {
    let world = World::new(PEOPLE).await;
    let items: Vec<String> = (1..4000)
        .map(|n| format!(r#"{{"id":{n},"pad":"{}","note":"secret canary {n}"}}"#, "p".repeat(200)))
        .collect();
    let text = format!("[{}]", items.join(","));
    let parts: Vec<Vec<u8>> = text.as_bytes().chunks(1000).map(<[u8]>::to_vec).collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "yes".parse().unwrap());
    let request = Request::post("/people").header("content-type", "application/json");
    let sent = world.request(request.body(frames(parts, Some(trailers))).unwrap()).await.unwrap();
    assert_eq!(sent.trailers.as_ref().unwrap()["x-end"], "yes");
    assert!(!sent.head.headers.contains_key("content-length"));
    assert!(!sent.text().contains("canary"));
    let stored = sent.text().to_owned();
    sent.exchange.json(200, "[]").await.unwrap();
    assert_eq!(world.house.unsettled().await, 0);
    assert_eq!(world.read("/people", &stored).await.unwrap(), text);
}

#[tokio::test]
async fn what_nobody_declares_is_relayed_as_it_is() {
    let world = World::new(PEOPLE).await;
    let request = Request::post("/animals").header("content-type", "x/y").header("if-none-match", "\"1\"");
    let sent = world.request(request.body(body("{not json")).unwrap()).await.unwrap();
    assert!(sent.exchange.relays());
    assert_eq!((sent.text(), &sent.head.headers["if-none-match"]), ("{not json", &"\"1\"".parse().unwrap()));
    let judge = |path| world.gate.judge(&Request::get(path).body(()).unwrap().into_parts().0);
    assert!(judge("/animals") == Verdict::Relay && judge("/people/1") != Verdict::Relay);
    // On a declared route an answer of another type is no place of ours.
    let sent = world.get("/people/1").await;
    let answer = Response::builder().header("content-type", "text/html").body(body("<p>{")).unwrap();
    assert_eq!(sent.exchange.answer(answer).await.unwrap().body, b"<p>{");
}

#[tokio::test]
async fn what_failed_leaves_nothing_and_what_is_unclear_stays_provisional() {
    let world = World::new(PEOPLE).await;
    let put = |id: u32| {
        let body = format!(r#"{{"note":"x","email":"u{id}@x.org"}}"#);
        let world = &world;
        async move { world.json(Method::PUT, &format!("/people/{id}"), &body).await.unwrap() }
    };
    put(1).await.exchange.json(400, "{}").await.unwrap();
    assert_eq!(world.house.unsettled().await, 0);
    let state =
        async |id: &str| world.house.rights.state(&crate::ids::Subject::new("person", id)).await.unwrap();
    assert_eq!(state("1").await, crate::rights::SubjectState::Unknown);
    put(2).await.exchange.json(502, "{}").await.unwrap();
    assert_eq!(world.house.unsettled().await, 1);
    put(3).await.exchange.lost();
    assert_eq!(world.house.unsettled().await, 2);
    drop(put(4).await);
    assert_eq!(world.house.unsettled().await, 3);
    put(5).await.exchange.json(204, "").await.unwrap();
    assert_eq!((world.house.unsettled().await, state("5").await), (3, crate::rights::SubjectState::Live));
    // What was made without a word from the service opens all the same, and is erased with its person.
    let sent = put(6).await;
    let stored = sent.text().to_owned();
    sent.exchange.lost();
    assert_eq!(world.read("/people/6", &stored).await.unwrap(), r#"{"note":"x","email":"u6@x.org"}"#);
    world.erase("person", "6").await;
    assert_eq!(world.read("/people/6", &stored).await.unwrap(), r#"{"note":"[removed]","email":null}"#);
}

#[tokio::test]
async fn lines_go_on_as_they_come() {
    use http_body_util::BodyExt;
    let world = World::new(PEOPLE).await;
    let sent = world.get("/people").await;
    let (lines, body) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let stream = futures_util::stream::unfold(body, |mut body| async {
        let line = body.recv().await?;
        Some((Ok::<_, BodyError>(Frame::data(Bytes::from(line))), body))
    });
    let answer = Response::builder().header("content-type", "application/x-ndjson");
    let (mut head, body) = answer.body(StreamBody::new(stream).boxed_unsync()).unwrap().into_parts();
    lines.send(b"{\"id\":1,\"note\":null}\n".to_vec()).unwrap();
    // The service says nothing more for now.
    let mut body = sent.exchange.response(&mut head, &mut Some(body)).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&first[..], b"{\"id\":1,\"note\":null}\n");
    lines.send(b"{\"id\":2,\"note\":\"in clear\"}\n".to_vec()).unwrap();
    assert!(
        matches!(body.frame().await, Some(Err(BodyError::Refused(problem))) if problem.code == "in-clear")
    );
}

#[tokio::test]
async fn an_answer_that_spells_ids_otherwise_is_not_shown() {
    let world = World::new(PEOPLE).await;
    let sent = world.json(Method::POST, "/people", r#"{"id":1,"note":"one"}"#).await.unwrap();
    let text = sent.text().replace("\"id\":1", "\"id\":\"01\"");
    sent.exchange.json(200, "{}").await.unwrap();
    let problem = world.read("/people", &text).await.unwrap_err();
    assert_eq!((problem.status, problem.code), (StatusCode::BAD_GATEWAY, "answer"));
}

#[tokio::test]
async fn whatever_the_last_answer_of_a_route_was_the_next_is_opened_anew() {
    let world = World::new(PEOPLE).await;
    let clear = r#"[{"id":1,"email":"a@x.org","note":"one"},{"note":"two","id":2}]"#;
    let sent = world.json(Method::POST, "/people", clear).await.unwrap();
    let sealed = sent.text().to_owned();
    sent.exchange.json(200, "{}").await.unwrap();
    let half = &sealed[..sealed.len() / 2];
    let unsaid = sealed.replace("\"id\":2", "\"id\":\"02\"");
    let swapped = sealed.replace("\"id\":1", "\"id\":7").replace("\"id\":2", "\"id\":1");
    let inclear = sealed.replace("},{", ",\"x\":[]},{\"id\":3,\"note\":\"in clear\"},{");
    for (last, why) in [
        (half, "answer"),
        ("[{\"id\":1,", "answer"),
        (&sealed.replace("},{", "}{"), "answer"),
        (&format!("{sealed}]"), "answer"),
        (&unsaid, "answer"),
        (&swapped, "wrong-subject"),
        (&inclear, "in-clear"),
    ] {
        assert_eq!(world.read("/people", last).await.unwrap_err().code, why, "{last}");
        assert_eq!(world.read("/people", &sealed).await.unwrap(), clear, "after {last}");
    }
    // One that breaks off, in its middle and before anything of it came.
    for parts in [vec![Bytes::from(half.to_owned())], Vec::new()] {
        let gone = BodyError::Peer("gone".into());
        let parts = parts.into_iter().map(|part| Ok(Frame::data(part))).chain([Err(gone)]);
        let parts = StreamBody::new(futures_util::stream::iter(parts.collect::<Vec<_>>())).boxed_unsync();
        let answer = Response::builder().header("content-type", "application/json");
        let (mut head, body) = answer.body(Told(parts, sealed.len() as u64)).unwrap().into_parts();
        let broken = world.get("/people").await.exchange.response(&mut head, &mut Some(body)).await;
        assert_eq!(broken.err().unwrap().code, "answer");
        assert_eq!(world.read("/people", &sealed).await.unwrap(), clear);
    }
    // Somebody is erased, and what was opened of them a moment ago is not at hand any more.
    world.erase("person", "2").await;
    let erased = clear.replace("\"two\"", "\"[removed]\"");
    assert_eq!(world.read("/people", &sealed).await.unwrap(), erased);
}

#[tokio::test]
async fn a_short_answer_may_come_in_pieces_and_end_with_trailers() {
    let world = World::new(PEOPLE).await;
    let clear = r#"{"id":42,"note":"one"}"#;
    let sent = world.json(Method::PUT, "/people/42", clear).await.unwrap();
    let (sealed, exchange) = (sent.body, sent.exchange);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    trailers.insert("content-digest", "sha-256=:x:".parse().unwrap());
    let pieces = sealed.chunks(9).map(<[u8]>::to_vec).collect();
    let answer = Response::builder().header("content-type", "application/json");
    let told = Told(frames(pieces, Some(trailers)), sealed.len() as u64);
    let (mut head, body) = answer.header("content-length", sealed.len()).body(told).unwrap().into_parts();
    let body = exchange.response(&mut head, &mut Some(body)).await.unwrap().into_body();
    let (body, trailers) = collect(body).await.unwrap();
    assert_eq!(body, clear.as_bytes());
    assert_eq!(head.headers["content-length"], *clear.len().to_string());
    assert_eq!(trailers.unwrap().keys().collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn an_error_s_own_words_pass_and_what_is_stored_is_opened() {
    let world = World::new(PEOPLE).await;
    let sent = world.json(Method::PUT, "/people/1", r#"{"email":"a@x.org","note":"one"}"#).await.unwrap();
    let stored = sent.text().to_owned();
    sent.exchange.json(200, "{}").await.unwrap();
    for text in [
        r#"{"email":["person with this email already exists."],"note":"is too long"}"#,
        r#"{"email":{"code":"taken"},"note":true}"#,
        r#"{"email":5,"note":"1990-02-28"}"#,
    ] {
        for status in [400, 409, 422, 500] {
            let got = world.get("/people/1").await.exchange.json(status, text).await.unwrap();
            assert_eq!(String::from_utf8(got.body).unwrap(), text, "{status}");
        }
        assert_eq!(world.read("/people/1", text).await.unwrap_err().code, "in-clear", "{text}");
    }
    let got = world.get("/people/1").await.exchange.json(409, &stored).await.unwrap();
    assert_eq!(got.body, br#"{"email":"a@x.org","note":"one"}"#);
    let got = world.get("/people/2").await.exchange.json(409, &stored).await;
    assert_eq!(got.err().unwrap().code, "wrong-subject");
}

#[tokio::test]
async fn lines_that_are_coded_go_on_as_they_come_too() {
    use async_compression::tokio::write;
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;
    const LINE: &[u8] = b"{\"id\":1,\"note\":null}\n";
    let world = World::new(PEOPLE).await;
    macro_rules! packed {
        ($encoder:ident) => {{
            let mut encoder = write::$encoder::new(Vec::new());
            encoder.write_all(LINE).await.unwrap();
            encoder.flush().await.unwrap();
            encoder.into_inner()
        }};
    }
    macro_rules! unpacked {
        ($decoder:ident, $bytes:expr) => {{
            let mut decoder = write::$decoder::new(Vec::new());
            decoder.write_all($bytes).await.unwrap();
            decoder.flush().await.unwrap();
            decoder.into_inner()
        }};
    }
    for (coding, first) in [
        ("gzip", packed!(GzipEncoder)),
        ("deflate", packed!(ZlibEncoder)),
        ("br", packed!(BrotliEncoder)),
        ("zstd", packed!(ZstdEncoder)),
    ] {
        let sent = world.get("/people").await;
        // The service says nothing more for now.
        let more = futures_util::stream::pending();
        let stream = futures_util::StreamExt::chain(
            futures_util::stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from(first)))]),
            more,
        );
        let answer = Response::builder().header("content-type", "application/x-ndjson");
        let answer = answer.header("content-encoding", coding);
        let (mut head, body) = answer.body(StreamBody::new(stream).boxed_unsync()).unwrap().into_parts();
        let mut body = sent.exchange.response(&mut head, &mut Some(body)).await.unwrap().into_body();
        let got = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let plain = match coding {
            "gzip" => unpacked!(GzipDecoder, &got),
            "deflate" => unpacked!(ZlibDecoder, &got),
            "br" => unpacked!(BrotliDecoder, &got),
            _ => unpacked!(ZstdDecoder, &got),
        };
        assert_eq!(plain, LINE, "{coding}");
    }
}
