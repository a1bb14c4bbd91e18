//! Connections to the service that are kept for the next request: a stack for each worker thread.

use super::connect::{Connector, Protocol};
use super::fault;
use super::upload::Sent;
use crate::config::{HttpLimits, HttpTimeouts};
use crate::http::io::Wire;
use crate::http::problem::Problem;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Largest piece that is read from or written to the service at once.
const BUFFER: usize = 128 << 10;

/// Requests at once on one connection of HTTP/2, where the service allows so many.
const STREAMS: u32 = 100;
/// So much of an answer is taken in before its client reads it, on a stream of HTTP/2. Less leaves more waiting in the service,
/// and some (Node) then refuse streams.
const WINDOW: u32 = 1 << 20;

/// Connections of one worker.
pub(in crate::http) struct Pool {
    connector: Arc<Connector>,
    timeouts: HttpTimeouts,
    limits: HttpLimits,
    idle: Mutex<Vec<Idle>>,
    /// Those of HTTP/2, each of which carries many requests.
    shared: Mutex<Vec<Shared>>,
    /// Held while one of them is made.
    making: tokio::sync::Mutex<()>,
}

struct Idle {
    connection: One,
    since: Instant,
}

/// A connection that carries one request at a time.
pub(super) struct One {
    pub(super) sender: http1::SendRequest<Sent>,
    /// Whether anything came from the service since the request was sent.
    pub(super) heard: Heard,
}

/// A connection that carries many requests at once.
struct Shared {
    sender: http2::SendRequest<Sent>,
    /// So many the service allows, as far as is known.
    allowed: Arc<AtomicUsize>,
    carried: Carried,
    /// When it was first seen to carry none.
    unused: Option<Instant>,
}

impl Shared {
    /// Whether one more has its place on it: as the service allows, and as windows were made for.
    fn has_room(&self) -> bool {
        let most = self.allowed.load(Ordering::Relaxed).clamp(1, STREAMS as usize);
        self.carried.count() < most
    }
}

/// Counts the requests that a connection carries.
#[derive(Clone, Default)]
struct Carried(Arc<()>);

impl Carried {
    fn count(&self) -> usize {
        // One is the connection's own.
        Arc::strong_count(&self.0) - 1
    }
}

/// A request's place on a connection of HTTP/2; free when dropped.
pub(super) struct Place {
    _carried: Carried,
}

/// A connection to send one request on.
pub(super) enum Connection {
    /// HTTP/1.1; `true` when it was used before.
    One(One, bool),
    /// HTTP/2.
    Two(http2::SendRequest<Sent>, Place),
}

/// What a request was sent on.
pub(super) enum Used {
    /// HTTP/1.1.
    One(One),
    /// HTTP/2.
    Two { _place: Place },
}

/// Gives a connection, or a place on one, back when dropped.
pub(super) struct Lease {
    pool: Arc<Pool>,
    used: Option<Used>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(Used::One(connection)) = self.used.take() {
            self.pool.keep(connection);
        }
    }
}

impl Pool {
    pub(in crate::http) fn new(
        connector: Arc<Connector>,
        timeouts: HttpTimeouts,
        limits: HttpLimits,
    ) -> Self {
        Self {
            connector,
            timeouts,
            limits,
            idle: Mutex::default(),
            shared: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// Whether every connection speaks HTTP/2: then upgrades can't be passed on.
    pub(super) fn only_two(&self) -> bool {
        self.connector.only_two()
    }

    /// Whether the service is spoken to over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.connector.is_secure()
    }

    /// Gives the connection back once the response is over.
    pub(super) fn lease(self: &Arc<Self>, used: Used) -> Lease {
        Lease { pool: Arc::clone(self), used: Some(used) }
    }

    fn keep(&self, connection: One) {
        let mut idle = self.idle.lock();
        if !connection.sender.is_closed() && idle.len() < self.limits.upstream_idle as usize {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// The connection that was used last, if it is free: the others may then grow old.
    fn kept(&self, now: Instant) -> Option<One> {
        let mut idle = self.idle.lock();
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let candidate = idle.get(at)?;
            if candidate.connection.sender.is_closed() {
                idle.remove(at);
            } else if candidate.connection.sender.is_ready() {
                let found = idle.remove(at);
                // Older ones are all older than this.
                if now.saturating_duration_since(found.since) > self.timeouts.upstream_idle {
                    idle.clear();
                    return None;
                }
                return Some(found.connection);
            }
        }
        None
    }

    /// Closes what was not used for long.
    pub(in crate::http) fn sweep(&self) {
        let limit = self.timeouts.upstream_idle;
        self.idle.lock().retain(|kept| !kept.connection.sender.is_closed() && kept.since.elapsed() <= limit);
        let mut first = true;
        self.shared.lock().retain_mut(|kept| {
            kept.unused = (kept.carried.count() == 0).then(|| kept.unused.unwrap_or_else(Instant::now));
            // One stays for the next request.
            let old = kept.unused.is_some_and(|since| since.elapsed() > limit);
            !kept.sender.is_closed() && (std::mem::take(&mut first) || !old)
        });
    }

    /// A connection; one that was used before unless `fresh`.
    ///
    /// # Errors
    /// The service can't be reached in time.
    pub(super) async fn connection(
        &self,
        upgrade: bool,
        fresh: bool,
        now: Instant,
    ) -> Result<Connection, Problem> {
        if !upgrade && let Some(shared) = self.place() {
            return Ok(shared);
        }
        if !fresh && let Some(kept) = self.kept(now) {
            return Ok(Connection::One(kept, true));
        }
        if self.connector.only_two() {
            // Who waits for another's attempt waits no longer than for one of its own.
            let turn = tokio::time::timeout(self.timeouts.connect, self.making.lock()).await;
            let _one_at_a_time = turn.map_err(|_| fault::unreachable_in_time())?;
            if let Some(shared) = self.place() {
                return Ok(shared);
            }
            return Box::pin(self.open(false)).await;
        }
        Box::pin(self.open(upgrade)).await
    }

    /// A place on a connection of HTTP/2 that is there. The first ones are filled first, so that others grow old.
    fn place(&self) -> Option<Connection> {
        if !self.connector.may_two() {
            return None;
        }
        let mut shared = self.shared.lock();
        shared.retain(|kept| !kept.sender.is_closed());
        let found = shared.iter().find(|kept| kept.has_room())?;
        Some(Connection::Two(found.sender.clone(), Place { _carried: found.carried.clone() }))
    }

    async fn open(&self, upgrade: bool) -> Result<Connection, Problem> {
        let connected = tokio::time::timeout(self.timeouts.connect, self.connector.connect(upgrade)).await;
        let (wire, protocol) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the service can't be reached");
                return Err(fault::unreachable());
            }
            Err(_) => {
                tracing::warn!("the service can't be reached in time");
                return Err(fault::unreachable_in_time());
            }
        };
        let made = match protocol {
            Protocol::One => self.one(wire).await,
            Protocol::Two => self.two(wire).await,
        };
        made.map_err(|error| {
            tracing::warn!(error = %describe(&error), "the service does not speak HTTP");
            fault::unreachable()
        })
    }

    async fn one(&self, wire: Wire) -> hyper::Result<Connection> {
        let heard = Heard::default();
        let io = TokioIo::new(Hearing { wire, heard: heard.clone() });
        let mut builder = http1::Builder::new();
        builder.max_header_size(self.limits.header_bytes as usize).max_buf_size(BUFFER);
        if self.limits.headers != HttpLimits::default().headers {
            builder.max_headers(self.limits.headers as usize);
        }
        let (sender, connection) = builder.handshake(io).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(error = %describe(&error), "a connection to the service ended");
            }
        });
        Ok(Connection::One(One { sender, heard }, false))
    }

    async fn two(&self, wire: Wire) -> hyper::Result<Connection> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            // Of the connection's window every stream has its own: a client that doesn't read stops no other.
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * STREAMS)
            .max_header_list_size(self.limits.header_bytes)
            // A service that is gone is noticed before the next request meets it.
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .keep_alive_timeout(self.timeouts.connect);
        let (sender, connection) = builder.handshake(TokioIo::new(wire)).await?;
        let allowed = Arc::new(AtomicUsize::new(STREAMS as usize));
        let told = Arc::clone(&allowed);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = poll_fn(|cx| {
                let ended = connection.as_mut().poll(cx);
                told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                ended
            });
            if let Err(error) = ended.await {
                tracing::debug!(error = %describe(&error), "a connection to the service ended");
            }
        });
        let carried = Carried::default();
        let place = Place { _carried: carried.clone() };
        self.shared.lock().push(Shared { sender: sender.clone(), allowed, carried, unused: None });
        Ok(Connection::Two(sender, place))
    }
}

/// An error of hyper's in one line: its kinds, never what a header or a path held.
pub(super) fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            text = format!("{text}: {}", io.kind());
            break;
        }
        cause = inner.source();
    }
    text
}

/// Whether anything came.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    /// Nothing so far.
    pub(super) fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether anything came since [`Heard::forget`].
    pub(super) fn anything(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that notes when something comes.
struct Hearing {
    wire: Wire,
    heard: Heard,
}

impl AsyncRead for Hearing {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.wire).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.heard.0.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Hearing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}
