//! Values on the wire: Postgres text and binary formats ↔ canonical clear values.
//!
//! Text forms are those of Postgres's own input and output functions (manual, chapter 8 "Data
//! Types" and appendix B "Date/Time Support"); binary forms those of its `_recv` and `_send`
//! functions. Text is UTF-8 here: whoever calls converts from and to the client's encoding.
//!
//! What Postgres accepts and this room does not (`now`, `today`, abbreviations of the session's own
//! zone…) is an error, never a guess.

mod array;
mod boolean;
mod bytea;
mod calendar;
mod charset;
mod date_fields;
mod date_lex;
mod date_text;
mod float;
mod integer;
mod jsonb;
mod newer;
mod numeric;
mod read;
mod source;
mod style;
mod text;
mod uuid;
mod zone;

pub use array::{array_oid, decode_array, element_oid, encode_array};
pub use charset::{Charset, ClientEncoding};
pub use source::shown_oid;

use crate::clear::{Clear, Kind};
use crate::policy::model::Declared;
use std::sync::Arc;

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
    /// `client_encoding`, where it is not UTF-8: for whoever calls, since text is UTF-8 in this room.
    pub charset: Option<Arc<Charset>>,
    /// The server's major version, since newer ones read more; 0 where it isn't known, and for the oldest.
    pub server: u16,
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
    /// 22008: a date or time field, or the whole date, is out of range.
    #[error("{0} out of range")]
    DateRange(&'static str),
    /// 22P03: the binary form is damaged.
    #[error("incorrect binary data format for type {0}")]
    Binary(&'static str),
    /// 22021: text that is not UTF-8, or holds a zero byte.
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    Encoding,
    /// 22P05: a byte that stands for no character in the client's encoding.
    #[error("a byte of encoding \"{0}\" has no equivalent in encoding \"UTF8\"")]
    NotInUtf8(&'static str),
    /// 22P05: a character that the client's encoding lacks.
    #[error("a character of encoding \"UTF8\" has no equivalent in encoding \"{0}\"")]
    NotInClient(&'static str),
    /// 54001: JSON nested deeper than this gateway reads.
    #[error("JSON is nested too deeply")]
    TooDeep,
    /// 22023: a time zone that is not known, of the session or within a value.
    #[error("time zone not recognized")]
    TimeZone,
    /// 0A000: `now`, `today` and the like, which the server's clock and the transaction's begin decide.
    #[error("a value for type {0} names the time at which it is read (now, today, tomorrow, yesterday)")]
    Clock(&'static str),
    /// 0A000: the type that the client declared can't be turned into the field's.
    #[error("a parameter of type OID {0} can't be sealed as {1}")]
    Unsupported(u32, &'static str),
}

impl ValueError {
    /// The SQLSTATE that Postgres gives for it.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Syntax(_, state) => state,
            Self::TooLong(_) => "22001",
            Self::Range(_) => "22003",
            Self::DateRange(_) => "22008",
            Self::Binary(_) => "22P03",
            Self::Encoding => "22021",
            Self::NotInUtf8(_) | Self::NotInClient(_) => "22P05",
            Self::TooDeep => "54001",
            Self::TimeZone => "22023",
            Self::Unsupported(..) | Self::Clock(_) => "0A000",
        }
    }
}

/// Reads a client's value. `oid` is the type that it declared (0: unknown, read as `declared`).
///
/// Declared limits hold on assignment as in Postgres: a varchar loses trailing spaces beyond its
/// length and is an error otherwise; numeric and timestamptz are rounded.
pub fn decode(
    bytes: &[u8],
    format: Format,
    oid: u32,
    declared: Declared,
    settings: &Settings,
) -> Result<Clear, ValueError> {
    read::Input::new(bytes, format, oid, declared, settings)?.read()
}

/// Writes a canonical value in the form that the client asked for, appending to `out`.
/// `as_text` gives the type's text form as a value of type text (a cast to text).
///
/// A value sealed when the field had another type is converted through its text form, where one of
/// the two types is text or varchar. On an error nothing is appended.
pub fn encode(
    kind: Kind,
    canonical: &[u8],
    declared: Declared,
    format: Format,
    as_text: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let at = out.len();
    let done = write(kind, canonical, declared, format, as_text, settings, out);
    if done.is_err() {
        out.truncate(at);
    }
    done
}

/// Whether that kind is the canonical form of the type.
pub fn is_canonical(kind: Kind, declared: Declared) -> bool {
    source::kind(declared) == kind
}

/// Whether the canonical bytes of a value are what clients see of it, in either format.
pub fn is_shown_as_is(kind: Kind, declared: Declared) -> bool {
    kind == Kind::Text && matches!(declared, Declared::Text | Declared::Varchar(_))
}

fn write(
    kind: Kind,
    canonical: &[u8],
    declared: Declared,
    format: Format,
    as_text: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let wanted = source::kind(declared);
    if kind == wanted && !as_text && format == Format::Binary {
        return write_binary(kind, canonical, declared, out);
    }
    if kind == wanted || wanted == Kind::Text {
        return write_text(kind, canonical, as_text || kind != wanted, settings, out);
    }
    if kind == Kind::Text || kind == Kind::Jsonb {
        // A number or boolean that came through HTTP in another spelling than its type's own (`1e3`).
        let again = decode(canonical, Format::Text, 0, declared, settings)?;
        return write(wanted, again.bytes(), declared, format, as_text, settings, out);
    }
    Err(ValueError::Unsupported(source::natural_oid(kind), source::name(declared)))
}

/// The text form. A cast of a boolean to text gives `true`, where its output function gives `t`.
fn write_text(
    kind: Kind,
    canonical: &[u8],
    cast: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    match kind {
        Kind::Text | Kind::Numeric | Kind::Jsonb => out.extend_from_slice(canonical),
        Kind::Bytes => bytea::write_text(canonical, settings.bytea_escape, out),
        Kind::Bool => boolean::write_text(canonical, cast, out)?,
        Kind::Int => integer::write_text(canonical, out)?,
        Kind::Date => date_text::write_date(canonical, settings, out)?,
        Kind::Timestamptz => date_text::write_timestamptz(canonical, settings, out)?,
        Kind::Uuid => uuid::write_text(canonical, out)?,
    }
    Ok(())
}

fn write_binary(
    kind: Kind,
    canonical: &[u8],
    declared: Declared,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    match kind {
        Kind::Numeric => numeric::write_binary(canonical, out)?,
        Kind::Int => integer::write_binary(canonical, declared, out)?,
        Kind::Jsonb => {
            out.push(jsonb::VERSION);
            out.extend_from_slice(canonical);
        }
        // Their canonical form is the binary form.
        Kind::Text | Kind::Bytes => out.extend_from_slice(canonical),
        Kind::Bool => out.extend_from_slice(&fixed::<1>(canonical, "boolean")?),
        Kind::Date => out.extend_from_slice(&fixed::<4>(canonical, "date")?),
        Kind::Timestamptz => out.extend_from_slice(&fixed::<8>(canonical, "timestamp with time zone")?),
        Kind::Uuid => out.extend_from_slice(&fixed::<16>(canonical, "uuid")?),
    }
    Ok(())
}

/// Exactly `N` bytes, or the binary form of that type is damaged.
fn fixed<const N: usize>(bytes: &[u8], name: &'static str) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| ValueError::Binary(name))
}

/// `isspace` in the C locale, as Postgres's input functions skip it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Without white space at either end.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}
