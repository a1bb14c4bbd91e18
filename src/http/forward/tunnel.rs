//! A connection that goes on in another protocol (RFC 9110 §7.8): bytes both ways, until one side ends it.

use crate::http::server::Open;
use crate::http::watch::Busy;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes in flight, each way.
const BUFFER: usize = 16 << 10;

/// Both sides of it, which are free once the client has the answer's head.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) service: OnUpgrade,
}

impl Tunnel {
    /// Carries bytes until a side ends, or nothing was said for `idle`.
    pub(super) fn run(self, busy: Busy, open: Arc<Open>, idle: Duration) {
        tokio::spawn(async move {
            let _alive = (busy, open);
            let Ok((client, service)) = tokio::try_join!(self.client, self.service) else { return };
            let said = Arc::new(AtomicU64::new(0));
            let mut client = Noted { io: TokioIo::new(client), said: Arc::clone(&said) };
            let mut service = Noted { io: TokioIo::new(service), said: Arc::clone(&said) };
            let copy = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut service, BUFFER, BUFFER);
            tokio::select! {
                // How it ended concerns the two sides alone.
                _ = copy => {}
                () = silence(&said, idle) => {}
            }
        });
    }
}

/// Until nothing was read for at least `idle`, and at most twice that.
async fn silence(said: &AtomicU64, idle: Duration) {
    let mut before = None;
    loop {
        let now = said.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        tokio::time::sleep(idle).await;
    }
}

/// A side that notes that something was read.
struct Noted {
    io: TokioIo<Upgraded>,
    said: Arc<AtomicU64>,
}

impl AsyncRead for Noted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        if read.is_ready() {
            this.said.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Noted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
