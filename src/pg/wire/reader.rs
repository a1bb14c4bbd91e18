//! A cursor over a message body: every read is checked.

use super::WireError;
use std::ops::Range;

/// Reads a body from its start; `what` names the message in errors.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `body`.
    pub fn new(body: &'a [u8], what: &'static str) -> Self {
        Self { body, at: 0, what }
    }

    /// Offset of the next byte in the body.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.body.len().saturating_sub(self.at)
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let range = self.range(n)?;
        self.body.get(range).ok_or(WireError::Truncated(self.what))
    }

    /// Where the next `n` bytes lie in the body.
    pub fn range(&mut self, n: usize) -> Result<Range<usize>, WireError> {
        if n > self.remaining() {
            return Err(WireError::Truncated(self.what));
        }
        let from = self.at;
        self.at += n;
        Ok(from..self.at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let what = self.what;
        self.bytes(N)?.try_into().map_err(|_| WireError::Truncated(what))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Int16, unsigned (counts go up to 65535 since Postgres 14).
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Int16.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Int32, unsigned (OIDs).
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Int32.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A String: bytes up to a zero byte, which is taken and not returned.
    pub fn cstr(&mut self) -> Result<&'a [u8], WireError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(0, rest).ok_or(WireError::Unterminated(self.what))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// A length-prefixed value: `None` for -1 (NULL), an error below that.
    pub fn value(&mut self) -> Result<Option<Range<usize>>, WireError> {
        match self.i32()? {
            -1 => Ok(None),
            n => match usize::try_from(n) {
                Ok(n) => self.range(n).map(Some),
                Err(_) => Err(WireError::Malformed(self.what, "negative value length")),
            },
        }
    }

    /// The bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.body.get(self.at..).unwrap_or_default();
        self.at = self.body.len();
        rest
    }

    /// An error unless everything was read.
    pub fn end(&self) -> Result<(), WireError> {
        if self.remaining() == 0 { Ok(()) } else { Err(WireError::Trailing(self.what)) }
    }
}
