//! Text and varchar(n).

use super::{Format, ValueError};

/// Longest `name` in bytes (`NAMEDATALEN` less its zero).
const NAME: usize = 63;

/// UTF-8 without zero bytes, as Postgres demands of any text.
pub(super) fn check(bytes: &[u8]) -> Result<(), ValueError> {
    if memchr::memchr(0, bytes).is_some() || std::str::from_utf8(bytes).is_err() {
        return Err(ValueError::Encoding);
    }
    Ok(())
}

/// Holds a text to varchar(n): spaces beyond n characters are cut silently, anything else is 22001.
pub(super) fn limited(mut text: Vec<u8>, limit: Option<u32>) -> Result<Vec<u8>, ValueError> {
    let Some(n) = limit else { return Ok(text) };
    let wanted = usize::try_from(n).unwrap_or(usize::MAX);
    // Characters begin at every byte that is not a continuation byte (10xxxxxx).
    let end = text.iter().enumerate().filter(|(_, b)| **b & 0xc0 != 0x80).nth(wanted).map(|(at, _)| at);
    if let Some(end) = end {
        if text[end..].iter().any(|b| *b != b' ') {
            zeroize::Zeroize::zeroize(&mut text);
            return Err(ValueError::TooLong(n));
        }
        text.truncate(end);
    }
    Ok(text)
}

/// A bpchar as text: its trailing spaces mean nothing.
pub(super) fn without_trailing_spaces(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != b' ').map_or(0, |at| at + 1);
    &bytes[..end]
}

/// A `name`: cut at 63 bytes in text form (at a character's start), refused beyond that in binary form.
pub(super) fn name(bytes: &[u8], format: Format) -> Result<&[u8], ValueError> {
    if bytes.len() <= NAME {
        return Ok(bytes);
    }
    if format == Format::Binary {
        return Err(ValueError::Syntax("name", "42622"));
    }
    let end = (0..=NAME).rev().find(|at| bytes[*at] & 0xc0 != 0x80).unwrap_or(0);
    Ok(&bytes[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_and_cuts_spaces_only() {
        assert_eq!(limited("été".into(), Some(3)), Ok("été".into()));
        assert_eq!(limited("été   ".into(), Some(4)), Ok("été ".into()));
        assert_eq!(limited("étés".into(), Some(3)), Err(ValueError::TooLong(3)));
        assert_eq!(limited("été  x".into(), Some(3)), Err(ValueError::TooLong(3)));
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        assert_eq!(check(b"a\0b"), Err(ValueError::Encoding));
        assert_eq!(check(b"\xff"), Err(ValueError::Encoding));
    }
}
