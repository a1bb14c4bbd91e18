//! Values as HTTP carries them, JSON or text ↔ canonical clear values.
//!
//! A value comes back as what it was. One in its type's own form is sealed as that type, so that SQL reads it too;
//! another spelling that the type still reads (`"42"`, `1e3`) is sealed as it was sent.

use super::json::text;
use crate::clear::{Clear, Kind};
use crate::policy::model::{Declared, Field, Protect};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Why a value is not taken. Never holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("it holds half a character (a lone surrogate)")]
    Surrogate,
    #[error("it is not a {0}")]
    Type(&'static str),
    #[error("it is longer than {0} characters")]
    TooLong(u32),
    #[error("an identifier is one text or number")]
    Identifier,
}

/// Reads a raw JSON value; `None` for null, which stays.
pub(super) fn from_json(raw: &[u8], field: &Field) -> Result<Option<Clear>, ValueError> {
    match raw.first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text = Zeroizing::new(text::decode(raw).ok_or(ValueError::Surrogate)?.into_owned());
            from_text(&text, field).map(Some)
        }
        Some(_) => other(raw, field).map(Some),
        None => Err(ValueError::Type("value")),
    }
}

/// Reads a text: a JSON string, a form's control, a header.
pub(super) fn from_text(text: &str, field: &Field) -> Result<Clear, ValueError> {
    if let Protect::Pseudonym { .. } = field.protect {
        return identifier(text, field.ty).map(|id| Clear::text(&id));
    }
    let as_sent = |good: bool, name| if good { Ok(Clear::text(text)) } else { Err(ValueError::Type(name)) };
    match field.ty {
        Declared::Text => Ok(Clear::text(text)),
        Declared::Varchar(limit) => match limit {
            Some(limit) if text.chars().count() > limit as usize => Err(ValueError::TooLong(limit)),
            _ => Ok(Clear::text(text)),
        },
        Declared::Integer => as_sent(text.parse::<i32>().is_ok(), "whole number of 32 bits"),
        Declared::Bigint => as_sent(text.parse::<i64>().is_ok(), "whole number of 64 bits"),
        Declared::Numeric(_) => as_sent(number(text.as_bytes()), "number"),
        Declared::Boolean => as_sent(matches!(text, "true" | "false"), "boolean"),
        Declared::Date => match days(text) {
            Some(days) => Ok(Clear::new(Kind::Date, days.to_be_bytes().to_vec())),
            None => as_sent(text.parse::<DateTime>().is_ok() || text.parse::<Timestamp>().is_ok(), "date"),
        },
        Declared::Timestamptz(_) => match micros(text) {
            Some(micros) => Ok(Clear::new(Kind::Timestamptz, micros.to_be_bytes().to_vec())),
            None => as_sent(text.parse::<Timestamp>().is_ok(), "time with its zone (RFC 3339)"),
        },
        Declared::Uuid => match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => {
                Ok(Clear::new(Kind::Uuid, uuid.as_bytes().to_vec()))
            }
            other => as_sent(other.is_ok(), "uuid"),
        },
        Declared::Jsonb => {
            let mut raw = Vec::with_capacity(text.len() + 2);
            text::encode(text, &mut raw);
            Ok(Clear::new(Kind::Jsonb, raw))
        }
        Declared::Bytea => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Clear::new(Kind::Bytes, bytes)),
            Err(_) => Err(ValueError::Type("base64 text")),
        },
    }
}

/// A number, boolean, object or array.
fn other(raw: &[u8], field: &Field) -> Result<Clear, ValueError> {
    let digits = matches!(raw.first(), Some(b'-' | b'0'..=b'9'));
    if let Protect::Pseudonym { .. } = field.protect {
        let text = std::str::from_utf8(raw).map_err(|_| ValueError::Identifier)?;
        // As text it would be looked up, and SQL would find it, but it must come back as a number.
        let number = field.ty == Declared::Bigint && text.parse::<i64>().is_ok_and(|n| n.to_string() == text);
        return if number { Ok(Clear::text(text)) } else { Err(ValueError::Identifier) };
    }
    let as_sent = || Ok(Clear::new(Kind::Jsonb, raw.to_vec()));
    match field.ty {
        Declared::Text | Declared::Varchar(_) | Declared::Jsonb => as_sent(),
        Declared::Integer | Declared::Bigint => {
            let narrow = field.ty == Declared::Integer;
            let name = if narrow { "whole number of 32 bits" } else { "whole number of 64 bits" };
            let text = std::str::from_utf8(raw).map_err(|_| ValueError::Type(name))?;
            let value: i64 = text.parse().map_err(|_| ValueError::Type(name))?;
            if value.to_string() != text || (narrow && i32::try_from(value).is_err()) {
                return Err(ValueError::Type(name));
            }
            Ok(Clear::new(Kind::Int, value.to_be_bytes().to_vec()))
        }
        Declared::Numeric(_) if digits => {
            let zero = raw.iter().all(|b| matches!(b, b'-' | b'0' | b'.'));
            let plain = raw.iter().all(|b| matches!(b, b'-' | b'.' | b'0'..=b'9')) && raw.len() < 1000;
            if plain && !(zero && raw[0] == b'-') {
                Ok(Clear::new(Kind::Numeric, raw.to_vec()))
            } else {
                as_sent()
            }
        }
        Declared::Numeric(_) => Err(ValueError::Type("number")),
        Declared::Boolean if raw == b"true" => Ok(Clear::new(Kind::Bool, vec![1])),
        Declared::Boolean if raw == b"false" => Ok(Clear::new(Kind::Bool, vec![0])),
        Declared::Boolean => Err(ValueError::Type("boolean")),
        Declared::Date => Err(ValueError::Type("date")),
        Declared::Timestamptz(_) => Err(ValueError::Type("time with its zone (RFC 3339)")),
        Declared::Uuid => Err(ValueError::Type("uuid")),
        Declared::Bytea => Err(ValueError::Type("base64 text")),
    }
}

/// The text by which an identifier is looked up: what the column's type prints.
pub(super) fn identifier(text: &str, ty: Declared) -> Result<Cow<'_, str>, ValueError> {
    Ok(match ty {
        Declared::Uuid => {
            let uuid = Uuid::try_parse(text).map_err(|_| ValueError::Type("uuid"))?;
            Cow::Owned(uuid.hyphenated().to_string())
        }
        Declared::Bigint => {
            let number: i64 = text.parse().map_err(|_| ValueError::Type("whole number of 64 bits"))?;
            Cow::Owned(number.to_string())
        }
        _ => Cow::Borrowed(text),
    })
}

/// Appends the raw JSON of a canonical value.
pub(super) fn to_json(kind: Kind, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match kind {
        Kind::Jsonb => out.extend_from_slice(canonical),
        Kind::Bool | Kind::Int => out.extend_from_slice(to_text(kind, canonical)?.as_bytes()),
        Kind::Numeric if number(canonical) => out.extend_from_slice(canonical),
        // Whoever opened it has seen that it is UTF-8.
        Kind::Text => text::encode_bytes(canonical, out),
        _ => text::encode(&to_text(kind, canonical)?, out),
    }
    Ok(())
}

/// The text of a canonical value, as a form or header carries it.
pub(super) fn to_text(kind: Kind, canonical: &[u8]) -> Result<Zeroizing<String>, ValueError> {
    Ok(Zeroizing::new(match kind {
        Kind::Text | Kind::Numeric => utf8(canonical)?.to_owned(),
        // A string stands for its text.
        Kind::Jsonb => match text::decode(canonical) {
            Some(text) => text.into_owned(),
            None => utf8(canonical)?.to_owned(),
        },
        Kind::Bytes => STANDARD.encode(canonical),
        Kind::Bool => if canonical == [1] { "true" } else { "false" }.to_owned(),
        Kind::Int => i64::from_be_bytes(fixed(canonical)?).to_string(),
        Kind::Date => date(i32::from_be_bytes(fixed(canonical)?)),
        Kind::Timestamptz => time(i64::from_be_bytes(fixed(canonical)?)),
        Kind::Uuid => Uuid::from_bytes(fixed(canonical)?).hyphenated().to_string(),
    }))
}

fn utf8(bytes: &[u8]) -> Result<&str, ValueError> {
    std::str::from_utf8(bytes).map_err(|_| ValueError::Type("text"))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| ValueError::Type("canonical value"))
}

/// Whether a text is a JSON number.
fn number(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'-' | b'0'..=b'9'))
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// Days from 2000-01-01 to a civil date of any year (proleptic Gregorian; eras of 400 years).
fn date(days: i32) -> String {
    match days {
        i32::MAX => return "infinity".to_owned(),
        i32::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    // Counted from 0000-03-01, so that leap days end a year.
    let shifted = i64::from(days) + 730_425;
    let era = shifted.div_euclid(146_097);
    let day = shifted.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let dom = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{dom:02}")
}

/// RFC 3339 in UTC, with as many digits of the second as it has.
fn time(micros: i64) -> String {
    match micros {
        i64::MAX => return "infinity".to_owned(),
        i64::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let day = micros.div_euclid(86_400_000_000);
    let rest = micros.rem_euclid(86_400_000_000);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = date(i32::try_from(day).unwrap_or(i32::MAX));
    let mut text = format!("{date}T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// The days of a date in the form that [`date`] writes.
fn days(text: &str) -> Option<i32> {
    let parsed: Date = text.parse().ok()?;
    let since: SignedDuration = parsed.duration_since(Date::constant(2000, 1, 1));
    let days = i32::try_from(since.as_hours() / 24).ok()?;
    (date(days) == text).then_some(days)
}

/// The microseconds of a time in the form that [`time`] writes.
fn micros(text: &str) -> Option<i64> {
    const EPOCH: i64 = 946_684_800_000_000;
    let parsed: Timestamp = text.parse().ok()?;
    let micros = parsed.as_microsecond().checked_sub(EPOCH)?;
    (time(micros) == text).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FieldId, FieldTag};
    use crate::policy::model::TokenKind;
    use proptest::prelude::*;

    fn field(ty: Declared, protect: Protect) -> Field {
        Field {
            id: FieldId(0),
            name: "x".into(),
            tag: FieldTag([0; 4]),
            protect,
            ty,
            purpose: "default".into(),
            erased: None,
        }
    }

    fn sealed(ty: Declared, raw: &str) -> Result<(Kind, String), ValueError> {
        let clear = from_json(raw.as_bytes(), &field(ty, Protect::Encrypt))?.unwrap();
        let mut out = Vec::new();
        to_json(clear.kind(), clear.bytes(), &mut out).unwrap();
        Ok((clear.kind(), String::from_utf8(out).unwrap()))
    }

    #[test]
    fn a_value_comes_back_as_it_was_sent() {
        use Declared::*;
        for (ty, raw, kind) in [
            (Text, "\"Zoë\"", Kind::Text),
            (Text, "12.50", Kind::Jsonb),
            (Text, "true", Kind::Jsonb),
            (Text, r#"{"a": [1, 2]}"#, Kind::Jsonb),
            (Varchar(Some(3)), "\"Zoë\"", Kind::Text),
            (Integer, "-42", Kind::Int),
            (Integer, "\"42\"", Kind::Text),
            (Bigint, "9223372036854775807", Kind::Int),
            (Numeric(None), "12.50", Kind::Numeric),
            (Numeric(None), "1E3", Kind::Jsonb),
            (Numeric(None), "-0.0", Kind::Jsonb),
            (Numeric(None), "\"12.50\"", Kind::Text),
            (Boolean, "false", Kind::Bool),
            (Date, "\"1990-02-28\"", Kind::Date),
            (Date, "\"1990-02-28T00:00:00.000Z\"", Kind::Text),
            (Timestamptz(None), "\"2020-01-01T12:00:00.5Z\"", Kind::Timestamptz),
            (Timestamptz(None), "\"2020-01-01T12:00:00+02:00\"", Kind::Text),
            (Uuid, "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", Kind::Uuid),
            (Uuid, "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"", Kind::Text),
            (Jsonb, "[1,  2]", Kind::Jsonb),
            (Jsonb, "\"x\"", Kind::Jsonb),
            (Bytea, "\"AAEC\"", Kind::Bytes),
        ] {
            assert_eq!(sealed(ty, raw), Ok((kind, raw.to_owned())), "{ty:?} {raw}");
        }
    }

    #[test]
    fn what_the_type_does_not_read_is_refused() {
        use Declared::*;
        for (ty, raw) in [
            (Integer, "1.0"),
            (Integer, "2147483648"),
            (Integer, "true"),
            (Bigint, "1e3"),
            (Numeric(None), "\"x\""),
            (Numeric(None), "[]"),
            (Boolean, "1"),
            (Date, "\"soon\""),
            (Date, "\"1990-02-30\""),
            (Timestamptz(None), "\"2020-01-01\""),
            (Uuid, "\"x\""),
            (Bytea, "\"\u{e9}\""),
            (Varchar(Some(2)), "\"abc\""),
            (Text, "\"\\ud800\""),
        ] {
            assert!(sealed(ty, raw).is_err(), "{ty:?} {raw}");
        }
    }

    #[test]
    fn an_identifier_is_one_text_or_number() {
        let domain: std::sync::Arc<str> = "d".into();
        let of = |kind, ty| field(ty, Protect::Pseudonym { domain: domain.clone(), kind, normalise: false });
        let email = of(TokenKind::Email, Declared::Text);
        assert_eq!(from_json(b"\"a@b\"", &email).unwrap().unwrap().bytes(), b"a@b");
        for raw in ["{}", "[\"a@b\"]", "1", "true"] {
            assert_eq!(from_json(raw.as_bytes(), &email).unwrap_err(), ValueError::Identifier, "{raw}");
        }
        let badge = of(TokenKind::Integer, Declared::Bigint);
        assert_eq!(from_json(b"42", &badge).unwrap().unwrap().bytes(), b"42");
        assert_eq!(from_json(b"\"42\"", &badge).unwrap().unwrap().bytes(), b"42");
        assert!(from_json(b"4.2", &badge).is_err());
        assert!(from_json(b"null", &email).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn every_day_is_read_as_it_is_written(days in -700_000i32..2_900_000) {
            let text = date(days);
            prop_assert_eq!(super::days(&text), Some(days), "{}", text);
        }

        #[test]
        fn every_moment_is_read_as_it_is_written(micros in -60_000_000_000_000_000i64..250_000_000_000_000_000) {
            let text = time(micros);
            prop_assert_eq!(super::micros(&text), Some(micros), "{}", text);
        }
    }
}
