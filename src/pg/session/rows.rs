//! Rows on their way out: protected cells opened, hidden columns taken off.

use super::encoding::is_words;
use super::failure::Failure;
use super::subject;
use crate::pg::plan::{Output, Plan};
use crate::pg::value::{self, Format, Settings};
use crate::pg::wire::WireError;
use crate::pg::wire::row::{RowWriter, cells};
use crate::policy::model::Field;
use crate::protect::{Door, Memo, Missing, OpenFault, Outcome, Row, armour};
use std::borrow::Cow;
use std::ops::Range;
use zeroize::Zeroizing;

const BYTEA: u32 = 17;

/// Buffers that are used for every row again.
#[derive(Default)]
pub(super) struct Scratch {
    cells: Vec<Option<Range<usize>>>,
    starts: Vec<usize>,
    values: Values,
}

#[derive(Default)]
struct Values {
    stored: Vec<u8>,
    clear: Zeroizing<Vec<u8>>,
    /// The column that was read last as the row's subject, and the id that it gave.
    subject: (Option<u16>, String),
    memo: Memo,
}

impl Scratch {
    /// A batch of rows is over: keys must be asked for again.
    pub(super) fn end_batch(&mut self) {
        self.values.memo.forget();
    }
}

/// Why a row was not written.
pub(super) enum RowError {
    /// The cache lacks these.
    Missing,
    /// The row must not be shown.
    Failure(Failure),
}

impl From<WireError> for RowError {
    fn from(error: WireError) -> Self {
        Self::Failure(Failure::malformed(&error))
    }
}

/// How a plan's rows are opened.
pub(super) struct Opener<'a> {
    pub door: &'a Door,
    pub plan: &'a Plan,
    /// As asked for in Bind: none, one or one each.
    pub formats: &'a [Format],
    pub settings: &'a Settings,
}

/// The format of a column.
pub(super) fn format_at(formats: &[Format], column: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        each => each.get(column).copied().unwrap_or(Format::Text),
    }
}

impl Opener<'_> {
    /// Appends the row that the client sees to `out`. On an error nothing is appended; what the cache
    /// lacks is added to `missing`.
    pub(super) fn row(
        &self,
        body: &[u8],
        scratch: &mut Scratch,
        missing: &mut Vec<Missing>,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let Scratch { cells: ranges, starts, values } = scratch;
        values.subject.0 = None;
        ranges.clear();
        starts.clear();
        let mut iter = cells(body)?;
        loop {
            starts.push(iter.position());
            match iter.next() {
                Some(cell) => ranges.push(cell?),
                None => break,
            }
        }
        let visible = self.visible(ranges.len())?;
        let lacked = missing.len();
        let mut row = RowWriter::begin(out);
        let mut next = 0;
        for output in &self.plan.outputs {
            let column = usize::from(output.column);
            row.copy(&body[starts[next]..starts[column]], count(column - next))?;
            next = column + 1;
            let written = match &ranges[column] {
                None => row.null().map_err(RowError::from),
                Some(range) if !self.applies(output, body, ranges)? => {
                    row.cell(&body[range.clone()]).map_err(RowError::from)
                }
                Some(range) => {
                    let cell = Cell { output, bytes: &body[range.clone()], column };
                    self.cell(&cell, body, ranges, values, missing, &mut row)
                }
            };
            if let Err(error) = written {
                row.abandon();
                return Err(error);
            }
        }
        if missing.len() > lacked {
            row.abandon();
            return Err(RowError::Missing);
        }
        row.copy(&body[starts[next]..starts[visible]], count(visible - next))?;
        row.finish()?;
        Ok(())
    }

    fn visible(&self, columns: usize) -> Result<usize, RowError> {
        let visible = self.plan.visible.map_or(columns, usize::from);
        let last = self.plan.outputs.last().map_or(0, |o| usize::from(o.column) + 1);
        if visible + self.plan.hidden.len() == columns && last <= visible {
            Ok(visible)
        } else {
            Err(RowError::Failure(Failure::internal("the result has other columns than were planned")))
        }
    }

    /// Whether the row's `when` holds, so that its value is protected.
    fn applies(
        &self,
        output: &Output,
        body: &[u8],
        cells: &[Option<Range<usize>>],
    ) -> Result<bool, RowError> {
        let Some(column) = output.when else { return Ok(true) };
        match cells.get(usize::from(column)) {
            Some(Some(range)) => Ok(matches!(&body[range.clone()], b"t" | [1])),
            Some(None) => Ok(false),
            None => Err(RowError::Failure(Failure::internal("a hidden column is missing"))),
        }
    }

    fn cell(
        &self,
        cell: &Cell<'_>,
        body: &[u8],
        cells: &[Option<Range<usize>>],
        values: &mut Values,
        missing: &mut Vec<Missing>,
        row: &mut RowWriter<'_>,
    ) -> Result<(), RowError> {
        let output = cell.output;
        let field = self.door.policy().field(output.field);
        let format = format_at(self.formats, cell.column);
        let Values { stored, clear, subject, memo } = values;
        let of = match self.subject(output, body, cells, subject)? {
            Some(id) => Row::Of { class: &output.class, id },
            None if output.bound => return Err(fault(self.door.nobodys(output.field), field)),
            None => Row::Unknown,
        };
        row.cell_or_null(|out| {
            let from = out.len();
            let outcome = if output.token {
                match token_text(output.stored_oid, format, cell.bytes) {
                    Some(token) => self.door.reveal_next(output.field, &token, of, memo, out),
                    None => Outcome::Fault(self.door.in_clear(output.field)),
                }
            } else if stored_envelope(output.stored_oid, format, cell.bytes, stored) {
                self.door.open_next(output.field, stored, of, memo, out)
            } else {
                Outcome::Fault(self.door.in_clear(output.field))
            };
            let shown = match outcome {
                Outcome::Opened(kind) if value::is_shown_as_is(kind, field.ty) => Ok(true),
                Outcome::Opened(kind) => {
                    clear.clear();
                    clear.extend_from_slice(&out[from..]);
                    out.truncate(from);
                    let settings = self.style(output, format, cell.bytes);
                    value::encode(kind, clear, field.ty, format, as_text(output, field), &settings, out)
                        .map_err(|e| RowError::Failure(Failure::value(&e, &field.name)))?;
                    Ok(true)
                }
                Outcome::Erased => self.erased(output, field, format, out),
                Outcome::Missing(what) => {
                    if !missing.contains(&what) {
                        missing.push(what);
                    }
                    Ok(false)
                }
                Outcome::Fault(why) => Err(fault(why, field)),
            }?;
            match &self.settings.charset {
                Some(charset) if shown && (format == Format::Text || is_words(output.shown.oid)) => charset
                    .write_from(out, from)
                    .map_err(|e| RowError::Failure(Failure::value(&e, &field.name)))?,
                _ => {}
            }
            Ok(shown)
        })
    }

    /// The session's settings; `bytea_output`, which the server doesn't report, as the stored value shows it.
    fn style(&self, output: &Output, format: Format, stored: &[u8]) -> Cow<'_, Settings> {
        let escape = !stored.starts_with(b"\\x");
        if output.stored_oid != BYTEA || format != Format::Text || escape == self.settings.bytea_escape {
            return Cow::Borrowed(self.settings);
        }
        Cow::Owned(Settings { bytea_escape: escape, ..self.settings.clone() })
    }

    /// NULL (false), or the field's placeholder where the column can't be NULL.
    fn erased(
        &self,
        output: &Output,
        field: &Field,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Result<bool, RowError> {
        let Some(placeholder) = field
            .placeholder()
            .filter(|text| output.not_null && (!text.is_empty() || is_text(output.shown.oid)))
        else {
            return Ok(false);
        };
        let failed = |e| RowError::Failure(Failure::value(&e, &field.name));
        let read = value::decode(placeholder.as_bytes(), Format::Text, 0, field.ty, self.settings)
            .map_err(failed)?;
        let text = as_text(output, field);
        value::encode(read.kind(), read.bytes(), field.ty, format, text, self.settings, out)
            .map_err(failed)?;
        Ok(true)
    }

    /// The row's subject, read once for all outputs that share its column.
    fn subject<'s>(
        &self,
        output: &Output,
        body: &[u8],
        cells: &[Option<Range<usize>>],
        read: &'s mut (Option<u16>, String),
    ) -> Result<Option<&'s str>, RowError> {
        let Some(number) = output.subject else { return Ok(None) };
        if read.0 == Some(number) {
            return Ok(Some(&read.1));
        }
        let column = usize::from(number);
        match cells.get(column) {
            Some(Some(range)) => {
                let format = format_at(self.formats, column);
                let charset = self.settings.charset.as_deref();
                if !subject::read(charset, output.subject_oid, format, &body[range.clone()], &mut read.1) {
                    return Err(RowError::Failure(Failure::internal("the subject column could not be read")));
                }
                read.0 = Some(number);
                Ok(Some(&read.1))
            }
            Some(None) => Ok(None),
            None => Err(RowError::Failure(Failure::internal("the subject column is missing"))),
        }
    }
}

struct Cell<'a> {
    output: &'a Output,
    bytes: &'a [u8],
    column: usize,
}

fn fault(why: OpenFault, field: &Field) -> RowError {
    RowError::Failure(Failure::open(why, &field.name))
}

fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn is_text(oid: u32) -> bool {
    matches!(oid, 25 | 1043 | 1042)
}

fn as_text(output: &Output, field: &Field) -> bool {
    use crate::policy::model::Declared;
    is_text(output.shown.oid) && !matches!(field.ty, Declared::Text | Declared::Varchar(_))
}

/// The raw envelope of a stored value; false where it can't be one.
pub(super) fn stored_envelope(oid: u32, format: Format, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    match (oid, format) {
        (17, Format::Binary) => {
            out.extend_from_slice(bytes);
            true
        }
        (17, Format::Text) => match bytes.strip_prefix(b"\\x").map(hex::decode) {
            Some(Ok(decoded)) => {
                out.extend_from_slice(&decoded);
                true
            }
            Some(Err(_)) => false,
            None => unescape(bytes, out),
        },
        _ => armour::read(bytes, out),
    }
}

/// Reads `bytea_output = escape`: `\\` and `\ooo`, other bytes as they are (Postgres 8.4.2).
fn unescape(mut bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let digit = |b: u8| matches!(b, b'0'..=b'7').then(|| u16::from(b - b'0'));
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = match (first, rest) {
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                after
            }
            (b'\\', [a, b, c, after @ ..]) => {
                let (Some(a), Some(b), Some(c)) = (digit(*a), digit(*b), digit(*c)) else { return false };
                let Ok(byte) = u8::try_from(a * 64 + b * 8 + c) else { return false };
                out.push(byte);
                after
            }
            (b'\\', _) => return false,
            _ => {
                out.push(first);
                rest
            }
        };
    }
    true
}

/// A stored token in its column's text form.
pub(super) fn token_text(oid: u32, format: Format, bytes: &[u8]) -> Option<Cow<'_, str>> {
    match format {
        Format::Binary if matches!(oid, subject::UUID | subject::INT8) => {
            subject::text(oid, format, bytes).map(Into::into)
        }
        _ => std::str::from_utf8(bytes).ok().map(Into::into),
    }
}
