//! One client's connection: TLS, the choice of protocol, and its requests until it ends.

use super::forward::{Answer, Client, Forwarder, Origin, Pool};
use super::io::{Plain, Wire};
use super::server::Open;
use super::streams::Streams;
use super::timer::Timers;
use super::watch::{self, InFlight, Watched};
use crate::config::{HttpLimits, HttpListener, HttpTimeouts};
use crate::net::drain::Drain;
use crate::net::listen::Accepted;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

/// How HTTP/2 begins where both sides know that it is spoken (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest piece that is read from a client at once.
const BUFFER: usize = 128 << 10;

/// So much of a request's body is taken in before the service reads it, on a stream of HTTP/2.
const WINDOW: u32 = 256 << 10;

/// What a connection needs of its listener, as it was when the connection was made.
pub(super) struct Context {
    pub(super) forwarder: Arc<Forwarder>,
    pub(super) config: Arc<HttpListener>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) drain: Arc<Drain>,
    pub(super) open: Arc<Open>,
    pub(super) full: bool,
}

/// A connection of which the protocol is known.
struct Begun {
    wire: Wire,
    early: Vec<u8>,
    two: bool,
}

/// Serves it to its end.
pub(super) async fn serve(accepted: Accepted, context: Context, pool: Arc<Pool>) {
    let (plain, peer) = match accepted {
        Accepted::Tcp(stream, peer) => (TcpStream::from_std(stream).map(Plain::Tcp), Some(peer)),
        Accepted::Unix(stream) => (UnixStream::from_std(stream).map(Plain::Unix), None),
    };
    let Ok(plain) = plain else { return };
    let limit = context.config.timeouts.header;
    let begun = tokio::time::timeout(limit, begin(plain, context.tls.as_ref()));
    match unless_drained(begun, &context.drain).await {
        Some(Ok(Ok(begun))) => run(begun, peer, context, pool).await,
        Some(Ok(Err(error))) => {
            // A port scan, a health check, a certificate that doesn't hold: nothing was asked, nothing is answered.
            tracing::debug!(error = %error.kind(), "a connection ended before its first request");
        }
        Some(Err(_)) => tracing::debug!("a connection said nothing"),
        None => {}
    }
}

/// A connection that has not asked for anything is not waited for.
async fn unless_drained<T>(work: impl Future<Output = T>, drain: &Arc<Drain>) -> Option<T> {
    let _place = drain.join(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if drain.has_begun() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn begin(plain: Plain, tls: Option<&TlsAcceptor>) -> io::Result<Begun> {
    if let Some(tls) = tls {
        let stream = tls.accept(plain).await?;
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        return Ok(Begun { wire: Wire::TlsServer(Box::new(stream)), early: Vec::new(), two });
    }
    let mut wire = Wire::Plain(plain);
    let mut early = Vec::with_capacity(PREFACE.len());
    // No method of HTTP/1.1 begins like the preface's first bytes and goes on otherwise for long.
    while early.len() < PREFACE.len() && PREFACE.starts_with(&early) {
        let left = (PREFACE.len() - early.len()) as u64;
        if (&mut wire).take(left).read_buf(&mut early).await? == 0 {
            break;
        }
    }
    let two = early == PREFACE;
    Ok(Begun { wire, early, two })
}

async fn run(begun: Begun, peer: Option<SocketAddr>, context: Context, pool: Arc<Pool>) {
    let Context { forwarder, config, drain, open, full, .. } = context;
    let in_flight = InFlight::new(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
    let timeouts = &config.timeouts;
    let answered = in_flight.clone();
    // One too many is told so once, and let go.
    let over = || drain.has_begun() || (full && answered.ever() > 0);
    let most = full.then_some(timeouts.header);
    let limits = watch::Limits {
        idle: timeouts.keep_alive,
        head: (!begun.two).then_some(timeouts.header),
        stall: timeouts.body_idle,
    };
    let secure = matches!(begun.wire, Wire::TlsServer(_));
    let io = TokioIo::new(Watched::new(begun.wire, begun.early, in_flight.clone(), limits));
    let client = Arc::new(Client {
        forwarder,
        pool,
        origin: Origin::new(config.forwarded, peer, secure),
        in_flight,
        timers: Timers::default(),
        open,
        full,
    });
    let service = service_fn(move |request| answer(Arc::clone(&client), request));
    let ended = if begun.two {
        let connection = two(&config.wire, timeouts).serve_connection(io, service);
        let run = drained(connection, &drain, over, http2::Connection::graceful_shutdown);
        at_most(most, run).await
    } else {
        let connection = one(&config.wire, full).serve_connection(io, service).with_upgrades();
        let run = drained(connection, &drain, over, http1::UpgradeableConnection::graceful_shutdown);
        at_most(most, run).await
    };
    if let Some(Err(error)) = ended {
        // Its kind alone: what could not be parsed may be personal.
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn answer(client: Arc<Client>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    Ok(client.answer(request).await)
}

/// What comes of it within a limit, where there is one.
async fn at_most<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(work.await),
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
    }
}

fn one(limits: &HttpLimits, full: bool) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Heads are timed at the socket, for less.
        .header_read_timeout(None)
        .keep_alive(!full)
        .max_header_size(limits.header_bytes as usize)
        .max_buf_size(BUFFER.max(limits.header_bytes as usize));
    if limits.headers != HttpLimits::default().headers {
        builder.max_headers(limits.headers as usize);
    }
    builder
}

fn two(limits: &HttpLimits, timeouts: &HttpTimeouts) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams::new(timeouts.body_idle));
    builder
        // Of the connection's window every stream has its own: one that isn't read stops none of the others.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW.saturating_mul(limits.streams).min(i32::MAX as u32))
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        // A client that is gone without a word must not hold its streams for ever.
        .keep_alive_interval(Some(timeouts.keep_alive))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Runs a connection; once that is over, as when the listener drains, it ends after the requests that it has.
async fn drained<C, E>(
    connection: C,
    drain: &Arc<Drain>,
    over: impl Fn() -> bool,
    end: impl Fn(Pin<&mut C>),
) -> Result<(), E>
where
    C: Future<Output = Result<(), E>>,
{
    let _place = drain.join(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
    let mut connection = pin!(connection);
    let mut told = false;
    poll_fn(|cx| {
        if !told && over() {
            told = true;
            end(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await
}
