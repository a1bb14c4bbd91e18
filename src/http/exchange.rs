//! One request and its answer, on their way through a listener.

use super::answer::Answering;
use super::budget::Budget;
use super::coding::{self, Encoder, Input};
use super::form_body::FormBody;
use super::forward::Caller;
use super::head::{self, Types};
use super::json_body::{Owners, Sealing};
use super::jwt::Verifier;
use super::links::{Home, Turner};
use super::media::MediaSealing;
use super::multipart_body::MultipartBody;
use super::names;
use super::plan::Plan;
use super::problem::Problem;
use super::pump::{Pump, Stage, refusal, with_trailers};
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
use http_body_util::BodyExt;
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

/// What the client gets as a body.
pub(crate) enum Answered {
    /// A short one, as a whole.
    Whole(Bytes),
    /// As it comes.
    Streamed(Body),
}

/// A body as it comes from the service.
pub(crate) trait Came:
    hyper::body::Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static
{
}

impl<B: hyper::body::Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static> Came for B {}

impl Answered {
    /// The body, as it comes.
    pub(super) fn streamed(body: &mut Option<impl Came>) -> Result<Self, Problem> {
        Ok(Self::Streamed(taken(body)?))
    }
}

/// A body out of its place.
pub(super) fn taken(body: &mut Option<impl Came>) -> Result<Body, Problem> {
    body.take().map(BodyExt::boxed_unsync).ok_or_else(Problem::internal)
}

/// What is decided about a request before anything of it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No route has a say: it and its answer are relayed as they are.
    Relay,
    /// It asks for another method than its own.
    Method,
    /// A lenient service would take its path for a declared one.
    Spelling,
    /// The route of that number takes it.
    Take(usize),
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
    /// Whether an address of this listener may hold an identifier.
    in_addresses: bool,
    turner: Arc<Turner>,
    verifier: Option<Verifier>,
    /// What units are kept under.
    place: Arc<str>,
    /// As the audit log names this listener.
    via: Arc<str>,
    /// What requests may hold.
    budget: Arc<Budget>,
}

/// What was decided about a request, and what its answer needs.
pub(crate) struct Exchange {
    answering: Option<Box<Answering>>,
}

impl Inner {
    /// The door for an exchange without a token: what it opens goes on record under its client and its listener.
    fn nameless(&self, caller: Option<&Caller>) -> Arc<Door> {
        let make = || self.door.witnessed(&self.peer(caller));
        match caller {
            Some(caller) => caller.nameless(&self.door, make),
            None => Arc::new(make()),
        }
    }

    /// The door for one with a verified token: under the person whom it names, never in clear.
    async fn witnessed(&self, caller: Option<&Caller>, bearer: &Subject) -> Result<Arc<Door>, Problem> {
        let known = self.door.stand_in(bearer).await.map_err(|e| Problem::protect(&e))?;
        let user = format!("jwt:{}", known.as_deref().unwrap_or("unknown"));
        Ok(Arc::new(self.door.witnessed(&Peer { user: &user, ..self.peer(caller) })))
    }

    fn peer(&self, caller: Option<&Caller>) -> Peer<'_> {
        Peer { user: "http", address: caller.and_then(Caller::address), via: &self.via, ..Peer::default() }
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
        let plans: Arc<[_]> = routes.iter().map(|route| Arc::new(Plan::new(route))).collect();
        let routes = Arc::new(Routes::new(routes)?);
        let inner = Inner {
            in_addresses: plans.iter().any(|plan| plan.in_addresses()),
            turner: Arc::new(Turner {
                routes: Arc::clone(&routes),
                plans: Arc::clone(&plans),
                service: config.upstream.authority().into(),
            }),
            routes,
            plans,
            verifier: config.jwt.as_ref().map(Verifier::new).transpose()?,
            place: Door::outside(&config.listen.to_string()).into(),
            via: format!("http {}", config.listen).into(),
            budget: Budget::new(config.wire.held_bytes),
            door,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What becomes of this request.
    pub(crate) fn judge(&self, head: &request::Parts) -> Verdict {
        match self.inner.routes.find(&head.method, head.uri.path()) {
            Match::Nothing => Verdict::Relay,
            Match::Other | Match::Route(_) if overridden(head) => Verdict::Method,
            // Its body may ask for a method that is declared (`_method`), and nobody reads it.
            Match::Other if head.method == Method::POST && may_ask(&head.headers) => Verdict::Method,
            Match::Other => Verdict::Relay,
            Match::Spelling => Verdict::Spelling,
            Match::Route(number) => Verdict::Take(number),
        }
    }

    /// Takes out of a request's head what would tell the service of another address than its own.
    pub(crate) fn disguise(&self, headers: &mut HeaderMap) {
        if self.inner.plans.is_empty() {
            return;
        }
        head::without(headers, is_rewritten);
        if self.inner.in_addresses {
            // Of the address that a request comes from its origin is told.
            let from = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(origin);
            head::without(headers, is_address);
            if let Some(origin) = from {
                headers.insert(header::REFERER, origin);
            }
        }
    }

    /// Decides a request once, from its head. Protected path segments, query parameters and headers of `head` are
    /// rewritten in place; `content-length` is corrected, or taken out where the length isn't known yet. No body has none.
    ///
    /// # Errors
    /// The answer to the client: nothing must be sent on.
    pub(super) async fn request(
        &self,
        verdict: Verdict,
        head: &mut request::Parts,
        body: Option<Body>,
        caller: Option<&Caller>,
    ) -> Result<(Option<Body>, Exchange), Problem> {
        let inner = &self.inner;
        let plan = match verdict {
            Verdict::Relay => return Ok((body, Exchange { answering: None })),
            Verdict::Method => return Err(Problem::method()),
            Verdict::Spelling => return Err(Problem::path()),
            Verdict::Take(number) => inner.plans.get(number).ok_or_else(Problem::internal)?,
        };
        // Its parts are replaced while the parameters are read: where nobody asks for them, nothing is kept.
        let path = plan.reads_path().then(|| head.uri.clone());
        let params = path.as_ref().map(|uri| target::values(plan, uri.path())).unwrap_or_default();
        head::spelled(plan, &head.headers)?;
        let body = body.map(|body| head::trailers(plan, body));
        let sources = Sources::read(plan, &params, head, inner.verifier.as_ref())?;
        let door = match sources.bearer() {
            None => inner.nameless(caller),
            Some(bearer) => Box::pin(inner.witnessed(caller, bearer)).await?,
        };
        let turner = (plan.links || plan.location).then(|| Arc::clone(&inner.turner));
        let home = turner.as_ref().map(|turner| Box::new(Home::new(turner, &head.headers)));
        let shield = Shield::new(door, Arc::clone(&inner.place), plan.creates.clone(), home);
        let owners = || sources.owners(plan, false);
        let undone = Undone(Some(&shield));
        if plan.reads_head() {
            Box::pin(head::seal(plan, &params, head, &shield, &owners())).await?;
        }
        let body = match body {
            // What replaces a photo by nothing must be read again, too.
            body if plan.body.is_some()
                && head.method == Method::PUT
                && body.as_ref().is_none_or(is_empty) =>
            {
                let none = with_trailers(Bytes::new(), None);
                Some(Box::pin(self.body(Arc::clone(plan), head, none, &shield, &owners())).await?)
            }
            Some(body) if plan.reads_body() && !is_empty(&body) => {
                Some(Box::pin(self.body(Arc::clone(plan), head, body, &shield, &owners())).await?)
            }
            body => {
                shield.sent();
                body
            }
        };
        undone.no();
        let media = plan.body.is_some();
        let wanted =
            if media && head.method == Method::GET { Wanted::of(&head.headers) } else { Wanted::All };
        let conditional = media && head.headers.contains_key(header::IF_RANGE);
        head::forget(head, wanted, media);
        let answering = Answering {
            plan: Arc::clone(plan),
            shield,
            sources,
            turner,
            wanted,
            conditional,
            method: head.method.clone(),
            path: plan.created_location.then(|| head.uri.path().into()),
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
            // A part sealed as a whole would open no more once the service had put it to the others (RFC 9110 §14.5).
            if head.headers.contains_key(header::CONTENT_RANGE) {
                return Err(Problem::part());
            }
            let whose = owners.get(owner).map_or(Whose::Nobody, |(_, whose)| whose.clone());
            let length = body.size_hint().exact().and_then(sealed_body_len);
            let sealing = MediaSealing::new(field, whose, shield.clone());
            let stage = Stage::Sealed(Box::new(sealing.optional(head.method != Method::PUT)));
            let pump = Pump::new(Input::new(body, None), stage, Encoder::Plain, Some(shield.clone()));
            let pumped = pump.start().await?;
            head::rewritten(&mut head.headers, pumped.length.map(|n| n as u64).or(length));
            return Ok(pumped.body);
        }
        let types = Types::of(&head.headers).map_err(|_| Problem::media_type(&plan.path))?;
        let (own, shared, turner) = (Arc::clone(&plan), shield.clone(), Arc::clone(&self.inner.turner));
        let held = self.inner.budget.hold();
        let stage = match types {
            Types::Json if plan.json() => {
                Stage::Sealing(Box::new(Sealing::new(own, shared, Arc::clone(owners), turner, false, held)))
            }
            Types::Lines if plan.json() => {
                Stage::Sealing(Box::new(Sealing::new(own, shared, Arc::clone(owners), turner, true, held)))
            }
            Types::Form if !plan.form.is_empty() => {
                Stage::Form(Box::new(FormBody::new(own, shared, Arc::clone(owners), held)))
            }
            Types::Multipart(boundary) if !plan.form.is_empty() => {
                Stage::Multipart(Box::new(MultipartBody::new(own, shared, Arc::clone(owners), &boundary)))
            }
            _ if plan.only_written() => {
                shield.sent();
                return Ok(body);
            }
            // No type, and perhaps no byte: an HTTP/2 client, or one that sends chunks, may tell the end late.
            Types::Other if !head.headers.contains_key(header::CONTENT_TYPE) => {
                return nothing(body, shield).await?.ok_or_else(|| Problem::media_type(&plan.path));
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

    /// Whether the answer is to tell whom the request made.
    pub(crate) fn creates(&self) -> bool {
        self.answering.as_ref().is_some_and(|answering| answering.shield.rows() > 0)
    }

    /// Rewrites the answer's head and body for the client. Subjects that the answer tells are bound, durably, before
    /// anything of it is passed on. The body is taken out of its place where it goes on as it comes: it is too large to be
    /// handed from one to the next.
    ///
    /// # Errors
    /// What the client gets in place of the answer.
    pub(crate) async fn response<B>(
        self,
        head: &mut response::Parts,
        body: &mut Option<B>,
    ) -> Result<Answered, Problem>
    where
        B: Came,
    {
        match self.answering {
            None => Answered::streamed(body),
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

/// Until a request goes on: what was made for it goes with it, however it ends.
struct Undone<'s>(Option<&'s Shield>);

impl Undone<'_> {
    /// It goes on.
    fn no(mut self) {
        self.0 = None;
    }
}

impl Drop for Undone<'_> {
    fn drop(&mut self) {
        if let Some(shield) = self.0 {
            shield.unsent();
        }
    }
}

/// A body of which no byte comes; none where one does.
async fn nothing(mut body: Body, shield: &Shield) -> Result<Option<Body>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refusal(error, false))?;
        if frame.data_ref().is_some_and(|data| !data.is_empty()) {
            return Ok(None);
        }
    }
    shield.sent();
    Ok(Some(with_trailers(Bytes::new(), None)))
}

/// Whether nothing comes.
fn is_empty(body: &Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// Whether a request asks for another method than its own.
fn overridden(head: &request::Parts) -> bool {
    let other = |value: &[u8]| !value.trim_ascii().eq_ignore_ascii_case(head.method.as_str().as_bytes());
    let mut values = head.headers.iter().filter(|(name, _)| is_overriding(name.as_str()));
    let mut pairs = head
        .uri
        .query()
        .unwrap_or_default()
        .split(['&', ';'])
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    values.any(|(_, value)| other(value.as_bytes()))
        || pairs.any(|(name, value)| {
            names::is_method(&target::decode_form(name)) && other(target::decode_form(value).as_bytes())
        })
}

/// Whether some services look into a body for another method: a form, JSON, or what says nothing of what it is.
fn may_ask(headers: &HeaderMap) -> bool {
    if headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0") {
        return false;
    }
    let read = |kind: &HeaderValue| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        let read = [&b"urlencoded"[..], b"multipart", b"json"];
        kind.trim_ascii().is_empty() || read.iter().any(|word| memchr::memmem::find(&kind, word).is_some())
    };
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    kinds.peek().is_none() || kinds.any(read)
}

/// Scheme and authority of an address: what lies behind them may name a person.
fn origin(address: &str) -> Option<HeaderValue> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    HeaderValue::try_from(format!("{scheme}://{authority}/")).ok()
}

/// Whether some services take a header for the path.
fn is_rewritten(name: &str) -> bool {
    matches!(&*head::hyphenated(name), "x-original-url" | "x-rewrite-url")
}

/// Whether a header holds an address that the client has seen or means, and that may name a person.
fn is_address(name: &str) -> bool {
    matches!(
        &*head::hyphenated(name),
        "referer"
            | "referrer"
            | "hx-current-url"
            | "turbolinks-referrer"
            | "x-original-uri"
            | "x-forwarded-uri"
            | "destination"
    )
}

/// Whether some services take a header for the method.
fn is_overriding(name: &str) -> bool {
    matches!(&*head::hyphenated(name), "x-http-method-override" | "x-http-method" | "x-method-override")
}

/// Whether a header varies with what the gateway does to a body, and can't be kept truthful.
pub(super) fn is_untrue(name: &str) -> bool {
    matches!(name, "content-md5" | "digest" | "content-digest" | "repr-digest" | "x-goog-hash")
}
