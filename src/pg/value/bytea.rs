//! bytea: hex and escape forms (manual §8.4).

use super::{ValueError, is_space};

/// Reads `\x…`, or the escape form.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<u8>, ValueError> {
    match bytes {
        [b'\\', b'x', digits @ ..] => parse_hex(digits),
        _ => parse_escape(bytes),
    }
}

/// Pairs of digits; white space is allowed between pairs.
fn parse_hex(digits: &[u8]) -> Result<Vec<u8>, ValueError> {
    let syntax = || ValueError::Syntax("bytea", "22023");
    let mut out = Vec::with_capacity(digits.len() / 2);
    let mut rest = digits;
    while let [first, after @ ..] = rest {
        if is_space(*first) {
            rest = after;
            continue;
        }
        let (pair, after) = rest.split_at_checked(2).ok_or_else(syntax)?;
        let mut byte = [0];
        hex::decode_to_slice(pair, &mut byte).map_err(|_| syntax())?;
        out.push(byte[0]);
        rest = after;
    }
    Ok(out)
}

/// `\\` is a backslash, `\ooo` an octal byte up to `\377`; all else stands for itself.
fn parse_escape(bytes: &[u8]) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return Ok(out),
            [b'\\', b'\\', after @ ..] => {
                out.push(b'\\');
                after
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                after
            }
            [b'\\', ..] => return Err(ValueError::Syntax("bytea", "22P02")),
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        }
    }
}

/// Writes the hex form, or the escape form.
pub(super) fn write_text(bytes: &[u8], escape: bool, out: &mut Vec<u8>) {
    if !escape {
        out.reserve(2 + bytes.len() * 2);
        out.extend_from_slice(b"\\x");
        for byte in bytes {
            out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        return;
    }
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            _ => out.extend_from_slice(&[
                b'\\',
                b'0' + (byte >> 6),
                b'0' + ((byte >> 3) & 7),
                b'0' + (byte & 7),
            ]),
        }
    }
}

/// Lower-case digit of a value below 16.
pub(super) fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}
