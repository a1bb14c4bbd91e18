//! The DETAIL of a constraint error: `Key (email)=(psn_…) already exists.` A token is shown as the
//! identifier that it stands for; what can't be shown as the client knows it is left out.

use super::encoding;
use crate::clear::Kind;
use crate::pg::value::Charset;
use crate::pg::wire::error::{self, field};
use crate::policy::model::{Protect, Table};
use crate::protect::{Door, Missing, Outcome, Row};

/// What becomes of a DETAIL.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// It holds nothing protected.
    Keep,
    /// It holds something that is not for the client.
    Drop,
    /// With the identifier in the token's place.
    Replace(Vec<u8>),
}

/// `Key (columns)=(values)rest`.
struct Key<'a> {
    columns: &'a str,
    values: &'a str,
    rest: &'a str,
}

fn key(detail: &str) -> Option<Key<'_>> {
    let (columns, tail) = detail.strip_prefix("Key (")?.split_once(")=(")?;
    // The value may hold parentheses; what follows it does not.
    let end = tail.rfind(") ")?;
    Some(Key { columns, values: &tail[..end], rest: &tail[end..] })
}

/// Decides on the DETAIL of an error about one of `tables`. What the cache lacks goes to `missing`. Where the
/// statement wrote the values itself (`wrote`), a key that is taken already is one that the client has sent.
pub(super) fn of(
    body: &[u8],
    tables: &[Table],
    door: &Door,
    charset: Option<&Charset>,
    wrote: bool,
    missing: &mut Vec<Missing>,
) -> Detail {
    let text = |kind| {
        let value = error::get(body, kind).ok().flatten()?;
        String::from_utf8(encoding::read_lossy(charset, value).into_owned()).ok()
    };
    if !matches!(error::get(body, field::DETAIL), Ok(Some(_))) {
        return Detail::Keep;
    }
    let detail = text(field::DETAIL);
    let (Some(schema), Some(name), Some(key)) = (text(b's'), text(b't'), detail.as_deref().and_then(key))
    else {
        return Detail::Drop;
    };
    let Some(table) = tables.iter().find(|t| *t.schema == *schema && *t.name == *name) else {
        return Detail::Keep;
    };
    let names = || key.columns.split(", ").map(|c| c.trim_matches('"'));
    let protected = |column: &str| table.columns.iter().find(|p| *p.column == *column);
    if !names().any(|column| protected(column).is_some()) {
        return Detail::Keep;
    }
    let (Some(placed), 1) = (names().next().and_then(protected), names().count()) else {
        return Detail::Drop;
    };
    if !matches!(door.policy().field(placed.field).protect, Protect::Pseudonym { .. }) {
        return Detail::Drop;
    }
    let mut clear = Vec::new();
    let taken = wrote && matches!(error::code(body), Ok(Some(b"23505")));
    let row = if taken { Row::Sent } else { Row::Unknown };
    match door.reveal(placed.field, key.values, row, &mut clear) {
        Outcome::Opened(Kind::Text) => {
            if door.lease().is_err() {
                return Detail::Drop;
            }
            let shown = format!("Key ({})=({}{}", key.columns, String::from_utf8_lossy(&clear), key.rest);
            match encoding::write(charset, shown.as_bytes()) {
                Ok(shown) => Detail::Replace(shown.into_owned()),
                Err(_) => Detail::Drop,
            }
        }
        Outcome::Missing(what) => {
            missing.push(what);
            Detail::Drop
        }
        _ => Detail::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_cut_from_its_message() {
        let cut = |detail| key(detail).map(|k| (k.columns, k.values, k.rest));
        assert_eq!(
            cut("Key (email)=(psn_1@p.invalid) already exists."),
            Some(("email", "psn_1@p.invalid", ") already exists."))
        );
        assert_eq!(
            cut("Key (author_id)=(99) is not present in table \"people\"."),
            Some(("author_id", "99", ") is not present in table \"people\"."))
        );
        assert_eq!(cut("Failing row contains (1, x)."), None);
    }
}
