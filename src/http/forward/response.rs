//! A response's head: what the service says about its connection stays here, and its body ends in one way only.

use super::hop::{self, Present};
use super::{fault, request::digits};
use crate::http::problem::Problem;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{StatusCode, Version};

/// Judges the head and rewrites it in place.
///
/// # Errors
/// The answer to the client in place of this one; the connection to the service must not be used again.
pub(super) fn admit(head: &mut Parts, asked_upgrade: bool) -> Result<(), Problem> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !asked_upgrade {
        return Err(fault::garbled("it changed to a protocol that nobody asked for"));
    }
    let present = Present::of(&head.headers);
    framing(&mut head.headers, present)?;
    let protocol = match head.status {
        // What it goes on in, or what the client should ask for (RFC 9110 §15.5.22).
        StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED => {
            head.headers.remove(header::UPGRADE)
        }
        _ => None,
    };
    if !hop::strip(&mut head.headers, present) {
        return Err(fault::garbled("its Connection field names a field that is for everybody"));
    }
    if let Some(protocol) = protocol {
        head.headers.insert(header::UPGRADE, protocol);
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    head.version = Version::HTTP_11;
    Ok(())
}

/// Chunks or a length, never both (RFC 9112 §6.3 calls that an attempt to split responses).
fn framing(headers: &mut HeaderMap, present: Present) -> Result<(), Problem> {
    if present.coding {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let chunks = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunks || codings.next().is_some() {
            return Err(fault::garbled("it has a transfer coding other than `chunked`"));
        }
        if present.length {
            return Err(fault::garbled("it has both Content-Length and Transfer-Encoding"));
        }
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let parsed =
            digits(length).ok_or_else(|| fault::garbled("its Content-Length is not a whole number"))?;
        let mut several = false;
        for other in lengths {
            several = true;
            if digits(other) != Some(parsed) {
                return Err(fault::garbled("its Content-Length fields differ"));
            }
        }
        if several {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(parsed));
        }
    }
    Ok(())
}
