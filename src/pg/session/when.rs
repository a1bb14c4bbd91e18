//! Whether a row's `when` holds: its value compared as the server will compare it, or not at all.

use super::Session;
use super::failure::Failure;
use super::hidden::HiddenError;
use super::params::Client;
use super::subject::{INT2, INT4, INT8, UUID};
use crate::pg::plan::{RowWhen, SubjectSource, WhenTest};
use crate::pg::value::Format;

const BOOL: u32 = 16;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
/// `unknown`: read as the column's type.
const UNKNOWN: u32 = 705;

impl Session {
    /// Whether a row's `when` holds.
    pub(super) async fn applies(
        &mut self,
        when: Option<&RowWhen>,
        client: &Client<'_>,
        element: usize,
    ) -> Result<bool, HiddenError> {
        let Some(when) = when else { return Ok(true) };
        let value = match &when.value {
            SubjectSource::Client(i) => match client.raw(usize::from(*i))? {
                Some((bytes, format, oid)) => Some(text(&bytes, format, oid, when.oid).ok_or_else(spelling)?),
                None => None,
            },
            SubjectSource::Literal(text) => Some(text.to_string()),
            SubjectSource::Each(source) => match client.nth(source, element)? {
                Some((bytes, format, oid)) => Some(text(&bytes, format, oid, when.oid).ok_or_else(spelling)?),
                None => None,
            },
            SubjectSource::Nobody => None,
            SubjectSource::Returned | SubjectSource::Found => {
                return Err(Failure::new(
                    "0A000",
                    "when",
                    "paravent: whether the row holds a person's data depends on a value that the database makes",
                    "give the column that `when` tests in the statement",
                )
                .into());
            }
        };
        let Some(value) = value else { return Ok(false) };
        let equals = match &when.equals {
            WhenTest::Literal(text) => text.to_string(),
            WhenTest::Query(sql) => {
                let rows = self.hidden(sql, &[]).await?;
                match rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten() {
                    Some(text) => text,
                    None => return Ok(false),
                }
            }
        };
        same(when.oid, &value, &equals).ok_or_else(|| spelling().into())
    }
}

/// A client's value as text. `None` where the type that it declared is another than the column's, so that the
/// server converts it on assignment, or the binary form can't be read.
fn text(bytes: &[u8], format: Format, declared: u32, column: u32) -> Option<String> {
    let oid = if matches!(declared, 0 | UNKNOWN) { column } else { declared };
    let integer = |oid| matches!(oid, INT2 | INT4 | INT8);
    let words = |oid| matches!(oid, TEXT | VARCHAR);
    if oid != column && !(integer(oid) && integer(column)) && !(words(oid) && words(column)) {
        return None;
    }
    match (format, oid) {
        (Format::Text, _) => Some(std::str::from_utf8(bytes).ok()?.to_owned()),
        (Format::Binary, BOOL) => Some((*bytes.first()? != 0).to_string()),
        (Format::Binary, INT2 | INT4 | INT8 | UUID | TEXT | VARCHAR) => {
            super::subject::text(oid, format, bytes)
        }
        (Format::Binary, _) => None,
    }
}

/// Whether two spellings are one value of a type; `None` where that can't be told.
pub(super) fn same(oid: u32, value: &str, other: &str) -> Option<bool> {
    match oid {
        INT2 | INT4 | INT8 => Some(value.parse::<i64>().ok()? == other.parse::<i64>().ok()?),
        UUID => Some(uuid::Uuid::try_parse(value).ok()? == uuid::Uuid::try_parse(other).ok()?),
        BOOL => Some(boolean(value)? == boolean(other)?),
        TEXT => Some(value == other),
        // Spaces beyond a varchar's length are cut off.
        VARCHAR if value == other => Some(true),
        VARCHAR => (value.trim_end_matches(' ') != other.trim_end_matches(' ')).then_some(false),
        _ => (value == other).then_some(true),
    }
}

/// A boolean as Postgres reads it (chapter 8.6): unique prefixes of the words, in any case, in spaces.
fn boolean(text: &str) -> Option<bool> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).to_ascii_lowercase();
    let prefix = |word: &str, least: usize| text.len() >= least && word.starts_with(text.as_str());
    if text == "1" || prefix("true", 1) || prefix("yes", 1) || text == "on" {
        return Some(true);
    }
    (text == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2)).then_some(false)
}

pub(super) fn spelling() -> Failure {
    Failure::new(
        "0A000",
        "when",
        "paravent: whether the row holds a person's data depends on a value in a form that isn't plain",
        "give the column that `when` tests as a plain value of its own type, such as 2 or '2'",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_in_two_spellings_is_one_value_or_is_not_judged() {
        for (value, told) in [
            ("2", Some(true)),
            ("02", Some(true)),
            ("+2", Some(true)),
            ("3", Some(false)),
            (" 2", None),
            ("2.0", None),
            ("1.5", None),
            ("0x2", None),
            ("2_0", None),
            ("", None),
        ] {
            assert_eq!(same(INT4, value, "2"), told, "{value:?}");
        }
        let id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        assert_eq!(same(UUID, &id.to_uppercase(), id), Some(true));
        assert_eq!(same(UUID, "a0eebc99", id), None);
        assert_eq!(same(TEXT, "a ", "a"), Some(false));
        assert_eq!(same(VARCHAR, "a ", "a"), None);
        assert_eq!(same(VARCHAR, "b", "a"), Some(false));
        assert_eq!((same(1700, "2", "2"), same(1700, "2.0", "2")), (Some(true), None));
    }

    #[test]
    fn booleans_read_as_postgres_reads_them() {
        for yes in ["t", "TRUE", " yes ", "on", "1", "tr", "y"] {
            assert_eq!(same(BOOL, yes, "true"), Some(true), "{yes}");
        }
        for no in ["f", "false", "no", "off", "of", "0", "n"] {
            assert_eq!(same(BOOL, no, "true"), Some(false), "{no}");
        }
        for neither in ["", "o", "2", "truee", "10"] {
            assert_eq!(same(BOOL, neither, "true"), None, "{neither}");
        }
    }

    #[test]
    fn a_parameter_of_another_type_is_not_judged() {
        assert_eq!(text(&2_i16.to_be_bytes(), Format::Binary, INT2, INT4).as_deref(), Some("2"));
        assert_eq!(text(&2_i32.to_be_bytes(), Format::Binary, 0, INT4).as_deref(), Some("2"));
        assert_eq!(text(b"1.5", Format::Text, 1700, INT4), None);
        assert_eq!(text(&[0, 1], Format::Binary, 0, 1700), None);
        assert_eq!(text(&[1], Format::Binary, 0, BOOL).as_deref(), Some("true"));
        assert_eq!(text(b"2", Format::Text, 0, INT4).as_deref(), Some("2"));
    }
}
