//! What a server asks for: AuthenticationRequest messages (§55.7).

use crate::pg::wire::frame::{self, HEADER};
use crate::scram::PLUS;

/// What an AuthenticationRequest asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asks<'a> {
    /// Nothing: the user is in.
    Nothing,
    /// SASL, by one of these mechanisms.
    Sasl(Vec<&'a [u8]>),
    /// SASL goes on with this.
    Continue(&'a [u8]),
    /// SASL ends with this.
    Final(&'a [u8]),
    /// Something else, as messages name it.
    Other(&'static str),
}

/// Reads a whole message; `None` where it is too short to be one.
pub(super) fn asks(frame: &[u8]) -> Option<Asks<'_>> {
    let (code, rest) = frame.get(HEADER..)?.split_first_chunk::<4>()?;
    Some(match i32::from_be_bytes(*code) {
        0 => Asks::Nothing,
        10 => Asks::Sasl(rest.split(|b| *b == 0).filter(|name| !name.is_empty()).collect()),
        11 => Asks::Continue(rest),
        12 => Asks::Final(rest),
        3 => Asks::Other("password"),
        5 => Asks::Other("md5"),
        7..=9 => Asks::Other("gss"),
        _ => Asks::Other("another method"),
    })
}

/// An AuthenticationRequest of that code.
pub(super) fn request(out: &mut Vec<u8>, code: i32, rest: &[u8]) {
    message(out, b'R', &[&code.to_be_bytes(), rest]);
}

/// AuthenticationSASL with these mechanisms.
pub(super) fn offer(out: &mut Vec<u8>, mechanisms: &[&str]) {
    let mut list = Vec::new();
    mechanisms.iter().for_each(|name| frame::cstr(&mut list, name.as_bytes()));
    list.push(0);
    request(out, 10, &list);
}

/// A message of a client: SASLInitialResponse or SASLResponse.
pub(super) fn message(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let begun = frame::begin(out, tag);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    // Nothing of this room is longer than a message may be.
    let _ = frame::finish(out, begun);
}

/// Mechanism and message of a SASLInitialResponse.
pub(super) fn initial_response(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = body.iter().position(|b| *b == 0)?;
    let (length, rest) = body.get(end + 1..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    (length == rest.len()).then_some((&body[..end], rest))
}

/// Takes SCRAM-SHA-256-PLUS out of AuthenticationSASL: where only one leg has TLS there is no channel
/// that both ends see, and a client that bound to ours would be refused.
pub(super) fn without_plus(frame: &[u8]) -> Vec<u8> {
    const SASL: [u8; 4] = [0, 0, 0, 10];
    let Some(list) = frame[HEADER..].strip_prefix(&SASL) else { return frame.to_vec() };
    let mut out = Vec::with_capacity(frame.len());
    let begun = frame::begin(&mut out, b'R');
    out.extend_from_slice(&SASL);
    for mechanism in list.split(|b| *b == 0).filter(|m| !m.is_empty() && *m != PLUS.as_bytes()) {
        frame::cstr(&mut out, mechanism);
    }
    out.push(0);
    if frame::finish(&mut out, begun).is_err() {
        return frame.to_vec();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_plus_out_of_the_offer() {
        let mut offer = vec![b'R', 0, 0, 0, 42, 0, 0, 0, 10];
        offer.extend_from_slice(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let mut expected = vec![b'R', 0, 0, 0, 23, 0, 0, 0, 10];
        expected.extend_from_slice(b"SCRAM-SHA-256\0\0");
        assert_eq!(without_plus(&offer), expected);
        let ok = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];
        assert_eq!(without_plus(&ok), ok);
    }
}
