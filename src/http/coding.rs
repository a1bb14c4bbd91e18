//! Content codings: a body is decoded, rewritten, and encoded again as it was (RFC 9110 §8.4).

use super::exchange::{Body, BodyError};
use async_compression::Level;
use async_compression::tokio::{bufread, write};
use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::Body as _;
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What a decoded body may be beyond its coded size: real text reaches about thirty times.
const RATIO: u64 = 200;
/// Small bodies may be anything.
const FREE: u64 = 1 << 20;
/// Decoded at once.
const STEP: usize = 16 << 10;

/// A coding that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The coding is none that is understood, or there are several.
#[derive(Debug)]
pub(super) struct UnknownCoding;

/// What a client may be answered with: the codings that are understood.
pub(super) const ACCEPTED: [&str; 6] = ["gzip", "x-gzip", "deflate", "br", "zstd", "identity"];

/// A body's coding, as its head says.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Coding>, UnknownCoding> {
    let mut coding = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| UnknownCoding)?.split(',') {
            let this = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return Err(UnknownCoding),
            };
            if coding.replace(this).is_some() {
                return Err(UnknownCoding);
            }
        }
    }
    Ok(coding)
}

/// A body's bytes, decoded, then its trailers.
pub(super) struct Input {
    form: Form,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    trailers: Mutex<Option<HeaderMap>>,
    read: AtomicU64,
}

enum Form {
    Plain(Frames),
    Coded { decoder: Decoder, given: u64 },
}

/// Why a body can't be read on.
pub(super) enum InputError {
    Body(BodyError),
    Coding,
    Expansion,
}

/// Boxed, as [`Encoder`].
enum Decoder {
    Gzip(Box<bufread::GzipDecoder<Frames>>),
    Deflate(Box<bufread::ZlibDecoder<Frames>>),
    Brotli(Box<bufread::BrotliDecoder<Frames>>),
    Zstd(Box<bufread::ZstdDecoder<Frames>>),
}

impl Decoder {
    fn reader(&mut self) -> &mut (dyn AsyncRead + Send + Unpin) {
        match self {
            Self::Gzip(d) => &mut **d,
            Self::Deflate(d) => &mut **d,
            Self::Brotli(d) => &mut **d,
            Self::Zstd(d) => &mut **d,
        }
    }

    fn frames(&mut self) -> &mut Frames {
        match self {
            Self::Gzip(d) => d.get_mut(),
            Self::Deflate(d) => d.get_mut(),
            Self::Brotli(d) => d.get_mut(),
            Self::Zstd(d) => d.get_mut(),
        }
    }
}

impl Input {
    pub(super) fn new(body: Body, coding: Option<Coding>) -> Self {
        let shared = Arc::<Shared>::default();
        let frames = Frames { body, chunk: Bytes::new(), ended: false, shared: Arc::clone(&shared) };
        let decoder = match coding {
            None => return Self { form: Form::Plain(frames), shared },
            Some(Coding::Gzip) => {
                let mut decoder = bufread::GzipDecoder::new(frames);
                decoder.multiple_members(true);
                Decoder::Gzip(decoder.into())
            }
            Some(Coding::Deflate) => Decoder::Deflate(Box::new(bufread::ZlibDecoder::new(frames))),
            Some(Coding::Brotli) => Decoder::Brotli(Box::new(bufread::BrotliDecoder::new(frames))),
            Some(Coding::Zstd) => {
                let mut decoder = bufread::ZstdDecoder::new(frames);
                decoder.multiple_members(true);
                Decoder::Zstd(decoder.into())
            }
        };
        Self { form: Form::Coded { decoder, given: 0 }, shared }
    }

    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, InputError> {
        let (decoder, given) = match &mut self.form {
            Form::Plain(frames) => return frames.next().await.map_err(InputError::Body),
            Form::Coded { decoder, given } => (decoder, given),
        };
        let mut buf = vec![0; STEP];
        let n = decoder.reader().read(&mut buf).await.map_err(coding_error)?;
        if n == 0 {
            // Whatever follows the coded stream would be lost.
            while let Some(more) = decoder.frames().next().await.map_err(InputError::Body)? {
                if !more.is_empty() {
                    return Err(InputError::Coding);
                }
            }
            return Ok(None);
        }
        *given += n as u64;
        let read = self.shared.read.load(Ordering::Relaxed);
        if *given > FREE && *given / RATIO > read {
            return Err(InputError::Expansion);
        }
        buf.truncate(n);
        Ok(Some(buf.into()))
    }

    /// The trailers, after the end.
    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        self.shared.trailers.lock().take()
    }
}

fn coding_error(error: io::Error) -> InputError {
    match error.into_inner().map(|inner| inner.downcast::<BodyError>()) {
        Some(Ok(body)) => InputError::Body(*body),
        _ => InputError::Coding,
    }
}

/// A body's frames, as bytes to read.
struct Frames {
    body: Body,
    chunk: Bytes,
    ended: bool,
    shared: Arc<Shared>,
}

impl Frames {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await?;
        let chunk = std::mem::take(&mut self.chunk);
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// Ready with a chunk that holds something, or at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while self.chunk.is_empty() && !self.ended {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.ended = true,
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(error));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.shared.read.fetch_add(data.len() as u64, Ordering::Relaxed);
                        self.chunk = data;
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            *self.shared.trailers.lock() = Some(trailers);
                        }
                    }
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Frames {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_chunk(cx)).map_err(io::Error::other)?;
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        let n = n.min(this.chunk.len());
        drop(this.chunk.split_to(n));
    }
}

impl AsyncRead for Frames {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = chunk.len().min(buf.remaining());
        buf.put_slice(&chunk[..n]);
        self.consume(n);
        Poll::Ready(Ok(()))
    }
}

/// Encodes a body again. Boxed, since a body's way is moved often and most bodies are not coded.
pub(super) enum Encoder {
    Plain,
    Gzip(Box<write::GzipEncoder<Vec<u8>>>),
    Deflate(Box<write::ZlibEncoder<Vec<u8>>>),
    Brotli(Box<write::BrotliEncoder<Vec<u8>>>),
    Zstd(Box<write::ZstdEncoder<Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(coding: Option<Coding>) -> Self {
        let out = Vec::new();
        match coding {
            None => Self::Plain,
            Some(Coding::Gzip) => Self::Gzip(Box::new(write::GzipEncoder::with_quality(out, Level::Fastest))),
            Some(Coding::Deflate) => {
                Self::Deflate(Box::new(write::ZlibEncoder::with_quality(out, Level::Fastest)))
            }
            // Its best quality takes a hundred times as long.
            Some(Coding::Brotli) => {
                Self::Brotli(Box::new(write::BrotliEncoder::with_quality(out, Level::Precise(4))))
            }
            Some(Coding::Zstd) => Self::Zstd(Box::new(write::ZstdEncoder::with_quality(out, Level::Fastest))),
        }
    }

    /// Takes bytes in, gives what is ready. `now`: that is all of them.
    pub(super) async fn push(&mut self, bytes: Vec<u8>, now: bool) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => return Ok(bytes),
            Self::Gzip(e) => put(e, &bytes, now).await?,
            Self::Deflate(e) => put(e, &bytes, now).await?,
            Self::Brotli(e) => put(e, &bytes, now).await?,
            Self::Zstd(e) => put(e, &bytes, now).await?,
        }
        Ok(self.taken())
    }

    /// The rest.
    pub(super) async fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => return Ok(Vec::new()),
            Self::Gzip(e) => e.shutdown().await?,
            Self::Deflate(e) => e.shutdown().await?,
            Self::Brotli(e) => e.shutdown().await?,
            Self::Zstd(e) => e.shutdown().await?,
        }
        Ok(self.taken())
    }

    fn taken(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Plain => return Vec::new(),
            Self::Gzip(e) => e.get_mut(),
            Self::Deflate(e) => e.get_mut(),
            Self::Brotli(e) => e.get_mut(),
            Self::Zstd(e) => e.get_mut(),
        })
    }
}

async fn put(encoder: &mut (impl AsyncWrite + Unpin), bytes: &[u8], now: bool) -> io::Result<()> {
    encoder.write_all(bytes).await?;
    if now && !bytes.is_empty() { encoder.flush().await } else { Ok(()) }
}
