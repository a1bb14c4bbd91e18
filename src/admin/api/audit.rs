//! The audit log, for those who check it.

use super::{Handle, done};
use crate::admin::access::Action;
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use crate::audit::{Filter, Report};
use crate::clock::rfc3339;
use crate::rights::AuditHead;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

/// The newest entry of the audit log, by number and hash: keep it elsewhere, and the log can't be cut behind it unseen.
#[utoipa::path(
    get, path = "/v1/audit/head", tag = "audit", operation_id = "auditHead",
    responses((status = 200, description = "Everything up to it is on disk", body = AuditHead), Problems),
    security(("token" = []))
)]
pub(super) async fn head(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::AuditShow)?;
    Ok(done(deed, Some(&shared.backend.audit_head().await?), Problem::not_found))
}

/// What is asked for.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Not before: RFC 3339, such as `2026-01-02T03:04:05Z`.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Not after: RFC 3339.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Only this database user, application, or principal of this API.
    principal: Option<String>,
    /// Only this field.
    field: Option<String>,
}

/// Whose data was opened, by whom and when: for a breach, and for whoever asks who read about them.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "auditReport",
    params(Asked),
    responses((status = 200, description = "People who are not erased by class and id, others by stand-in", body = Report), Problems),
    security(("token" = []))
)]
pub(super) async fn report(
    State(shared): Handle,
    caller: Caller,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::AuditShow)?;
    let which = "the parameters are from, to, principal and field, each once";
    let Query(asked) = query.map_err(|_| Problem::bad_request(which))?;
    let time = |text: Option<String>| match text.map(|text| text.parse::<jiff::Timestamp>()) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(rfc3339(time))),
        Some(Err(_)) => Err(Problem::bad_request("from and to are times in RFC 3339")),
    };
    let (from, to) = (time(asked.from)?, time(asked.to)?);
    let filter = Filter { from, to, principal: asked.principal, field: asked.field };
    Ok(done(deed, Some(&shared.backend.report(filter).await?), Problem::not_found))
}
