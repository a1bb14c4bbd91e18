//! Subject ids as requests tell them: one person, one spelling.

use super::json::text;
use std::borrow::Cow;
use uuid::Uuid;

/// Longest id, in bytes.
const MAX: usize = 255;

/// The id is in another spelling than its canonical one, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotCanonical;

/// Checks an id that was decoded already: `42`, never `042`, `+42` or ` 42`; a UUID in lower case, with hyphens.
pub(super) fn canonical(id: &str) -> Result<&str, NotCanonical> {
    if id.is_empty() || id.len() > MAX || id.chars().any(char::is_control) || id.trim() != id {
        return Err(NotCanonical);
    }
    let digits = id.strip_prefix(['-', '+']).unwrap_or(id);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let good = !id.starts_with('+') && id != "-0" && (digits == "0" || !digits.starts_with('0'));
        return if good { Ok(id) } else { Err(NotCanonical) };
    }
    // Thirty-two bare digits may well be a text of their own.
    let spelled = id.contains(['-', '{', ':']);
    match Uuid::try_parse(id) {
        Ok(uuid) if spelled && uuid.hyphenated().to_string() != id => Err(NotCanonical),
        _ => Ok(id),
    }
}

/// The id in a JSON member: a string, or a whole number.
pub(super) fn of_json(raw: &[u8]) -> Result<Cow<'_, str>, NotCanonical> {
    match raw.first() {
        Some(b'"') => {
            let text = text::decode(raw).ok_or(NotCanonical)?;
            canonical(&text)?;
            Ok(text)
        }
        Some(b'-' | b'0'..=b'9') => {
            let text = std::str::from_utf8(raw).map_err(|_| NotCanonical)?;
            let whole = text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
            if whole { Ok(Cow::Borrowed(canonical(text)?)) } else { Err(NotCanonical) }
        }
        _ => Err(NotCanonical),
    }
}

/// The id in a raw segment of a path. Characters that need no escape must not be escaped: `4%32` is another spelling.
pub(super) fn of_segment(raw: &str) -> Result<Cow<'_, str>, NotCanonical> {
    let mut rest = raw;
    while let Some(at) = rest.find('%') {
        let code = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if !byte.is_ascii_alphanumeric() && !b"-._~".contains(&byte) => {}
            _ => return Err(NotCanonical),
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_encoding::percent_decode_str(raw).decode_utf8().map_err(|_| NotCanonical)?;
    canonical(&decoded)?;
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_one_spelling() {
        for id in ["42", "0", "-7", "alice", "a b", "007x", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "5f43a1"]
        {
            assert_eq!(canonical(id), Ok(id));
        }
        for id in [
            "",
            "042",
            "+42",
            " 42",
            "42\n",
            "00",
            "-0",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        ] {
            assert_eq!(canonical(id), Err(NotCanonical), "{id}");
        }
        assert!(canonical(&"x".repeat(256)).is_err());
    }

    #[test]
    fn a_member_tells_a_text_or_a_whole_number() {
        assert_eq!(of_json(b"42").unwrap(), "42");
        assert_eq!(of_json(br#""42""#).unwrap(), "42");
        assert_eq!(of_json(br#""a\u006c""#).unwrap(), "al");
        for raw in [&b"42.0"[..], b"4e1", b"true", b"{}", b"[42]", br#""042""#, b"\"\"", b""] {
            assert!(of_json(raw).is_err(), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn a_segment_is_escaped_where_it_must_be_and_nowhere_else() {
        assert_eq!(of_segment("42").unwrap(), "42");
        assert_eq!(of_segment("a%20b").unwrap(), "a b");
        assert_eq!(of_segment("zo%C3%AB").unwrap(), "zoë");
        for raw in ["4%32", "%34%32", "a%2", "a%zz", "042", "%FF"] {
            assert!(of_segment(raw).is_err(), "{raw}");
        }
    }
}
