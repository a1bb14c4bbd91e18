//! Framing: message headers with limits, and the start and finish of a message being written.

use super::WireError;

/// Bytes of a header: type and length.
pub const HEADER: usize = 5;

/// The longest body that Postgres itself accepts for messages with data (`PQ_LARGE_MESSAGE_LIMIT`).
pub const LARGE: usize = 0x3fff_fffe;

/// The longest body that Postgres accepts for the others (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL: usize = 10_000;

/// A message header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type byte.
    pub tag: u8,
    /// Length of the body in bytes (the wire's length less its own four).
    pub body: usize,
}

impl Header {
    /// Length of the whole message.
    pub fn total(&self) -> usize {
        HEADER + self.body
    }
}

/// Reads the header at the start of `bytes`; `None` while fewer than [`HEADER`] bytes are there.
/// A length below 4 or a body above `limit` is an error.
pub fn header(bytes: &[u8], limit: usize) -> Result<Option<Header>, WireError> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let body = body_length([a, b, c, d], limit)?;
    Ok(Some(Header { tag, body }))
}

pub(super) fn body_length(length: [u8; 4], limit: usize) -> Result<usize, WireError> {
    let body = i32::from_be_bytes(length).checked_sub(4).and_then(|n| usize::try_from(n).ok());
    match body {
        None => Err(WireError::Length),
        Some(n) if n > limit => Err(WireError::TooLong(n)),
        Some(n) => Ok(n),
    }
}

/// The limit that Postgres sets on a message from a client, by its type: large for those that carry
/// data or SQL, small for the others.
pub fn client_limit(tag: u8) -> usize {
    match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => LARGE,
        b'p' => 65_535,
        _ => SMALL,
    }
}

/// A message begun in an output buffer, whose length is patched by [`finish`].
#[derive(Debug)]
#[must_use]
pub struct Begun(usize);

/// Appends a header with an open length.
pub fn begin(out: &mut Vec<u8>, tag: u8) -> Begun {
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    Begun(out.len() - 4)
}

/// Writes the length of the message that was begun. When the message is too long it is taken out
/// again, and an error is returned.
#[allow(clippy::needless_pass_by_value)] // taken by value: a message is finished once
pub fn finish(out: &mut Vec<u8>, begun: Begun) -> Result<(), WireError> {
    let length = out.len() - begun.0;
    if length > LARGE + 4 {
        out.truncate(begun.0 - 1);
        return Err(WireError::TooLong(length));
    }
    patch(out, begun.0, length);
    Ok(())
}

/// Takes out again what was written of a message.
#[allow(clippy::needless_pass_by_value)]
pub fn abandon(out: &mut Vec<u8>, begun: Begun) {
    out.truncate(begun.0.saturating_sub(1));
}

/// Overwrites the four bytes at `at` by `n` (which the caller knows to be below 2³¹).
pub(super) fn patch(out: &mut [u8], at: usize, n: usize) {
    let n = i32::try_from(n).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&n.to_be_bytes());
    }
}

/// Appends bytes and a zero byte. A zero byte within would end the string early: what follows it is left out.
pub fn cstr(out: &mut Vec<u8>, bytes: &[u8]) {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    out.extend_from_slice(&bytes[..end]);
    out.push(0);
}

/// Appends a length-prefixed value that `write` appends, and patches its length. On an error the
/// buffer is as it was.
pub(super) fn value_with<E: From<WireError>>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = write(out).and_then(|()| match out.len() - at - 4 {
        n if n > LARGE => Err(WireError::TooLong(n).into()),
        n => Ok(n),
    });
    match written {
        Ok(n) => patch(out, at, n),
        Err(_) => out.truncate(at),
    }
    written.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_whole_header() {
        assert_eq!(header(b"Q\0\0\0", LARGE), Ok(None));
        assert_eq!(header(b"Q\0\0\0\x09abc", LARGE), Ok(Some(Header { tag: b'Q', body: 5 })));
    }

    #[test]
    fn refuses_impossible_lengths() {
        for length in [0_i32, 3, -1, i32::MIN] {
            let mut bytes = vec![b'Q'];
            bytes.extend_from_slice(&length.to_be_bytes());
            assert_eq!(header(&bytes, LARGE), Err(WireError::Length));
        }
        assert_eq!(header(b"Q\0\0\x01\0", 100), Err(WireError::TooLong(252)));
    }

    #[test]
    fn a_failed_value_leaves_no_trace() {
        let mut out = b"before".to_vec();
        let r = value_with(&mut out, |o| {
            o.push(1);
            Err(WireError::Length)
        });
        assert_eq!((r, out.as_slice()), (Err(WireError::Length), b"before".as_slice()));
    }
}
