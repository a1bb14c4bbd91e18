//! A request sent, and the head of its answer awaited: in time, and again where that does no harm.

use super::pool::{Connection, Heard, Lease, Used, describe};
use super::request::Asked;
use super::upload::{Sent, Upload};
use super::{Client, fault, response};
use crate::http::exchange::BodyError;
use crate::http::problem::Problem;
use crate::http::timer::Lent;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme, Uri};
use http::{Method, Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::upgrade::OnUpgrade;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;

/// Connections that may turn out to be closed before a request is refused for it.
const TRIES: u32 = 3;

/// The head of an answer, and what belongs to its body.
pub(super) struct Arrived {
    pub(super) head: http::response::Parts,
    pub(super) body: Incoming,
    pub(super) lease: Option<Lease>,
    pub(super) service: Option<OnUpgrade>,
    pub(super) timer: Lent,
}

/// A request that was sent on a kept connection and may be sent again: it has no body, and doing it twice is doing
/// it once (RFC 9110 §9.2.2).
struct Again {
    method: Method,
    uri: Uri,
    /// In a list, which costs less than another map: few are sent again.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Again {
    fn of(request: &Request<Sent>) -> Option<Self> {
        let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
        (matches!(request.body(), Sent::Empty) && idempotent.contains(request.method())).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        })
    }

    fn request(self) -> Request<Sent> {
        let mut request = Request::new(Sent::Empty);
        (*request.method_mut(), *request.uri_mut()) = (self.method, self.uri);
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        request
    }
}

/// No answer came.
pub(super) struct Lost {
    /// What the client gets in place of it.
    pub(super) problem: Problem,
    /// Nothing of the request ever left.
    pub(super) unsent: bool,
}

impl From<Problem> for Lost {
    fn from(problem: Problem) -> Self {
        Self { problem, unsent: false }
    }
}

/// What became of an attempt.
#[allow(clippy::large_enum_variant)] // most are answered
enum Tried {
    Answered(Response<Incoming>, Used),
    /// It is whole again, in its place. `left`: it went out once, and may go out again.
    Unsent {
        left: bool,
    },
}

impl Client {
    /// Sends a request, out of its place, and waits for the head of its answer: it is too large to be handed from one to
    /// the next.
    ///
    /// # Errors
    /// What the client gets in place of it.
    pub(super) async fn send(
        &self,
        request: &mut Option<Request<Sent>>,
        upload: Option<&Arc<Upload>>,
        asked: Asked,
    ) -> Result<Arrived, Lost> {
        let mut timer = self.timers.lend();
        let mut unsent = true;
        for attempt in 0..TRIES {
            let now = Instant::now();
            let connection = self.pool.connection(asked.upgrade, attempt > 0, now).await;
            let connection = connection.map_err(|problem| Lost { problem, unsent })?;
            // A new one took its time to be made.
            let began = if matches!(connection, Connection::One(_, true)) { now } else { Instant::now() };
            match self.attempt(connection, request, upload, &mut timer, began).await? {
                Tried::Unsent { left } => unsent &= !left,
                Tried::Answered(response, used) => return Ok(self.arrived(response, used, asked, timer)?),
            }
        }
        Err(Lost { problem: fault::lost(), unsent })
    }

    async fn attempt(
        &self,
        connection: Connection,
        place: &mut Option<Request<Sent>>,
        upload: Option<&Arc<Upload>>,
        timer: &mut Lent,
        began: Instant,
    ) -> Result<Tried, Problem> {
        let request = place.as_mut().ok_or_else(Problem::internal)?;
        let (error, again, heard) = match connection {
            Connection::Two(mut sender, _place) => {
                for_two(request, self.pool.is_secure())?;
                let sending = sender.try_send_request(place.take().ok_or_else(Problem::internal)?);
                match self.timed(timer, upload, began, sending).await? {
                    Ok(response) => return Ok(Tried::Answered(response, Used::Two { _place })),
                    Err(error) => (error, None, Heard::default()),
                }
            }
            Connection::One(mut one, reused) => {
                for_one(request)?;
                listen_for_continue(request, upload);
                let again = if reused { Again::of(request) } else { None };
                one.heard.forget();
                let sending = one.sender.try_send_request(place.take().ok_or_else(Problem::internal)?);
                match self.timed(timer, upload, began, sending).await? {
                    Ok(response) => return Ok(Tried::Answered(response, Used::One(one))),
                    Err(error) => (error, again, one.heard),
                }
            }
        };
        let (whole, left) = unsent(error, again, &heard)?;
        *place = Some(whole);
        Ok(Tried::Unsent { left })
    }

    /// Waits for the answer's head: `response_seconds` from the last piece of the request.
    async fn timed<T>(
        &self,
        timer: &mut Lent,
        upload: Option<&Arc<Upload>>,
        began: Instant,
        sending: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let timeouts = &self.forwarder.timeouts;
        let mut sending = pin!(sending);
        poll_fn(|cx| {
            if let Poll::Ready(tried) = sending.as_mut().poll(cx) {
                return Poll::Ready(Ok(tried));
            }
            let until = match upload {
                None => began + timeouts.response,
                Some(upload) if upload.is_finished() => upload.last().max(began) + timeouts.response,
                // The client's own limit comes first.
                Some(upload) => upload.last().max(began) + timeouts.body_idle + timeouts.response,
            };
            timer.poll(cx, until).map(|()| Err(fault::late()))
        })
        .await
    }

    fn arrived(
        &self,
        mut response: Response<Incoming>,
        used: Used,
        asked: Asked,
        timer: Lent,
    ) -> Result<Arrived, Problem> {
        let service = (asked.upgrade && response.status() == http::StatusCode::SWITCHING_PROTOCOLS)
            .then(|| hyper::upgrade::on(&mut response));
        let (mut head, body) = response.into_parts();
        // A connection whose answer can't be trusted is dropped with it.
        response::admit(&mut head, asked.upgrade)?;
        let lease = Some(self.pool.lease(used));
        Ok(Arrived { head, body, lease, service, timer })
    }
}

/// A request that failed, if it may be sent again; and whether it went out before.
fn unsent(
    mut error: TrySendError<Request<Sent>>,
    again: Option<Again>,
    heard: &Heard,
) -> Result<(Request<Sent>, bool), Problem> {
    if let Some(request) = error.take_message() {
        return Ok((request, false));
    }
    match again {
        Some(again) if !heard.anything() => Ok((again.request(), true)),
        _ => Err(failure(&error.into_error())),
    }
}

/// What the client is told.
fn failure(error: &hyper::Error) -> Problem {
    match error.source().and_then(<dyn Error>::downcast_ref::<BodyError>) {
        Some(BodyError::Refused(problem)) => return (**problem).clone(),
        Some(BodyError::Peer(_)) => {
            return fault::framing("the body ended early, or its chunks can't be read");
        }
        None => {}
    }
    tracing::debug!(error = %describe(error), "a request had no answer");
    if error.is_parse_too_large() {
        fault::large_head()
    } else if error.is_parse() {
        fault::garbled("its head can't be read")
    } else {
        fault::lost()
    }
}

/// Lets the body go once the service says that it is welcome.
fn listen_for_continue(request: &mut Request<Sent>, upload: Option<&Arc<Upload>>) {
    if let Some(upload) = upload.filter(|upload| upload.is_held()) {
        let upload = Arc::clone(upload);
        hyper::ext::on_informational(request, move |response| {
            if response.status() == http::StatusCode::CONTINUE {
                upload.welcome();
            }
        });
    }
}

/// HTTP/1.1: a path as the target, chunks where there is no length.
fn for_one(request: &mut Request<Sent>) -> Result<(), Problem> {
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    }
    *request.version_mut() = Version::HTTP_11;
    let unsized_body = !request.body().is_end_stream() && request.body().size_hint().exact().is_none();
    if unsized_body && !request.headers().contains_key(header::CONTENT_LENGTH) {
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(())
}

/// HTTP/2: the authority in the target, nothing about the connection (RFC 9113 §8.2.2).
fn for_two(request: &mut Request<Sent>, secure: bool) -> Result<(), Problem> {
    let headers = request.headers_mut();
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    let Some(host) = headers.remove(header::HOST) else { return Ok(()) };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let authority =
        Authority::try_from(host.as_bytes()).map_err(|_| fault::host("Host can't be an authority"))?;
    parts.authority = Some(authority);
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| fault::target("the target can't be sent on"))?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}
