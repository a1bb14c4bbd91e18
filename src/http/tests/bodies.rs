//! Forms, codings, tokens that name subjects, and a domain of one's own.

use super::*;

const FORM: &str = r#"
[[http.routes]]
path = "/form"
subject = "form:user"
fields = { "form:/email" = "email", "form:note" = "note" }
[[http.routes]]
path = "/parts"
subject = ["form:user", "header:x-user"]
fields = { "form:email" = "email", "form:note" = "note", "form:file" = "photo" }
[[http.routes]]
path = "/people/{id}"
subject = "path:id"
fields = { "/note" = "note", "/email" = "email" }
"#;

fn coded(kind: &str, coding: &str, bytes: Vec<u8>) -> Request<Body> {
    let request = Request::put("/people/1").header("content-type", kind).header("content-encoding", coding);
    request.header("content-digest", "sha-256=:x:").body(body(bytes)).unwrap()
}

#[tokio::test]
async fn a_form_is_sealed_and_its_other_controls_stay() {
    let world = World::new(FORM).await;
    let form = |text: &str| {
        let request = Request::post("/form").header("content-type", "application/x-www-form-urlencoded");
        request.body(body(text.to_owned())).unwrap()
    };
    let sent =
        world.request(form("a=%20+b&note=a+secret%21&email=alice%40x.org&user=7&note=&b")).await.unwrap();
    let text = sent.text().to_owned();
    assert!(text.starts_with("a=%20+b&note=pv1.") && text.ends_with("&user=7&note=&b"), "{text}");
    assert!(!text.contains("alice") && !text.contains("secret"));
    sent.exchange.json(200, "{}").await.unwrap();
    let envelope = text.split("note=").nth(1).unwrap().split('&').next().unwrap();
    let read = world.read("/people/7", &format!(r#"{{"note":"{envelope}"}}"#)).await.unwrap();
    assert_eq!(read, r#"{"note":"a secret!"}"#);
    for (text, expected) in [
        ("note=x", "no-subject"),
        ("note=x&user=07", "subject-id"),
        ("note=%zz&user=7", "form-syntax"),
        ("note=x&user=1&user=2", "form-syntax"),
    ] {
        assert_eq!(code(world.request(form(text)).await).1, expected, "{text}");
    }
}

#[tokio::test]
async fn a_form_has_no_more_controls_than_can_be_held() {
    let world = World::new(FORM).await;
    let form = |controls: usize| {
        let request = Request::post("/form").header("content-type", "application/x-www-form-urlencoded");
        request.body(body(format!("user=7{}", "&a".repeat(controls - 1)))).unwrap()
    };
    assert!(world.request(form(10_000)).await.is_ok());
    assert_eq!(code(world.request(form(10_001)).await), (StatusCode::PAYLOAD_TOO_LARGE, "too-many-values"));
}

#[tokio::test]
async fn a_coded_body_is_decoded_and_coded_again() {
    use async_compression::tokio::write;
    use tokio::io::AsyncWriteExt;
    let world = World::new(FORM).await;
    let text = br#"{"note":"a secret canary","pad":"0000000000000000000000000000"}"#;
    macro_rules! pack {
        ($encoder:ident) => {{
            let mut encoder = write::$encoder::new(Vec::new());
            encoder.write_all(text).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    macro_rules! unpack {
        ($decoder:ident, $bytes:expr) => {{
            let mut decoder = write::$decoder::new(Vec::new());
            decoder.write_all(&$bytes).await.unwrap();
            decoder.shutdown().await.unwrap();
            decoder.into_inner()
        }};
    }
    for (coding, packed) in [
        ("gzip", pack!(GzipEncoder)),
        ("deflate", pack!(ZlibEncoder)),
        ("br", pack!(BrotliEncoder)),
        ("zstd", pack!(ZstdEncoder)),
    ] {
        let sent = world.request(coded("application/json", coding, packed.clone())).await.unwrap();
        assert!(!sent.head.headers.contains_key("content-digest"));
        assert_eq!(sent.head.headers["content-encoding"], coding);
        let plain = match coding {
            "gzip" => unpack!(GzipDecoder, sent.body),
            "deflate" => unpack!(ZlibDecoder, sent.body),
            "br" => unpack!(BrotliDecoder, sent.body),
            _ => unpack!(ZstdDecoder, sent.body),
        };
        assert!(plain.starts_with(br#"{"note":"pv1."#), "{}", String::from_utf8_lossy(&plain));
        let answer =
            Response::builder().header("content-type", "application/json").header("content-encoding", coding);
        let got = sent.exchange.answer(answer.body(body(sent.body)).unwrap()).await.unwrap();
        let plain = match coding {
            "gzip" => unpack!(GzipDecoder, got.body),
            "deflate" => unpack!(ZlibDecoder, got.body),
            "br" => unpack!(BrotliDecoder, got.body),
            _ => unpack!(ZstdDecoder, got.body),
        };
        assert_eq!(plain, text, "{coding}");
        let mut cut = packed.clone();
        cut.truncate(packed.len() / 2);
        assert_eq!(
            code(world.request(coded("application/json", coding, cut)).await).1,
            "content-coding",
            "{coding}"
        );
    }
    let mut followed = pack!(GzipEncoder);
    followed.extend_from_slice(b"more");
    assert_eq!(code(world.request(coded("application/json", "gzip", followed)).await).1, "content-coding");
    for coding in ["compress", "gzip, br"] {
        assert_eq!(
            code(world.request(coded("application/json", coding, text.to_vec())).await).1,
            "content-coding"
        );
    }
}

#[tokio::test]
async fn a_body_that_expands_too_much_is_refused() {
    let world = World::new(FORM).await;
    let mut bomb = Vec::new();
    let mut packer = async_compression::tokio::write::ZstdEncoder::new(&mut bomb);
    use tokio::io::AsyncWriteExt;
    packer.write_all(br#"{"pad":""#).await.unwrap();
    for _ in 0..64 {
        packer.write_all(&[b'0'; 1 << 20]).await.unwrap();
    }
    packer.shutdown().await.unwrap();
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    let refused = code(world.request(coded("application/json", "zstd", bomb)).await);
    assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, "expansion"));
}

#[tokio::test]
async fn the_request_asks_only_for_what_its_answer_can_keep() {
    let world = World::new(FORM).await;
    let request = Request::get("/people/1")
        .header("accept-encoding", "gzip;q=0.5, sdch, br")
        .header("if-none-match", "\"1\"")
        .header("range", "bytes=0-1")
        .header("want-repr-digest", "sha-256=1");
    let sent = world.request(request.body(body("")).unwrap()).await.unwrap();
    assert_eq!(sent.head.headers["accept-encoding"], "gzip;q=0.5, br");
    for gone in ["if-none-match", "range", "want-repr-digest"] {
        assert!(!sent.head.headers.contains_key(gone), "{gone}");
    }
    let answer = Response::builder()
        .header("content-type", "application/json")
        .header("etag", "\"7\"")
        .header("accept-ranges", "bytes")
        .header("cache-control", "public, max-age=60")
        .header("repr-digest", "sha-256=:x:");
    let got = sent.exchange.answer(answer.body(body("{}")).unwrap()).await.unwrap();
    assert_eq!(
        (&got.head.headers["etag"], &got.head.headers["cache-control"]),
        (&"\"7\"".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert!(!got.head.headers.contains_key("repr-digest") && !got.head.headers.contains_key("accept-ranges"));
    // What names a version for a write passes.
    let request =
        Request::put("/people/1").header("content-type", "application/json").header("if-match", "\"7\"");
    let sent = world.request(request.body(body("{}")).unwrap()).await.unwrap();
    assert_eq!(sent.head.headers["if-match"], "\"7\"");
}

#[tokio::test]
async fn a_head_has_no_body_and_no_length() {
    let world = World::new(FORM).await;
    let sent = world.request(Request::head("/people/1").body(body("")).unwrap()).await.unwrap();
    let answer = Response::builder().header("content-type", "application/json").header("content-length", 99);
    let (mut head, body) = answer.body(body("")).unwrap().into_parts();
    let body = sent.exchange.response(&mut head, &mut Some(body)).await.unwrap().into_body();
    assert!(!head.headers.contains_key("content-length"));
    assert!(collect(body).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_partner_has_a_domain_of_its_own() {
    let partner = |name: &str| {
        format!(
            "domain = \"{name}\"\n[[http.routes]]\npath = \"/contacts\"\nsubject = \"json:/id\"\nfields = {{ \"/email\" = \"email\" }}\n"
        )
    };
    let text = format!(
        "{FIELDS}{}[[http]]\nlisten = \"127.0.0.1:0\"\nupstream = \"http://127.0.0.1:2\"\n{}",
        partner("mailer"),
        partner("analytics")
    );
    let house = House::new().await;
    let config = config::parse(&house.folder.path().join("p.toml"), &text, &|_| None).unwrap();
    let door = house.door.with_policy(config.policy.clone()).unwrap();
    let mut tokens = Vec::new();
    for listener in &config.http {
        let gate = Gate::new(door.clone(), listener).unwrap();
        let request = Request::post("/contacts").header("content-type", "application/json");
        let (mut head, body) = request.body(body(r#"{"id":1,"email":"a@x.org"}"#)).unwrap().into_parts();
        let (body, exchange) = gate.request(gate.judge(&head), &mut head, Some(body), None).await.unwrap();
        let sent = String::from_utf8(collect(body.unwrap()).await.unwrap().0).unwrap();
        let got = exchange.json(200, &sent).await.unwrap();
        assert_eq!(got.body, br#"{"id":1,"email":"a@x.org"}"#);
        tokens.push(sent);
    }
    assert_ne!(tokens[0], tokens[1], "two partners can't link what they hold");
}

#[tokio::test]
async fn a_part_of_a_document_and_a_damaged_answer_are_not_shown() {
    let world = World::new(FORM).await;
    let answer = || Response::builder().header("content-type", "application/json");
    let partial = answer().status(206).body(body("{}")).unwrap();
    assert_eq!(world.get("/people/1").await.exchange.answer(partial).await.err().unwrap().code, "answer");
    let broken = answer().body(body("{")).unwrap();
    let problem = world.get("/people/1").await.exchange.answer(broken).await.err().unwrap();
    assert_eq!((problem.status, problem.code), (StatusCode::BAD_GATEWAY, "answer"));
    // Whose fault it is that a body broke off is told rightly: a client would send its request again.
    let reset = || BodyError::Peer(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
    let part = || [Ok(Frame::data(Bytes::from_static(b"{\"note\":\"x"))), Err(reset())];
    let cut = || StreamBody::new(futures_util::stream::iter(part())).boxed_unsync();
    let sent = world.get("/people/1").await;
    let problem = sent.exchange.answer(answer().body(cut()).unwrap()).await.err().unwrap();
    assert_eq!((problem.status, problem.code), (StatusCode::BAD_GATEWAY, "answer"));
    let request = Request::put("/people/1").header("content-type", "application/json").body(cut()).unwrap();
    assert_eq!(code(world.request(request).await), (StatusCode::BAD_REQUEST, "body-cut"));
    let coded = answer().header("content-encoding", "gzip").body(body("not gzip")).unwrap();
    assert_eq!(world.get("/people/1").await.exchange.answer(coded).await.err().unwrap().code, "answer");
}

#[tokio::test]
async fn a_control_that_names_the_subject_after_another_source_did_is_refused() {
    let world = World::new(FORM).await;
    let form = |controls: &[(&str, &str)]| {
        let part = |(name, value): &(&str, &str)| {
            let file = if *name == "file" { "; filename=\"x\"" } else { "" };
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
        };
        let text: String = controls.iter().map(part).collect();
        let request = Request::post("/parts").header("content-type", "multipart/form-data; boundary=b");
        request.header("x-user", "99").body(body(format!("{text}--b--\r\n"))).unwrap()
    };
    for late in [
        form(&[("note", "one"), ("user", "7")]),
        form(&[("file", "one"), ("user", "7")]),
        form(&[("other", "x"), ("email", "a@x.org"), ("other", "y"), ("user", "7")]),
    ] {
        assert_eq!(code(world.request(late).await).1, "form-order");
    }
    for (controls, id) in [
        ([("user", "7"), ("note", "one")], "7"),
        // An empty one names nobody.
        ([("note", "one"), ("user", "")], "99"),
        ([("note", "one"), ("other", "7")], "99"),
    ] {
        let sent = world.request(form(&controls)).await.unwrap();
        let stored = sent.text().split("\r\n").find(|line| line.starts_with("pv1.")).unwrap().to_owned();
        sent.exchange.json(200, "{}").await.unwrap();
        let read = world.read(&format!("/people/{id}"), &format!(r#"{{"note":"{stored}"}}"#)).await;
        assert_eq!(read.unwrap(), r#"{"note":"one"}"#, "{controls:?}");
    }
}

#[tokio::test]
async fn a_body_without_a_type_and_without_a_byte_is_none() {
    let world = World::new(FORM).await;
    for method in [Method::GET, Method::DELETE, Method::POST] {
        for parts in [vec![], vec![vec![]], vec![vec![], vec![]]] {
            let request =
                Request::builder().method(&method).uri("/people/1").body(frames(parts, None)).unwrap();
            assert!(world.request(request).await.unwrap().body.is_empty(), "{method}");
        }
        let untyped = frames(vec![vec![], b"{}".to_vec()], None);
        let request = Request::builder().method(&method).uri("/people/1").body(untyped).unwrap();
        assert_eq!(code(world.request(request).await).1, "content-type");
    }
}

#[tokio::test]
async fn a_long_body_that_was_held_is_sent_with_its_length() {
    let world = World::new(FORM).await;
    let text = format!("user=7&note=x&pad={}", "y".repeat(400 << 10));
    let request = Request::post("/form").header("content-type", "application/x-www-form-urlencoded");
    let sent = world.request(request.body(body(text)).unwrap()).await.unwrap();
    assert_eq!(sent.head.headers["content-length"], *sent.body.len().to_string());
}

#[tokio::test]
async fn requests_hold_no_more_together_than_they_may() {
    use futures_util::StreamExt;
    let routes = "[http.limits]\nheld_bytes = 1048576\n[[http.routes]]\npath = \"/held\"\nsubject = \"json:/id\"\nfields = { \"/note\" = \"note\" }";
    let world = World::new(routes).await;
    // Whose the note is isn't told yet, and the rest never comes.
    let part = format!("{{\"note\":\"x\",\"pad\":\"{}", "a".repeat(700 << 10));
    let endless = || {
        let first = futures_util::stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from(part.clone())))]);
        let body = StreamBody::new(first.chain(futures_util::stream::pending())).boxed_unsync();
        world.request(Request::post("/held").header("content-type", "application/json").body(body).unwrap())
    };
    tokio::select! {
        biased;
        _ = endless() => panic!("it has not ended"),
        other = endless() => assert_eq!(code(other), (StatusCode::SERVICE_UNAVAILABLE, "too-much-held")),
    }
    // The first one went away.
    let whole = format!("{part}\",\"id\":7}}");
    assert!(world.json(Method::POST, "/held", &whole).await.is_ok());
}
