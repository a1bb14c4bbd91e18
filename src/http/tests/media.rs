//! Photos and videos: sealed in chunks as they stream, opened at any range.

use super::*;
use crate::protect::{CHUNK_LEN, SEALED_CHUNK_LEN};

const PHOTOS: &str = r#"
[[http.routes]]
path = "/photos/{id}"
subject = "path:id"
body = "photo"
[[http.routes]]
path = "/new"
subject = "response:Location"
body = "photo"
[[http.routes]]
path = "/form"
subject = "form:user"
fields = { "form:file" = "photo", "form:note" = "note" }
[[http.routes]]
path = "/assets/{id}"
methods = ["GET"]
body = "photo"
"#;

fn photo(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i / 3 % 251) as u8).collect()
}

async fn put(world: &World, uri: &str, bytes: &[u8], size: usize) -> Sent {
    let parts = bytes.chunks(size).map(<[u8]>::to_vec).collect();
    let request = Request::put(uri).header("content-type", "image/jpeg").body(frames(parts, None)).unwrap();
    world.request(request).await.unwrap()
}

/// A service that holds one sealed body and knows ranges as RFC 9110 has them.
fn serve(sealed: &[u8], head: &request::Parts) -> Response<Body> {
    let reply = Response::builder().header("content-type", "image/jpeg").header("etag", "\"1\"");
    let Some(range) = head.headers.get("range") else {
        return reply.header("content-length", sealed.len()).body(body(sealed.to_vec())).unwrap();
    };
    let ranges: Vec<(usize, usize)> = range
        .to_str()
        .unwrap()
        .strip_prefix("bytes=")
        .unwrap()
        .split(',')
        .map(|range| match range.split_once('-').unwrap() {
            ("", last) => (sealed.len().saturating_sub(last.parse().unwrap()), sealed.len() - 1),
            (first, "") => (first.parse().unwrap(), sealed.len() - 1),
            (first, last) => (first.parse().unwrap(), last.parse::<usize>().unwrap().min(sealed.len() - 1)),
        })
        .filter(|(first, last)| first <= last)
        .collect();
    let content = |(first, last): (usize, usize)| format!("bytes {first}-{last}/{}", sealed.len());
    if let [one] = ranges[..] {
        let part = sealed[one.0..=one.1].to_vec();
        return reply.status(206).header("content-range", content(one)).body(body(part)).unwrap();
    }
    let mut all = Vec::new();
    for range in ranges {
        let head = format!("--cut\r\nContent-Type: image/jpeg\r\nContent-Range: {}\r\n\r\n", content(range));
        all.extend_from_slice(head.as_bytes());
        all.extend_from_slice(&sealed[range.0..=range.1]);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"--cut--\r\n");
    let kind = "multipart/byteranges; boundary=cut";
    Response::builder().status(206).header("content-type", kind).body(body(all)).unwrap()
}

async fn ask(world: &World, uri: &str, sealed: &[u8], range: Option<&str>) -> Result<Got, Problem> {
    let mut request = Request::get(uri);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let sent = world.request(request.body(body("")).unwrap()).await?;
    let answer = serve(sealed, &sent.head);
    sent.exchange.answer(answer).await
}

#[tokio::test]
async fn a_photo_is_sealed_as_it_streams_and_comes_back() {
    let world = World::new(PHOTOS).await;
    for n in [0, 1, CHUNK_LEN, CHUNK_LEN + 1, 10 * CHUNK_LEN + 7] {
        let clear = photo(n);
        let sent = put(&world, "/photos/7", &clear, 5000).await;
        assert_eq!(sent.body[0], 0xE2);
        assert!(n < 100 || !sent.body.windows(40).any(|w| w == &clear[..40]));
        let sealed = sent.body;
        sent.exchange.json(204, "").await.unwrap();
        let got = ask(&world, "/photos/7", &sealed, None).await.unwrap();
        assert_eq!(got.head.headers["content-length"], *n.to_string());
        assert_eq!(got.head.headers["content-type"], "image/jpeg");
        assert_eq!(got.body, clear, "{n}");
        let head = Request::head("/photos/7").body(body("")).unwrap();
        let head = world.request(head).await.unwrap();
        let answer = Response::builder().header("content-length", sealed.len()).body(body("")).unwrap();
        let (mut parts, body) = answer.into_parts();
        drop(head.exchange.response(&mut parts, &mut Some(body)).await.unwrap());
        assert_eq!(parts.headers["content-length"], *n.to_string());
    }
    // With its length known, so is the sealed one's.
    let request =
        Request::put("/photos/7").header("content-length", 300_000).body(body(photo(300_000))).unwrap();
    let sent = world.request(request).await.unwrap();
    assert_eq!(sent.head.headers["content-length"], *sent.body.len().to_string());
}

#[tokio::test]
async fn a_restricted_person_s_photo_is_not_shown() {
    let world = World::new(PHOTOS).await;
    let sent = put(&world, "/photos/7", &photo(100), 5000).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    world.house.settled().await;
    let subject = crate::ids::Subject::new("person", "7");
    assert!(world.house.keyring().restrict(&subject, true).await.unwrap());
    assert_eq!(ask(&world, "/photos/7", &sealed, None).await.err().unwrap().code, "restricted");
    assert!(world.house.keyring().restrict(&subject, false).await.unwrap());
    assert_eq!(ask(&world, "/photos/7", &sealed, None).await.unwrap().body, photo(100));
}

#[tokio::test]
async fn a_range_is_answered_from_its_chunks_alone() {
    let world = World::new(PHOTOS).await;
    let clear = photo(4 * CHUNK_LEN + 100);
    let sent = put(&world, "/photos/7", &clear, 70_000).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    let end = clear.len() - 1;
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, end),
        ("bytes=10-65535", 10, 65535),
        ("bytes=65535-65536", 65535, 65536),
        ("bytes=65536-70000", 65536, 70000),
        ("bytes=200000-", 200_000, end),
        ("bytes=262144-999999", 262_144, end),
        ("bytes=-1", end, end),
        ("bytes=-100", end - 99, end),
        ("bytes=-70000", end - 69_999, end),
        ("bytes=-999999", 0, end),
    ] {
        let got = ask(&world, "/photos/7", &sealed, Some(range)).await.unwrap();
        assert_eq!(got.head.status, 206, "{range}");
        assert_eq!(got.head.headers["content-range"], *format!("bytes {first}-{last}/{}", clear.len()));
        assert_eq!(got.head.headers["content-type"], "image/jpeg", "{range}");
        assert!(got.body == clear[first..=last], "{range}");
        // A service that knows no ranges gives the whole.
        let sent = world
            .request(Request::get("/photos/7").header("range", range).body(body("")).unwrap())
            .await
            .unwrap();
        let whole =
            Response::builder().header("content-length", sealed.len()).body(body(sealed.clone())).unwrap();
        let got = sent.exchange.answer(whole).await.unwrap();
        assert!(got.head.status == 206 && got.body == clear[first..=last], "{range} of the whole");
    }
    // A chunk outside the range is not even read: damage there is not noticed, damage within is.
    let mut damaged = sealed.clone();
    damaged[37 + SEALED_CHUNK_LEN + 5] ^= 1;
    assert!(ask(&world, "/photos/7", &damaged, Some("bytes=131072-131080")).await.is_ok());
    assert_eq!(
        ask(&world, "/photos/7", &damaged, Some("bytes=65536-65540")).await.err().unwrap().code,
        "not-authentic"
    );
    let beyond = ask(&world, "/photos/7", &sealed, Some("bytes=262244-")).await.err().unwrap();
    assert_eq!((beyond.status, beyond.code), (StatusCode::RANGE_NOT_SATISFIABLE, "media-range"));
    // Several ranges are answered by the whole.
    let got = ask(&world, "/photos/7", &sealed, Some("bytes=0-1,5-6")).await.unwrap();
    assert_eq!((got.head.status, got.body.len()), (StatusCode::OK, clear.len()));
}

#[tokio::test]
async fn a_short_photo_has_ranges_too() {
    let world = World::new(PHOTOS).await;
    let clear = photo(50);
    let sent = put(&world, "/photos/7", &clear, 70_000).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    for (range, first, last) in
        [("bytes=-10", 40, 49), ("bytes=-100", 0, 49), ("bytes=49-", 49, 49), ("bytes=0-100", 0, 49)]
    {
        let got = ask(&world, "/photos/7", &sealed, Some(range)).await.unwrap();
        assert_eq!(got.body, &clear[first..=last], "{range}");
    }
}

#[tokio::test]
async fn what_was_cut_moved_or_copied_is_not_shown() {
    let world = World::new(PHOTOS).await;
    let sent = put(&world, "/photos/7", &photo(3 * CHUNK_LEN), 70_000).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    let chunk = |n: usize| 37 + n * SEALED_CHUNK_LEN;
    let mut swapped = sealed.clone();
    swapped[chunk(0)..chunk(1)].copy_from_slice(&sealed[chunk(1)..chunk(2)]);
    for (what, bytes) in
        [("cut", &sealed[..chunk(2)]), ("moved", &swapped), ("short", &sealed[..sealed.len() - 1])]
    {
        assert_eq!(
            ask(&world, "/photos/7", bytes, None).await.err().unwrap().code,
            "not-authentic",
            "{what}"
        );
    }
    assert_eq!(ask(&world, "/photos/8", &sealed, None).await.err().unwrap().code, "wrong-subject");
    assert_eq!(
        ask(&world, "/photos/7", b"a clear photo, long enough for a header", None).await.err().unwrap().code,
        "in-clear"
    );
    assert_eq!(ask(&world, "/photos/7", b"short", None).await.err().unwrap().code, "in-clear");
    // Where nothing tells whose it is, it stands for itself.
    assert!(ask(&world, "/assets/x", &sealed, None).await.is_ok());
    world.erase("person", "7").await;
    for uri in ["/photos/7", "/assets/x"] {
        let gone = ask(&world, uri, &sealed, None).await.err().unwrap();
        assert_eq!((gone.status, gone.code), (StatusCode::GONE, "erased-body"));
    }
}

#[tokio::test]
async fn what_the_service_says_about_a_photo_passes() {
    let world = World::new(PHOTOS).await;
    let sent = world.get("/photos/7").await;
    let got = sent.exchange.json(404, r#"{"error":"no photo"}"#).await.unwrap();
    assert_eq!(got.body, br#"{"error":"no photo"}"#);
    let coded = Request::put("/photos/7").header("content-encoding", "gzip").body(body("x")).unwrap();
    assert_eq!(code(world.request(coded).await).1, "content-coding");
}

#[tokio::test]
async fn a_new_photo_is_bound_to_where_it_is_put() {
    let world = World::new(PHOTOS).await;
    let clear = photo(CHUNK_LEN * 6);
    let sent = put(&world, "/new", &clear, 10_000).await;
    let sealed = sent.body;
    let answer = Response::builder().status(201).header("location", "/photos/9").body(body("")).unwrap();
    sent.exchange.answer(answer).await.unwrap();
    assert_eq!(world.house.unsettled().await, 0);
    assert_eq!(ask(&world, "/photos/9", &sealed, None).await.unwrap().body, clear);
    assert_eq!(ask(&world, "/photos/7", &sealed, None).await.err().unwrap().code, "wrong-subject");
}

#[tokio::test]
async fn a_file_in_a_form_is_a_body() {
    let world = World::new(PHOTOS).await;
    let clear = photo(CHUNK_LEN * 2 + 9);
    let part = |name: &str, more: &str| {
        format!("--bound\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n")
    };
    let form = |user: &str| {
        let mut all = Vec::new();
        all.extend_from_slice(user.as_bytes());
        all.extend_from_slice(part("note", "").as_bytes());
        all.extend_from_slice("a secret Zo\u{eb}\r\n".as_bytes());
        all.extend_from_slice(part("file", "; filename=\"p.jpg\"\r\nContent-Type: image/jpeg").as_bytes());
        all.extend_from_slice(&clear);
        all.extend_from_slice(b"\r\n");
        all.extend_from_slice(part("other", "").as_bytes());
        all.extend_from_slice(b"kept\r\n--bound--\r\n");
        let parts = all.chunks(3001).map(<[u8]>::to_vec).collect();
        Request::post("/form")
            .header("content-type", "multipart/form-data; boundary=bound")
            .body(frames(parts, None))
            .unwrap()
    };
    let sent = world.request(form(&format!("{}7\r\n", part("user", "")))).await.unwrap();
    let text = String::from_utf8_lossy(&sent.body).into_owned();
    assert!(text.contains("name=\"other\"\r\n\r\nkept\r\n--bound--\r\n"));
    let envelope = text.split("pv1.").nth(1).unwrap().split("\r\n").next().unwrap();
    let marker = b"image/jpeg\r\n\r\n";
    let at = sent.body.windows(marker.len()).position(|w| w == marker).unwrap() + marker.len();
    let sealed = &sent.body[at..at + crate::protect::sealed_body_len(clear.len() as u64).unwrap() as usize];
    assert!(!text.contains("secret") && !envelope.is_empty());
    let sealed = sealed.to_vec();
    sent.exchange.json(200, "{}").await.unwrap();
    assert_eq!(ask(&world, "/photos/7", &sealed, None).await.unwrap().body, clear);
    // Whose it is must be told before it streams.
    assert_eq!(code(world.request(form("")).await).1, "no-subject");
    let broken = Request::post("/form")
        .header("content-type", "multipart/form-data; boundary=bound")
        .body(body("--bound\r\n"))
        .unwrap();
    assert_eq!(code(world.request(broken).await).1, "form-syntax");
}

#[tokio::test]
async fn a_photo_that_is_another_one_by_now_comes_whole() {
    let world = World::new(PHOTOS).await;
    let clear = photo(3 * CHUNK_LEN);
    let sent = put(&world, "/photos/7", &clear, 70_000).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    let ask = async |condition: bool| {
        let mut request = Request::get("/photos/7").header("range", "bytes=70000-");
        if condition {
            request = request.header("if-range", "\"1\"");
        }
        let sent = world.request(request.body(body("")).unwrap()).await.unwrap();
        assert_eq!(sent.head.headers.contains_key("if-range"), condition);
        let whole = Response::builder().header("content-length", sealed.len()).body(body(sealed.clone()));
        sent.exchange.answer(whole.unwrap()).await.unwrap()
    };
    let whole = ask(true).await;
    assert!(
        whole.head.status == 200 && whole.body == clear && !whole.head.headers.contains_key("content-range")
    );
    let part = ask(false).await;
    assert!(part.head.status == 206 && part.body == clear[70_000..]);
}

#[tokio::test]
async fn a_part_of_a_photo_is_not_stored() {
    let world = World::new(PHOTOS).await;
    for method in [Method::PUT, Method::PATCH, Method::POST] {
        let request =
            Request::builder().method(&method).uri("/photos/7").header("content-range", "bytes 0-9/20");
        let refused = code(world.request(request.body(body("0123456789")).unwrap()).await);
        assert_eq!(refused, (StatusCode::BAD_REQUEST, "content-range"), "{method}");
    }
}

#[tokio::test]
async fn a_photo_is_asked_for_without_a_coding() {
    let world = World::new(PHOTOS).await;
    for method in [Method::GET, Method::HEAD] {
        let request =
            Request::builder().method(method).uri("/photos/7").header("accept-encoding", "gzip, br");
        let sent = world.request(request.body(body("")).unwrap()).await.unwrap();
        assert_eq!(sent.head.headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn an_empty_photo_is_one() {
    let world = World::new(PHOTOS).await;
    let sent = world.request(Request::put("/photos/7").body(body("")).unwrap()).await.unwrap();
    let sealed = sent.body;
    assert_eq!(sealed.len() as u64, crate::protect::sealed_body_len(0).unwrap());
    sent.exchange.json(204, "").await.unwrap();
    let got = ask(&world, "/photos/7", &sealed, None).await.unwrap();
    assert!(got.body.is_empty() && got.head.headers["content-length"] == "0");
    assert_eq!(ask(&world, "/photos/7", &sealed, Some("bytes=0-5")).await.err().unwrap().code, "media-range");
    // No body at all is none, where the request doesn't put one in the place of another.
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let request =
            Request::builder().method(method).uri("/photos/7").body(frames(vec![vec![]], None)).unwrap();
        assert!(world.request(request).await.unwrap().body.is_empty());
    }
}

#[tokio::test]
async fn a_restriction_stops_a_photo_on_its_way() {
    use http_body_util::BodyExt;
    let world = World::new(PHOTOS).await;
    let clear = photo(CHUNK_LEN * 200);
    let sent = put(&world, "/photos/7", &clear, 1 << 20).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    world.house.settled().await;
    let subject = crate::ids::Subject::new("person", "7");
    for (restricted, erased) in [(false, false), (true, false), (false, true)] {
        let sent = world.get("/photos/7").await;
        let parts = sealed.chunks(SEALED_CHUNK_LEN).map(<[u8]>::to_vec).collect();
        let answer = Response::builder().header("content-length", sealed.len()).body(frames(parts, None));
        let (mut head, body) = answer.unwrap().into_parts();
        let mut body = sent.exchange.response(&mut head, &mut Some(body)).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        if restricted {
            assert!(world.house.keyring().restrict(&subject, true).await.unwrap());
        }
        if erased {
            world.erase("person", "7").await;
        }
        let rest = collect(body).await;
        world.house.keyring().restrict(&subject, false).await.unwrap();
        match (restricted, erased) {
            (true, _) => assert_eq!(rest.err().unwrap().code, "restricted"),
            (_, true) => assert_eq!(rest.err().unwrap().code, "erased-body"),
            _ => assert!(rest.is_ok()),
        }
    }
}

#[tokio::test]
async fn parts_may_begin_with_an_empty_preamble() {
    let world = World::new(PHOTOS).await;
    let clear = photo(2 * CHUNK_LEN + 100);
    let sent = put(&world, "/photos/7", &clear, 70_000).await;
    let sealed = sent.body;
    sent.exchange.json(204, "").await.unwrap();
    for size in [1, 3, 70_000] {
        let request = Request::get("/photos/7").header("range", "bytes=70000-70009").body(body("")).unwrap();
        let sent = world.request(request).await.unwrap();
        let (parts, whole) = serve(&sealed, &sent.head).into_parts();
        // As nginx has it.
        let whole = [b"\r\n".to_vec(), collect(whole).await.unwrap().0].concat();
        let whole = frames(whole.chunks(size).map(<[u8]>::to_vec).collect(), None);
        let got = sent.exchange.answer(Response::from_parts(parts, whole)).await.unwrap();
        assert!(got.head.status == 206 && got.body == clear[70_000..70_010]);
    }
}
