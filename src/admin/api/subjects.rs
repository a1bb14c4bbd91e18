//! One person's data: its state, and the rights that the law gives it.

use super::body::Optional;
use super::{Handle, Shared, done};
use crate::admin::access::Action;
use crate::admin::backend::{Erasure, Export, Ground, SubjectView, UnsettledView};
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use crate::ids::Subject;
use crate::jobs::Job;
use crate::rights::{Receipt, signed};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// `?realm=`.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Realm {
    /// The subject's realm; `main` is the only one in this version.
    realm: Option<String>,
}

/// `?realm=` and `?ground=`.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Erasing {
    /// The subject's realm; `main` is the only one in this version.
    realm: Option<String>,
    /// On what ground, for the receipt: one line, such as `art. 17`.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    ground: Option<String>,
}

type Named = Result<Path<(String, String)>, PathRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// The subject that a request names. Rejections of the extractors would repeat what was sent.
fn subject(path: Named, realm: Option<&str>) -> Result<Subject, Problem> {
    let Path((class, id)) = path.map_err(|_| Problem::bad_request("the class or the id is not UTF-8"))?;
    if realm.is_some_and(|realm| realm != "main") {
        return Err(Problem::unknown_subject());
    }
    Ok(Subject::new(class, id))
}

fn asked<T>(query: Asked<T>, which: &str) -> Result<T, Problem> {
    let Query(asked) = query.map_err(|_| Problem::bad_request(which))?;
    Ok(asked)
}

const REALM: &str = "the only parameter is realm, once";

fn line(ground: Option<&String>) -> Result<(), Problem> {
    match ground {
        Some(text) if text.chars().count() > 200 || text.chars().any(char::is_control) => {
            Err(Problem::bad_request("ground is one line of at most 200 characters"))
        }
        _ => Ok(()),
    }
}

fn view(subject: &Subject, state: crate::admin::State) -> SubjectView {
    let Subject { realm, class, id } = subject;
    SubjectView { state, realm: realm.to_string(), class: class.to_string(), id: id.to_string() }
}

/// The state of a subject.
#[utoipa::path(
    get, path = "/v1/subjects/{class}/{id}", tag = "subjects", operation_id = "subjectShow",
    params(("class" = String, Path, description = "Such as person"), ("id" = String, Path, description = "Canonical: 42, never 042"), Realm),
    responses((status = 200, description = "Its state", body = SubjectView), Problems),
    security(("token" = []))
)]
pub(super) async fn show(
    State(shared): Handle,
    caller: Caller,
    path: Named,
    query: Asked<Realm>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::SubjectShow)?;
    let subject = subject(path, asked(query, REALM)?.realm.as_deref())?;
    let state = shared.backend.state(&subject).await?;
    let body = state.map(|state| view(&subject, state));
    Ok(done(deed.about(&subject), body.as_ref(), Problem::unknown_subject))
}

/// Erases a subject: its keys are destroyed when this answers. Again: the same stage, no keys.
#[utoipa::path(
    delete, path = "/v1/subjects/{class}/{id}", tag = "subjects", operation_id = "subjectErase",
    params(("class" = String, Path, description = "Such as person"), ("id" = String, Path, description = "Canonical: 42, never 042"), Erasing),
    responses((status = 200, description = "The receipt, with the salt of its commitment, which is told only now", body = Receipt), Problems),
    security(("token" = []))
)]
pub(super) async fn erase(
    State(shared): Handle,
    caller: Caller,
    path: Named,
    query: Asked<Erasing>,
) -> Result<Response, Problem> {
    let mut deed = caller.may(Action::SubjectErase)?;
    let asked = asked(query, "the parameters are realm and ground, each once")?;
    let subject = subject(path, asked.realm.as_deref())?;
    line(asked.ground.as_ref())?;
    let class = subject.class.clone();
    let erasure = Erasure { subject, ground: asked.ground };
    let own = shared.clone();
    // Goes on when the client hangs up: an erasure that has begun is not left half done.
    let task = tokio::spawn(async move { own.backend.erase(erasure).await });
    let receipt = match task.await {
        Ok(answer) => answer?,
        Err(_) => return Err(Problem::unavailable("the erasure stopped unexpectedly; ask again")),
    };
    // The stand-in of who was erased is gone: the log names the receipt only.
    let kept = receipt.as_ref().map(|receipt| Receipt { salt: None, ..receipt.clone() });
    deed.receipt = kept.and_then(|kept| signed::digest(&kept)).map(hex::encode);
    let mut perhaps = 0;
    if receipt.is_none() {
        let may = |one: &UnsettledView| one.class.as_deref().is_none_or(|own| own == &*class);
        perhaps = shared.backend.unsettled().await?.iter().filter(|one| may(one)).count();
    }
    Ok(done(deed, receipt.as_ref(), || Problem::perhaps_unsettled(perhaps)))
}

/// Restricts a subject: its values are kept, and reading them is an error until it is released.
#[utoipa::path(
    post, path = "/v1/subjects/{class}/{id}/restrict", tag = "subjects", operation_id = "subjectRestrict",
    params(("class" = String, Path, description = "Such as person"), ("id" = String, Path, description = "Canonical: 42, never 042"), Realm,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "Its state now", body = SubjectView), Problems),
    security(("token" = []))
)]
pub(super) async fn restrict(
    State(shared): Handle,
    caller: Caller,
    path: Named,
    query: Asked<Realm>,
    Optional(ground): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    set(&shared, &caller, Action::SubjectRestrict, path, query, ground).await
}

/// Releases a restricted subject.
#[utoipa::path(
    post, path = "/v1/subjects/{class}/{id}/release", tag = "subjects", operation_id = "subjectRelease",
    params(("class" = String, Path, description = "Such as person"), ("id" = String, Path, description = "Canonical: 42, never 042"), Realm,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "Its state now", body = SubjectView), Problems),
    security(("token" = []))
)]
pub(super) async fn release(
    State(shared): Handle,
    caller: Caller,
    path: Named,
    query: Asked<Realm>,
    Optional(ground): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    set(&shared, &caller, Action::SubjectRelease, path, query, ground).await
}

/// Re-keys a subject: a new secret for each purpose, under which all its values are sealed again; the old ones are destroyed
/// once nothing can need them any more. While it is being re-keyed this gives that job.
#[utoipa::path(
    post, path = "/v1/subjects/{class}/{id}/rekey", tag = "subjects", operation_id = "subjectRekey",
    params(("class" = String, Path, description = "Such as person"), ("id" = String, Path, description = "Canonical: 42, never 042"), Realm,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "The job that does it; `kept` names what it can't reach", body = Job), Problems),
    security(("token" = []))
)]
pub(super) async fn rekey(
    State(shared): Handle,
    caller: Caller,
    path: Named,
    query: Asked<Realm>,
    Optional(ground): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::SubjectRekey)?;
    let subject = subject(path, asked(query, REALM)?.realm.as_deref())?;
    line(ground.unwrap_or_default().ground.as_ref())?;
    let job = shared.backend.rekey(&subject).await?;
    Ok(done(deed.about(&subject), job.as_ref(), Problem::unknown_subject))
}

async fn set(
    shared: &Arc<Shared>,
    caller: &Caller,
    action: Action,
    path: Named,
    query: Asked<Realm>,
    ground: Option<Ground>,
) -> Result<Response, Problem> {
    let deed = caller.may(action)?;
    let subject = subject(path, asked(query, REALM)?.realm.as_deref())?;
    line(ground.unwrap_or_default().ground.as_ref())?;
    let state = shared.backend.restrict(&subject, action == Action::SubjectRestrict).await?;
    let body = state.map(|state| view(&subject, state));
    Ok(done(deed.about(&subject), body.as_ref(), Problem::unknown_subject))
}

/// All protected fields of a subject, from every declared place, in clear.
#[utoipa::path(
    get, path = "/v1/subjects/{class}/{id}/export", tag = "subjects", operation_id = "subjectExport",
    params(("class" = String, Path, description = "Such as person"), ("id" = String, Path, description = "Canonical: 42, never 042"), Realm),
    responses((status = 200, description = "What is held; `complete` says whether that is all", body = Export), Problems),
    security(("token" = []))
)]
pub(super) async fn export(
    State(shared): Handle,
    caller: Caller,
    path: Named,
    query: Asked<Realm>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::SubjectExport)?;
    let subject = subject(path, asked(query, REALM)?.realm.as_deref())?;
    let export = shared.backend.export(&subject, caller.name()).await?;
    Ok(done(deed.about(&subject), export.as_ref(), Problem::unknown_subject))
}
