//! Receipts, in their newest revision.

use super::{Handle, done, json};
use crate::admin::access::Action;
use crate::admin::backend::ReceiptList;
use crate::admin::guard::Caller;
use crate::admin::problem::{Problem, Problems};
use crate::rights::Receipt;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

/// The ids of all receipts.
#[utoipa::path(
    get, path = "/v1/receipts", tag = "receipts", operation_id = "receiptList",
    responses((status = 200, description = "Oldest first", body = ReceiptList), Problems),
    security(("token" = []))
)]
pub(super) async fn list(State(shared): Handle, caller: Caller) -> Result<Response, Problem> {
    let deed = caller.may(Action::ReceiptShow)?;
    let list = ReceiptList { receipts: shared.backend.receipts().await? };
    let mut response = json(StatusCode::OK, &list);
    response.extensions_mut().insert(deed);
    Ok(response)
}

/// A receipt's newest revision, signed.
#[utoipa::path(
    get, path = "/v1/receipts/{id}", tag = "receipts", operation_id = "receiptShow",
    params(("id" = String, Path, description = "As the erasure's answer names it: rcp_…")),
    responses((status = 200, description = "The receipt, without its salt", body = Receipt), Problems),
    security(("token" = []))
)]
pub(super) async fn show(
    State(shared): Handle,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let deed = caller.may(Action::ReceiptShow)?;
    let Path(id) = path.map_err(|_| Problem::bad_request("the id is not UTF-8"))?;
    let receipt = shared.backend.receipt(&id).await?;
    Ok(done(deed, receipt.as_ref(), || Problem::unknown("receipt")))
}
