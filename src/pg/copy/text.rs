//! The text format: values between delimiters, backslash escapes (`CopyReadAttributesText`,
//! `CopyAttributeOutText`).

use super::{Cell, Options};

/// The values of a line.
pub(super) fn cells(options: &Options, row: &[u8], out: &mut Vec<Cell>) {
    let mut start = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(options.delimiter, b'\\', &row[at..]) {
        at += found;
        if row[at] == b'\\' {
            at = (at + 2).min(row.len());
        } else {
            out.push(cell(options, row, start, at));
            at += 1;
            start = at;
        }
    }
    out.push(cell(options, row, start, row.len()));
}

/// NULL is judged before escapes are resolved.
fn cell(options: &Options, row: &[u8], start: usize, end: usize) -> Cell {
    Cell { raw: start..end, null: row[start..end] == *options.null }
}

/// What a value stands for.
pub(super) fn value(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        out.extend_from_slice(&raw[..at]);
        let Some((&next, rest)) = raw.get(at + 1..).and_then(<[u8]>::split_first) else { return };
        raw = rest;
        match next {
            b'0'..=b'7' => out.push(number(u32::from(next - b'0'), 2, 8, &mut raw)),
            b'x' if raw.first().is_some_and(u8::is_ascii_hexdigit) => out.push(number(0, 2, 16, &mut raw)),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            other => out.push(other),
        }
    }
    out.extend_from_slice(raw);
}

/// At most so many more digits; only the lowest byte counts.
fn number(mut value: u32, digits: usize, radix: u32, raw: &mut &[u8]) -> u8 {
    for _ in 0..digits {
        let Some((digit, rest)) =
            raw.split_first().and_then(|(b, rest)| Some((char::from(*b).to_digit(radix)?, rest)))
        else {
            break;
        };
        value = value * radix + digit;
        *raw = rest;
    }
    value.to_le_bytes()[0]
}

/// A value as the server writes it.
pub(super) fn write(options: &Options, value: &[u8], out: &mut Vec<u8>) {
    for &b in value {
        let letter = match b {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            _ if b == b'\\' || b == options.delimiter => b,
            _ => {
                out.push(b);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}
