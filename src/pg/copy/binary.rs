//! The binary format: a signature, flags, and rows of length-prefixed values.

use super::{Cell, CopyError, Cut};

/// What the data begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Flags of which a reader must know the meaning; none is known.
const CRITICAL: u32 = 0xffff_0000;

/// The signature, flags and extension.
pub(super) fn head(bytes: &[u8], end: bool) -> Result<Cut, CopyError> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] || (end && bytes.len() < SIGNATURE.len()) {
        return Err("COPY file signature not recognized".into());
    }
    let number = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>().map(|b| u32::from_be_bytes(*b));
    let Some(flags) = number(SIGNATURE.len()) else {
        return more(end, "invalid COPY file header (missing flags)");
    };
    if flags & CRITICAL != 0 {
        return Err("unrecognized critical flags in COPY file header".into());
    }
    let Some(extension) = number(SIGNATURE.len() + 4) else {
        return more(end, "invalid COPY file header (missing length)");
    };
    let Some(extension) = i32::try_from(extension).ok().and_then(|n| usize::try_from(n).ok()) else {
        return Err("invalid COPY file header (missing length)".into());
    };
    let total = SIGNATURE.len() + 8 + extension;
    if bytes.len() < total {
        more(end, "invalid COPY file header (wrong length)")
    } else {
        Ok(Cut::Head { total })
    }
}

fn more(end: bool, message: &str) -> Result<Cut, CopyError> {
    if end { Err(message.into()) } else { Ok(Cut::More) }
}

/// The next row, or the end.
pub(super) fn row(bytes: &[u8], end: bool) -> Result<Cut, CopyError> {
    if bytes.is_empty() && end {
        return Ok(Cut::End { total: 0 });
    }
    let Some(count) = bytes.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)) else {
        return more(end, "unexpected EOF in COPY data");
    };
    if count == -1 {
        return Ok(Cut::End { total: 2 });
    }
    let count = usize::try_from(count).map_err(|_| CopyError::from("row field count is negative"))?;
    let mut place = 2;
    for _ in 0..count {
        match length(bytes, place)? {
            None => return more(end, "unexpected EOF in COPY data"),
            Some(value) => place += 4 + value.unwrap_or(0),
        }
    }
    if bytes.len() < place {
        return more(end, "unexpected EOF in COPY data");
    }
    Ok(Cut::Row { content: place, total: place })
}

/// The length of the value at that place: `None` while it has not come, `Some(None)` for NULL.
#[allow(clippy::option_option)]
fn length(bytes: &[u8], place: usize) -> Result<Option<Option<usize>>, CopyError> {
    let Some(length) = bytes.get(place..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
    match i32::from_be_bytes(*length) {
        -1 => Ok(Some(None)),
        n => match usize::try_from(n) {
            Ok(n) => Ok(Some(Some(n))),
            Err(_) => Err("invalid field size".into()),
        },
    }
}

/// The values of a row.
pub(super) fn cells(row: &[u8], out: &mut Vec<Cell>) -> Result<(), CopyError> {
    let mut place = 2;
    while place < row.len() {
        let Some(value) = length(row, place)? else { return Err("unexpected EOF in COPY data".into()) };
        place += 4;
        let end = place + value.unwrap_or(0);
        out.push(Cell { raw: place..end, null: value.is_none() });
        place = end;
    }
    Ok(())
}

/// A value with its length.
pub(super) fn write(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), CopyError> {
    let length = match value {
        None => -1,
        Some(value) => i32::try_from(value.len()).map_err(|_| CopyError::from("invalid field size"))?,
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
    Ok(())
}
