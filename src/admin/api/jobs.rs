//! Work that goes on in the background.

use super::body::Optional;
use super::{Handle, done};
use crate::admin::access::Action;
use crate::admin::backend::{Ground, JobList};
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use crate::jobs::Job;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;

/// The newest jobs.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", operation_id = "jobList",
    responses((status = 200, description = "Newest first", body = JobList), Problems),
    security(("token" = []))
)]
pub(super) async fn list(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::JobShow)?;
    let list = JobList { jobs: shared.backend.jobs().await? };
    Ok(done(deed, Some(&list), Problem::not_found))
}

/// Tries again at once whatever waits: a re-keying that a place refused, a sweep, a rotation.
#[utoipa::path(
    post, path = "/v1/jobs/resume", tag = "jobs", operation_id = "jobResume",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "The newest jobs, newest first, as they were then", body = JobList), Problems),
    security(("token" = []))
)]
pub(super) async fn resume(
    State(shared): Handle,
    caller: Caller,
    Optional(_): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::JobResume)?;
    let list = JobList { jobs: shared.backend.resume().await? };
    Ok(done(deed, Some(&list), Problem::not_found))
}

/// A job's progress.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "jobShow",
    params(("id" = String, Path, description = "As the request that started it names it")),
    responses((status = 200, description = "How far it has come", body = Job), Problems),
    security(("token" = []))
)]
pub(super) async fn show(
    State(shared): Handle,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::JobShow)?;
    let Path(id) = path.map_err(|_| Problem::bad_request("the id is not UTF-8"))?;
    let job = shared.backend.job(&id).await?;
    Ok(done(deed, job.as_ref(), || Problem::unknown("job")))
}
