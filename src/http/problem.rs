//! What the gateway itself answers: problem+json (RFC 9457), with anchors of `docs/errors.md` as types.

use super::json::scan::Wrong;
use super::value::ValueError;
use crate::protect::{OpenFault, ProtectError};
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

/// What the door, the scanner and the policy refuse.
impl Problem {
    fn refused(
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title, detail, hint)
    }

    /// The door can't protect or show anything.
    pub(super) fn protect(error: &ProtectError) -> Self {
        let detail = error.to_string();
        match error {
            ProtectError::Unavailable(why) => {
                tracing::error!(%why, "the keystore is not available");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "keystore-unavailable",
                    "The keystore is not available",
                    "the keystore is not available",
                    "nothing was sent on; look at the gateway's log and /readyz, then try again",
                )
            }
            ProtectError::DiskFull => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "keystore-full",
                "The keystore's disk is full",
                detail,
                "nothing was sent on; make room on the keystore's disk, then try again",
            ),
            ProtectError::ErasedSubject => Self::new(
                StatusCode::CONFLICT,
                "erased-subject",
                "The person was erased",
                detail,
                "use another id, or set after_erasure = \"new\" for the class in paravent.toml",
            ),
            ProtectError::Identifier(_) => Self::refused(
                "identifier",
                "Not an identifier",
                detail,
                "shorten it, or protect the field by \"encrypt\"",
            ),
            ProtectError::Value(_) => {
                Self::refused("value", "The value can't be sealed", detail, "send a shorter value")
            }
            ProtectError::Stored { fault, field } => Self::open(*fault, field),
        }
    }

    /// A stored value must not be shown; the door has put it on record.
    pub(super) fn open(fault: OpenFault, field: &str) -> Self {
        let (code, hint) = match fault {
            OpenFault::WrongField => {
                ("wrong-field", "a sealed value was copied between fields behind the gateway; restore it")
            }
            OpenFault::WrongSubject => {
                ("wrong-subject", "a sealed value was copied between people behind the gateway; restore it")
            }
            OpenFault::Restricted => {
                return Self::refused(
                    "restricted",
                    "The person is restricted",
                    format!("field {field}: {fault}"),
                    "a privacy officer restricted this person; have them released",
                );
            }
            OpenFault::NotAuthentic => (
                "not-authentic",
                "the stored value was changed behind the gateway, or its keystore is another one",
            ),
            OpenFault::Replaced => (
                "key-replaced",
                "read it again; where it stays so, it comes from a copy that was made before the person was re-keyed",
            ),
            OpenFault::InClear => {
                ("in-clear", "the value was written behind the gateway; write it again through the gateway")
            }
            OpenFault::Shared => {
                ("shared-token", "ask for the subject's member as well, so that the item's person is known")
            }
        };
        Self::new(
            StatusCode::BAD_GATEWAY,
            code,
            "A stored value can't be shown",
            format!("field {field}: {fault}"),
            hint,
        )
    }

    /// Nothing tells whose a value is.
    pub(super) fn nobody(field: &str) -> Self {
        Self::refused(
            "no-subject",
            "Whose data this is can't be told",
            format!("a value of the field {field} is nobody's: none of the route's subjects is there"),
            "send the subject's id where the route expects it",
        )
    }

    /// Values of a creation in several places that can't be made at once.
    pub(super) fn several() -> Self {
        Self::refused(
            "several-places",
            "A creation's data stands in several places",
            "the answer is to tell whose the data is, and it stands in several parts of the request",
            "declare one body's members, or one file, with a response: subject; or a subject that the request tells",
        )
    }

    /// A whole body whose person was erased.
    pub(super) fn erased() -> Self {
        Self::new(
            StatusCode::GONE,
            "erased-body",
            "The body was erased",
            "the person whose body this is was erased",
            "nothing brings it back",
        )
    }

    /// A range beyond a body's end.
    pub(super) fn range() -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "media-range",
            "The range lies beyond the body's end",
            "no byte of the range is in the body",
            "ask for less",
        )
    }

    /// A subject's id in another spelling than its canonical one.
    pub(super) fn subject_id() -> Self {
        Self::refused(
            "subject-id",
            "Not a subject's id",
            "a subject's id is empty, not in its canonical spelling, not what its class takes, or its parameter's name is spelled in two ways",
            "write 42, never 042, +42 or 4%32; a UUID in lower case with hyphens; what [classes] says with `id`",
        )
    }

    /// A value that its field doesn't take.
    pub(super) fn value(field: &str, error: ValueError) -> Self {
        Self::refused(
            "value",
            "The value can't be protected",
            format!("the value for the field {field} can't be protected: {error}"),
            "send a value of the field's declared type",
        )
    }

    /// A request's JSON that is not taken.
    pub(super) fn json(wrong: Wrong) -> Self {
        let (code, hint) = match wrong {
            Wrong::Syntax => ("body-syntax", "send JSON as RFC 8259 has it, in UTF-8"),
            Wrong::Depth => ("body-depth", "nest less deeply, or raise the route's `depth`"),
            Wrong::Duplicate => ("body-duplicate", "send each member once"),
            Wrong::Spelling => {
                ("body-spelling", "spell the member as the policy does, or declare that spelling too")
            }
            Wrong::Shape => (
                "body-shape",
                "declare this shape as well: \"/email\" is a member, \"/*/email\" one of each item",
            ),
        };
        Self::refused(code, "The body can't be protected", wrong.to_string(), hint)
    }

    /// More would have to be held than the route allows.
    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "item-too-large",
            "An item is too large",
            format!(
                "more than {limit} bytes of the body would have to be held until it is known whose they are"
            ),
            "send the subject's id before its data, send less at once, or raise `item_bytes`",
        )
    }

    /// There is no room for what would have to be held.
    pub(super) fn held() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-much-held",
            "Too much is held",
            "requests of this listener hold as much of their bodies as http.limits.held_bytes",
            "try again; send the subject's id before its data, or raise the limit",
        )
    }

    /// More values would have to be held than one request may have.
    pub(super) fn too_many(most: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-many-values",
            "Too many values at once",
            format!("more than {most} values of the body would have to be held"),
            "send less at once",
        )
    }

    /// A body whose type the route doesn't know.
    pub(super) fn media_type(path: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            "The body's type is not declared",
            format!("the route {path} declares no place in a body of this type"),
            "send the type that the policy declares places for, in UTF-8",
        )
    }

    /// A content coding that can't be undone.
    pub(super) fn coding() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-coding",
            "The body's coding is not known",
            "the body's Content-Encoding is none of gzip, deflate, br, zstd, or it doesn't decode",
            "send it with one of these, or without",
        )
    }

    /// A small body that decodes to a huge one.
    pub(super) fn expansion() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "expansion",
            "The body expands too much",
            "the decoded body is out of proportion to what was sent",
            "send it without Content-Encoding",
        )
    }

    /// A declared path in another spelling.
    pub(super) fn path() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "path-spelling",
            "The path is spelled in two ways",
            "some services take this path for one that the policy declares, others don't",
            "spell the path as the policy does: its case, without empty or dot segments, and no needless escapes",
        )
    }

    /// A request that asks for another method than its own.
    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "method-override",
            "The request asks for another method",
            "a header or `_method` asks the service to take the request for one of another method, on a declared path",
            "send the request by that method itself",
        )
    }

    /// A token that names a subject, and doesn't hold.
    pub(super) fn token(detail: &'static str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "jwt",
            "The token doesn't hold",
            detail,
            "send a token that a key of the JWKS signed, that is in time, and for this audience",
        )
    }

    /// A form that can't be read.
    pub(super) fn form(detail: &'static str) -> Self {
        Self::refused(
            "form-syntax",
            "The form can't be read",
            detail,
            "send the form as its content type has it",
        )
    }

    /// A control that names the subject, after data that went to whom another source tells.
    pub(super) fn late() -> Self {
        Self::refused(
            "form-order",
            "The control that names the subject comes too late",
            "a value before it was sealed for the person whom a later source of the route's `subject` names",
            "send the control that names the subject before the data that it is about",
        )
    }

    /// A part of a body that is sealed as a whole.
    pub(super) fn part() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "content-range",
            "A part of a body can't be stored",
            "the request has a Content-Range, and the route's bodies are sealed as a whole",
            "send the whole body, without Content-Range",
        )
    }

    /// A parameter or control in another spelling than the declared one.
    pub(super) fn spelling() -> Self {
        Self::refused(
            "body-spelling",
            "A name is spelled in two ways",
            "some services take the name of a parameter or control for one that the policy declares, others don't",
            "spell it as the policy does, or declare that spelling too",
        )
    }

    /// A query parameter that the route doesn't let pass.
    pub(super) fn parameter() -> Self {
        Self::refused(
            "parameter",
            "A query parameter is not declared",
            "the route lists the parameters that may pass, and the request has another one",
            "leave it out, or list it in the route's `parameters` if no personal value ever stands in it",
        )
    }

    /// A comparison that isn't understood.
    pub(super) fn comparison() -> Self {
        Self::refused(
            "comparison",
            "The comparison is not understood",
            "an identifier is compared in a way that the route's `operators` don't name",
            "compare with one of the declared operators: a token can be told equal or not, nothing else",
        )
    }

    /// A GraphQL operation with values in its text.
    pub(super) fn operation() -> Self {
        Self::refused(
            "graphql-values",
            "The operation's text holds values",
            "strings and numbers in the text of a GraphQL operation can't be protected",
            "send them as variables: query($email: String!) { people(email: $email) { id } }",
        )
    }

    /// A GraphQL request whose variables can't be looked into.
    pub(super) fn variables() -> Self {
        Self::refused(
            "graphql-values",
            "The operation's variables are no object",
            "`variables` of a GraphQL request is something else than one object, into which nothing declared leads",
            "send one operation at a time, in JSON, with `variables` as an object",
        )
    }

    /// An answer on a declared route that can't be read.
    pub(super) fn answer(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "answer",
            "The service's answer can't be read",
            detail,
            "see what the service answers on this route; its body must be what its Content-Type says",
        )
    }

    /// A creation's answer that doesn't tell whose it is.
    pub(super) fn unbound() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "no-subject-returned",
            "The service doesn't say whom it created",
            "the answer lacks the member or header that the route names as response:",
            "the record may have been made; its keys are kept, provisionally. Let the service return the id",
        )
    }

    /// A body that was cut short.
    pub(super) fn cut() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "body-cut",
            "The body was cut short",
            "the body ended before its time",
            "send it again",
        )
    }

    /// A bug of the gateway's.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A bug of the gateway",
            "the gateway could not go on with this request",
            "report it, with the gateway's log",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_place_in_the_documentation() {
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "keystore-full", "No room", "x", "make room");
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
