//! Errors of the admin API: problem+json (RFC 9457), with anchors of `docs/errors.md` as types.

use super::access::Action;
use super::backend::BackendError;
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

    pub(super) fn forbidden(role: super::tokens::Role, action: Action) -> Self {
        let detail = format!("the role {role} may not do this ({})", action.name());
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

    /// Nothing is held about a subject that an erasure names, and there are creations of which nobody knows whom they made.
    pub(super) fn perhaps_unsettled(count: usize) -> Self {
        let mut problem = Self::unknown_subject();
        if count > 0 {
            problem.detail = format!(
                "nothing is held about this subject; but the outcome of {count} creations through HTTP is unknown, and one \
                 of them may have made it: read it through the gateway, then erase it (GET /v1/unsettled)"
            );
        }
        problem
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "admin-not-found",
            "No such resource",
            "see /openapi.json for the admin API",
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "admin-method",
            "Method not allowed",
            "the Allow header lists the methods of this resource",
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

impl Problem {
    pub(super) fn unknown(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "admin-not-found",
            "No such resource",
            format!("there is no such {what}"),
        )
    }

    pub(super) fn not_acceptable() -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "admin-not-acceptable",
            "No representation that is accepted",
            "answers are application/json, problems application/problem+json",
        )
    }

    pub(super) fn conflict(anchor: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, anchor, "Not possible now", detail)
    }

    pub(super) fn too_large() -> Self {
        let detail = format!("a body has at most {} bytes", super::api::LONGEST_BODY);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "admin-too-large", "Body too large", detail)
    }

    pub(super) fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "admin-media-type",
            "Body of another type",
            "send application/json, or no body",
        )
    }

    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "admin-unprocessable", "Request not possible", detail)
    }

    pub(super) fn too_many() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "admin-too-many",
            "Too many requests",
            "wait a second; `requests_per_second` in [admin] is the limit",
        )
    }

    /// The status that it answers with.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Unavailable(why) => {
                tracing::error!(why, "an admin request could not be answered");
                Self::unavailable(why)
            }
            BackendError::Conflict(anchor, why) => Self::conflict(anchor, why),
        }
    }
}

/// A problem, as the API answers with it (RFC 9457).
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct ProblemBody {
    /// Its entry in the documentation: `docs/errors.md#admin-forbidden`.
    r#type: String,
    /// What kind of problem it is.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, and what to do.
    detail: String,
}

/// The problems that any request may meet.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the macro: what /openapi.json lists")]
pub(super) enum Problems {
    /// The path, a parameter or the body can't be read.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody),
    /// No valid token or certificate.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorised(ProblemBody),
    /// The role may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
    /// Nothing of that name.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemBody),
    /// The resource has other methods.
    #[response(status = 405, content_type = "application/problem+json")]
    Method(ProblemBody),
    /// The client accepts neither JSON nor problems.
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(ProblemBody),
    /// Not possible in the state that things are in, the same request is being carried out, or the idempotency key
    /// belongs to another request.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemBody),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemBody),
    /// The body is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(ProblemBody),
    /// The body has another form.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(ProblemBody),
    /// Too many requests.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemBody),
    /// The keystore, the ledger, the audit log or the token file can't be used.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("docs/errors.md#{}", self.anchor),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let mut response = super::api::json(self.status, &body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
