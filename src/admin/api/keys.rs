//! Generations of keys, and the keystore that they wrap.

use super::body::Optional;
use super::{Handle, done};
use crate::admin::access::Action;
use crate::admin::backend::{Backup, Ground, KeyList, KeyView};
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use crate::ids::Generation;
use crate::jobs::Job;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::path::PathBuf;

/// Every generation, and root keys that belong to none.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "keyList",
    responses((status = 200, description = "By number", body = KeyList), Problems),
    security(("token" = []))
)]
pub(super) async fn list(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::KeyShow)?;
    let list = KeyList { keys: shared.backend.keys().await? };
    Ok(done(deed, Some(&list), Problem::not_found))
}

/// Begins a rotation to the next generation, or gives the one under way.
#[utoipa::path(
    post, path = "/v1/keys/rotate", tag = "keys", operation_id = "keyRotate",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "The job that does it", body = Job), Problems),
    security(("token" = []))
)]
pub(super) async fn rotate(
    State(shared): Handle,
    caller: Caller,
    Optional(_): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::KeyRotate)?;
    Ok(done(deed, Some(&shared.backend.rotate().await?), Problem::not_found))
}

/// Destroys a generation's root key at its provider, once nothing depends on it: what it wrapped is unreadable for ever.
#[utoipa::path(
    delete, path = "/v1/keys/{generation}", tag = "keys", operation_id = "keyDestroy",
    params(("generation" = u32, Path, description = "Its number", minimum = 0, maximum = 4294967295_u64)),
    responses((status = 200, description = "It is destroyed", body = KeyView), Problems),
    security(("token" = []))
)]
pub(super) async fn destroy(
    State(shared): Handle,
    caller: Caller,
    path: Result<Path<u32>, PathRejection>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::KeyDestroy)?;
    let Path(number) = path.map_err(|_| Problem::bad_request("a generation is a number"))?;
    let destroyed = shared.backend.destroy(Generation(number)).await?;
    let view = destroyed.then(|| KeyView {
        generation: number,
        state: "destroyed".into(),
        created: None,
        dependents: 0,
    });
    Ok(done(deed, view.as_ref(), || Problem::unknown("generation")))
}

/// Where to.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    /// A folder, or a file that isn't there yet, on the gateway's machine; absolute. The folder of `backup` in `[keys]` unless given.
    to: Option<String>,
}

/// Makes a consistent copy of the keystore, and opens every secret in it before it gets its name.
#[utoipa::path(
    post, path = "/v1/keystore/backup", tag = "keys", operation_id = "keystoreBackup",
    params(To, ("Idempotency-Key" = Option<String>, Header, description = "The same key again answers again, and does nothing", max_length = 128, pattern = "^[!-~]+$")),
    request_body(content = Option<Ground>, description = "Why"),
    responses((status = 200, description = "The backup", body = Backup), Problems),
    security(("token" = []))
)]
pub(super) async fn backup(
    State(shared): Handle,
    caller: Caller,
    query: Result<Query<To>, QueryRejection>,
    Optional(_): Optional<Option<Ground>>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::KeystoreBackup)?;
    let Query(To { to }) = query.map_err(|_| Problem::bad_request("the only parameter is to, once"))?;
    let to = to.map(PathBuf::from);
    if to.as_ref().is_some_and(|to| !to.is_absolute()) {
        return Err(Problem::bad_request("to is an absolute path"));
    }
    Ok(done(deed, Some(&shared.backend.back_up(to).await?), Problem::not_found))
}
