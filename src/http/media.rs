//! Whole bodies on their way through: photos and videos, in chunks.

use super::multipart::{Event, Parser};
use super::problem::Problem;
use super::range::{Span, Wanted, chunk_at, content_range};
use super::shield::{Shield, Whose};
use crate::ids::FieldId;
use crate::protect::{BODY_HEADER_LEN, Body, BodyOpener, BodySealer, CHUNK_LEN, SEALED_CHUNK_LEN, body_len};
use parking_lot::Mutex;
use std::sync::Arc;

/// A body that is sealed as it streams.
pub(super) struct MediaSealing {
    field: FieldId,
    whose: Whose,
    shield: Shield,
    sealer: Option<BodySealer>,
    held: Vec<u8>,
    /// No byte at all is no body.
    optional: bool,
}

impl MediaSealing {
    pub(super) fn new(field: FieldId, whose: Whose, shield: Shield) -> Self {
        Self { field, whose, shield, sealer: None, held: Vec::new(), optional: false }
    }

    /// The same, where a body may turn out to be none.
    pub(super) fn optional(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }

    pub(super) async fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
        self.held.extend_from_slice(chunk);
        // The last chunk is known by nothing following it.
        while self.held.len() > CHUNK_LEN {
            let rest = self.held.split_off(CHUNK_LEN);
            let full = std::mem::replace(&mut self.held, rest);
            self.seal(&full, false, out).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let last = std::mem::take(&mut self.held);
        if self.optional && self.sealer.is_none() && last.is_empty() {
            return Ok(());
        }
        self.seal(&last, true, out).await
    }

    async fn seal(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), Problem> {
        let sealer = match &mut self.sealer {
            Some(sealer) => sealer,
            None => {
                let sealer = self.shield.seal_body(self.field, &self.whose).await?;
                out.extend_from_slice(sealer.header());
                self.sealer.insert(sealer)
            }
        };
        sealer.seal(chunk, last, out).map_err(|e| Problem::protect(&e))
    }
}

/// How the service sends what was asked for.
enum Framing {
    /// From this offset on.
    Plain,
    /// The header and the chunks, in parts.
    /// `before`: what is left of a line's end that may come first.
    Parts { parser: Parser, within: bool, before: &'static [u8] },
}

/// A sealed body that is opened as it streams.
pub(super) struct MediaOpening {
    field: FieldId,
    whose: Whose,
    shield: Shield,
    framing: Framing,
    wanted: Wanted,
    /// Length of the sealed whole, where it is known.
    sealed: Option<u64>,
    /// Where in it the next byte of input stands.
    offset: u64,
    header: Vec<u8>,
    opener: Option<Box<BodyOpener>>,
    held: Vec<u8>,
    /// The chunk that `held` begins.
    number: u64,
    /// The same, for the head.
    told: Arc<Mutex<Option<u64>>>,
    /// The type of the whole, as its parts tell.
    kind: Arc<Mutex<Option<String>>>,
    /// Bytes of the input before the next whole chunk.
    skip: u64,
    span: Option<Span>,
    done: bool,
}

impl MediaOpening {
    /// `boundary`: the answer is multipart/byteranges. `sealed`: how long the whole is, if that is known.
    pub(super) fn new(
        field: FieldId,
        whose: Whose,
        shield: Shield,
        wanted: Wanted,
        boundary: Option<&str>,
        sealed: Option<u64>,
    ) -> Self {
        let framing = match boundary {
            Some(boundary) => {
                Framing::Parts { parser: Parser::new(boundary), within: false, before: b"\r\n" }
            }
            None => Framing::Plain,
        };
        Self {
            field,
            whose,
            shield,
            framing,
            wanted,
            sealed,
            offset: 0,
            header: Vec::new(),
            opener: None,
            held: Vec::new(),
            number: 0,
            told: Arc::new(Mutex::new(sealed)),
            kind: Arc::default(),
            skip: 0,
            span: None,
            done: false,
        }
    }

    /// The type of the whole, as its parts will tell.
    pub(super) fn kind(&self) -> Arc<Mutex<Option<String>>> {
        Arc::clone(&self.kind)
    }

    /// How long the sealed whole is, once that is known.
    pub(super) fn told(&self) -> Arc<Mutex<Option<u64>>> {
        Arc::clone(&self.told)
    }

    /// Whether all that is wanted was given.
    pub(super) fn done(&self) -> bool {
        self.done
    }

    pub(super) async fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
        let Framing::Parts { parser, within, before } = &mut self.framing else {
            return self.bytes(chunk, out).await;
        };
        // nginx and others begin with an empty preamble.
        let mut chunk = chunk;
        while let ([next, rest @ ..], [byte, more @ ..]) = (*before, chunk) {
            if byte != next {
                *before = &[];
                break;
            }
            (*before, chunk) = (rest, more);
        }
        let events = parser.feed(chunk).map_err(|_| Problem::answer("its multipart body is malformed"))?;
        let mut data = Vec::new();
        for event in events {
            match event {
                Event::Part { head, .. } => {
                    let range = head.range.as_deref().and_then(content_range);
                    let (first, _, length) =
                        range.ok_or_else(|| Problem::answer("a part has no Content-Range"))?;
                    if self.sealed.replace(length).is_some_and(|known| known != length) {
                        return Err(Problem::answer("its parts are of different bodies"));
                    }
                    *within = true;
                    *self.told.lock() = Some(length);
                    if let Some(kind) = head.kind {
                        self.kind.lock().get_or_insert(kind);
                    }
                    data.push((Some(first), Vec::new()));
                }
                Event::Data(bytes) if *within => data.push((None, bytes)),
                Event::Data(_) => {}
                Event::End => *within = false,
                Event::Close(_) => {}
            }
        }
        for (first, bytes) in data {
            if let Some(first) = first {
                self.seek(first)?;
            }
            self.bytes(&bytes, out).await?;
        }
        Ok(())
    }

    /// A part begins there.
    fn seek(&mut self, first: u64) -> Result<(), Problem> {
        if first == self.offset {
            return Ok(());
        }
        let header = BODY_HEADER_LEN as u64;
        let complete = self.header.len() == BODY_HEADER_LEN && self.held.is_empty();
        // What comes before the first whole chunk of a range is not needed.
        let (skip, number) = match chunk_at(first) {
            Some(number) => (0, number),
            // A short body is within what its end was asked for with.
            None if first < header => (header - first, 0),
            None => {
                let past = (first - header) % SEALED_CHUNK_LEN as u64;
                let skip = SEALED_CHUNK_LEN as u64 - past;
                (skip, chunk_at(first + skip).unwrap_or(u64::MAX))
            }
        };
        if !complete || (first < self.offset && first >= header) {
            return Err(Problem::answer("its parts are not those that were asked for"));
        }
        self.offset = first;
        self.number = number;
        self.skip = skip;
        Ok(())
    }

    async fn bytes(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
        if self.done {
            return Ok(());
        }
        self.offset += bytes.len() as u64;
        if self.header.len() < BODY_HEADER_LEN {
            let n = bytes.len().min(BODY_HEADER_LEN - self.header.len());
            self.header.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.header.len() == BODY_HEADER_LEN {
                self.begin().await?;
            }
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        self.held.extend_from_slice(&bytes[skipped..]);
        while self.held.len() > SEALED_CHUNK_LEN && !self.done {
            let rest = self.held.split_off(SEALED_CHUNK_LEN);
            let full = std::mem::replace(&mut self.held, rest);
            self.open(&full, false, out).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        if let Framing::Parts { parser, .. } = &self.framing {
            parser.finish().map_err(|_| Problem::answer("its multipart body is cut short"))?;
        }
        if self.done {
            return Ok(());
        }
        if self.header.len() < BODY_HEADER_LEN {
            let field = &self.shield.field(self.field).name;
            return Err(Problem::open(self.shield.door().in_clear(self.field), field));
        }
        let last = std::mem::take(&mut self.held);
        // A range may end before the body does.
        let end = self.sealed.is_none_or(|sealed| self.offset >= sealed);
        self.open(&last, end, out).await?;
        if self.done || end {
            return Ok(());
        }
        Err(Problem::answer("it is shorter than what was asked for"))
    }

    async fn begin(&mut self) -> Result<(), Problem> {
        let opened = self.shield.door().open_body(self.field, &self.header, self.whose.row()).await;
        match opened.map_err(|e| Problem::protect(&e))? {
            Body::Open(opener) => self.opener = Some(opener),
            Body::Erased => return Err(Problem::erased()),
            Body::Fault(why) => return Err(Problem::open(why, &self.shield.field(self.field).name)),
        }
        if self.wanted != Wanted::All
            && let Some(length) = self.sealed.and_then(body_len)
        {
            self.span = Some(self.wanted.span(length).ok_or_else(Problem::range)?);
        }
        Ok(())
    }

    /// Opens a chunk, and gives what of it is wanted.
    async fn open(&mut self, sealed: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), Problem> {
        let number = self.number;
        self.number += 1;
        let start = number * CHUNK_LEN as u64;
        let end = start + CHUNK_LEN as u64;
        if let Some((first, _)) = self.span
            && end <= first
        {
            // Before the range: not even opened.
            return Ok(());
        }
        let opener = self.opener.as_mut().ok_or_else(Problem::internal)?;
        let from = out.len();
        let fault = match opener.open(number, last, sealed, out).await {
            Err(crate::protect::ProtectError::ErasedSubject) => return Err(Problem::erased()),
            done => done.map_err(|e| Problem::protect(&e))?,
        };
        if let Some(why) = fault {
            return Err(Problem::open(why, &self.shield.field(self.field).name));
        }
        if let Some((first, end)) = self.span {
            let given = out.split_off(from);
            let low = usize::try_from(first.saturating_sub(start)).unwrap_or(usize::MAX).min(given.len());
            let high =
                usize::try_from((end + 1).saturating_sub(start)).unwrap_or(usize::MAX).min(given.len());
            out.extend_from_slice(&given[low..high.max(low)]);
            self.done = end < start + given.len() as u64;
        }
        Ok(())
    }
}
