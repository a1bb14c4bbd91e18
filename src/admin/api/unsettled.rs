//! Creations through HTTP whose outcome is unknown.

use super::{Handle, done};
use crate::admin::access::Action;
use crate::admin::backend::UnsettledList;
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use axum::extract::State;
use axum::response::Response;

/// Creations whose outcome is unknown: the service may have stored them, and told nobody whom it made.
#[utoipa::path(
    get, path = "/v1/unsettled", tag = "subjects", operation_id = "unsettledList",
    responses((status = 200, description = "Oldest first; those on their way are among them", body = UnsettledList), Problems),
    security(("token" = []))
)]
pub(super) async fn list(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::UnsettledShow)?;
    let list = UnsettledList { creations: shared.backend.unsettled().await? };
    Ok(done(deed, Some(&list), Problem::not_found))
}
