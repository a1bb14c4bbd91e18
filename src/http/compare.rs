//! Comparisons: an identifier with how it is compared, as query languages write it.

use super::problem::Problem;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// An identifier in a raw JSON value: where it stands, and whether it is a number.
pub(super) type Piece = (Range<usize>, bool);

/// The identifiers of a comparison. Without `operators` it is one itself. Else it may be an object, whose members of
/// these names hold one or a list of them; others only switch something on (`{"_null": true}`).
///
/// # Errors
/// It is written in another way, in which an identifier could go on in clear.
pub(super) fn pieces(raw: &[u8], operators: &[Arc<str>]) -> Result<Vec<Piece>, Problem> {
    if operators.is_empty() || raw.first() != Some(&b'{') {
        return Ok(vec![(0..raw.len(), raw.first() != Some(&b'"'))]);
    }
    let text = std::str::from_utf8(raw).map_err(|_| Problem::comparison())?;
    let members: Members<'_> = serde_json::from_str(text).map_err(|_| Problem::comparison())?;
    let mut pieces = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &members.0 {
        if seen.contains(&name.as_str()) {
            return Err(Problem::comparison());
        }
        seen.push(name);
        let known = operators.iter().any(|operator| **operator == **name);
        match value.get().as_bytes().first() {
            Some(b'n') => {}
            Some(b't' | b'f') if !known => {}
            Some(b'[') if known => {
                let items: Vec<&RawValue> =
                    serde_json::from_str(value.get()).map_err(|_| Problem::comparison())?;
                for item in items {
                    pieces.extend(piece(text, item)?);
                }
            }
            _ if known => pieces.extend(piece(text, value)?),
            _ => return Err(Problem::comparison()),
        }
    }
    Ok(pieces)
}

/// One identifier; none for null.
fn piece(text: &str, value: &RawValue) -> Result<Option<Piece>, Problem> {
    let raw = value.get();
    let start = raw.as_ptr() as usize - text.as_ptr() as usize;
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => Ok(Some((start..start + raw.len(), false))),
        Some(b'-' | b'0'..=b'9') => Ok(Some((start..start + raw.len(), true))),
        _ => Err(Problem::comparison()),
    }
}

/// What a parameter's text begins with (`eq.`), and the identifier that follows; the whole where no operators are
/// declared.
///
/// # Errors
/// It begins with none of them.
pub(super) fn prefixed<'t>(text: &'t str, operators: &[Arc<str>]) -> Result<(&'t str, &'t str), Problem> {
    if operators.is_empty() {
        return Ok(("", text));
    }
    // Of two that fit the longer is meant.
    let known = operators.iter().filter(|operator| text.starts_with(&***operator)).map(|o| o.len()).max();
    known.map(|at| text.split_at(at)).ok_or_else(Problem::comparison)
}

/// An object's members in their order, as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(raw: &str) -> Result<Vec<&str>, &'static str> {
        let operators = ["_eq".into(), "_in".into()];
        let pieces = pieces(raw.as_bytes(), &operators).map_err(|problem| problem.code)?;
        Ok(pieces.into_iter().map(|(range, _)| &raw[range]).collect())
    }

    #[test]
    fn identifiers_are_found_behind_their_operators() {
        assert_eq!(found(r#""a@b""#), Ok(vec![r#""a@b""#]));
        assert_eq!(found(r#"{ "_eq" : "a@b" }"#), Ok(vec![r#""a@b""#]));
        assert_eq!(
            found(r#"{"_\u0065q":"a","_in":["b", null,7],"_null":false}"#),
            Ok(vec![r#""a""#, r#""b""#, "7"])
        );
        assert_eq!(found(r#"{"_eq":null}"#), Ok(vec![]));
    }

    #[test]
    fn another_comparison_is_refused() {
        for raw in [
            r#"{"_contains":"a"}"#,
            r#"{"_eq":{"x":"a"}}"#,
            r#"{"_eq":"a","_eq":"b"}"#,
            r#"{"_in":[["a"]]}"#,
            r#"{"_null":[]}"#,
            r#"{"_eq":true}"#,
        ] {
            assert_eq!(found(raw), Err("comparison"), "{raw}");
        }
    }

    #[test]
    fn a_parameter_begins_with_its_operator() {
        let operators = ["eq.".into(), "not.eq.".into()];
        assert_eq!(prefixed("not.eq.a@b", &operators).unwrap(), ("not.eq.", "a@b"));
        assert!(prefixed("like.a*", &operators).is_err());
        assert_eq!(prefixed("a", &[]).unwrap(), ("", "a"));
    }
}
