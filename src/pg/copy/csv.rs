//! The CSV format (`CopyReadAttributesCSV`, `CopyAttributeOutCSV`): a quote may begin anywhere in a value.

use super::{Cell, CopyError, Options};

/// The values of a line.
pub(super) fn cells(
    options: &Options,
    row: &[u8],
    header: bool,
    out: &mut Vec<Cell>,
) -> Result<(), CopyError> {
    let mut start = 0;
    let mut quoted = false;
    let mut at = 0;
    while at < row.len() {
        let b = row[at];
        if b == options.delimiter {
            push(options, row, start, at, quoted, header, out);
            start = at + 1;
            quoted = false;
        } else if b == options.quote {
            quoted = true;
            at = closing(options, row, at + 1)?;
        }
        at += 1;
    }
    push(options, row, start, row.len(), quoted, header, out);
    Ok(())
}

/// Where the quoted part ends.
fn closing(options: &Options, row: &[u8], mut at: usize) -> Result<usize, CopyError> {
    while let Some(&b) = row.get(at) {
        let escaped = |next: &u8| *next == options.escape || *next == options.quote;
        if b == options.escape && row.get(at + 1).is_some_and(escaped) {
            at += 2;
        } else if b == options.quote {
            return Ok(at);
        } else {
            at += 1;
        }
    }
    Err("unterminated CSV quoted field".into())
}

fn push(
    options: &Options,
    row: &[u8],
    start: usize,
    end: usize,
    quoted: bool,
    header: bool,
    out: &mut Vec<Cell>,
) {
    let column = u16::try_from(out.len()).unwrap_or(u16::MAX);
    let raw = &row[start..end];
    let null = !header
        && if quoted {
            options.force_null.has(column) && {
                let mut plain = Vec::new();
                value(options, raw, &mut plain);
                plain == *options.null
            }
        } else {
            // FORCE_NOT_NULL counts first.
            *raw == *options.null && !options.force_not_null.has(column)
        };
    out.push(Cell { raw: start..end, null });
}

/// What a value stands for.
pub(super) fn value(options: &Options, raw: &[u8], out: &mut Vec<u8>) {
    let mut within = false;
    let mut at = 0;
    while let Some(&b) = raw.get(at) {
        at += 1;
        if !within && b == options.quote {
            within = true;
            continue;
        }
        if within {
            if b == options.escape
                && let Some(&next) = raw.get(at)
                && (next == options.escape || next == options.quote)
            {
                out.push(next);
                at += 1;
                continue;
            }
            if b == options.quote {
                within = false;
                continue;
            }
        }
        out.push(b);
    }
}

/// A value as the server writes it.
pub(super) fn write(options: &Options, value: &[u8], force: bool, alone: bool, out: &mut Vec<u8>) {
    let special = |b: &u8| *b == options.delimiter || *b == options.quote || matches!(b, b'\n' | b'\r');
    let quoted = force || *value == *options.null || (alone && value == b"\\.") || value.iter().any(special);
    if !quoted {
        out.extend_from_slice(value);
        return;
    }
    out.push(options.quote);
    for &b in value {
        if b == options.quote || b == options.escape {
            out.push(options.escape);
        }
        out.push(b);
    }
    out.push(options.quote);
}
