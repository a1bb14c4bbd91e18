//! Time limits of a client's connection, kept at its socket: between requests, within a head, and for writes
//! that the client doesn't take.
//!
//! One timer for each connection, which is only moved when it fires: what a request costs for it is a look at the
//! clock, once nothing more comes.

use super::io::Wire;
use super::timer::Timer;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Requests of one connection: those that are being answered, and how many ever began.
#[derive(Clone)]
pub(super) struct InFlight(Arc<Counts>);

struct Counts {
    now: AtomicU32,
    ever: AtomicU32,
    connection: Waker,
}

/// One of them; over when dropped.
pub(super) struct Busy(InFlight);

impl InFlight {
    /// Of the connection that is woken by that.
    pub(super) fn new(connection: Waker) -> Self {
        Self(Arc::new(Counts { now: AtomicU32::new(0), ever: AtomicU32::new(0), connection }))
    }

    /// Lets the connection look at what became of its requests.
    pub(super) fn wake(&self) {
        self.0.connection.wake_by_ref();
    }

    pub(super) fn begin(&self) -> Busy {
        self.0.now.fetch_add(1, Ordering::Relaxed);
        self.0.ever.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn any(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) > 0
    }

    /// How many began.
    pub(super) fn ever(&self) -> u32 {
        self.0.ever.load(Ordering::Relaxed)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What may take how long.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Nothing at all between requests.
    pub idle: Duration,
    /// A head, from its first byte; `None` where heads can't be told from other frames (HTTP/2).
    pub head: Option<Duration>,
    /// A write of which the client takes nothing.
    pub stall: Duration,
}

/// What a deadline was set for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Busy,
}

/// A client's connection whose reads and writes end in time.
pub(super) struct Watched {
    wire: Wire,
    /// Bytes that were read before the protocol was known.
    early: io::Cursor<Vec<u8>>,
    in_flight: InFlight,
    limits: Limits,
    phase: Phase,
    /// Requests that had begun when the phase was set.
    seen: u32,
    /// Of the phase, from when it is first waited in; meaningless while busy.
    until: Option<Instant>,
    reads: Timer,
    writes: Timer,
    stalled: Option<Instant>,
}

impl Watched {
    pub(super) fn new(wire: Wire, early: Vec<u8>, in_flight: InFlight, limits: Limits) -> Self {
        // A new connection was opened to say something: what it says first is awaited as a head.
        let phase = if limits.head.is_some() { Phase::Head } else { Phase::Idle };
        Self {
            wire,
            early: io::Cursor::new(early),
            in_flight,
            limits,
            phase,
            seen: 0,
            until: None,
            reads: Timer::default(),
            writes: Timer::default(),
            stalled: None,
        }
    }

    /// Whether the connection owes an answer. One that was given since the last look ends its phase too.
    fn busy(&mut self) -> bool {
        let (any, ever) = (self.in_flight.any(), self.in_flight.ever());
        if any || ever != self.seen {
            self.seen = ever;
            self.phase = Phase::Busy;
        }
        any
    }

    fn enter(&mut self, phase: Phase) {
        (self.phase, self.until) = (phase, None);
    }

    /// Bytes came in.
    fn received(&mut self) {
        if self.busy() {
            return;
        }
        match (self.phase, self.limits.head) {
            // The first bytes of a head; further ones gain it no time.
            (Phase::Idle | Phase::Busy, Some(_)) => self.enter(Phase::Head),
            (Phase::Head, Some(_)) => {}
            (_, None) => self.enter(Phase::Idle),
        }
    }

    /// Nothing came in: ready with an error once that lasted too long.
    fn waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.busy() {
            // The request's own limits hold; the timer stays where it is until it fires.
            return Poll::Pending;
        }
        if self.phase == Phase::Busy {
            self.enter(Phase::Idle);
        }
        let limit = self.limits.head.filter(|_| self.phase == Phase::Head).unwrap_or(self.limits.idle);
        let until = *self.until.get_or_insert_with(|| Instant::now() + limit);
        match self.reads.poll(cx, until) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// A write's outcome: one that stays pending for too long is an error.
    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        match self.writes.poll(cx, since + self.limits.stall) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let at = usize::try_from(this.early.position()).unwrap_or(usize::MAX);
        if let Some(rest) = this.early.get_ref().get(at..).filter(|rest| !rest.is_empty()) {
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.early.set_position((at + n) as u64);
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut this.wire).poll_read(cx, buf) {
            Poll::Pending => this.waiting(cx),
            Poll::Ready(outcome) => {
                this.received();
                Poll::Ready(outcome)
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.wire).poll_write(cx, buf);
        this.written(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.wire).poll_write_vectored(cx, bufs);
        this.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.wire).poll_flush(cx);
        this.written(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.wire).poll_shutdown(cx);
        this.written(cx, outcome)
    }
}
