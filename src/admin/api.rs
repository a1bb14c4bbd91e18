//! Routes. Subjects need a token; health and metrics need none, and say nothing personal.

use super::problem::Problem;
use super::server::Health;
use super::tokens::{Bearer, TokenFile};
use crate::ids::Subject;
use crate::telemetry::{Recorder, metrics::AUDIT_EVENTS};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, extract};
use serde::Deserialize;
use std::future::Future;
use std::sync::Arc;

/// A subject's state. Reading it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Has live secrets or identifiers.
    Live,
    /// Was erased.
    Erased,
    /// May not be used, and was not erased.
    Restricted,
}

impl State {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Erased => "erased",
            Self::Restricted => "restricted",
        }
    }
}

/// A request to erase.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Who.
    pub subject: Subject,
    /// On what ground (`?ground=`), for the receipt.
    pub ground: Option<String>,
}

/// Why subjects can't be asked about now.
#[derive(Debug, thiserror::Error)]
pub enum SubjectsError {
    /// The keystore or the ledger can't be reached, or is full (503). Names no subject.
    #[error("{0}")]
    Unavailable(String),
}

/// What the API asks of the rest of the gateway.
pub trait Subjects: Send + Sync + 'static {
    /// Its state; `None` when nothing was ever held about it.
    fn state(&self, subject: &Subject) -> impl Future<Output = Result<Option<State>, SubjectsError>> + Send;

    /// Erases and gives the receipt; `None` when nothing was ever held about it.
    fn erase(
        &self,
        request: Erasure,
    ) -> impl Future<Output = Result<Option<serde_json::Value>, SubjectsError>> + Send;

    /// Whether keys can be had, for `/readyz`.
    fn ready(&self) -> impl Future<Output = Result<(), SubjectsError>> + Send;
}

/// What the handlers share.
pub(super) struct Shared<S> {
    pub(super) subjects: S,
    pub(super) tokens: TokenFile,
    pub(super) health: Health,
    pub(super) metrics: Recorder,
}

type Handle<S> = extract::State<Arc<Shared<S>>>;

/// Every route of this version.
pub(super) fn router<S: Subjects>(shared: Arc<Shared<S>>) -> Router {
    Router::new()
        .route("/v1/subjects/{class}/{id}", get(show::<S>).delete(erase::<S>))
        .route("/healthz", get(async || json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))))
        .route("/readyz", get(ready::<S>))
        .route("/metrics", get(metrics::<S>))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method())
        .with_state(shared)
}

/// The token's bearer: extracting it is what makes a route need a token.
struct Authorised(Bearer);

impl<S: Subjects> FromRequestParts<Arc<Shared<S>>> for Authorised {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared<S>>) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token =
            value.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or_else(Problem::unauthorised)?;
        match shared.tokens.find(token.trim()) {
            Ok(Some(bearer)) => Ok(Self(bearer)),
            Ok(None) => {
                audit("admin.denied", "", "");
                Err(Problem::unauthorised())
            }
            Err(error) => {
                tracing::error!(%error, "the token file can't be used");
                Err(Problem::tokens("see the gateway's log"))
            }
        }
    }
}

/// `?realm=` and `?ground=`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    realm: Option<String>,
    ground: Option<String>,
}

type Named = Result<Path<(String, String)>, extract::rejection::PathRejection>;
type Asked = Result<Query<Parameters>, extract::rejection::QueryRejection>;

/// The subject that a request names. Rejections of the extractors would repeat what was sent.
fn subject(path: Named, query: Asked) -> Result<(Subject, Option<String>), Problem> {
    let Path((class, id)) = path.map_err(|_| Problem::bad_request("the class or the id is not UTF-8"))?;
    let Query(asked) =
        query.map_err(|_| Problem::bad_request("the parameters are realm and ground, each once"))?;
    if asked.realm.is_some_and(|realm| realm != "main") {
        return Err(Problem::unknown_subject());
    }
    if asked.ground.as_ref().is_some_and(|g| g.chars().count() > 200 || g.chars().any(char::is_control)) {
        return Err(Problem::bad_request("ground is one line of at most 200 characters"));
    }
    Ok((Subject::new(class, id), asked.ground))
}

async fn show<S: Subjects>(
    extract::State(shared): Handle<S>,
    Authorised(bearer): Authorised,
    path: Named,
    query: Asked,
) -> Result<Response, Problem> {
    let (subject, _) = subject(path, query)?;
    let state = shared.subjects.state(&subject).await.map_err(unavailable)?;
    audit("subject.show", &bearer.name, &subject.class);
    let state = state.ok_or_else(Problem::unknown_subject)?;
    let body = serde_json::json!({
        "state": state.name(), "realm": &*subject.realm, "class": &*subject.class, "id": &*subject.id,
    });
    Ok(json(StatusCode::OK, &body))
}

async fn erase<S: Subjects>(
    extract::State(shared): Handle<S>,
    Authorised(bearer): Authorised,
    path: Named,
    query: Asked,
) -> Result<Response, Problem> {
    if !bearer.role.may_erase() {
        audit("admin.forbidden", &bearer.name, "");
        return Err(Problem::forbidden(bearer.role));
    }
    let (subject, ground) = subject(path, query)?;
    let class = subject.class.clone();
    // Goes on when the client hangs up: an erasure that has begun is not left half done.
    let task = tokio::spawn(async move { shared.subjects.erase(Erasure { subject, ground }).await });
    let receipt = match task.await {
        Ok(answer) => answer.map_err(unavailable)?,
        Err(_) => return Err(Problem::unavailable("the erasure stopped unexpectedly; ask again")),
    };
    audit("subject.erase", &bearer.name, &class);
    let receipt = receipt.ok_or_else(Problem::unknown_subject)?;
    Ok(json(StatusCode::OK, &receipt))
}

async fn ready<S: Subjects>(extract::State(shared): Handle<S>) -> Response {
    let keystore = shared.subjects.ready().await;
    let listeners = shared.health.accepts();
    let ready = keystore.is_ok() && listeners;
    let body = serde_json::json!({
        "ready": ready,
        "listeners": if listeners { "accepting" } else { "starting" },
        "keystore": keystore.map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        "policy": shared.health.policy(),
        "warnings": shared.health.warnings(),
    });
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

async fn metrics<S: Subjects>(extract::State(shared): Handle<S>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], shared.metrics.render()).into_response()
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    let store = HeaderValue::from_static("no-store");
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, store)], body.to_string()).into_response()
}

fn unavailable(error: SubjectsError) -> Problem {
    let SubjectsError::Unavailable(why) = error;
    tracing::error!(why, "an admin request could not be answered");
    Problem::unavailable(why)
}

/// Who did what, never to whom.
fn audit(event: &'static str, by: &str, class: &str) {
    tracing::info!(target: "audit", event, by, class);
    ::metrics::counter!(AUDIT_EVENTS, "event" => event).increment(1);
}
