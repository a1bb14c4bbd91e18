//! Bind (`B`, §55.7): parameter values for a prepared statement, and the formats of its results.

use super::WireError;
use super::frame::{self, Begun};
use super::reader::Reader;
use crate::pg::value::Format;
use std::ops::Range;

const WHAT: &str = "Bind";

/// A list of format codes, as it stands in a message: none (all text), one (for all), or one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats<'a>(&'a [u8]);

impl<'a> Formats<'a> {
    /// Takes big-endian Int16 codes.
    pub fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The codes as they stand in the message, two bytes each.
    pub fn raw(&self) -> &'a [u8] {
        self.0
    }

    /// Number of codes.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// No codes: all is text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Format of the value at `index`.
    pub fn at(&self, index: usize) -> Result<Format, WireError> {
        let index = match self.len() {
            0 => return Ok(Format::Text),
            1 => 0,
            _ => index,
        };
        match self.0.get(index * 2..index * 2 + 2) {
            Some([0, 0]) => Ok(Format::Text),
            Some([0, 1]) => Ok(Format::Binary),
            Some(_) => Err(WireError::Malformed(WHAT, "unknown format code")),
            None => Err(WireError::Malformed(WHAT, "fewer format codes than values")),
        }
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let count = usize::from(r.u16()?);
        r.bytes(count * 2).map(Self)
    }
}

/// A Bind message. Values are ranges into the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind<'a> {
    body: &'a [u8],
    /// Destination portal; empty for the unnamed one.
    pub portal: &'a [u8],
    /// Source prepared statement; empty for the unnamed one.
    pub statement: &'a [u8],
    /// Formats of the values.
    pub formats: Formats<'a>,
    /// Where each value lies in the body; `None` is NULL.
    pub values: Vec<Option<Range<usize>>>,
    /// Formats wanted for the result columns.
    pub results: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// The bytes of a value; `None` when it is NULL or there is no such value.
    pub fn value(&self, index: usize) -> Option<&'a [u8]> {
        self.body.get(self.values.get(index)?.clone()?)
    }
}

/// The names in a Bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a> {
    /// Destination portal.
    pub portal: &'a [u8],
    /// Source prepared statement.
    pub statement: &'a [u8],
}

/// Reads no more than the names of a Bind body.
pub fn names(body: &[u8]) -> Result<Names<'_>, WireError> {
    let mut r = Reader::new(body, WHAT);
    Ok(Names { portal: r.cstr()?, statement: r.cstr()? })
}

/// Reads no more than the result formats of a Bind body, passing over what comes before.
pub fn read_results(body: &[u8]) -> Result<Formats<'_>, WireError> {
    let mut r = Reader::new(body, WHAT);
    r.cstr()?;
    r.cstr()?;
    let formats = Formats::read(&mut r)?;
    let count = usize::from(r.u16()?);
    if formats.len() > 1 && formats.len() != count {
        return Err(WireError::Malformed(WHAT, "number of parameter formats"));
    }
    for _ in 0..count {
        r.value()?;
    }
    let results = Formats::read(&mut r)?;
    r.end()?;
    Ok(results)
}

/// Reads a Bind body. As Postgres does, refuses a number of value formats other than 0, 1 or the
/// number of values.
pub fn read(body: &[u8]) -> Result<Bind<'_>, WireError> {
    let mut r = Reader::new(body, WHAT);
    let (portal, statement) = (r.cstr()?, r.cstr()?);
    let formats = Formats::read(&mut r)?;
    let count = usize::from(r.u16()?);
    if formats.len() > 1 && formats.len() != count {
        return Err(WireError::Malformed(WHAT, "number of parameter formats"));
    }
    if r.remaining() < count * 4 {
        return Err(WireError::Truncated(WHAT));
    }
    let values = (0..count).map(|_| r.value()).collect::<Result<_, _>>()?;
    let results = Formats::read(&mut r)?;
    r.end()?;
    Ok(Bind { body, portal, statement, formats, values, results })
}

/// How many values a Bind body says that it holds; `None` where that can't be read, or a number of formats is before it
/// that does not fit.
pub fn count(body: &[u8]) -> Option<usize> {
    let mut r = Reader::new(body, WHAT);
    r.cstr().and_then(|_| r.cstr()).ok()?;
    let formats = Formats::read(&mut r).ok()?;
    let count = usize::from(r.u16().ok()?);
    (formats.len() <= 1 || formats.len() == count).then_some(count)
}

/// Appends a Bind that fails on a server where one whose `body` doesn't read would, and holds no value. `params`: how
/// many the statement has there.
pub fn failing(out: &mut Vec<u8>, body: &[u8], params: usize) -> Result<(), WireError> {
    let begun = frame::begin(out, b'B');
    let mut r = Reader::new(body, WHAT);
    if let (Ok(portal), Ok(statement)) = (r.cstr(), r.cstr()) {
        frame::cstr(out, portal);
        frame::cstr(out, statement);
        if let Ok(formats) = Formats::read(&mut r) {
            failing_values(out, formats, r.u16().ok(), params, read(body) == Err(WireError::Trailing(WHAT)));
        }
    }
    frame::finish(out, begun)
}

/// Appends a Bind of no value that fails on a server since its count is not `params`, unless its statement is not there.
pub fn miscounted(out: &mut Vec<u8>, body: &[u8], params: usize) -> Result<(), WireError> {
    let Names { portal, statement } = names(body)?;
    let begun = frame::begin(out, b'B');
    frame::cstr(out, portal);
    frame::cstr(out, statement);
    out.extend_from_slice(&[0, 0, 0, u8::from(params == 0)]);
    frame::finish(out, begun)
}

fn failing_values(
    out: &mut Vec<u8>,
    formats: Formats<'_>,
    count: Option<u16>,
    params: usize,
    trailing: bool,
) {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    match count {
        Some(count) if formats.len() > 1 && formats.len() != usize::from(count) => {
            out.extend_from_slice(&number(formats.len()));
            out.resize(out.len() + formats.len() * 2, 0);
            out.extend_from_slice(&count.to_be_bytes());
        }
        Some(_) => {
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&number(params));
            if trailing {
                out.resize(out.len() + params * 4, 0xff);
                out.extend_from_slice(&[0; 3]);
            }
        }
        None => out.extend_from_slice(&[0; 2]),
    }
}

/// Writes a Bind message value by value: formats first, then the values, then the result formats.
#[derive(Debug)]
#[must_use]
pub struct BindWriter<'o> {
    out: &'o mut Vec<u8>,
    begun: Begun,
    count_at: usize,
    count: u16,
}

impl<'o> BindWriter<'o> {
    /// Begins a message with one format for each value.
    pub fn begin(
        out: &'o mut Vec<u8>,
        portal: &[u8],
        statement: &[u8],
        formats: &[Format],
    ) -> Result<Self, WireError> {
        let n = u16::try_from(formats.len()).map_err(|_| WireError::Malformed(WHAT, "too many values"))?;
        let begun = frame::begin(out, b'B');
        frame::cstr(out, portal);
        frame::cstr(out, statement);
        out.extend_from_slice(&n.to_be_bytes());
        formats.iter().for_each(|f| out.extend_from_slice(&f.code().to_be_bytes()));
        let count_at = out.len();
        out.extend_from_slice(&[0; 2]);
        Ok(Self { out, begun, count_at, count: 0 })
    }

    fn counted(&mut self) -> Result<(), WireError> {
        self.count = self.count.checked_add(1).ok_or(WireError::Malformed(WHAT, "too many values"))?;
        Ok(())
    }

    /// Appends a value.
    pub fn value(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.value_with(|out| {
            out.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// Appends a value that `write` appends to the buffer.
    pub fn value_with<E: From<WireError>>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.counted()?;
        frame::value_with(self.out, write)
    }

    /// Appends NULL.
    pub fn null(&mut self) -> Result<(), WireError> {
        self.counted()?;
        self.out.extend_from_slice(&(-1_i32).to_be_bytes());
        Ok(())
    }

    /// Ends the message with these result formats (none: all text; one: for all; or one each).
    pub fn finish(self, results: &[Format]) -> Result<(), WireError> {
        let raw: Vec<u8> = results.iter().flat_map(|f| f.code().to_be_bytes()).collect();
        self.finish_raw(&raw)
    }

    /// Ends the message with result formats as they stood in another one ([`Formats::raw`]).
    pub fn finish_raw(self, results: &[u8]) -> Result<(), WireError> {
        let Ok(n) = u16::try_from(results.len() / 2) else {
            frame::abandon(self.out, self.begun);
            return Err(WireError::Malformed(WHAT, "too many result formats"));
        };
        if let Some(slot) = self.out.get_mut(self.count_at..self.count_at + 2) {
            slot.copy_from_slice(&self.count.to_be_bytes());
        }
        self.out.extend_from_slice(&n.to_be_bytes());
        self.out.extend_from_slice(&results[..usize::from(n) * 2]);
        frame::finish(self.out, self.begun)
    }

    /// Takes out again what was written.
    pub fn abandon(self) {
        frame::abandon(self.out, self.begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Format::{Binary, Text};

    #[test]
    fn reads_what_it_writes() {
        let mut out = b"x".to_vec();
        let mut w = BindWriter::begin(&mut out, b"p", b"s", &[Text, Binary, Text]).unwrap();
        w.value(b"abc").unwrap();
        w.null().unwrap();
        w.value(b"").unwrap();
        w.finish(&[Binary]).unwrap();
        let bind = read(&out[1 + frame::HEADER..]).unwrap();
        assert_eq!((bind.portal, bind.statement), (b"p".as_slice(), b"s".as_slice()));
        assert_eq!((bind.value(0), bind.value(1), bind.value(2)), (Some(&b"abc"[..]), None, Some(&b""[..])));
        assert_eq!((bind.formats.at(0), bind.formats.at(1)), (Ok(Text), Ok(Binary)));
        assert_eq!(bind.results.at(17), Ok(Binary));
    }

    #[test]
    fn a_failed_value_can_be_abandoned_without_trace() {
        let mut out = b"x".to_vec();
        let mut w = BindWriter::begin(&mut out, b"", b"", &[Text]).unwrap();
        assert!(w.value_with(|_| Err(WireError::Length)).is_err());
        w.abandon();
        assert_eq!(out, b"x");
    }

    #[test]
    fn refuses_a_format_count_that_does_not_match() {
        assert!(read(b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\0\0\0").is_err());
        assert!(read(b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0").is_err());
    }
}
