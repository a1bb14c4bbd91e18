//! Over a whole value in which nothing is declared: as strictly as the scanner, with nothing to keep but the brackets.

use wide::u8x16;

/// So many levels fit in the word that remembers them.
const LEVELS: u32 = 64;

/// Where the value that begins at `at` ends; none where it doesn't end in the buffer, isn't valid, or nests more than
/// `levels` deep: the scanner then says which.
pub(super) fn value(buf: &[u8], mut at: usize, levels: usize) -> Option<usize> {
    let levels = u32::try_from(levels).unwrap_or(u32::MAX).min(LEVELS);
    // The innermost bracket is the lowest bit: 1 for an array.
    let (mut arrays, mut depth) = (0u64, 0u32);
    loop {
        let byte = *buf.get(at)?;
        let mut open = false;
        at = match byte {
            b'"' => string(buf, at + 1)?,
            b'{' | b'[' => {
                if depth == levels {
                    return None;
                }
                depth += 1;
                arrays = arrays << 1 | u64::from(byte == b'[');
                open = true;
                at + 1
            }
            b't' => word(buf, at, b"true")?,
            b'f' => word(buf, at, b"false")?,
            b'n' => word(buf, at, b"null")?,
            _ => number(buf, at)?,
        };
        // To the next value, over the ends of arrays and objects.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = blank(buf, at);
            let array = arrays & 1 == 1;
            match *buf.get(at)? {
                b',' if !open => at = blank(buf, at + 1),
                b']' if array => {
                    (arrays, depth, at, open) = (arrays >> 1, depth - 1, at + 1, false);
                    continue;
                }
                b'}' if !array => {
                    (arrays, depth, at, open) = (arrays >> 1, depth - 1, at + 1, false);
                    continue;
                }
                _ if open => {}
                _ => return None,
            }
            if !array {
                if *buf.get(at)? != b'"' {
                    return None;
                }
                at = blank(buf, string(buf, at + 1)?);
                if *buf.get(at)? != b':' {
                    return None;
                }
                at = blank(buf, at + 1);
            }
            break;
        }
    }
}

/// Over white space (RFC 8259 §2).
#[inline]
pub(super) fn blank(buf: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = buf.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn word(buf: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (buf.get(at..end)? == word).then_some(end)
}

/// After the closing quote of a string whose inside begins at `at`; none where it isn't whole, or not valid.
#[inline]
pub(super) fn string(buf: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain(buf.get(at..)?);
        match *buf.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match *buf.get(at + 1)? {
                b'u' => {
                    let digits = buf.get(at + 2..at + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// A number that something follows: one at the buffer's end may go on.
#[inline]
fn number(buf: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let from = at;
        while buf.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > from).then_some(at)
    };
    if buf.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if buf.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if buf.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = buf.get(at) {
        let sign = usize::from(matches!(buf.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    (at < buf.len()).then_some(at)
}

/// How many bytes are neither a quote, a backslash nor a control character: sixteen at a time.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<16>();
    for (number, block) in blocks.iter().enumerate() {
        let found = marks(block);
        if found != 0 {
            return number * 16 + found.trailing_zeros() as usize;
        }
    }
    let at = bytes.len() - rest.len();
    match bytes.last_chunk::<16>() {
        // Overlaps with what was looked at, where nothing was.
        Some(last) if at > 0 => match marks(last) {
            0 => bytes.len(),
            found => bytes.len() - last.len() + found.trailing_zeros() as usize,
        },
        _ => rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len()),
    }
}

/// A bit for each byte that is one of them.
#[inline]
fn marks(block: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*block);
    let quote = bytes.simd_eq(u8x16::splat(b'"'));
    let slash = bytes.simd_eq(u8x16::splat(b'\\'));
    let control = bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
    (quote | slash | control).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    #[test]
    fn a_value_ends_where_it_ends() {
        for text in [
            "{}",
            "[]",
            "[ ]",
            "{ }",
            r#""a\"\u00e9""#,
            "-0.5e+3",
            "true",
            r#"{"a":[1, {"b" : null}],"c":{}}"#,
        ] {
            for rest in [",", "]", " ", "}"] {
                assert_eq!(value(format!("{text}{rest}").as_bytes(), 0, 9), Some(text.len()), "{text}{rest}");
            }
        }
    }

    #[test]
    fn what_is_not_whole_or_not_valid_is_left_to_the_scanner() {
        for text in [
            "",
            "1",
            "{",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "-,",
            "1.,",
            "1e,",
            ".5,",
            "+1,",
            "tru,",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "[[[]]]",
            "nul",
            "\"abc",
            "\"\\",
        ] {
            assert_eq!(value(text.as_bytes(), 0, 2), None, "{text}");
        }
        assert_eq!(value(b"01,", 0, 2), Some(1), "the scanner finds no comma after it");
    }

    proptest! {
        #[test]
        fn serde_takes_whatever_is_skipped(text in r#"([\[\]{},:"\\ \n0-9.eE+a-]|"a":|true|null|\\u00e9|é){0,24}"#) {
            // A space lets a number end.
            let spaced = format!("{text} ");
            let skipped = value(spaced.as_bytes(), 0, 64).is_some_and(|end| spaced[end..].trim().is_empty());
            let known = serde_json::from_str::<IgnoredAny>(&spaced).is_ok() && !text.starts_with([' ', '\n']);
            prop_assert_eq!(skipped, known, "{}", text);
        }
    }
}
