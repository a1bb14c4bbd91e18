//! Postgres's rules for types and collations of what stands together.

use super::collation::Collation;
use super::expr::Function;
use super::fault::Unsupported;
use super::types::bare;
use crate::policy::model::Declared;

/// How sure a collation is (`parse_collate.c`).
#[derive(Debug, Clone)]
pub(super) enum Coll {
    /// Of no type that has one.
    None,
    /// The database's, which any other beats.
    Default,
    Implicit(Collation),
    /// Two columns' different ones: an error, unless an explicit one settles it.
    Conflict(Collation, Collation),
    Explicit(Collation),
    /// Two explicit ones: an error in any case.
    Mismatch(Collation, Collation),
}

/// The type that a function gives.
pub(super) fn result(function: Function) -> Declared {
    match function {
        Function::Length | Function::OctetLength | Function::Strpos => Declared::Integer,
        _ => Declared::Text,
    }
}

pub(super) fn of_type(ty: Declared) -> Coll {
    if bare(ty) == Declared::Text { Coll::Default } else { Coll::None }
}

pub(super) fn or_default(coll: Coll) -> Coll {
    match coll {
        Coll::None => Coll::Default,
        other => other,
    }
}

pub(super) fn integers(a: Declared, b: Declared) -> bool {
    let integer = |ty| matches!(ty, Declared::Integer | Declared::Bigint);
    integer(a) && integer(b)
}

/// The type of two that an operator compares in.
pub(super) fn unify(what: &str, a: Declared, b: Declared) -> Result<Declared, Unsupported> {
    use Declared as D;
    match (a, b) {
        _ if a == b => Ok(a),
        (D::Integer | D::Bigint, D::Integer | D::Bigint) => Ok(D::Bigint),
        (D::Integer | D::Bigint, D::Numeric(_)) | (D::Numeric(_), D::Integer | D::Bigint) => {
            Ok(D::Numeric(None))
        }
        (D::Date, D::Timestamptz(_)) | (D::Timestamptz(_), D::Date) => Ok(D::Timestamptz(None)),
        _ => Err(Unsupported::types(format!("operator does not exist: {a} {what} {b}"))),
    }
}

/// Casts that `pg::value` makes: to and from text, and between numbers or moments.
pub(super) fn castable(from: Declared, to: Declared) -> bool {
    use Declared as D;
    from == to
        || matches!(to, D::Text)
        || matches!(from, D::Text)
        || matches!(
            (from, to),
            (D::Integer | D::Bigint | D::Numeric(_), D::Integer | D::Bigint | D::Numeric(_))
                | (D::Date | D::Timestamptz(_), D::Date | D::Timestamptz(_))
        )
}

/// The collation that comes of several operands'.
pub(super) fn merged(colls: impl Iterator<Item = Coll>) -> Coll {
    colls.fold(Coll::None, |a, b| match (a, b) {
        (Coll::None, other) | (other, Coll::None) => other,
        (Coll::Mismatch(a, b), _) | (_, Coll::Mismatch(a, b)) => Coll::Mismatch(a, b),
        (Coll::Explicit(a), Coll::Explicit(b)) if a != b => Coll::Mismatch(a, b),
        (Coll::Explicit(a), _) | (_, Coll::Explicit(a)) => Coll::Explicit(a),
        (Coll::Conflict(a, b), _) | (_, Coll::Conflict(a, b)) => Coll::Conflict(a, b),
        (Coll::Default, other) | (other, Coll::Default) => other,
        (Coll::Implicit(a), Coll::Implicit(b)) if a == b => Coll::Implicit(a),
        (Coll::Implicit(a), Coll::Implicit(b)) => Coll::Conflict(a, b),
    })
}
