//! Lines: an entry in JSON, a space, and its hash in hex: SHA-256(hash of the line before ‖ JSON bytes); before the
//! first stand 32 zeros.

use super::Entry;
use crate::crypto::sha256;

/// The hash before the first entry.
pub(super) const NONE: [u8; 32] = [0; 32];

/// The line of an entry that follows `before`, its end included, and its hash.
pub(super) fn write(entry: &Entry, before: &[u8; 32]) -> Result<(String, [u8; 32]), serde_json::Error> {
    let json = serde_json::to_string(entry)?;
    let hash = sha256(&[before, json.as_bytes()]);
    Ok((format!("{json} {}\n", hex::encode(hash)), hash))
}

/// Reads a line without its end, if its hash fits what is before it.
pub(super) fn read(line: &[u8], before: &[u8; 32]) -> Result<(Entry, [u8; 32]), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let (json, hash) = line.rsplit_once(' ').ok_or("it has no hash")?;
    let mut found = [0; 32];
    hex::decode_to_slice(hash, &mut found).map_err(|_| "it has no hash")?;
    if found != sha256(&[before, json.as_bytes()]) {
        return Err("its hash does not cover it and the line before");
    }
    let entry = serde_json::from_str(json).map_err(|_| "it is no entry of this version")?;
    Ok((entry, found))
}
