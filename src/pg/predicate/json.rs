//! The order of jsonb (`compareJsonbContainers`): objects after arrays after booleans after numbers after texts after
//! null; containers by their count first. Texts within compare under the database's collation, numbers by value.

use super::collation::Collation;
use super::compare::Number;
use super::fault::Fault;
use super::key::write_bytes;
use std::cmp::Ordering;
use zeroize::{Zeroize, Zeroizing};

/// An array of nothing at the top sorts before everything else, for historical reasons.
const EMPTY_ARRAY: u8 = 1;
const NULL: u8 = 16;
const TEXT: u8 = 17;
const NUMBER: u8 = 18;
const BOOLEAN: u8 = 19;
const ARRAY: u8 = 32;
const OBJECT: u8 = 33;

pub(super) fn compare(a: &[u8], b: &[u8], collation: &Collation) -> Result<Ordering, Fault> {
    let (mut x, mut y) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
    write_key(a, collation, &mut x)?;
    write_key(b, collation, &mut y)?;
    Ok(x.cmp(&y))
}

/// Bytes that compare as the values do.
pub(super) fn write_key(canonical: &[u8], collation: &Collation, out: &mut Vec<u8>) -> Result<(), Fault> {
    if canonical == b"[]" {
        out.push(EMPTY_ARRAY);
        return Ok(());
    }
    let mut reader = Reader { rest: canonical, collation };
    reader.value(out)?;
    if reader.rest.is_empty() { Ok(()) } else { Err(Fault::damaged()) }
}

/// Reads the form that `pg::value` makes of JSON: one space after `,` and `:`, none elsewhere.
struct Reader<'a> {
    rest: &'a [u8],
    collation: &'a Collation,
}

impl<'a> Reader<'a> {
    fn take(&mut self, text: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    fn need(&mut self, text: &[u8]) -> Result<(), Fault> {
        if self.take(text) { Ok(()) } else { Err(Fault::damaged()) }
    }

    fn value(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self.rest.first() {
            Some(b'{') => self.members(OBJECT, b"}", out),
            Some(b'[') => self.members(ARRAY, b"]", out),
            Some(b'"') => {
                out.push(TEXT);
                self.text(out)
            }
            Some(b'-' | b'0'..=b'9') => {
                out.push(NUMBER);
                self.number()?.write_key(out);
                Ok(())
            }
            _ => {
                let (word, key): (&[u8], &[u8]) = match self.rest.first() {
                    Some(b'n') => (b"null", &[NULL]),
                    Some(b't') => (b"true", &[BOOLEAN, 1]),
                    _ => (b"false", &[BOOLEAN, 0]),
                };
                out.extend_from_slice(key);
                self.need(word)
            }
        }
    }

    /// The members of an object or array, their count before them.
    fn members(&mut self, tag: u8, end: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.rest = &self.rest[1..];
        out.push(tag);
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut count = 0_u32;
        if !self.take(end) {
            loop {
                if tag == OBJECT {
                    self.text(out)?;
                    self.need(b": ")?;
                }
                self.value(out)?;
                count = count.saturating_add(1);
                if !self.take(b", ") {
                    break;
                }
            }
            self.need(end)?;
        }
        out[at..at + 4].copy_from_slice(&count.to_be_bytes());
        Ok(())
    }

    fn number(&mut self) -> Result<Number<'a>, Fault> {
        let end = self.rest.iter().position(|b| !matches!(b, b'-' | b'.' | b'0'..=b'9'));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        Number::read(number)
    }

    fn text(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.need(b"\"")?;
        let mut text = Zeroizing::new(String::with_capacity(self.rest.len().min(256)));
        loop {
            let end = self.rest.iter().position(|b| matches!(b, b'"' | b'\\')).ok_or_else(Fault::damaged)?;
            let plain = std::str::from_utf8(&self.rest[..end]).map_err(|_| Fault::damaged())?;
            text.push_str(plain);
            let quote = self.rest[end] == b'"';
            self.rest = &self.rest[end + 1..];
            if quote {
                break;
            }
            text.push(self.escaped()?);
        }
        if self.collation.is_byte_order() {
            write_bytes(text.as_bytes(), out);
        } else {
            self.collation.write_key(&text, out);
        }
        text.zeroize();
        Ok(())
    }

    /// What follows a backslash. The canonical form escapes controls and `"`, `\` only: never a surrogate.
    fn escaped(&mut self) -> Result<char, Fault> {
        let (first, rest) = self.rest.split_first().ok_or_else(Fault::damaged)?;
        self.rest = rest;
        Ok(match first {
            b'"' | b'\\' | b'/' => char::from(*first),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let digits = self.rest.get(..4).ok_or_else(Fault::damaged)?;
                self.rest = &self.rest[4..];
                std::str::from_utf8(digits)
                    .ok()
                    .and_then(|d| u32::from_str_radix(d, 16).ok())
                    .and_then(char::from_u32)
                    .ok_or_else(Fault::damaged)?
            }
            _ => return Err(Fault::damaged()),
        })
    }
}
