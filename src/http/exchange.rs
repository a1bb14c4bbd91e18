//! One request and its answer, on their way through a listener.

use super::answer::Answering;
use super::coding::{self, Encoder, Input};
use super::form_body::FormBody;
use super::forward::Caller;
use super::head::{self, Types};
use super::json_body::{Owners, Sealing};
use super::jwt::Verifier;
use super::links::Turner;
use super::media::MediaSealing;
use super::multipart_body::MultipartBody;
use super::plan::Plan;
use super::problem::Problem;
use super::pump::{Pump, Stage};
use super::range::Wanted;
use super::route::{Match, Routes};
use super::shield::{Ended, Shield, Whose};
use super::sources::Sources;
use super::target;
use crate::config::HttpListener;
use crate::ids::Subject;
use crate::protect::{Door, Peer, sealed_body_len};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header, request, response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body as _;
use std::io;
use std::sync::Arc;

/// A body on its way through. Trailers pass with it.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The peer it came from went away, or broke the protocol.
    #[error("the body was cut short: {0}")]
    Peer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was refused while it was already on its way: where the head has not gone out yet this is the answer,
    /// else the stream is reset.
    #[error("the body was refused: {}", .0.code)]
    Refused(Box<Problem>),
}

/// One listener's decisions: its compiled routes and the door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    door: Door,
    routes: Arc<Routes>,
    plans: Arc<[Arc<Plan>]>,
    verifier: Option<Verifier>,
    /// What units are kept under.
    place: Arc<str>,
    /// As the audit log names this listener.
    via: Arc<str>,
}

/// What was decided about a request, and what its answer needs.
pub(crate) struct Exchange {
    answering: Option<Box<Answering>>,
}

impl Inner {
    /// The door for one exchange: what it opens goes on record under its client and its listener, or under the person
    /// whose verified token it brings, never in clear.
    async fn witnessed(&self, caller: Option<&Caller>, bearer: Option<&Subject>) -> Result<Door, Problem> {
        let address = caller.and_then(Caller::address);
        let peer = Peer { user: "http", address, via: &self.via, ..Peer::default() };
        let Some(bearer) = bearer else {
            let name = || self.door.principal(&peer);
            return Ok(self.door.witnessed_by(match caller {
                Some(caller) => caller.nameless(name),
                None => name(),
            }));
        };
        let known = self.door.stand_in(bearer).await.map_err(|e| Problem::protect(&e))?;
        let user = format!("jwt:{}", known.as_deref().unwrap_or("unknown"));
        Ok(self.door.witnessed(&Peer { user: &user, ..peer }))
    }
}

impl Gate {
    /// The decisions of a `[[http]]` section, by the door's policy.
    ///
    /// # Errors
    /// A file that the section names can't be read.
    pub(crate) fn new(door: Door, config: &HttpListener) -> io::Result<Self> {
        let policy = Arc::clone(door.policy());
        let routes = policy.http.get(config.routes).map(Vec::as_slice).unwrap_or_default();
        let inner = Inner {
            routes: Arc::new(Routes::new(routes)?),
            plans: routes.iter().map(|route| Arc::new(Plan::new(route))).collect(),
            verifier: config.jwt.as_ref().map(Verifier::new).transpose()?,
            place: Door::outside(&config.listen.to_string()).into(),
            via: format!("http {}", config.listen).into(),
            door,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether a route may have a say about this request. Where it is false, the request and its answer can be
    /// relayed without asking any further.
    pub(crate) fn declares(&self, head: &request::Parts) -> bool {
        match self.inner.routes.find(&head.method, head.uri.path()) {
            Match::Nothing => false,
            Match::Other => overridden(head),
            Match::Spelling | Match::Route(..) => true,
        }
    }

    /// Takes out of a request's head what would tell the service of another address than its own.
    pub(crate) fn disguise(&self, headers: &mut HeaderMap) {
        if self.inner.plans.is_empty() {
            return;
        }
        for name in REWRITTEN {
            headers.remove(name);
        }
        if self.inner.plans.iter().any(|plan| plan.in_addresses())
            && let Some(value) = headers.remove(header::REFERER)
            && let Some(origin) = value.to_str().ok().and_then(origin)
        {
            headers.insert(header::REFERER, origin);
        }
    }

    /// Decides a request once, from its head. Protected path segments, query parameters and headers of `head` are
    /// rewritten in place; `content-length` is corrected, or taken out where the length isn't known yet.
    ///
    /// # Errors
    /// The answer to the client: nothing must be sent on.
    pub(crate) async fn request(
        &self,
        head: &mut request::Parts,
        body: Body,
    ) -> Result<(Body, Exchange), Problem> {
        let inner = &self.inner;
        let path = head.uri.path().to_owned();
        let (plan, params) = match inner.routes.find(&head.method, &path) {
            Match::Nothing => return Ok((body, Exchange { answering: None })),
            Match::Other | Match::Route(..) if overridden(head) => return Err(Problem::method()),
            Match::Other => return Ok((body, Exchange { answering: None })),
            Match::Spelling => return Err(Problem::path()),
            Match::Route(number, params) => (inner.plans.get(number).ok_or_else(Problem::internal)?, params),
        };
        head::spelled(plan, &head.headers)?;
        let body = head::trailers(plan, body);
        let sources = Sources::read(plan, &params, head, inner.verifier.as_ref())?;
        let caller = head.extensions.get::<Arc<Caller>>().cloned();
        let door = inner.witnessed(caller.as_deref(), sources.bearer()).await?;
        let shield = Shield::new(door, Arc::clone(&inner.place), plan.creates.clone());
        let owners = sources.owners(plan, false);
        head::seal(plan, &params, head, &shield, &owners).await?;
        let none = body.is_end_stream() || body.size_hint().exact() == Some(0);
        let body = if none || !plan.reads_body() {
            shield.sent();
            body
        } else {
            Box::pin(self.body(Arc::clone(plan), head, body, &shield, &owners)).await?
        };
        let media = plan.body.is_some() && head.method == Method::GET;
        let wanted = if media { Wanted::of(&head.headers) } else { Wanted::All };
        head::forget(head, wanted);
        let turner = (plan.links || plan.location)
            .then(|| Arc::new(Turner { routes: Arc::clone(&inner.routes), plans: Arc::clone(&inner.plans) }));
        let answering = Answering {
            plan: Arc::clone(plan),
            shield,
            sources,
            turner,
            wanted,
            method: head.method.clone(),
        };
        Ok((body, Exchange { answering: Some(Box::new(answering)) }))
    }

    /// The request's body, rewritten as its type wants.
    async fn body(
        &self,
        plan: Arc<Plan>,
        head: &mut request::Parts,
        body: Body,
        shield: &Shield,
        owners: &Owners,
    ) -> Result<Body, Problem> {
        let coding = coding::of(&head.headers).map_err(|_| Problem::coding())?;
        if let Some((field, owner)) = plan.body {
            // What is stored is no longer in that coding, and says that it is.
            if coding.is_some() {
                return Err(Problem::coding());
            }
            let whose = owners.get(owner).map_or(Whose::Nobody, |(_, whose)| whose.clone());
            let length = body.size_hint().exact().and_then(sealed_body_len);
            let stage = Stage::Sealed(Box::new(MediaSealing::new(field, whose, shield.clone())));
            let pump = Pump::new(Input::new(body, None), stage, Encoder::Plain, Some(shield.clone()));
            let pumped = pump.start().await?;
            head::rewritten(&mut head.headers, pumped.length.map(|n| n as u64).or(length));
            return Ok(pumped.body);
        }
        let types = Types::of(&head.headers).map_err(|_| Problem::media_type(&plan.path))?;
        let (own, shared) = (Arc::clone(&plan), shield.clone());
        let stage = match types {
            Types::Json if plan.json() => {
                Stage::Sealing(Box::new(Sealing::new(own, shared, Arc::clone(owners), false)))
            }
            Types::Lines if plan.json() => {
                Stage::Sealing(Box::new(Sealing::new(own, shared, Arc::clone(owners), true)))
            }
            Types::Form if !plan.form.is_empty() => {
                Stage::Form(Box::new(FormBody::new(own, shared, Arc::clone(owners))))
            }
            Types::Multipart(boundary) if !plan.form.is_empty() => {
                Stage::Multipart(Box::new(MultipartBody::new(own, shared, Arc::clone(owners), &boundary)))
            }
            _ => return Err(Problem::media_type(&plan.path)),
        };
        let pump = Pump::new(Input::new(body, coding), stage, Encoder::new(coding), Some(shield.clone()));
        let pumped = pump.start().await?;
        head::rewritten(&mut head.headers, pumped.length.map(|n| n as u64));
        Ok(pumped.body)
    }
}

impl Exchange {
    /// Whether both bodies go as they are: nothing is declared.
    pub(crate) fn relays(&self) -> bool {
        self.answering.is_none()
    }

    /// Rewrites the answer's head and body for the client. Subjects that the answer tells are bound, durably, before
    /// anything of it is passed on.
    ///
    /// # Errors
    /// What the client gets in place of the answer.
    pub(crate) async fn response(self, head: &mut response::Parts, body: Body) -> Result<Body, Problem> {
        match self.answering {
            None => Ok(body),
            Some(answering) => answering.response(head, body).await,
        }
    }

    /// The service never answered: what was made for the request stays, provisionally, until it is found.
    pub(crate) fn lost(self) {
        if let Some(answering) = self.answering {
            answering.shield.outcome(Ended::Unclear);
        }
    }

    /// The service was never reached: what was made for the request goes.
    pub(crate) fn unsent(self) {
        if let Some(answering) = self.answering {
            answering.shield.unsent();
        }
    }
}

/// Whether a request asks for another method than its own.
fn overridden(head: &request::Parts) -> bool {
    let other = |value: &[u8]| !value.trim_ascii().eq_ignore_ascii_case(head.method.as_str().as_bytes());
    let mut values = OVERRIDING.into_iter().flat_map(|name| head.headers.get_all(name));
    let mut pairs = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    values.any(|value| other(value.as_bytes()))
        || pairs.any(|(name, value)| {
            target::decode_form(name) == "_method" && other(target::decode_form(value).as_bytes())
        })
}

/// Scheme and authority of an address: what lies behind them may name a person.
fn origin(address: &str) -> Option<HeaderValue> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    HeaderValue::try_from(format!("{scheme}://{authority}/")).ok()
}

/// Headers that some services take for the path.
const REWRITTEN: [header::HeaderName; 2] =
    [header::HeaderName::from_static("x-original-url"), header::HeaderName::from_static("x-rewrite-url")];

/// Headers that some services take for the method.
const OVERRIDING: [header::HeaderName; 3] = [
    header::HeaderName::from_static("x-http-method-override"),
    header::HeaderName::from_static("x-http-method"),
    header::HeaderName::from_static("x-method-override"),
];

/// Headers that vary with what the gateway does to a body, and can't be kept truthful.
pub(super) const UNTRUE: [header::HeaderName; 5] = [
    header::HeaderName::from_static("content-md5"),
    header::HeaderName::from_static("digest"),
    header::HeaderName::from_static("content-digest"),
    header::HeaderName::from_static("repr-digest"),
    header::HeaderName::from_static("x-goog-hash"),
];
