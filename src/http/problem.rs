//! What the gateway itself answers: problem+json (RFC 9457), with anchors of `docs/errors.md` as types.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// A refusal or failure, as the client is told of it. It names constructs, members and fields, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The answer's status.
    pub(crate) status: StatusCode,
    /// Anchor in `docs/errors.md`, and the label of the counter.
    pub(crate) code: &'static str,
    /// The kind of problem, the same for all of its code.
    pub(crate) title: &'static str,
    /// This one.
    pub(crate) detail: String,
    /// The way out.
    pub(crate) hint: &'static str,
}

impl Problem {
    /// A problem of that code.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self { status, code, title, detail: detail.into(), hint }
    }

    /// The whole answer.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let body = json!({
            "type": format!("docs/errors.md#{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "hint": self.hint,
        });
        let body = Bytes::from(body.to_string());
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let length = HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_place_in_the_documentation() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "keystore-full", "No room", "x", "make room");
        let response = problem.response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "5");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["type"], "docs/errors.md#keystore-full");
        assert_eq!(body["status"], 503);
        assert_eq!(body["hint"], "make room");
    }
}
