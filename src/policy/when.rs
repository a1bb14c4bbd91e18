//! `when = "column = value"`: for which rows a subject column names people.

use super::model::{When, WhenValue};
use std::sync::Arc;

/// Reads `content_type_id = 4`, `kind = 'user'`, `is_user = true` or, by natural key,
/// `content_type = auth.user`.
///
/// # Errors
/// What is expected.
pub(crate) fn parse(text: &str) -> Result<When, String> {
    let (column, value) = text.split_once('=').ok_or("expected \"column = value\"")?;
    let column = column.trim();
    if !is_name(column) {
        return Err("expected \"column = value\": one column name, no other operator".into());
    }
    Ok(When { column: Arc::from(column), equals: parse_value(value.trim())? })
}

fn parse_value(text: &str) -> Result<WhenValue, String> {
    let literal = |text: &str| Ok(WhenValue::Literal(Arc::from(text)));
    if let Some(rest) = text.strip_prefix('\'') {
        let inner = rest.strip_suffix('\'').ok_or("the text lacks its closing quote")?;
        let bare = inner.replace("''", "");
        return if bare.contains('\'') {
            Err("one value, compared with =, is all that a condition takes".into())
        } else {
            literal(&inner.replace("''", "'"))
        };
    }
    match text {
        "" => return Err("expected \"column = value\": the value is missing".into()),
        // As Postgres writes a boolean.
        "true" => return literal("t"),
        "false" => return literal("f"),
        _ => {}
    }
    if text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit()) && text != "-" {
        return literal(text);
    }
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        [one] if is_name(one) => Err(format!(
            "write '{one}' in quotes for a text; a natural key joins its parts by dots (auth.user)"
        )),
        parts if parts.iter().all(|part| is_name(part)) => {
            Ok(WhenValue::NaturalKey(parts.iter().map(|part| Arc::from(*part)).collect()))
        }
        _ => Err("the value is a whole number, true, false, a 'text' or a natural key (auth.user)".into()),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_stands_for_itself() {
        for (text, is) in
            [("a = 4", "4"), ("a=-4", "-4"), ("a = 'it''s'", "it's"), ("a = true", "t"), ("a = ''", "")]
        {
            assert_eq!(parse(text).unwrap().equals, WhenValue::Literal(Arc::from(is)), "{text}");
        }
    }

    #[test]
    fn a_dotted_name_is_a_natural_key() {
        let when = parse("content_type = auth.user").unwrap();
        assert_eq!(&*when.column, "content_type");
        assert_eq!(when.equals, WhenValue::NaturalKey(vec!["auth".into(), "user".into()]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "a",
            "a =",
            "= 4",
            "a <> 4",
            "a == 4",
            "a != 4",
            "a >= 4",
            "a = 4 and b = 5",
            "a = 'x' or b = 'y'",
            "a = user",
            "a = b c",
            "a = 'x",
            "a = -",
            "a = 1.5",
            "a.b = 4",
            "a = auth.",
            "lower(a) = 'x'",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
