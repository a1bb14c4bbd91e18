//! A request's body on its way to the service: counted against the limit, in time, and held back while the client
//! waits to hear whether it is welcome.

use super::fault;
use crate::http::exchange::{Body as Declared, BodyError};
use crate::http::timer::Lent;
use crate::http::watch::{Busy, InFlight};
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
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

/// What is left of a body that nobody wants is read and dropped, so that a client that sends it before it reads gets
/// its answer, not a reset: for so long,
const LINGER: Duration = Duration::from_secs(30);
/// with such pauses,
const PAUSE: Duration = Duration::from_secs(5);
/// and so much of it.
const UNWANTED: u64 = 64 << 20;

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
    /// Bytes that are still to come, where that is known.
    left: AtomicU64,
    /// The client doesn't send it before it is told to.
    awaited: AtomicBool,
    gate: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Upload {
    /// `expects`: the client asked first whether it is welcome.
    pub(super) fn new(body: &Incoming, expects: bool) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU64::new(body.size_hint().exact().unwrap_or(0)),
            awaited: AtomicBool::new(expects),
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

    /// Whether an answer that is given now will be the connection's last: what is left of the body is more than is read
    /// without use, or is not sent at all.
    pub(super) fn ends_connection(&self) -> bool {
        self.awaited.load(Ordering::Relaxed) || self.left.load(Ordering::Relaxed) > UNWANTED
    }

    /// The body is welcome: the service says so, or isn't asked.
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

    /// It is being read, and was told to come if that was asked.
    fn read(&self) {
        self.awaited.store(false, Ordering::Relaxed);
    }

    fn came(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(ms, Ordering::Relaxed);
    }
}

/// The body as the client sends it.
pub(super) struct Inflow {
    /// None once it is over, or broke.
    body: Option<Incoming>,
    whole: bool,
    upload: Arc<Upload>,
    timer: Lent,
    idle: Duration,
    waiting: Option<Instant>,
    /// Bytes that may still come.
    left: Option<u64>,
    /// Of a connection of HTTP/1.1: what nobody wants of the body is read.
    lingers: Option<InFlight>,
}

impl Inflow {
    pub(super) fn new(
        body: Incoming,
        upload: Arc<Upload>,
        timer: Lent,
        idle: Duration,
        limit: Option<u64>,
        lingers: Option<InFlight>,
    ) -> Self {
        Self { body: Some(body), whole: false, upload, timer, idle, waiting: None, left: limit, lingers }
    }

    /// Nothing came: ready when that lasted too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        self.timer.poll(cx, since + self.idle)
    }

    /// Ready once the body may go; with an error when nobody wants it any more.
    fn gate(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let upload = &self.upload;
        match upload.gate.load(Ordering::Relaxed) {
            GO => {
                // Whoever ends the exchange must reach a body that waits for its client.
                *upload.waker.lock() = Some(cx.waker().clone());
                Poll::Ready(Ok(()))
            }
            HOLD => {
                *upload.waker.lock() = Some(cx.waker().clone());
                let since = *self.waiting.get_or_insert_with(Instant::now);
                if self.timer.poll(cx, since + EXPECTATION).is_pending() {
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
        let Some(body) = &mut this.body else {
            let broken = || BodyError::Peer("the body ended early".into());
            return Poll::Ready((!this.whole).then(|| Err(broken())));
        };
        this.upload.read();
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => match this.wait(cx) {
                Poll::Ready(()) => {
                    // What comes next could be the rest of it: the connection ends.
                    this.body = None;
                    Poll::Ready(Some(Err(BodyError::Refused(Box::new(fault::slow())))))
                }
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = None;
                this.upload.came();
                this.upload.left.store(body.size_hint().exact().unwrap_or(0), Ordering::Relaxed);
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
            Poll::Ready(Some(Err(error))) => {
                this.body = None;
                Poll::Ready(Some(Err(BodyError::Peer(error.into()))))
            }
            Poll::Ready(None) => {
                (this.body, this.whole) = (None, true);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().map_or(self.whole, Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Inflow {
    fn drop(&mut self) {
        self.upload.came();
        self.upload.finished.store(true, Ordering::Relaxed);
        let awaited = self.upload.awaited.load(Ordering::Relaxed);
        if let (Some(body), Some(in_flight), false) = (self.body.take(), &self.lingers, awaited) {
            linger(body, in_flight);
        }
    }
}

/// Reads what is left of a body that nobody wants, within limits; its connection ends where more comes.
pub(super) fn linger(mut body: Incoming, in_flight: &InFlight) {
    let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| !body.is_end_stream()) else {
        return;
    };
    let unwanted = Unwanted { _busy: in_flight.begin(), in_flight: in_flight.clone() };
    runtime.spawn(async move {
        let _unwanted = unwanted;
        let mut left = UNWANTED;
        let all = async {
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(PAUSE, body.frame()).await {
                let came = frame.data_ref().map_or(0, Bytes::len) as u64;
                let Some(rest) = left.checked_sub(came) else { return };
                left = rest;
            }
        };
        tokio::time::timeout(LINGER, all).await.ok();
        drop(body);
    });
}

/// A body that nobody wants: its connection is busy meanwhile, and looks at what became of it then.
struct Unwanted {
    _busy: Busy,
    in_flight: InFlight,
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.in_flight.wake();
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
