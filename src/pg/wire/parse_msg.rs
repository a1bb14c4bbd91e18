//! Parse (`P`, §55.7): a statement's name, its text, and the types declared for its parameters.

use super::WireError;
use super::frame;
use super::reader::Reader;

const WHAT: &str = "Parse";

/// A Parse message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Name of the prepared statement; empty for the unnamed one.
    pub name: &'a [u8],
    /// The statement's text, in the client's encoding.
    pub query: &'a [u8],
    /// Type OID for each parameter declared (0: left open); may be fewer than the text has.
    pub types: Vec<u32>,
}

/// Reads a Parse body.
pub fn read(body: &[u8]) -> Result<Parse<'_>, WireError> {
    let mut r = Reader::new(body, WHAT);
    let (name, query) = (r.cstr()?, r.cstr()?);
    let count = usize::from(r.u16()?);
    if r.remaining() < count * 4 {
        return Err(WireError::Truncated(WHAT));
    }
    let types = (0..count).map(|_| r.u32()).collect::<Result<_, _>>()?;
    r.end()?;
    Ok(Parse { name, query, types })
}

/// Appends a Parse message. A zero byte in name or query is an error: it would cut the statement short.
pub fn write(out: &mut Vec<u8>, name: &[u8], query: &[u8], types: &[u32]) -> Result<(), WireError> {
    if memchr::memchr(0, name).or_else(|| memchr::memchr(0, query)).is_some() {
        return Err(WireError::Malformed(WHAT, "zero byte in a string"));
    }
    let count = u16::try_from(types.len()).map_err(|_| WireError::Malformed(WHAT, "too many parameters"))?;
    let begun = frame::begin(out, b'P');
    frame::cstr(out, name);
    frame::cstr(out, query);
    out.extend_from_slice(&count.to_be_bytes());
    types.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    frame::finish(out, begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut out = Vec::new();
        write(&mut out, b"s1", b"SELECT $1", &[25, 0]).unwrap();
        let parse = read(&out[frame::HEADER..]).unwrap();
        assert_eq!(parse, Parse { name: b"s1", query: b"SELECT $1", types: vec![25, 0] });
    }

    #[test]
    fn a_zero_byte_cannot_cut_a_statement_short() {
        let mut out = Vec::new();
        assert!(write(&mut out, b"", b"SELECT 1\0; DROP", &[]).is_err());
        assert!(out.is_empty());
    }
}
