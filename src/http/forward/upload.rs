//! A request's body on its way to the service: counted against the limit, in time, and held back while the client
//! waits to hear whether it is welcome.

use super::fault;
use crate::http::exchange::{Body as Declared, BodyError};
use crate::http::timer::Lent;
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// How long the service may think about an expectation; some never answer one (RFC 9110 §10.1.1).
const EXPECTATION: Duration = Duration::from_secs(1);

/// The body goes.
const GO: u8 = 0;
/// Nobody said yet that the body is welcome.
const HOLD: u8 = 1;
/// The exchange is over: what is left of the body is not wanted.
const OVER: u8 = 2;

/// What others know about a request's body.
pub(super) struct Upload {
    began: Instant,
    /// When a piece of it last came, in ms since `began`.
    last: AtomicU64,
    finished: AtomicBool,
    gate: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Upload {
    pub(super) fn new(expects: bool) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            gate: AtomicU8::new(if expects { HOLD } else { GO }),
            waker: Mutex::default(),
        })
    }

    /// When a piece of it last came.
    pub(super) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Whether all of it came, or nobody reads it any more.
    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// The service says that the body is welcome.
    pub(super) fn welcome(&self) {
        if self.gate.compare_exchange(HOLD, GO, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.wake();
        }
    }

    /// Whether nobody said yet that it is welcome.
    pub(super) fn is_held(&self) -> bool {
        self.gate.load(Ordering::Relaxed) == HOLD
    }

    /// The exchange is over.
    pub(super) fn end(&self) {
        self.gate.store(OVER, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    fn came(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(ms, Ordering::Relaxed);
    }
}

/// The body as the client sends it.
pub(super) struct Inflow {
    body: Incoming,
    upload: Option<Arc<Upload>>,
    timer: Option<Lent>,
    idle: Duration,
    waiting: Option<Instant>,
    /// Bytes that may still come.
    left: Option<u64>,
}

impl Inflow {
    /// `upload` and `timer` are needed unless the body is empty.
    pub(super) fn new(
        body: Incoming,
        upload: Option<Arc<Upload>>,
        timer: Option<Lent>,
        idle: Duration,
        limit: Option<u64>,
    ) -> Self {
        Self { body, upload, timer, idle, waiting: None, left: limit }
    }

    /// Nothing came: ready when that lasted too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        match &mut self.timer {
            Some(timer) => timer.poll(cx, since + self.idle),
            None => Poll::Pending,
        }
    }

    /// Ready once the body may go; with an error when nobody wants it any more.
    fn gate(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(upload) = self.upload.clone() else { return Poll::Ready(Ok(())) };
        match upload.gate.load(Ordering::Relaxed) {
            GO => {
                // Whoever ends the exchange must reach a body that waits for its client.
                *upload.waker.lock() = Some(cx.waker().clone());
                Poll::Ready(Ok(()))
            }
            HOLD => {
                *upload.waker.lock() = Some(cx.waker().clone());
                let since = *self.waiting.get_or_insert_with(Instant::now);
                let over = self.timer.as_mut().map(|timer| timer.poll(cx, since + EXPECTATION));
                if over.is_some_and(|over| over.is_pending()) {
                    return Poll::Pending;
                }
                self.waiting = None;
                upload.welcome();
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(BodyError::Peer("the answer came before the end of the request".into()))),
        }
    }
}

impl Body for Inflow {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this.gate(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            Poll::Pending => return Poll::Pending,
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => match this.wait(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Refused(Box::new(fault::slow()))))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = None;
                if let Some(upload) = &this.upload {
                    upload.came();
                }
                if let (Some(left), Some(data)) = (&mut this.left, frame.data_ref()) {
                    match left.checked_sub(data.remaining() as u64) {
                        Some(rest) => *left = rest,
                        None => {
                            return Poll::Ready(Some(Err(BodyError::Refused(Box::new(fault::too_large())))));
                        }
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Peer(error.into())))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Inflow {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.came();
            upload.finished.store(true, Ordering::Relaxed);
        }
    }
}

/// The body as it is sent to the service.
pub(super) enum Sent {
    /// None.
    Empty,
    /// As it came. Boxed: most requests have none, and would be moved with its room from one to the next.
    Relayed(Box<Inflow>),
    /// As a route rewrites it.
    Declared(Declared),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Relayed(body) => Pin::new(body).poll_frame(cx),
            Self::Declared(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Relayed(body) => body.is_end_stream(),
            Self::Declared(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Relayed(body) => body.size_hint(),
            Self::Declared(body) => body.size_hint(),
        }
    }
}
