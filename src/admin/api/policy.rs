//! What is protected, and whether the databases are as the policy needs them.

use super::body::Optional;
use super::{Handle, done};
use crate::admin::access::Action;
use crate::admin::backend::{Coverage, Ground, PolicyView, Reloaded};
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use axum::extract::State;
use axum::response::Response;

/// The policy in force.
#[utoipa::path(
    get, path = "/v1/policy", tag = "policy", operation_id = "policyShow",
    responses((status = 200, description = "Fields, classes, places", body = PolicyView), Problems),
    security(("token" = []))
)]
pub(super) async fn show(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::PolicyShow)?;
    Ok(done(deed, Some(&shared.backend.policy()), Problem::not_found))
}

/// Reads the configuration file again. A file that is wrong leaves the old policy in force: 409, with everything
/// that is wrong.
#[utoipa::path(
    post, path = "/v1/policy/reload", tag = "policy", operation_id = "policyReload",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "The policy in force now", body = Reloaded), Problems),
    security(("token" = []))
)]
pub(super) async fn reload(
    State(shared): Handle,
    caller: Caller,
    Optional(_): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::PolicyReload)?;
    Ok(done(deed, Some(&shared.backend.reload().await?), Problem::not_found))
}

/// The policy against the live schemas: what `paravent check` tells.
#[utoipa::path(
    get, path = "/v1/coverage", tag = "policy", operation_id = "coverageShow",
    responses((status = 200, description = "What is covered, too narrow, or drifting", body = Coverage), Problems),
    security(("token" = []))
)]
pub(super) async fn coverage(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::CoverageShow)?;
    Ok(done(deed, Some(&shared.backend.coverage().await?), Problem::not_found))
}
