//! The small messages of §55.7: Query, Describe, Close, Execute, Sync and the like from a client;
//! ReadyForQuery, CommandComplete, ParameterStatus and the like from a server.

use super::WireError;
use super::frame;
use super::reader::Reader;

/// What Describe and Close name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement (`S`).
    Statement(&'a [u8]),
    /// A portal (`P`).
    Portal(&'a [u8]),
}

/// Reads the body of a Describe (`D`) or Close (`C`) message.
pub fn read_target(body: &[u8]) -> Result<Target<'_>, WireError> {
    let mut r = Reader::new(body, "Describe");
    let target = match r.u8()? {
        b'S' => Target::Statement(r.cstr()?),
        b'P' => Target::Portal(r.cstr()?),
        _ => return Err(WireError::Malformed("Describe", "neither statement nor portal")),
    };
    r.end().map(|()| target)
}

/// Reads an Execute body: portal, and the number of rows wanted (0 or less: all).
pub fn read_execute(body: &[u8]) -> Result<(&[u8], i32), WireError> {
    let mut r = Reader::new(body, "Execute");
    let execute = (r.cstr()?, r.i32()?);
    r.end().map(|()| execute)
}

/// Reads a Query body: the text.
pub fn read_query(body: &[u8]) -> Result<&[u8], WireError> {
    let mut r = Reader::new(body, "Query");
    let text = r.cstr()?;
    r.end().map(|()| text)
}

/// Reads a ParameterStatus body: name and value.
pub fn read_parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut r = Reader::new(body, "ParameterStatus");
    let status = (r.cstr()?, r.cstr()?);
    r.end().map(|()| status)
}

/// Reads a BackendKeyData body: process id and secret key (4 to 256 bytes).
pub fn read_backend_key(body: &[u8]) -> Result<(i32, &[u8]), WireError> {
    let mut r = Reader::new(body, "BackendKeyData");
    let pid = r.i32()?;
    match r.rest() {
        key if (4..=256).contains(&key.len()) => Ok((pid, key)),
        _ => Err(WireError::Malformed("BackendKeyData", "key length")),
    }
}

/// Reads a CommandComplete body: the tag.
pub fn read_command_complete(body: &[u8]) -> Result<&[u8], WireError> {
    let mut r = Reader::new(body, "CommandComplete");
    let tag = r.cstr()?;
    r.end().map(|()| tag)
}

/// A session's transaction status, as ReadyForQuery tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `I`: not in a transaction block.
    Idle,
    /// `T`: in a transaction block.
    InBlock,
    /// `E`: in a failed transaction block.
    Failed,
}

impl Status {
    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InBlock => b'T',
            Self::Failed => b'E',
        }
    }
}

/// Reads a ReadyForQuery body.
pub fn read_ready(body: &[u8]) -> Result<Status, WireError> {
    match body {
        b"I" => Ok(Status::Idle),
        b"T" => Ok(Status::InBlock),
        b"E" => Ok(Status::Failed),
        [] => Err(WireError::Truncated("ReadyForQuery")),
        _ => Err(WireError::Malformed("ReadyForQuery", "unknown status")),
    }
}

/// Appends ReadyForQuery (`Z`).
pub fn ready(out: &mut Vec<u8>, status: Status) {
    out.extend_from_slice(&[b'Z', 0, 0, 0, 5, status.byte()]);
}

fn empty(out: &mut Vec<u8>, tag: u8) {
    out.extend_from_slice(&[tag, 0, 0, 0, 4]);
}

/// Appends NoData (`n`).
pub fn no_data(out: &mut Vec<u8>) {
    empty(out, b'n');
}

/// Appends ParseComplete (`1`).
pub fn parse_complete(out: &mut Vec<u8>) {
    empty(out, b'1');
}

/// Appends BindComplete (`2`).
pub fn bind_complete(out: &mut Vec<u8>) {
    empty(out, b'2');
}

/// Appends CloseComplete (`3`).
pub fn close_complete(out: &mut Vec<u8>) {
    empty(out, b'3');
}

/// Appends PortalSuspended (`s`).
pub fn portal_suspended(out: &mut Vec<u8>) {
    empty(out, b's');
}

/// Appends a CommandComplete (`C`), which is given whole, with another number at its end.
pub fn recounted(out: &mut Vec<u8>, frame: &[u8], rows: usize) -> Result<(), WireError> {
    let tag = frame.get(frame::HEADER..).and_then(|body| body.strip_suffix(b"\0")).unwrap_or_default();
    let words = tag.len() - tag.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let begun = frame::begin(out, b'C');
    out.extend_from_slice(&tag[..words]);
    if words < tag.len() {
        out.extend_from_slice(rows.to_string().as_bytes());
    }
    out.push(0);
    frame::finish(out, begun)
}

/// Appends EmptyQueryResponse (`I`).
pub fn empty_query(out: &mut Vec<u8>) {
    empty(out, b'I');
}

/// Appends Sync (`S`).
pub fn sync(out: &mut Vec<u8>) {
    empty(out, b'S');
}

/// Appends Flush (`H`).
pub fn flush(out: &mut Vec<u8>) {
    empty(out, b'H');
}

/// Appends Terminate (`X`).
pub fn terminate(out: &mut Vec<u8>) {
    empty(out, b'X');
}

/// Appends Describe (`D`).
pub fn describe(out: &mut Vec<u8>, target: Target<'_>) -> Result<(), WireError> {
    targeted(out, b'D', target)
}

/// Appends Close (`C`).
pub fn close(out: &mut Vec<u8>, target: Target<'_>) -> Result<(), WireError> {
    targeted(out, b'C', target)
}

fn targeted(out: &mut Vec<u8>, tag: u8, target: Target<'_>) -> Result<(), WireError> {
    let begun = frame::begin(out, tag);
    let (kind, name) = match target {
        Target::Statement(name) => (b'S', name),
        Target::Portal(name) => (b'P', name),
    };
    out.push(kind);
    frame::cstr(out, name);
    frame::finish(out, begun)
}

/// Appends Execute (`E`); `rows` 0 is all.
pub fn execute(out: &mut Vec<u8>, portal: &[u8], rows: i32) -> Result<(), WireError> {
    let begun = frame::begin(out, b'E');
    frame::cstr(out, portal);
    out.extend_from_slice(&rows.to_be_bytes());
    frame::finish(out, begun)
}

/// Appends Query (`Q`). A zero byte in the text is an error: it would cut the statement short.
pub fn query(out: &mut Vec<u8>, text: &[u8]) -> Result<(), WireError> {
    query_of(out, std::iter::once(text))
}

/// The same, of a text in pieces.
pub fn query_of<'a>(out: &mut Vec<u8>, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), WireError> {
    let begun = frame::begin(out, b'Q');
    for piece in pieces {
        if memchr::memchr(0, piece).is_some() {
            return Err(WireError::Malformed("Query", "zero byte in a string"));
        }
        out.extend_from_slice(piece);
    }
    out.push(0);
    frame::finish(out, begun)
}

/// Appends CommandComplete (`C`).
pub fn command_complete(out: &mut Vec<u8>, tag: &[u8]) -> Result<(), WireError> {
    let begun = frame::begin(out, b'C');
    frame::cstr(out, tag);
    frame::finish(out, begun)
}

/// Appends ParameterStatus (`S`).
pub fn parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), WireError> {
    let begun = frame::begin(out, b'S');
    frame::cstr(out, name);
    frame::cstr(out, value);
    frame::finish(out, begun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::HEADER;

    #[test]
    fn a_tag_is_counted_anew() {
        for (tag, expected) in
            [("INSERT 0 3", "INSERT 0 12"), ("UPDATE 0", "UPDATE 12"), ("BEGIN", "BEGIN"), ("", "")]
        {
            let frame = |tag: &str| {
                let mut out = Vec::new();
                let begun = frame::begin(&mut out, b'C');
                out.extend_from_slice(tag.as_bytes());
                out.push(0);
                frame::finish(&mut out, begun).unwrap();
                out
            };
            let mut out = Vec::new();
            recounted(&mut out, &frame(tag), 12).unwrap();
            assert_eq!(out, frame(expected));
        }
    }

    #[test]
    fn small_messages_read_as_written() {
        let mut out = Vec::new();
        describe(&mut out, Target::Portal(b"c1")).unwrap();
        assert_eq!(read_target(&out[HEADER..]), Ok(Target::Portal(b"c1")));
        out.clear();
        execute(&mut out, b"c1", 50).unwrap();
        assert_eq!(read_execute(&out[HEADER..]), Ok((&b"c1"[..], 50)));
        out.clear();
        ready(&mut out, Status::Failed);
        assert_eq!(read_ready(&out[HEADER..]), Ok(Status::Failed));
        out.clear();
        parameter_status(&mut out, b"TimeZone", b"UTC").unwrap();
        assert_eq!(read_parameter_status(&out[HEADER..]), Ok((&b"TimeZone"[..], &b"UTC"[..])));
    }

    #[test]
    fn refuses_an_unknown_target() {
        assert!(read_target(b"Xname\0").is_err());
        assert!(query(&mut Vec::new(), b"a\0b").is_err());
    }
}
