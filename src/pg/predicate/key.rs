//! Values as bytes that compare as the values do: a row's sort key is made once, and sorting compares bytes.
//!
//! No value's bytes begin those of another of its type, so that keys can follow each other.

use super::collation::Collation;
use super::fault::Fault;
use super::{compare, json, types};
use crate::clear::Kind;

/// Bytes of any length: zero bytes become `00 FF`, the end is `00 01`.
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[0, 0xff]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 1]);
}

/// A canonical value.
pub(super) fn write(
    kind: Kind,
    canonical: &[u8],
    collation: &Collation,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match kind {
        Kind::Text => collation.write_key(compare::text(canonical)?, out),
        Kind::Bytes => write_bytes(canonical, out),
        Kind::Bool | Kind::Uuid => out.extend_from_slice(canonical),
        Kind::Int | Kind::Timestamptz => {
            out.extend_from_slice(&flipped(i64::from_be_bytes(types::fixed(canonical)?)));
        }
        Kind::Date => {
            let days = i32::from_be_bytes(types::fixed(canonical)?);
            out.extend_from_slice(&((days as u32) ^ (1 << 31)).to_be_bytes());
        }
        Kind::Numeric => compare::Number::read(canonical)?.write_key(out),
        Kind::Jsonb => json::write_key(canonical, collation, out)?,
    }
    Ok(())
}

/// Negative numbers before the others.
fn flipped(n: i64) -> [u8; 8] {
    ((n as u64) ^ (1 << 63)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_their_order_and_none_begins_another() {
        let mut texts: Vec<&[u8]> =
            vec![b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"a", b"a\0", b"a\0b", b"ab", b"b", b"\xff"];
        texts.sort();
        let keys: Vec<Vec<u8>> = texts
            .iter()
            .map(|t| {
                let mut out = Vec::new();
                write_bytes(t, &mut out);
                out
            })
            .collect();
        assert!(keys.is_sorted());
        for (i, a) in keys.iter().enumerate() {
            assert!(keys.iter().skip(i + 1).all(|b| !b.starts_with(a)));
        }
    }
}
