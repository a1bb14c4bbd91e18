//! What a predicate is compiled against: the columns and constants that it names.

use super::collation::Collation;
use super::fault::Fault;
use crate::clear::Kind;
use crate::pg::value::shown_oid;
use crate::policy::model::Declared;

/// A column that is read.
#[derive(Debug, Clone)]
pub struct Column {
    /// The type that clients see.
    pub ty: Declared,
    /// The column's own collation, where it isn't the database's.
    pub collation: Option<Collation>,
}

/// What surrounds a predicate.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The columns, in the order of the rows that will be tested.
    pub columns: &'a [Column],
    /// The type of each constant, where the statement or the client has declared one. `None` is the unknown type: it
    /// takes its type from what it stands beside, as in Postgres.
    pub slots: &'a [Option<Declared>],
    /// The database's collation.
    pub default: &'a Collation,
    /// `server_version_num`: some rules have changed.
    pub server_version: u32,
}

/// How a constant is to be read before it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The type to decode it as: without limits, since a comparison cuts nothing.
    pub ty: Declared,
    /// It is an array of that type.
    pub array: bool,
}

/// A declared type without its limits: what operators see.
pub(super) fn bare(ty: Declared) -> Declared {
    match ty {
        Declared::Varchar(_) => Declared::Text,
        Declared::Numeric(_) => Declared::Numeric(None),
        Declared::Timestamptz(_) => Declared::Timestamptz(None),
        other => other,
    }
}

/// The type that reads a canonical form as it is.
pub(super) fn natural(kind: Kind) -> Declared {
    match kind {
        Kind::Text => Declared::Text,
        Kind::Bytes => Declared::Bytea,
        Kind::Bool => Declared::Boolean,
        Kind::Int => Declared::Bigint,
        Kind::Numeric => Declared::Numeric(None),
        Kind::Date => Declared::Date,
        Kind::Timestamptz => Declared::Timestamptz(None),
        Kind::Uuid => Declared::Uuid,
        Kind::Jsonb => Declared::Jsonb,
    }
}

/// The canonical form of a type's values.
pub(super) fn kind(ty: Declared) -> Kind {
    match ty {
        Declared::Text | Declared::Varchar(_) => Kind::Text,
        Declared::Integer | Declared::Bigint => Kind::Int,
        Declared::Numeric(_) => Kind::Numeric,
        Declared::Boolean => Kind::Bool,
        Declared::Date => Kind::Date,
        Declared::Timestamptz(_) => Kind::Timestamptz,
        Declared::Uuid => Kind::Uuid,
        Declared::Jsonb => Kind::Jsonb,
        Declared::Bytea => Kind::Bytes,
    }
}

/// The OID of that natural type.
pub(super) fn natural_oid(kind: Kind) -> u32 {
    shown_oid(natural(kind)).0
}

/// Exactly `N` bytes, as the canonical form has them.
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::damaged())
}
