//! What every request under `/v1` passes before its handler: who asks, how often, in what form; and what it
//! leaves behind: an entry in the audit log.

use super::access::Action;
use super::api::{LONGEST_BODY, Shared};
use super::backend::Event;
use super::idempotency::{Answered, Found, Name};
use super::problem::Problem;
use super::tokens::{Bearer, Role};
use crate::crypto::sha256;
use crate::ids::Subject;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// SHA-256 of the client's certificate, as the TLS layer saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint(pub(super) Option<[u8; 32]>);

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller(Bearer);

impl Caller {
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the caller's role may do this.
    pub(super) fn may(&self, action: Action) -> Result<Deed, Problem> {
        let deed = Deed { action: Some(action), ..Deed::default() };
        if action.allows(self.0.role) { Ok(deed) } else { Err(Problem::forbidden(self.0.role, action)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorised)
    }
}

/// What a handler did, for the audit log: put into its response.
#[derive(Debug, Clone, Default)]
pub(super) struct Deed {
    action: Option<Action>,
    /// About whom; never of an erasure.
    pub(super) subject: Option<Subject>,
    /// SHA-256 of the receipt.
    pub(super) receipt: Option<String>,
}

impl Deed {
    pub(super) fn about(mut self, subject: &Subject) -> Self {
        self.subject = Some(subject.clone());
        self
    }
}

/// Every request under `/v1`; others pass.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let caller = match authenticate(&shared, &request) {
        Ok(caller) => caller,
        Err(problem) => {
            note(&shared, None, "admin.denied", &Deed::default(), problem.status().as_u16()).await;
            return problem.into_response();
        }
    };
    let mut response = match admit(&shared, &caller, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let deed = response.extensions_mut().remove::<Deed>().unwrap_or_default();
    let action = deed.action.map_or("admin.refused", Action::name);
    note(&shared, Some(&caller), action, &deed, response.status().as_u16()).await;
    response
}

async fn note(shared: &Shared, caller: Option<&Caller>, action: &'static str, deed: &Deed, status: u16) {
    let (principal, role) = match caller {
        Some(Caller(bearer)) => (bearer.name.clone(), Some(bearer.role)),
        None => (String::new(), None::<Role>),
    };
    let Deed { subject, receipt, .. } = deed.clone();
    let event = Event { principal, role, action, status, subject, receipt };
    if let Err(error) = shared.backend.note(event).await {
        tracing::error!(%error, "an admin action could not be recorded");
    }
}

fn authenticate(shared: &Shared, request: &Request) -> Result<Caller, Problem> {
    let failed = || {
        // Failed log-ins share a bucket, so that guessing is slow.
        if shared.limiter.take("", Instant::now()) { Problem::unauthorised() } else { Problem::too_many() }
    };
    let found = match (bearer(request.headers()), request.extensions().get::<Fingerprint>()) {
        (Some(token), _) => shared.tokens.find(token),
        (None, Some(Fingerprint(Some(fingerprint)))) => shared.tokens.find_certificate(fingerprint),
        (None, _) => return Err(failed()),
    };
    match found {
        Ok(Some(bearer)) => Ok(Caller(bearer)),
        Ok(None) => Err(failed()),
        Err(error) => {
            tracing::error!(%error, "the token file can't be used");
            Err(Problem::tokens("see the gateway's log"))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn admit(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !shared.limiter.take(caller.name(), Instant::now()) {
        return Err(Problem::too_many());
    }
    if !accepts_json(request.headers()) {
        return Err(Problem::not_acceptable());
    }
    shared.backend.accountable()?;
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(caller.clone());
    if parts.method != Method::POST {
        return Ok(next.run(Request::from_parts(parts, Body::empty())).await);
    }
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|_| Problem::too_large())?.to_bytes();
    let Some(key) = idempotency_key(&parts.headers)? else {
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    let name: Name = (caller.name().to_owned(), key);
    // A task of its own: it goes on to its end whatever becomes of the connection.
    let task = tokio::spawn(once(shared.clone(), name, Request::from_parts(parts, body), next));
    task.await.unwrap_or_else(|_| Err(Problem::unavailable("the request stopped unexpectedly")))
}

/// Carries a request out once.
async fn once(
    shared: Arc<Shared>,
    name: Name,
    request: Request<Bytes>,
    next: Next,
) -> Result<Response, Problem> {
    let path = request.uri().path_and_query().map_or("", |p| p.as_str());
    let digest = sha256(&[path.as_bytes(), b"\0", request.body()]);
    match shared.idempotency.begin(&name, digest, Instant::now()) {
        Found::New => {}
        Found::Again(answer) => {
            let mut response = (answer.status, answer.body).into_response();
            *response.headers_mut() = answer.headers;
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            return Ok(response);
        }
        Found::Running => {
            let detail = "a request with this Idempotency-Key is being carried out";
            return Err(Problem::conflict("admin-idempotency", detail));
        }
        Found::Other => {
            let detail = "this Idempotency-Key was used for another request";
            return Err(Problem::conflict("admin-idempotency", detail));
        }
        Found::Full => return Err(Problem::too_many()),
    }
    let response = next.run(request.map(Body::from)).await;
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if parts.status.is_server_error() {
        shared.idempotency.forget(&name);
    } else {
        let deed = parts.extensions.remove::<Deed>();
        let answer = Answered { status: parts.status, headers: parts.headers.clone(), body: body.clone() };
        shared.idempotency.keep(&name, answer);
        deed.into_iter().for_each(|deed| drop(parts.extensions.insert(deed)));
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let sound = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if sound && values.next().is_none() {
        Ok(Some(text.to_owned()))
    } else {
        Err(Problem::bad_request("Idempotency-Key is one word of at most 128 visible ASCII characters"))
    }
}

/// RFC 9110 §12.5.1, as far as it matters here: some range that JSON is in, and that is not refused by `q=0`.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|p| p.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0_f32));
        let json = ["*/*", "application/*", "application/json", "application/problem+json"];
        json.contains(&kind.as_str()) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_acceptable_unless_the_client_says_otherwise() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            accepts_json(&headers)
        };
        assert!(accepts_json(&HeaderMap::new()));
        for value in
            ["*/*", "text/html, application/*;q=0.5", "application/json", "Application/JSON;charset=utf-8"]
        {
            assert!(accepts(value), "{value}");
        }
        for value in ["text/html", "application/xml", "application/json;q=0", "", "*"] {
            assert!(!accepts(value), "{value}");
        }
    }
}
