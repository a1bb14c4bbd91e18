//! One request through: judged, decided, sent to the service, and its answer brought back.
//!
//! ```text
//! client ─ request ─► admit ─► Gate ─► Pool ─► service
//! client ◄ answer ─── Gate ◄── admit ◄──────── service
//! ```
//!
//! Where no route has a say, bodies pass as hyper gives them, without a copy or a box.

mod answer;
mod connect;
mod fault;
mod forwarded;
mod hop;
mod pool;
mod request;
mod response;
mod send;
mod tunnel;
mod upload;

pub(super) use answer::Answer;
pub(super) use connect::Connector;
pub(super) use forwarded::{Caller, Origin};
pub(super) use pool::Pool;

use super::exchange::{Answered, Exchange, Gate, Verdict};
use super::metrics::Metrics;
use super::problem::Problem;
use super::server::Open;
use super::timer::Timers;
use super::watch::InFlight;
use crate::config::{HttpListener, HttpTimeouts};
use answer::Outflow;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::response::Parts as Head;
use http::{Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use parking_lot::RwLock;
use request::{Asked, Manner};
use send::{Arrived, Lost};
use std::io;
use std::sync::Arc;
use tunnel::Tunnel;
use upload::{Inflow, Sent, Upload};

/// What every request of a listener needs.
pub(super) struct Forwarder {
    manner: Manner,
    timeouts: HttpTimeouts,
    /// Of the policy in force: each request asks for it, since a connection may live long.
    gate: RwLock<Gate>,
    metrics: Metrics,
}

impl Forwarder {
    /// `pseudonym` names this listener in `Via`.
    ///
    /// # Errors
    /// The service's name can't stand in a `Host`.
    pub(super) fn new(config: &HttpListener, gate: Gate, pseudonym: String) -> io::Result<Self> {
        let value = |text: String| {
            HeaderValue::try_from(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        };
        let manner = Manner {
            host: config.host,
            authority: value(config.upstream.authority())?,
            via: value(format!("1.1 {pseudonym}"))?,
            via_two: value(format!("2.0 {pseudonym}"))?,
            pseudonym,
            headers: config.wire.headers as usize,
            body_bytes: config.wire.body_bytes,
        };
        Ok(Self { manner, timeouts: config.timeouts, gate: RwLock::new(gate), metrics: Metrics::new() })
    }

    /// Requests from now on are decided by this.
    pub(super) fn decide_by(&self, gate: Gate) {
        *self.gate.write() = gate;
    }
}

/// A client's connection, as its requests see it.
pub(super) struct Client {
    pub(super) forwarder: Arc<Forwarder>,
    pub(super) pool: Arc<Pool>,
    pub(super) origin: Origin,
    pub(super) in_flight: InFlight,
    pub(super) timers: Timers,
    pub(super) open: Arc<Open>,
    /// There are too many: every request is answered with 503.
    pub(super) full: bool,
}

/// What the client gets in place of an answer.
struct Failure {
    problem: Problem,
    /// The head can be read in two ways: so could what follows it (RFC 9112 §9.6).
    close: bool,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, close: false }
    }
}

/// What the client gets as a body.
enum Outcome {
    Relayed(Outflow),
    Declared(Answered),
    Tunnel(Tunnel),
}

impl Client {
    /// Answers a request, in any case.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Answer> {
        let busy = self.in_flight.begin();
        let two = request.version() == Version::HTTP_2;
        // hyper leaves the body out on HTTP/1.1.
        let bodiless = two && request.method() == Method::HEAD;
        let metrics = &self.forwarder.metrics;
        match self.exchange(request).await {
            Ok((head, outcome)) => {
                let body = match outcome {
                    Outcome::Relayed(body) => {
                        metrics.passed.increment(1);
                        Answer::relayed(body, busy)
                    }
                    Outcome::Declared(body) => {
                        metrics.protected.increment(1);
                        match body {
                            Answered::Whole(body) => Answer::whole(body, busy),
                            Answered::Streamed(body) => Answer::declared(body, busy),
                        }
                    }
                    Outcome::Tunnel(tunnel) => {
                        metrics.passed.increment(1);
                        tunnel.run(busy, Arc::clone(&self.open), self.forwarder.timeouts.upgrade_idle);
                        Answer::empty(self.in_flight.begin())
                    }
                };
                Response::from_parts(head, body)
            }
            Err(Failure { problem, close }) => {
                metrics.problem(&problem);
                let whole = |body| Answer::whole(if bodiless { Bytes::new() } else { body }, busy);
                let mut response = problem.response().map(whole);
                if close && !two {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        }
    }

    async fn exchange(self: &Arc<Self>, request: Request<Incoming>) -> Result<(Head, Outcome), Failure> {
        if self.full {
            return Err(Failure { problem: fault::connections(), close: true });
        }
        let forwarder = &*self.forwarder;
        let (mut head, body) = request.into_parts();
        let two = head.version == Version::HTTP_2;
        let awaited = head.headers.contains_key(header::EXPECT);
        let asked = match request::admit(&mut head, &forwarder.manner, &self.origin) {
            Ok(asked) => asked,
            Err(problem) => {
                if !two && !awaited {
                    upload::linger(body, &self.in_flight);
                }
                return Err(Failure { problem, close: true });
            }
        };
        let upload = (!body.is_end_stream()).then(|| Upload::new(&body, asked.expects));
        let done = self.through(head, body, two, upload.clone(), asked).await;
        let last = !two && upload.is_some_and(|upload| upload.ends_connection());
        match done {
            Ok((mut head, outcome)) => {
                if last && !matches!(outcome, Outcome::Tunnel(_)) {
                    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok((head, outcome))
            }
            Err(problem) => Err(Failure { problem, close: last }),
        }
    }

    /// A request that was admitted, to its service and back.
    async fn through(
        self: &Arc<Self>,
        mut head: Parts,
        body: Incoming,
        two: bool,
        upload: Option<Arc<Upload>>,
        mut asked: Asked,
    ) -> Result<(Head, Outcome), Problem> {
        let forwarder = &*self.forwarder;
        let gate = forwarder.gate.read().clone();
        gate.disguise(&mut head.headers);
        let verdict = gate.judge(&head);
        let declared = verdict != Verdict::Relay;
        if asked.upgrade && (declared || self.pool.only_two()) {
            // What goes through a tunnel can't be protected: the request goes on without it.
            request::withdraw_upgrade(&mut head, &mut asked);
        }
        let client = if asked.upgrade { head.extensions.remove::<OnUpgrade>() } else { None };
        let body = upload.clone().map(|upload| self.inflow(body, two, upload));
        let (sent, exchange) = if declared {
            let (sent, exchange) = self.declared(&gate, verdict, &mut head, body, upload.as_ref()).await?;
            (sent, Some(exchange))
        } else {
            (body.map_or(Sent::Empty, |body| Sent::Relayed(Box::new(body))), None)
        };
        let mut request = Some(Request::from_parts(head, sent));
        if !exchange.as_ref().is_some_and(Exchange::creates) {
            return self.sent(&mut request, exchange, upload, client, asked).await;
        }
        // Whom it made the answer tells, and must be heard even where the client goes away meanwhile: it is not dropped
        // with its connection.
        let own = Arc::clone(self);
        let sent = async move { own.sent(&mut request, exchange, upload, client, asked).await };
        tokio::spawn(sent).await.map_err(|_| Problem::internal())?
    }

    /// A request that was decided, to its service and back.
    async fn sent(
        &self,
        request: &mut Option<Request<Sent>>,
        exchange: Option<Exchange>,
        upload: Option<Arc<Upload>>,
        client: Option<OnUpgrade>,
        asked: Asked,
    ) -> Result<(Head, Outcome), Problem> {
        match self.send(request, upload.as_ref(), asked).await {
            Ok(arrived) => self.bring(arrived, exchange, upload, client).await,
            Err(Lost { problem, unsent }) => {
                match exchange {
                    Some(exchange) if unsent => exchange.unsent(),
                    Some(exchange) => exchange.lost(),
                    None => {}
                }
                Err(problem)
            }
        }
    }

    /// A request of which a route may have a say.
    async fn declared(
        &self,
        gate: &Gate,
        verdict: Verdict,
        head: &mut Parts,
        body: Option<Inflow>,
        upload: Option<&Arc<Upload>>,
    ) -> Result<(Sent, Exchange), Problem> {
        // The gateway reads the body itself, so that nothing remains to be asked first.
        head.headers.remove(header::EXPECT);
        if let Some(upload) = upload {
            upload.welcome();
        }
        let body = body.map(Inflow::boxed_unsync);
        let (body, exchange) = gate.request(verdict, head, body, Some(self.origin.caller())).await?;
        Ok((body.map_or(Sent::Empty, Sent::Declared), exchange))
    }

    fn inflow(&self, body: Incoming, two: bool, upload: Arc<Upload>) -> Inflow {
        let Forwarder { timeouts, manner, .. } = &*self.forwarder;
        let lingers = (!two).then(|| self.in_flight.clone());
        Inflow::new(body, upload, self.timers.lend(), timeouts.body_idle, manner.body_bytes, lingers)
    }

    /// The service's answer, made the client's.
    async fn bring(
        &self,
        arrived: Arrived,
        exchange: Option<Exchange>,
        upload: Option<Arc<Upload>>,
        client: Option<OnUpgrade>,
    ) -> Result<(Head, Outcome), Problem> {
        let Arrived { mut head, body, lease, service, timer } = arrived;
        if let (Some(client), Some(service)) = (client, service) {
            return Ok((head, Outcome::Tunnel(Tunnel { client, service })));
        }
        let outflow = Outflow::new(body, timer, self.forwarder.timeouts.body_idle, upload, lease);
        match exchange {
            Some(exchange) if !exchange.relays() => {
                let body = exchange.response(&mut head, &mut Some(outflow)).await?;
                Ok((head, Outcome::Declared(body)))
            }
            _ => Ok((head, Outcome::Relayed(outflow))),
        }
    }
}
