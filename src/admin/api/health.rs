//! For probes and scrapers: no token, nothing personal.

use super::{Handle, json, text};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// That the process runs.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// `ok`.
    status: &'static str,
}

/// Whether it serves.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// Whether every listener accepts and the keystore answers.
    ready: bool,
    /// `accepting` or `starting`.
    listeners: &'static str,
    /// `ok`, or what is wrong with it.
    keystore: String,
    /// `ok`, or why the root keys' provider can't be asked: the generation in memory goes on serving for a while.
    roots: String,
    /// Hash of the policy in force.
    policy: String,
    /// What an operator should know, and what doesn't stop the gateway.
    warnings: Vec<String>,
}

/// Whether the process runs.
#[utoipa::path(
    get, path = "/healthz", tag = "health", operation_id = "health",
    responses((status = 200, description = "It does", body = Alive), (status = 405, description = "GET only", body = crate::admin::problem::ProblemBody, content_type = "application/problem+json"))
)]
pub(super) async fn alive() -> Response {
    json(StatusCode::OK, &Alive { status: "ok" })
}

/// Whether every listener accepts and the keystore answers.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "ready",
    responses(
        (status = 200, description = "Ready", body = Ready),
        (status = 405, description = "GET only", body = crate::admin::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not ready", body = Ready)
    )
)]
pub(super) async fn ready(State(shared): Handle) -> Response {
    let keystore = shared.backend.ready().await;
    let listeners = shared.health.accepts();
    let ready = keystore.is_ok() && listeners;
    let body = Ready {
        ready,
        listeners: if listeners { "accepting" } else { "starting" },
        keystore: keystore.map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        roots: shared.health.roots(),
        policy: shared.health.policy(),
        warnings: shared.health.warnings(),
    };
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

/// Metrics, in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"), (status = 405, description = "GET only", body = crate::admin::problem::ProblemBody, content_type = "application/problem+json"))
)]
pub(super) async fn metrics(State(shared): Handle) -> Response {
    text("text/plain; version=0.0.4; charset=utf-8", shared.metrics.render())
}
