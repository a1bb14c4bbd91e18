//! Both legs of a session and the one place that waits: write what is due, read what has come.

use super::buffer::Buffer;
use super::stream::Stream;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reading from the other leg stops while this much waits to be written.
const HIGH_WATER: usize = 1024 * 1024;

/// Which leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The application.
    Client,
    /// The database.
    Server,
}

/// A leg ended: in order (`None`) or with an error.
#[derive(Debug)]
pub struct Ended {
    /// Which one.
    pub side: Side,
    /// Why, unless it was in order.
    pub error: Option<io::Error>,
}

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Whatever comes first.
    Both,
    /// Only the server: the client waits at a barrier.
    Server,
}

/// One leg: its stream, what was read from it, what is to be written to it.
pub struct Leg {
    stream: Stream,
    /// Read and not yet used.
    pub input: Buffer,
    /// To be written.
    pub output: Buffer,
    unflushed: bool,
}

impl Leg {
    /// A leg over a connection.
    pub fn new(stream: Stream) -> Self {
        Self { stream, input: Buffer::default(), output: Buffer::default(), unflushed: false }
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// The certificate that the server showed, on its leg.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.stream.peer_certificate()
    }

    /// The connection back (to begin TLS on it).
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.output.bytes()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.output.consume(n);
                    self.unflushed = true;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.output.shrink();
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready with the number of bytes read; 0 is the end.
    fn poll_read_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(self.input.spare());
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                let n = buf.filled().len();
                self.input.filled(n);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes all that is due.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write_out(cx)).await
    }

    /// Reads until at least `n` bytes are there; an early end is an error.
    pub async fn fill(&mut self, n: usize) -> io::Result<()> {
        self.input.reserve(n);
        while self.input.len() < n {
            if poll_fn(|cx| self.poll_read_in(cx)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Ends the connection in order; errors don't matter any more.
    pub async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await;
    }
}

/// Both legs.
pub struct Duplex {
    /// The application.
    pub client: Leg,
    /// The database.
    pub server: Leg,
}

impl Duplex {
    /// Writes what is due on both legs, and returns once something was read from a leg that is to be read.
    pub async fn turn(&mut self, read: Read) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_turn(cx, read)).await
    }

    /// As [`Duplex::turn`], polled.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, read: Read) -> Poll<Result<(), Ended>> {
        let ended = |side, error| Poll::Ready(Err(Ended { side, error }));
        if let Poll::Ready(Err(e)) = self.server.poll_write_out(cx) {
            // What the server said before it went away is read below, and still reaches the client.
            if self.server.input.is_empty() && !matches!(self.server.poll_read_in(cx), Poll::Ready(Ok(1..))) {
                return ended(Side::Server, Some(e));
            }
            self.server.output = Buffer::default();
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(Err(e)) = self.client.poll_write_out(cx) {
            return ended(Side::Client, Some(e));
        }
        let mut progress = false;
        if self.client.output.len() < HIGH_WATER || read == Read::Server {
            match self.server.poll_read_in(cx) {
                Poll::Ready(Ok(0)) => return ended(Side::Server, None),
                Poll::Ready(Ok(_)) => progress = true,
                Poll::Ready(Err(e)) => return ended(Side::Server, Some(e)),
                Poll::Pending => {}
            }
        }
        if read == Read::Both && self.server.output.len() < HIGH_WATER {
            match self.client.poll_read_in(cx) {
                Poll::Ready(Ok(0)) => return ended(Side::Client, None),
                Poll::Ready(Ok(_)) => progress = true,
                Poll::Ready(Err(e)) => return ended(Side::Client, Some(e)),
                Poll::Pending => {}
            }
        }
        if progress { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
