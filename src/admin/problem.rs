//! Errors of the admin API: problem+json (RFC 9457), with anchors of `docs/errors.md` as types.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What went wrong with a request. Never holds a subject's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    anchor: &'static str,
    title: &'static str,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, anchor: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, anchor, title, detail: detail.into() }
    }

    pub(super) fn unauthorised() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "admin-unauthorised",
            "No valid token",
            "send `Authorization: Bearer TOKEN`; `paravent admin token` makes one",
        )
    }

    pub(super) fn forbidden(role: super::tokens::Role) -> Self {
        let detail = format!("the role {role} may not do this");
        Self::new(StatusCode::FORBIDDEN, "admin-forbidden", "Role not sufficient", detail)
    }

    pub(super) fn unknown_subject() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "admin-unknown-subject",
            "Unknown subject",
            "nothing is held about this subject",
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "admin-not-found",
            "No such resource",
            "see docs/configuration.md for the admin API",
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "admin-method",
            "Method not allowed",
            "a subject takes GET and DELETE; everything else GET",
        )
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "admin-bad-request", "Request not understood", detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "keystore-unavailable", "Not available now", detail)
    }

    pub(super) fn tokens(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "admin-tokens", "The token file can't be used", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": format!("docs/errors.md#{}", self.anchor),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
