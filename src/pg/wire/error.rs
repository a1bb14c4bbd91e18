//! ErrorResponse (`E`) and NoticeResponse (`N`): §55.7 for their form, §55.8 for their fields.

use super::WireError;
use super::frame;
use super::reader::Reader;

/// Field types (§55.8).
pub mod field {
    /// Severity, maybe localised.
    pub const SEVERITY: u8 = b'S';
    /// Severity, never localised.
    pub const SEVERITY_PLAIN: u8 = b'V';
    /// SQLSTATE.
    pub const CODE: u8 = b'C';
    /// The message.
    pub const MESSAGE: u8 = b'M';
    /// Detail.
    pub const DETAIL: u8 = b'D';
    /// Hint.
    pub const HINT: u8 = b'H';
    /// Position in the statement, in characters from 1.
    pub const POSITION: u8 = b'P';
    /// Position in [`INTERNAL_QUERY`].
    pub const INTERNAL_POSITION: u8 = b'p';
    /// Text of a command that the server itself made.
    pub const INTERNAL_QUERY: u8 = b'q';
    /// Context (call stack).
    pub const WHERE: u8 = b'W';
    /// The server's function that reports it.
    pub const ROUTINE: u8 = b'R';
}

/// Iterates over the fields of an error or notice: type and value. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    reader: Reader<'a>,
    done: bool,
}

/// Begins to read the body of an ErrorResponse or NoticeResponse.
pub fn fields(body: &[u8]) -> Fields<'_> {
    Fields { reader: Reader::new(body, "ErrorResponse"), done: false }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u8, &'a [u8]), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let got = match self.reader.u8() {
            Ok(0) => self.reader.end().err().map(Err),
            Ok(kind) => Some(self.reader.cstr().map(|value| (kind, value))),
            Err(e) => Some(Err(e)),
        };
        self.done = !matches!(got, Some(Ok(_)));
        got
    }
}

/// The first field of that type.
pub fn get(body: &[u8], kind: u8) -> Result<Option<&[u8]>, WireError> {
    for f in fields(body) {
        let (k, value) = f?;
        if k == kind {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// SQLSTATE of the error.
pub fn code(body: &[u8]) -> Result<Option<&[u8]>, WireError> {
    get(body, field::CODE)
}

/// Whether the server ends the connection with it.
///
/// # Errors
/// As [`get`].
pub fn is_fatal(body: &[u8]) -> Result<bool, WireError> {
    Ok(matches!(get(body, field::SEVERITY_PLAIN)?, Some(b"FATAL" | b"PANIC")))
}

/// POSITION of the error, in characters from 1; `None` when it has none or it is no number.
pub fn position(body: &[u8]) -> Result<Option<u32>, WireError> {
    Ok(get(body, field::POSITION)?.and_then(|v| std::str::from_utf8(v).ok()).and_then(|v| v.parse().ok()))
}

/// What becomes of a field in [`rewrite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays.
    Keep,
    /// It is left out.
    Drop,
    /// It gets another value.
    Replace(Vec<u8>),
}

/// Appends the error (`E`) or notice (`N`) of `body`, each field changed as `change` says. On an error
/// nothing is appended.
pub fn rewrite(
    out: &mut Vec<u8>,
    tag: u8,
    body: &[u8],
    mut change: impl FnMut(u8, &[u8]) -> Change,
) -> Result<(), WireError> {
    let begun = frame::begin(out, tag);
    for f in fields(body) {
        let (kind, value) = match f {
            Ok(f) => f,
            Err(e) => {
                frame::abandon(out, begun);
                return Err(e);
            }
        };
        match change(kind, value) {
            Change::Keep => put(out, kind, value),
            Change::Replace(new) => put(out, kind, &new),
            Change::Drop => {}
        }
    }
    out.push(0);
    frame::finish(out, begun)
}

fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    frame::cstr(out, value);
}

/// An error of our own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report<'a> {
    /// `ERROR`, `FATAL`, `WARNING`…; empty is `ERROR`.
    pub severity: &'a str,
    /// SQLSTATE, five characters.
    pub code: &'a str,
    /// One line. Never holds a value.
    pub message: &'a str,
    /// The way out.
    pub hint: Option<&'a str>,
    /// More. Never holds a value.
    pub detail: Option<&'a str>,
    /// Position in the client's statement, in characters from 1.
    pub position: Option<u32>,
    /// The server's function that reports it: drivers know some errors by that.
    pub routine: Option<&'a str>,
}

/// No field of ours is longer than this, so that a report always fits a message.
const FIELD_LIMIT: usize = 64 * 1024;

/// Appends an ErrorResponse.
pub fn write(out: &mut Vec<u8>, report: &Report<'_>) {
    write_as(out, b'E', report);
}

/// Appends a NoticeResponse.
pub fn write_notice(out: &mut Vec<u8>, report: &Report<'_>) {
    write_as(out, b'N', report);
}

fn write_as(out: &mut Vec<u8>, tag: u8, report: &Report<'_>) {
    let severity = if report.severity.is_empty() { "ERROR" } else { report.severity };
    let position = report.position.map(|p| p.to_string());
    let at = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    let all = [
        (field::SEVERITY, Some(severity)),
        (field::SEVERITY_PLAIN, Some(severity)),
        (field::CODE, Some(report.code)),
        (field::MESSAGE, Some(report.message)),
        (field::DETAIL, report.detail),
        (field::HINT, report.hint),
        (field::POSITION, position.as_deref()),
        (field::ROUTINE, report.routine),
    ];
    for (kind, value) in all {
        if let Some(value) = value {
            put(out, kind, &value.as_bytes()[..value.floor_char_boundary(FIELD_LIMIT)]);
        }
    }
    out.push(0);
    let length = out.len() - at - 1;
    frame::patch(out, at + 1, length);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let report = Report {
            code: "23505",
            message: "duplicate",
            detail: Some("Key (email)=(psn_x)"),
            position: Some(41),
            ..Report::default()
        };
        write(&mut out, &report);
        assert_eq!(frame::header(&out, frame::SMALL).unwrap().unwrap().total(), out.len());
        out.split_off(frame::HEADER)
    }

    #[test]
    fn reads_code_and_position() {
        let body = sample();
        assert_eq!(code(&body), Ok(Some(&b"23505"[..])));
        assert_eq!(position(&body), Ok(Some(41)));
        assert_eq!(get(&body, field::HINT), Ok(None));
    }

    #[test]
    fn replaces_the_position_and_drops_the_detail() {
        let mut out = Vec::new();
        rewrite(&mut out, b'E', &sample(), |kind, _| match kind {
            field::POSITION => Change::Replace(b"7".to_vec()),
            field::DETAIL => Change::Drop,
            _ => Change::Keep,
        })
        .unwrap();
        let body = &out[frame::HEADER..];
        assert_eq!((position(body), get(body, field::DETAIL)), (Ok(Some(7)), Ok(None)));
        assert_eq!(get(body, field::MESSAGE), Ok(Some(&b"duplicate"[..])));
    }

    #[test]
    fn a_damaged_error_appends_nothing() {
        let mut out = b"x".to_vec();
        assert!(rewrite(&mut out, b'E', b"SERROR\0Mno end", |_, _| Change::Keep).is_err());
        assert_eq!(out, b"x");
    }
}
