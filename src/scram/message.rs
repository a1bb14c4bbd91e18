//! The parts of SCRAM's messages: `a=value`, separated by commas.

use super::Wrong;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Takes `name=value` and the comma after it; what is left comes second.
pub(super) fn attribute(text: &str, name: char) -> Result<(&str, &str), Wrong> {
    let value = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).ok_or(Wrong::Malformed)?;
    Ok(value.split_once(',').unwrap_or((value, "")))
}

pub(super) fn text(message: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(message).ok().filter(|text| !text.contains('\0')).ok_or(Wrong::Malformed)
}

/// Characters that a nonce may have: printable ASCII but the comma.
pub(super) fn nonce(text: &str) -> Result<&str, Wrong> {
    let printable = |b: u8| (0x21..=0x7e).contains(&b) && b != b',';
    (!text.is_empty() && text.bytes().all(printable)).then_some(text).ok_or(Wrong::Malformed)
}

/// 18 random bytes, as Postgres makes them.
pub(super) fn fresh_nonce() -> String {
    STANDARD.encode(crate::crypto::random::<18>())
}

/// 32 bytes in base64.
pub(super) fn key(text: &str) -> Result<[u8; 32], Wrong> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Wrong::Malformed)
}

pub(super) fn encoded(bytes: &[u8; 32]) -> String {
    STANDARD.encode(bytes)
}
