//! A JSON body that may be left out.

use crate::admin::problem::Problem;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// What the body says; its default where there is none.
pub(super) struct Optional<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Limited::new(request.into_body(), super::LONGEST_BODY).collect().await;
        let body = body.map_err(|_| Problem::too_large())?.to_bytes();
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::media_type());
        }
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Self(value)),
            // The text of the error may repeat what was sent.
            Err(error) if error.classify() == Category::Data => {
                Err(Problem::unprocessable("the body has another form than /openapi.json describes"))
            }
            Err(_) => Err(Problem::bad_request("the body is not JSON")),
        }
    }
}
