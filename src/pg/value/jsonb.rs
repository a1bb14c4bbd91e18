//! jsonb: canonicalised as Postgres prints it (`jsonb_in`, then `jsonb_out`).

use super::bytea::hex_digit;
use super::{ValueError, numeric};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Version byte of the binary form.
pub(super) const VERSION: u8 = 1;

/// Deepest nesting that is read. (Postgres stops at its stack limit, some thousands deep.)
const DEPTH: usize = 1_000;

const SYNTAX: ValueError = ValueError::Syntax("json", "22P02");

/// The text after the version byte of the binary form.
pub(super) fn unversioned(bytes: &[u8]) -> Result<&[u8], ValueError> {
    bytes.strip_prefix(&[VERSION]).ok_or(ValueError::Binary("jsonb"))
}

/// The canonical text: keys sorted by length, then bytes, the last of equal ones kept; one space after
/// `,` and `:`; numbers as numeric prints them. `json` is UTF-8.
pub(super) fn canonical(json: &[u8]) -> Result<Vec<u8>, ValueError> {
    let mut parser = Parser { rest: json, depth: 0 };
    let mut out = Vec::with_capacity(json.len() + json.len() / 4);
    let read = parser.value(&mut out).and_then(|()| {
        parser.space();
        if parser.rest.is_empty() { Ok(()) } else { Err(SYNTAX) }
    });
    match read {
        Ok(()) => Ok(out),
        Err(e) => {
            out.zeroize();
            Err(e)
        }
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    depth: usize,
}

/// A member: its key as text, and where its printed value lies in the object's buffer.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Member {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Parser<'_> {
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Skips white space, then takes that byte if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn need(&mut self, byte: u8) -> Result<(), ValueError> {
        if self.take(byte) { Ok(()) } else { Err(SYNTAX) }
    }

    fn value(&mut self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.space();
        match self.rest.first() {
            Some(b'{') => self.nested(out, Self::object),
            Some(b'[') => self.nested(out, Self::array),
            Some(b'"') => {
                let mut text = self.string()?;
                write_string(&text, out);
                text.zeroize();
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(out),
            _ => self.word(out),
        }
    }

    fn nested(
        &mut self,
        out: &mut Vec<u8>,
        read: fn(&mut Self, &mut Vec<u8>) -> Result<(), ValueError>,
    ) -> Result<(), ValueError> {
        if self.depth == DEPTH {
            return Err(ValueError::TooDeep);
        }
        self.depth += 1;
        read(self, out)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.need(b'[')?;
        out.push(b'[');
        if !self.take(b']') {
            loop {
                self.value(out)?;
                if !self.take(b',') {
                    break;
                }
                out.extend_from_slice(b", ");
            }
            self.need(b']')?;
        }
        out.push(b']');
        Ok(())
    }

    fn object(&mut self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.need(b'{')?;
        let mut members = Vec::new();
        if !self.take(b'}') {
            loop {
                members.push(self.member()?);
                if !self.take(b',') {
                    break;
                }
            }
            self.need(b'}')?;
        }
        write_object(members, out);
        Ok(())
    }

    fn member(&mut self) -> Result<Member, ValueError> {
        self.space();
        let mut member = Member { key: self.string()?, value: Vec::new() };
        self.need(b':')?;
        self.value(&mut member.value)?;
        Ok(member)
    }

    fn word(&mut self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        for word in [&b"true"[..], b"false", b"null"] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                self.no_word_goes_on()?;
                out.extend_from_slice(word);
                return Ok(());
            }
        }
        Err(SYNTAX)
    }

    /// `truely` and `12ab` are one bad token, not two.
    fn no_word_goes_on(&self) -> Result<(), ValueError> {
        match self.rest.first() {
            Some(b) if b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-') || *b >= 0x80 => {
                Err(SYNTAX)
            }
            _ => Ok(()),
        }
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let end = number_end(self.rest)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.no_word_goes_on()?;
        let mut canonical = numeric::parse(text)?.canonical()?;
        out.extend_from_slice(&canonical);
        canonical.zeroize();
        Ok(())
    }

    /// The text of a string, escapes undone.
    fn string(&mut self) -> Result<Vec<u8>, ValueError> {
        let Some(rest) = self.rest.strip_prefix(b"\"") else { return Err(SYNTAX) };
        self.rest = rest;
        let mut text = Vec::new();
        match self.string_into(&mut text) {
            Ok(()) => Ok(text),
            Err(e) => {
                text.zeroize();
                Err(e)
            }
        }
    }

    fn string_into(&mut self, text: &mut Vec<u8>) -> Result<(), ValueError> {
        loop {
            let plain = self.rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).ok_or(SYNTAX)?;
            text.extend_from_slice(&self.rest[..plain]);
            self.rest = &self.rest[plain..];
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(());
                }
                [b'\\', b'u', rest @ ..] => {
                    self.rest = rest;
                    let c = self.unicode()?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                [b'\\', escape, rest @ ..] => {
                    text.push(unescape(*escape)?);
                    self.rest = rest;
                }
                _ => return Err(SYNTAX),
            }
        }
    }

    /// What follows `\u`: four digits, or two surrogates. `\u0000` can't be text in Postgres: 22P05.
    fn unicode(&mut self) -> Result<char, ValueError> {
        let first = self.four_digits()?;
        if first == 0 {
            return Err(ValueError::Syntax("jsonb", "22P05"));
        }
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(SYNTAX);
        }
        self.rest = self.rest.strip_prefix(b"\\u").ok_or(SYNTAX)?;
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(SYNTAX);
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(SYNTAX)
    }

    fn four_digits(&mut self) -> Result<u32, ValueError> {
        let (digits, rest) = self.rest.split_at_checked(4).ok_or(SYNTAX)?;
        let mut bytes = [0; 2];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SYNTAX)?;
        self.rest = rest;
        Ok(u32::from(u16::from_be_bytes(bytes)))
    }
}

fn unescape(escape: u8) -> Result<u8, ValueError> {
    Ok(match escape {
        b'"' | b'\\' | b'/' => escape,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return Err(SYNTAX),
    })
}

/// Where a JSON number (RFC 8259 §6) at the start of `text` ends.
fn number_end(text: &[u8]) -> Result<usize, ValueError> {
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = digits(sign);
    if whole == 0 || (whole > 1 && text[sign] == b'0') {
        return Err(SYNTAX);
    }
    let mut at = sign + whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return Err(SYNTAX);
        }
        at += 1 + fraction;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return Err(SYNTAX);
        }
        at += 1 + sign + exponent;
    }
    Ok(at)
}

fn write_object(mut members: Vec<Member>, out: &mut Vec<u8>) {
    // Stable, and the last of equal keys wins: reversed, that one comes first.
    members.reverse();
    members.sort_by(|a, b| a.key.len().cmp(&b.key.len()).then_with(|| a.key.cmp(&b.key)));
    members.dedup_by(|later, kept| later.key == kept.key);
    out.push(b'{');
    for (i, m) in members.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        write_string(&m.key, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(&m.value);
    }
    out.push(b'}');
}

/// Quoted and escaped as `escape_json` does.
fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> Result<String, ValueError> {
        canonical(json.as_bytes()).map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn prints_as_postgres_does() {
        assert_eq!(
            shown(r#" {"bb":1e2,"a":[1.0, {}] ,"bb":"\u00e9\n\u001f\/","":null} "#).as_deref(),
            Ok(r#"{"": null, "a": [1.0, {}], "bb": "é\n\u001f/"}"#)
        );
        assert_eq!(shown(r#""\ud83d\ude00""#).as_deref(), Ok("\"😀\""));
    }

    #[test]
    fn refuses_what_is_no_json() {
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "1e",
            "truely",
            "12ab",
            "'a'",
            "\"\u{1}\"",
            "1 2",
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\x""#,
            "nan",
            "-",
            "[1 2]",
            "{a:1}",
            r#""\u12"#,
        ] {
            assert_eq!(shown(bad), Err(SYNTAX), "{bad}");
        }
        assert_eq!(shown(r#""\u0000""#), Err(ValueError::Syntax("jsonb", "22P05")));
    }

    #[test]
    fn refuses_deep_nesting_without_falling_over() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(shown(&deep(1_000)).is_ok());
        assert_eq!(shown(&deep(1_001)), Err(ValueError::TooDeep));
        assert_eq!(shown(&"[".repeat(1_000_000)), Err(ValueError::TooDeep));
    }
}
