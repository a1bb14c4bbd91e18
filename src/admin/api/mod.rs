//! Routes. What lies under `/v1` needs a role; health, metrics and the description need none, and say nothing personal.

mod audit;
mod body;
mod health;
mod jobs;
mod keys;
mod policy;
mod receipts;
mod subjects;
mod unsettled;

use super::backend::Backend;
use super::guard::{self, Deed};
use super::idempotency::Idempotency;
use super::limit::Limiter;
use super::problem::Problem;
use super::server::Health;
use super::tokens::TokenFile;
use crate::telemetry::Recorder;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest body that is read, in bytes.
pub(super) const LONGEST_BODY: usize = 64 << 10;

/// What the handlers share.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) tokens: TokenFile,
    pub(super) limiter: Limiter,
    pub(super) idempotency: Idempotency,
    pub(super) health: Health,
    pub(super) metrics: Recorder,
}

type Handle = State<Arc<Shared>>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Paravent admin API",
        description = "What people and tools ask of a running gateway. Problems are application/problem+json (RFC 9457); docs/errors.md explains each.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "subjects", description = "One person's data"),
        (name = "receipts", description = "Evidence of erasures"),
        (name = "policy", description = "What is protected"),
        (name = "keys", description = "Generations, their rotation, and the keystore"),
        (name = "jobs", description = "Work that goes on in the background"),
        (name = "audit", description = "Who read, exported or erased what"),
        (name = "health", description = "For probes; no token")
    )
)]
struct Info;

fn described() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Info::openapi())
        .routes(routes!(subjects::show, subjects::erase))
        .routes(routes!(subjects::restrict))
        .routes(routes!(subjects::release))
        .routes(routes!(subjects::rekey))
        .routes(routes!(subjects::export))
        .routes(routes!(unsettled::list))
        .routes(routes!(receipts::list))
        .routes(routes!(receipts::show))
        .routes(routes!(policy::show))
        .routes(routes!(policy::reload))
        .routes(routes!(policy::coverage))
        .routes(routes!(keys::list))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::destroy))
        .routes(routes!(keys::backup))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::resume))
        .routes(routes!(jobs::show))
        .routes(routes!(audit::head))
        .routes(routes!(audit::report))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

/// The description of the whole API, as `/openapi.json` gives it.
pub fn openapi() -> Description {
    let mut description = described().into_openapi();
    let mut components = description.components.take().unwrap_or_default();
    let mut token = Http::new(HttpAuthScheme::Bearer);
    token.description = Some("`paravent admin token` makes one".to_owned());
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(token).into());
    description.components = Some(components);
    description
}

/// Every route.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let description = serde_json::to_string(&openapi()).unwrap_or_default();
    let (router, _) = described().split_for_parts();
    router
        .route("/openapi.json", get(async move || text("application/json", description)))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method())
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// A JSON answer that no cache keeps.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let mut response = text("application/json", serde_json::to_string(body).unwrap_or_default());
    *response.status_mut() = status;
    response
}

fn text(kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, body).into_response()
}

/// An answer and what was done for it.
fn done<T: Serialize>(deed: Deed, body: Option<&T>, problem: impl FnOnce() -> Problem) -> Response {
    let mut response = match body {
        Some(body) => json(StatusCode::OK, body),
        None => problem().into_response(),
    };
    response.extensions_mut().insert(deed);
    response
}
