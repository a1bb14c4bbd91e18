//! Subject ids on the wire: read from a parameter or a result column in either format.

use super::encoding;
use super::params::array_literal;
use crate::pg::value::{Charset, Format};
use std::borrow::Cow;

/// The canonical text of a subject id, or `None` where it can't be one of its declared type.
pub(super) fn text(oid: u32, format: Format, bytes: &[u8]) -> Option<String> {
    match (oid, format) {
        (INT2, Format::Binary) => Some(i16::from_be_bytes(bytes.try_into().ok()?).to_string()),
        (INT4, Format::Binary) => Some(i32::from_be_bytes(bytes.try_into().ok()?).to_string()),
        (INT8, Format::Binary) => Some(i64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        (UUID, Format::Binary) => Some(uuid::Uuid::from_slice(bytes).ok()?.to_string()),
        _ => canonical(oid, std::str::from_utf8(bytes).ok()?),
    }
}

/// As [`text`], of bytes in the client's encoding.
pub(super) fn text_in(charset: Option<&Charset>, oid: u32, format: Format, bytes: &[u8]) -> Option<String> {
    if format == Format::Binary && matches!(oid, INT2 | INT4 | INT8 | UUID) {
        return text(oid, format, bytes);
    }
    text(oid, format, &encoding::read(charset, bytes).ok()?)
}

/// As [`text_in`], into a buffer that is used again; false where it can't be one.
pub(super) fn read(
    charset: Option<&Charset>,
    oid: u32,
    format: Format,
    bytes: &[u8],
    out: &mut String,
) -> bool {
    out.clear();
    let written = matches!(oid, INT2 | INT4 | INT8) && format == Format::Text && is_canonical_integer(bytes);
    let canonical = if written {
        std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
    } else {
        text_in(charset, oid, format, bytes).map(Cow::Owned)
    };
    canonical.is_some_and(|id| {
        out.push_str(&id);
        true
    })
}

/// A positive integer as Postgres writes it.
fn is_canonical_integer(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(b'1'..=b'9')) && bytes.len() <= 18 && bytes.iter().all(u8::is_ascii_digit)
}

/// A text form brought to the type's canonical one: ` 042` and `42` are one integer.
pub(super) fn canonical(oid: u32, text: &str) -> Option<String> {
    match oid {
        INT2 | INT4 | INT8 => text.trim().parse::<i64>().ok().map(|n| n.to_string()),
        UUID => uuid::Uuid::try_parse(text.trim()).ok().map(|u| u.to_string()),
        _ => Some(text.to_owned()),
    }
}

/// The array literal of canonical ids, for `= ANY($n)`.
pub(super) fn array(ids: &[String]) -> Vec<u8> {
    let elements: Vec<Option<&[u8]>> = ids.iter().map(|id| Some(id.as_bytes())).collect();
    array_literal(&elements)
}

/// `smallint`.
pub(super) const INT2: u32 = 21;
/// `integer`.
pub(super) const INT4: u32 = 23;
/// `bigint`.
pub(super) const INT8: u32 = 20;
/// `uuid`.
pub(super) const UUID: u32 = 2950;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_one_spelling() {
        assert_eq!(text(INT4, Format::Binary, &42_i32.to_be_bytes()).as_deref(), Some("42"));
        assert_eq!(text(INT8, Format::Text, b" 042").as_deref(), Some("42"));
        assert_eq!(text(INT4, Format::Text, b"x"), None);
        assert_eq!(
            text(UUID, Format::Text, b"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}").as_deref(),
            Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
        );
        assert_eq!(text(25, Format::Text, b"042").as_deref(), Some("042"));
    }

    #[test]
    fn a_buffer_gets_the_same_spelling() {
        let mut out = "before".to_owned();
        for (oid, format, bytes) in [
            (INT4, Format::Text, &b"42"[..]),
            (INT4, Format::Text, b" 042"),
            (INT8, Format::Text, b"-7"),
            (INT4, Format::Text, b"0"),
            (INT8, Format::Text, b"9223372036854775807"),
            (INT8, Format::Text, b"9223372036854775808"),
            (INT4, Format::Binary, b"\0\0\0\x01"),
            (INT4, Format::Text, b"1x"),
            (INT4, Format::Text, b""),
            (25, Format::Text, b"042"),
        ] {
            let expected = text(oid, format, bytes);
            assert_eq!(read(None, oid, format, bytes, &mut out), expected.is_some(), "{bytes:?}");
            assert_eq!(out, expected.unwrap_or_default());
        }
    }

    #[test]
    fn an_array_literal_is_quoted() {
        assert_eq!(array(&["1".into(), "a\"b\\".into()]), br#"{"1","a\"b\\"}"#);
    }
}
