//! A response's body on its way to the client: in time, and with what must happen once it is over.

use super::pool::Lease;
use super::upload::Upload;
use crate::http::exchange::{Body as Declared, BodyError};
use crate::http::streams::Turn;
use crate::http::timer::Lent;
use crate::http::watch::Busy;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The body as the service sends it. Its connection is free again when it is dropped.
pub(super) struct Outflow {
    body: Incoming,
    timer: Lent,
    idle: Duration,
    waiting: Option<Instant>,
    upload: Option<Arc<Upload>>,
    _lease: Option<Lease>,
}

impl Outflow {
    pub(super) fn new(
        body: Incoming,
        timer: Lent,
        idle: Duration,
        upload: Option<Arc<Upload>>,
        lease: Option<Lease>,
    ) -> Self {
        Self { body, timer, idle, waiting: None, upload, _lease: lease }
    }
}

impl Body for Outflow {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(frame)) => {
                this.waiting = None;
                Poll::Ready(Some(frame.map_err(|error| BodyError::Peer(error.into()))))
            }
            Poll::Pending => {
                let since = *this.waiting.get_or_insert_with(Instant::now);
                match this.timer.poll(cx, since + this.idle) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        let late = io::Error::from(io::ErrorKind::TimedOut);
                        Poll::Ready(Some(Err(BodyError::Peer(late.into()))))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outflow {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take().filter(|upload| !upload.is_finished()) else { return };
        if upload.is_held() {
            upload.end();
            return;
        }
        // The service answered before it had the whole request. It may still be reading: the client goes on
        // sending as long as that moves, so that it does not lose the answer to a reset.
        let idle = self.idle;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                while !upload.is_finished() {
                    let until = upload.last() + idle;
                    if until <= Instant::now() {
                        upload.end();
                        return;
                    }
                    tokio::time::sleep_until(until).await;
                }
            });
        }
    }
}

/// What the client gets.
pub(in crate::http) struct Answer {
    kind: Kind,
    /// On HTTP/2: told when the client has something to take.
    turn: Option<Arc<Turn>>,
    /// Of a larger piece what the client has not asked for yet.
    rest: Bytes,
    _busy: Busy,
}

/// The largest piece on HTTP/2, so that a slow client shows that it takes them.
const PIECE: usize = 32 << 10;

enum Kind {
    Relayed(Outflow),
    Declared(Declared),
    Whole(Bytes),
}

impl Answer {
    /// The service's body, as it is.
    pub(super) fn relayed(body: Outflow, busy: Busy) -> Self {
        Self::new(Kind::Relayed(body), busy)
    }

    /// The service's body, rewritten.
    pub(super) fn declared(body: Declared, busy: Busy) -> Self {
        Self::new(Kind::Declared(body), busy)
    }

    /// No body: the connection goes on in another protocol.
    pub(super) fn empty(busy: Busy) -> Self {
        Self::whole(Bytes::new(), busy)
    }

    /// A body of our own.
    pub(super) fn whole(body: Bytes, busy: Busy) -> Self {
        Self::new(Kind::Whole(body), busy)
    }

    fn new(kind: Kind, busy: Busy) -> Self {
        let turn = Turn::current();
        if let Some(turn) = &turn {
            turn.of_the_client();
        }
        Self { kind, turn, rest: Bytes::new(), _busy: busy }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Relayed(body) => Pin::new(body).poll_frame(cx),
            Kind::Declared(body) => Pin::new(body).poll_frame(cx),
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    /// A piece that the client can be expected to take in time, of what there is.
    fn piece(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) => {
                let piece = data.split_to(data.len().min(PIECE));
                self.rest = data;
                Frame::data(piece)
            }
            Err(frame) => frame,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(turn) = this.turn.clone() else { return this.poll(cx) };
        let next = match std::mem::take(&mut this.rest) {
            rest if rest.is_empty() => this.poll(cx),
            rest => Poll::Ready(Some(Ok(Frame::data(rest)))),
        };
        match &next {
            Poll::Ready(_) => turn.of_the_client(),
            Poll::Pending => turn.of_others(),
        }
        next.map(|frame| frame.map(|frame| frame.map(|frame| this.piece(frame))))
    }

    fn is_end_stream(&self) -> bool {
        if !self.rest.is_empty() {
            return false;
        }
        match &self.kind {
            Kind::Relayed(body) => body.is_end_stream(),
            Kind::Declared(body) => body.is_end_stream(),
            Kind::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Relayed(body) => body.size_hint(),
            Kind::Declared(body) => body.size_hint(),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
