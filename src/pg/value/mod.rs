//! Values on the wire: Postgres text and binary formats ↔ canonical clear values.

use crate::clear::{Clear, Kind};
use crate::policy::model::Declared;

/// A parameter's or column's format code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 0
    Text,
    /// 1
    Binary,
}

impl Format {
    /// The format code on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// What a client's session settings change in text formats.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `DateStyle`, as ParameterStatus reports it: `ISO, MDY`.
    pub date_style: String,
    /// `TimeZone`.
    pub time_zone: String,
    /// `bytea_output` is `escape` (else hex).
    pub bytea_escape: bool,
}

/// Why a value could not be read or does not fit. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// 22P02, 22007, 22008…: does not read as the declared type.
    #[error("invalid input syntax for type {0}")]
    Syntax(&'static str, /** SQLSTATE */ &'static str),
    /// 22001: longer than the declared varchar(n).
    #[error("value too long for type character varying({0})")]
    TooLong(u32),
    /// 22003: out of the declared type's range.
    #[error("{0} out of range")]
    Range(&'static str),
    /// 0A000: the type that the client declared can't be turned into the field's.
    #[error("a parameter of type OID {0} can't be sealed as {1}")]
    Unsupported(u32, &'static str),
}

/// Reads a client's value. `oid` is the type that it declared (0: unknown, read as `declared`).
pub fn decode(
    bytes: &[u8],
    format: Format,
    oid: u32,
    declared: Declared,
    settings: &Settings,
) -> Result<Clear, ValueError> {
    let _ = (bytes, format, oid, declared, settings);
    todo!()
}

/// Writes a canonical value in the form that the client asked for, appending to `out`.
/// `as_text` gives the type's text form as a value of type text (a cast to text).
pub fn encode(
    kind: Kind,
    canonical: &[u8],
    declared: Declared,
    format: Format,
    as_text: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let _ = (kind, canonical, declared, format, as_text, settings, out);
    todo!()
}
