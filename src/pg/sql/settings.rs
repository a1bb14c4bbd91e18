//! Settings under which texts would read differently: refused, or told to the session.

use super::lex::{Kind, Tokens};
use super::refuse::refusal;
use super::statement::constant;
use crate::pg::refusal::Refusal;
use crate::pg::value::ClientEncoding;
use pg_raw_parse::raw::VariableSetKind;
use pg_raw_parse::{Node, nodes};
use std::ops::Range;

/// The value of a SET with one constant.
pub(super) fn set_value(v: &nodes::VariableSetStmt) -> Option<String> {
    if v.kind == VariableSetKind::VAR_SET_VALUE { v.args().first().and_then(constant) } else { None }
}

/// Refuses SET and `set_config` of what can't be followed.
pub(super) fn check(stmt: Node<'_>, tokens: &Tokens<'_>, range: &Range<usize>) -> Result<(), Refusal> {
    if let Node::VariableSetStmt(v) = stmt
        && v.kind == VariableSetKind::VAR_SET_VALUE
        && let Some(name) = v.name()
    {
        let value = set_value(v);
        let followed = value.as_deref().is_some_and(|value| ClientEncoding::named(value).is_some());
        if name.eq_ignore_ascii_case("client_encoding") && followed {
            return Ok(());
        }
        return setting(name, value.as_deref());
    }
    for (i, token) in tokens.all().iter().enumerate() {
        if !range.contains(&token.start) || tokens.name(token).is_none_or(|n| n != "set_config") {
            continue;
        }
        let constant = |i: usize| {
            let token = tokens.get(i).filter(|t| t.kind == Kind::Str)?;
            let text = tokens.text(token);
            Some(text.trim_start_matches(['E', 'e']).trim_matches('\'').to_owned())
        };
        if let Some(name) = constant(i + 2) {
            let value = constant(i + 4).filter(|_| tokens.is_punct(i + 3, b','));
            setting(&name, value.as_deref())?;
        }
    }
    Ok(())
}

fn setting(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let name = name.to_ascii_lowercase();
    let value = value.map(str::to_ascii_lowercase);
    match name.as_str() {
        "standard_conforming_strings" if !matches!(value.as_deref(), Some("on" | "true" | "1" | "yes")) => {
            Err(refusal(
                "standard-conforming-strings",
                "standard_conforming_strings = off, under which literals read differently",
                "Leave it on, and write E'…' where backslash escapes are meant.",
            ))
        }
        "client_encoding" => {
            let plain: String =
                value.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
            if matches!(plain.as_str(), "utf8" | "unicode" | "sqlascii" | "default") {
                return Ok(());
            }
            Err(refusal(
                "encoding",
                "a client_encoding other than UTF8, LATIN1 to 10, WIN125x, WIN866 and WIN874, or by set_config",
                "SET client_encoding to one of them, and convert in the application.",
            ))
        }
        _ => Ok(()),
    }
}
