//! The gate on a real keystore, with the service played by the test.

mod bodies;
mod creation;
mod disguise;
mod json;
mod jwt;
mod lenient;
mod lost;
mod media;
mod random;
mod record;
mod search;
mod target;

use super::exchange::{Answered, Body, BodyError, Exchange, Gate};
use super::problem::Problem;
use crate::config;
use crate::protect::tests::House;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request, response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) const FIELDS: &str = r#"
[fields]
email = { protect = "pseudonym", kind = "email" }
badge = { protect = "pseudonym", kind = "integer" }
first_name = "encrypt"
note = { protect = "encrypt", erased = "[removed]" }
born = { protect = "encrypt", type = "date" }
salary = { protect = "encrypt", type = "numeric" }
photo = { protect = "encrypt", type = "bytea" }
[classes.guest]
after_erasure = "new"
[keys]
root = "file:keys"
[[http]]
listen = "127.0.0.1:0"
upstream = "http://127.0.0.1:1"
"#;

/// A gate with its keys.
pub(super) struct World {
    pub(super) house: House,
    pub(super) gate: Gate,
}

/// What reached the service.
pub(super) struct Sent {
    pub(super) head: request::Parts,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) exchange: Exchange,
}

/// What reached the client.
pub(super) struct Got {
    pub(super) head: response::Parts,
    pub(super) body: Vec<u8>,
}

pub(super) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body in frames, with trailers.
pub(super) fn frames(parts: Vec<Vec<u8>>, trailers: Option<HeaderMap>) -> Body {
    let data = parts.into_iter().map(|part| Ok::<_, BodyError>(Frame::data(Bytes::from(part))));
    let all: Vec<_> = data.chain(trailers.into_iter().map(|t| Ok(Frame::trailers(t)))).collect();
    StreamBody::new(futures_util::stream::iter(all)).boxed_unsync()
}

/// A body whose length is known, as `Content-Length` tells it.
pub(super) struct Told(pub(super) Body, pub(super) u64);

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

pub(super) async fn collect(body: Body) -> Result<(Vec<u8>, Option<HeaderMap>), Problem> {
    match body.collect().await {
        Ok(all) => {
            let trailers = all.trailers().cloned();
            Ok((all.to_bytes().to_vec(), trailers))
        }
        Err(BodyError::Refused(problem)) => Err(*problem),
        Err(BodyError::Peer(error)) => panic!("{error}"),
    }
}

impl World {
    /// `rest` follows `[[http]]`.
    pub(super) async fn new(rest: &str) -> Self {
        Self::with(rest, &[]).await
    }

    /// The same, with files beside the configuration.
    pub(super) async fn with(rest: &str, files: &[(&str, &str)]) -> Self {
        let house = House::new().await;
        let folder = house.folder.path();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self::of(house, rest)
    }

    fn of(house: House, rest: &str) -> Self {
        let folder = house.folder.path();
        let text = format!("{FIELDS}{rest}");
        let config = config::parse(&folder.join("paravent.toml"), &text, &|_| None).unwrap();
        let door = house.door.with_policy(config.policy.clone()).unwrap();
        house.rights.set_policy(config.policy.clone(), None);
        let gate = Gate::new(door, &config.http[0]).unwrap();
        Self { house, gate }
    }

    /// What a reload makes ready: the same routes, and every file read again.
    pub(super) fn reload(&mut self, rest: &str) -> std::io::Result<()> {
        let text = format!("{FIELDS}{rest}");
        let config =
            config::parse(&self.house.folder.path().join("paravent.toml"), &text, &|_| None).unwrap();
        self.gate = Gate::new(self.house.door.with_policy(config.policy.clone()).unwrap(), &config.http[0])?;
        Ok(())
    }

    /// Everything dropped, and opened again with another keystore in the place of its own.
    pub(super) async fn restart(self, rest: &str, keystore: &std::path::Path) -> Self {
        let Self { house, gate } = self;
        drop(gate);
        Self::of(house.restart_with(keystore).await, rest)
    }

    pub(super) async fn request(&self, request: Request<Body>) -> Result<Sent, Problem> {
        let (mut head, body) = request.into_parts();
        let verdict = self.gate.judge(&head);
        let (body, exchange) = self.gate.request(verdict, &mut head, Some(body), None).await?;
        let (body, trailers) = collect(body.unwrap()).await?;
        if let Some(length) = head.headers.get("content-length") {
            assert_eq!(length.to_str().unwrap(), body.len().to_string(), "content-length is true");
        }
        Ok(Sent { head, body, trailers, exchange })
    }

    /// A request with a JSON body.
    pub(super) async fn json(&self, method: Method, uri: &str, text: &str) -> Result<Sent, Problem> {
        let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        let request = request.header("content-length", text.len()).body(body(text.to_owned())).unwrap();
        self.request(request).await
    }

    pub(super) async fn get(&self, uri: &str) -> Sent {
        self.request(Request::get(uri).body(body("")).unwrap()).await.unwrap()
    }

    /// What a client reads where the service answers with that JSON.
    pub(super) async fn read(&self, uri: &str, answer: &str) -> Result<String, Problem> {
        let got = self.get(uri).await.exchange.json(200, answer).await?;
        Ok(String::from_utf8(got.body).unwrap())
    }

    pub(super) async fn erase(&self, class: &str, id: &str) {
        let subject = crate::ids::Subject::new(class, id);
        self.house.rights.erase(&subject, "asked").await.unwrap();
    }
}

impl Answered {
    pub(super) fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) => body(bytes),
            Self::Streamed(body) => body,
        }
    }
}

impl Exchange {
    pub(super) async fn json(self, status: u16, text: &str) -> Result<Got, Problem> {
        let answer = Response::builder().status(status).header("content-type", "application/json");
        self.answer(answer.header("content-length", text.len()).body(body(text.to_owned())).unwrap()).await
    }

    pub(super) async fn answer(self, answer: Response<Body>) -> Result<Got, Problem> {
        let (mut head, body) = answer.into_parts();
        let answered = self.response(&mut head, &mut Some(body)).await?;
        let (body, _) = collect(answered.into_body()).await?;
        if let Some(length) = head.headers.get("content-length") {
            assert_eq!(length.to_str().unwrap(), body.len().to_string(), "content-length is true");
        }
        Ok(Got { head, body })
    }
}

impl Sent {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The refusal of a request.
pub(super) fn code(sent: Result<Sent, Problem>) -> (StatusCode, &'static str) {
    match sent {
        Ok(sent) => panic!("it went on, in {} bytes", sent.body.len()),
        Err(problem) => (problem.status, problem.code),
    }
}
