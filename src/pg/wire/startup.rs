//! The untyped packets that open a connection (§55.7: StartupMessage, SSLRequest, GSSENCRequest,
//! CancelRequest; §55.2.1), and the answer to options that we don't know.

use super::WireError;
use super::frame::{self, body_length};
use super::reader::Reader;

/// Longest start-up packet that Postgres reads (`MAX_STARTUP_PACKET_LENGTH`), its length included.
pub const LIMIT: usize = 10_000;

/// Protocol 3.0.
pub const VERSION_3_0: u32 = 3 << 16;
/// Protocol 3.2 (Postgres 18): cancel keys of up to 256 bytes.
pub const VERSION_3_2: u32 = (3 << 16) | 2;

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;
const WHAT: &str = "start-up";

/// A packet that opens a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Startup<'a> {
    /// SSLRequest: answered with `S` or `N`.
    Ssl,
    /// GSSENCRequest: answered with `G` or `N`.
    GssEnc,
    /// CancelRequest.
    Cancel {
        /// Process id of the session to be cancelled.
        pid: i32,
        /// Its secret key: 4 bytes in protocol 3.0, up to 256 in 3.2.
        key: &'a [u8],
    },
    /// StartupMessage.
    Session(Session<'a>),
}

/// What a StartupMessage asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// Minor version of protocol 3.
    pub minor: u16,
    /// Parameters (`user`, `database`, `options`, settings, `_pq_.` options), in order.
    pub params: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Session<'a> {
    /// The last value of a parameter, as Postgres takes it.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.params.iter().rev().find(|(n, _)| *n == name.as_bytes()).map(|(_, v)| *v)
    }

    /// Names of the protocol options (`_pq_.…`).
    pub fn protocol_options(&self) -> impl Iterator<Item = &'a [u8]> {
        self.params.iter().map(|(n, _)| *n).filter(|n| n.starts_with(b"_pq_."))
    }

    /// The version to go on with: 3.0 or 3.2.
    pub fn version(&self) -> u32 {
        if self.minor >= 2 { VERSION_3_2 } else { VERSION_3_0 }
    }

    /// Whether [`negotiate`] must be answered: a minor version that isn't ours, or protocol options.
    pub fn needs_negotiation(&self) -> bool {
        !matches!(self.minor, 0 | 2) || self.protocol_options().next().is_some()
    }
}

/// Length of the whole packet (its own four bytes included); `None` while fewer than four bytes are there.
/// A packet needs a code, and is at most [`LIMIT`] long.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let Some((length, _)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    match body_length(*length, LIMIT - 4)? {
        body if body < 4 => Err(WireError::Length),
        body => Ok(Some(body + 4)),
    }
}

/// Reads a packet's body: what follows its length.
pub fn read(body: &[u8]) -> Result<Startup<'_>, WireError> {
    let mut r = Reader::new(body, WHAT);
    match r.u32()? {
        SSL => r.end().map(|()| Startup::Ssl),
        GSSENC => r.end().map(|()| Startup::GssEnc),
        CANCEL => cancel(&mut r),
        code if code >> 16 == 3 => session(&mut r, (code & 0xffff) as u16),
        code => Err(WireError::Version((code >> 16) as u16, (code & 0xffff) as u16)),
    }
}

fn cancel<'a>(r: &mut Reader<'a>) -> Result<Startup<'a>, WireError> {
    let pid = r.i32()?;
    match r.rest() {
        key if (4..=256).contains(&key.len()) => Ok(Startup::Cancel { pid, key }),
        _ => Err(WireError::Malformed(WHAT, "cancel key length")),
    }
}

fn session<'a>(r: &mut Reader<'a>, minor: u16) -> Result<Startup<'a>, WireError> {
    let mut params = Vec::new();
    loop {
        let name = r.cstr()?;
        if name.is_empty() {
            break;
        }
        params.push((name, r.cstr()?));
    }
    r.end()?;
    Ok(Startup::Session(Session { minor, params }))
}

/// Appends a StartupMessage of that version.
pub fn write<'p>(
    out: &mut Vec<u8>,
    version: u32,
    params: impl IntoIterator<Item = (&'p [u8], &'p [u8])>,
) -> Result<(), WireError> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&version.to_be_bytes());
    for (name, value) in params {
        frame::cstr(out, name);
        frame::cstr(out, value);
    }
    out.push(0);
    let length = out.len() - at;
    if length > LIMIT {
        out.truncate(at);
        return Err(WireError::TooLong(length));
    }
    frame::patch(out, at, length);
    Ok(())
}

/// Appends an SSLRequest.
pub fn ssl_request(out: &mut Vec<u8>) {
    out.extend_from_slice(&8_u32.to_be_bytes());
    out.extend_from_slice(&SSL.to_be_bytes());
}

/// Appends a CancelRequest. The key has at most 256 bytes.
pub fn cancel_request(out: &mut Vec<u8>, pid: i32, key: &[u8]) -> Result<(), WireError> {
    if !(4..=256).contains(&key.len()) {
        return Err(WireError::Malformed(WHAT, "cancel key length"));
    }
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&CANCEL.to_be_bytes());
    out.extend_from_slice(&pid.to_be_bytes());
    out.extend_from_slice(key);
    let length = out.len() - at;
    frame::patch(out, at, length);
    Ok(())
}

/// Appends NegotiateProtocolVersion: the version we go on with (as Postgres sends it: whole, such as
/// [`VERSION_3_0`]) and the protocol options that we don't know.
pub fn negotiate(out: &mut Vec<u8>, version: u32, unknown: &[&[u8]]) -> Result<(), WireError> {
    let begun = frame::begin(out, b'v');
    out.extend_from_slice(&version.to_be_bytes());
    let count = i32::try_from(unknown.len()).map_err(|_| WireError::TooLong(unknown.len()))?;
    out.extend_from_slice(&count.to_be_bytes());
    for name in unknown {
        frame::cstr(out, name);
    }
    frame::finish(out, begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: u32, params: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, version, params.iter().copied()).unwrap();
        assert_eq!(length(&out), Ok(Some(out.len())));
        out.split_off(4)
    }

    #[test]
    fn reads_parameters_and_the_last_one_wins() {
        let body = packet(VERSION_3_2, &[(b"user", b"a"), (b"_pq_.x", b"1"), (b"user", b"b")]);
        let Startup::Session(s) = read(&body).unwrap() else { panic!("no session") };
        assert_eq!((s.minor, s.get("user")), (2, Some(b"b".as_slice())));
        assert!(s.needs_negotiation());
        assert_eq!(s.protocol_options().collect::<Vec<_>>(), [b"_pq_.x"]);
    }

    #[test]
    fn reads_a_cancel_request_with_a_long_key() {
        let mut out = Vec::new();
        cancel_request(&mut out, 77, &[9; 32]).unwrap();
        assert_eq!(read(&out[4..]), Ok(Startup::Cancel { pid: 77, key: &[9; 32] }));
        assert!(cancel_request(&mut out, 77, &[9; 257]).is_err());
        assert!(cancel_request(&mut out, 77, &[9; 3]).is_err());
    }

    #[test]
    fn refuses_other_versions_and_lengths() {
        assert_eq!(read(&(2_u32 << 16).to_be_bytes()), Err(WireError::Version(2, 0)));
        assert_eq!(length(&7_u32.to_be_bytes()), Err(WireError::Length));
        assert_eq!(length(&10_001_u32.to_be_bytes()), Err(WireError::TooLong(9_997)));
        assert_eq!(length(&[0, 0, 0]), Ok(None));
    }
}
