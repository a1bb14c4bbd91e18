//! What this room itself answers: each code has its place in `docs/errors.md`.

use crate::http::problem::Problem;
use http::StatusCode;

/// The request's target is none that a gateway forwards.
pub(super) fn target(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "http-target",
        "Request target not understood",
        detail,
        "send a path that begins with a slash, or an absolute http URL",
    )
}

/// `Host` is missing, doubled, malformed or contradicts the target.
pub(super) fn host(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "http-host",
        "Host not understood",
        detail,
        "send one Host, the same as in the request's target",
    )
}

/// Where the body ends can be read in two ways.
pub(super) fn framing(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "http-framing",
        "Framing not understood",
        detail,
        "send one Content-Length, or `Transfer-Encoding: chunked` alone",
    )
}

/// `Connection` names what isn't its own.
pub(super) fn connection() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "http-connection-option",
        "Connection names a field that is for everybody",
        "a field that `Connection` names is taken out, and this one must reach the service",
        "name fields of this connection only",
    )
}

/// CONNECT, or another method that makes a tunnel.
pub(super) fn connect() -> Problem {
    Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "http-connect",
        "CONNECT is not forwarded",
        "a tunnel would carry what can't be protected",
        "send the request itself to this listener",
    )
}

/// An expectation other than `100-continue`.
pub(super) fn expectation() -> Problem {
    Problem::new(
        StatusCode::EXPECTATION_FAILED,
        "http-expectation",
        "Expectation not understood",
        "the only expectation that HTTP knows is 100-continue",
        "leave `Expect` out",
    )
}

/// The request came through this listener before.
pub(super) fn circle() -> Problem {
    Problem::new(
        StatusCode::LOOP_DETECTED,
        "http-loop",
        "The request goes in a circle",
        "`Via` says that it came through this listener before",
        "let `upstream` name the service, not a listener in front of it",
    )
}

/// The body is longer than `limits.body_bytes`.
pub(super) fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "http-body-too-large",
        "Body too large",
        "the body is longer than http.limits.body_bytes",
        "send less, or raise the limit",
    )
}

/// The client sends its body too slowly.
pub(super) fn slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "http-client-slow",
        "The body did not come in time",
        "nothing of the body arrived for http.timeouts.body_idle_seconds",
        "send it again",
    )
}

/// Too many connections.
pub(super) fn connections() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "http-connections",
        "Too many connections",
        "as many connections as limits.connections are open",
        "raise limits.connections in paravent.toml, or open fewer",
    )
}

/// The service can't be reached.
pub(super) fn unreachable() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "http-upstream-unreachable",
        "The service can't be reached",
        "no connection to the service could be made; the gateway's log says why",
        "look whether the service runs where `upstream` says",
    )
}

/// The service went away before it answered.
pub(super) fn lost() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "http-upstream-lost",
        "The service ended the connection without an answer",
        "the connection ended before the answer's head; the request may have been carried out",
        "look into the service's log; send the request again only if that does no harm",
    )
}

/// What the service answered is no HTTP that could be passed on.
pub(super) fn garbled(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "http-upstream-protocol",
        "The service's answer is not understood",
        detail,
        "this is a fault of the service",
    )
}

/// The service answers with more of a head than is taken.
pub(super) fn large_head() -> Problem {
    Problem {
        hint: "let the service send less, or raise the limit",
        ..garbled(
            "its head is larger than http.limits.header_bytes, or has more fields than http.limits.headers",
        )
    }
}

/// The service can't be reached in time.
pub(super) fn unreachable_in_time() -> Problem {
    Problem {
        detail:
            "no connection to the service was made within http.timeouts.connect_seconds; nothing was sent"
                .into(),
        hint: "look whether the service runs where `upstream` says, or raise http.timeouts.connect_seconds",
        ..late()
    }
}

/// More fields than are taken.
pub(super) fn fields() -> Problem {
    Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "http-fields",
        "Too many header fields",
        "the request has more fields than http.limits.headers",
        "send fewer, or raise the limit",
    )
}

/// The service takes too long.
pub(super) fn late() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "http-upstream-timeout",
        "The service did not answer in time",
        "the request may still be carried out",
        "raise http.timeouts.response_seconds, or look why the service is slow",
    )
}
