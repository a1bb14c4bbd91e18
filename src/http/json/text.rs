//! JSON strings: from their raw form to text and back (RFC 8259 §7).

use super::skip::plain;
use std::borrow::Cow;

/// The text of a raw string, quotes included. `None` where an escape names half a character (a lone surrogate) or
/// the bytes are no UTF-8. The scanner has checked the rest.
pub(in crate::http) fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = simdutf8::basic::from_utf8(inner(raw)?).ok()?;
    if is_plain(inner.as_bytes()) { Some(Cow::Borrowed(inner)) } else { unescaped(inner).map(Cow::Owned) }
}

/// The same as bytes, of a body that was seen to be UTF-8: most strings are not looked at again for that.
pub(in crate::http) fn bytes(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = inner(raw)?;
    if is_plain(inner) {
        return Some(Cow::Borrowed(inner));
    }
    unescaped(std::str::from_utf8(inner).ok()?).map(|text| Cow::Owned(text.into_bytes()))
}

/// What stands between the quotes.
fn inner(raw: &[u8]) -> Option<&[u8]> {
    raw.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Whether there is no escape.
fn is_plain(inner: &[u8]) -> bool {
    memchr::memchr(b'\\', inner).is_none()
}

fn unescaped(inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1)?;
        rest = &rest[at + 2..];
        text.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, after) = unicode(rest)?;
                rest = after;
                c
            }
            b'"' | b'\\' | b'/' => char::from(*escape),
            _ => return None,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// The character of one or two `\u` escapes, the first `\u` already read.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let (unit, rest) = hex4(rest)?;
    if !(0xD800..0xE000).contains(&unit) {
        return Some((char::from_u32(unit)?, rest));
    }
    let (low, rest) = hex4(rest.strip_prefix("\\u")?)?;
    if unit >= 0xDC00 || !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?, rest))
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

/// Appends the shortest raw form of a text, with quotes.
pub(in crate::http) fn encode(text: &str, out: &mut Vec<u8>) {
    encode_bytes(text.as_bytes(), out);
}

/// The same, of a text that is known to be UTF-8.
pub(in crate::http) fn encode_bytes(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some((good, [byte, after @ ..])) = rest.split_at_checked(plain(rest)) {
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 => b'u',
            other => *other,
        };
        out.extend_from_slice(good);
        out.extend_from_slice(&[b'\\', short]);
        if *byte < 0x20 && short == b'u' {
            out.extend_from_slice(format!("{byte:04x}").as_bytes());
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_escape_is_read() {
        let raw = br#""\"\\\/\b\f\n\r\t\u0061\u00e9\uD83E\udd8a z""#;
        assert_eq!(decode(raw).unwrap(), "\"\\/\u{8}\u{c}\n\r\ta\u{e9}\u{1F98A} z");
    }

    #[test]
    fn half_a_character_is_no_text() {
        for raw in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\udc00\ud800""#] {
            assert_eq!(decode(raw.as_bytes()), None, "{raw}");
        }
        assert_eq!(decode(b"\"\xff\""), None);
    }

    fn text_of(bytes: Cow<'_, [u8]>) -> String {
        String::from_utf8(bytes.into_owned()).unwrap()
    }

    proptest! {
        #[test]
        fn serde_reads_what_is_written_and_so_do_we(text: String) {
            let mut raw = Vec::new();
            encode(&text, &mut raw);
            prop_assert_eq!(&serde_json::from_slice::<String>(&raw).unwrap(), &text);
            prop_assert_eq!(decode(&raw).unwrap(), &*text);
        }

        #[test]
        fn what_serde_reads_is_read_alike(raw in r#""([a-zé🦊 ]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,12}""#) {
            let theirs = serde_json::from_str::<String>(&raw).ok();
            let ours = [decode(raw.as_bytes()).map(Cow::into_owned), bytes(raw.as_bytes()).map(text_of)];
            prop_assert_eq!(ours, [theirs.clone(), theirs]);
        }
    }
}
