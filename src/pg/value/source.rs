//! Types by OID (`pg_type.dat`): what a client may declare, and what it is shown.

use super::ValueError;
use crate::clear::Kind;
use crate::policy::model::Declared;

/// A type that a client may send a value in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Text,
    Bpchar,
    Name,
    /// int2, int4, int8: that many bytes.
    Int(usize),
    Float4,
    Float8,
    Numeric,
    Bool,
    Date,
    Timestamp,
    Timestamptz,
    Uuid,
    Json,
    Jsonb,
    Bytea,
}

const UNKNOWN: u32 = 705;

impl Source {
    /// The type of a parameter declared as `oid`; left open (0, unknown), the server infers the column's own.
    pub(super) fn of(oid: u32, declared: Declared) -> Result<Self, ValueError> {
        let oid = if matches!(oid, 0 | UNKNOWN) { shown_oid(declared).0 } else { oid };
        Ok(match oid {
            25 | 1043 => Self::Text,
            1042 => Self::Bpchar,
            19 => Self::Name,
            21 => Self::Int(2),
            23 => Self::Int(4),
            20 => Self::Int(8),
            700 => Self::Float4,
            701 => Self::Float8,
            1700 => Self::Numeric,
            16 => Self::Bool,
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::Timestamptz,
            2950 => Self::Uuid,
            114 => Self::Json,
            3802 => Self::Jsonb,
            17 => Self::Bytea,
            _ => return Err(ValueError::Unsupported(oid, name(declared))),
        })
    }

    /// The declared type, without limits, that reads this one as it is.
    pub(super) fn natural(self) -> Option<Declared> {
        Some(match self {
            Self::Text | Self::Bpchar | Self::Name => Declared::Text,
            Self::Int(_) => Declared::Bigint,
            Self::Numeric => Declared::Numeric(None),
            Self::Bool => Declared::Boolean,
            Self::Date => Declared::Date,
            Self::Timestamptz => Declared::Timestamptz(None),
            Self::Uuid => Declared::Uuid,
            Self::Jsonb => Declared::Jsonb,
            Self::Bytea => Declared::Bytea,
            Self::Float4 | Self::Float8 | Self::Timestamp | Self::Json => return None,
        })
    }
}

/// The canonical form that values of a declared type are sealed in.
pub(super) fn kind(declared: Declared) -> Kind {
    match declared {
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

/// The type's name as Postgres prints it in messages.
pub(super) fn name(declared: Declared) -> &'static str {
    match declared {
        Declared::Text => "text",
        Declared::Varchar(_) => "character varying",
        Declared::Integer => "integer",
        Declared::Bigint => "bigint",
        Declared::Numeric(_) => "numeric",
        Declared::Boolean => "boolean",
        Declared::Date => "date",
        Declared::Timestamptz(_) => "timestamp with time zone",
        Declared::Uuid => "uuid",
        Declared::Jsonb => "jsonb",
        Declared::Bytea => "bytea",
    }
}

pub(super) fn natural_oid(kind: Kind) -> u32 {
    match kind {
        Kind::Text => 25,
        Kind::Bytes => 17,
        Kind::Bool => 16,
        Kind::Int => 20,
        Kind::Numeric => 1700,
        Kind::Date => 1082,
        Kind::Timestamptz => 1184,
        Kind::Uuid => 2950,
        Kind::Jsonb => 3802,
    }
}

/// What RowDescription tells of a declared type: OID, `typlen` and type modifier
/// (varchar: n + 4; numeric: precision << 16 | scale, + 4; timestamptz: p; else -1).
pub fn shown_oid(declared: Declared) -> (u32, i16, i32) {
    match declared {
        Declared::Text => (25, -1, -1),
        Declared::Varchar(n) => {
            (1043, -1, n.and_then(|n| i32::try_from(n).ok()).and_then(|n| n.checked_add(4)).unwrap_or(-1))
        }
        Declared::Integer => (23, 4, -1),
        Declared::Bigint => (20, 8, -1),
        Declared::Numeric(limits) => (1700, -1, limits.map_or(-1, numeric_typmod)),
        Declared::Boolean => (16, 1, -1),
        Declared::Date => (1082, 4, -1),
        Declared::Timestamptz(p) => (1184, 8, p.map_or(-1, i32::from)),
        Declared::Uuid => (2950, 16, -1),
        Declared::Jsonb => (3802, -1, -1),
        Declared::Bytea => (17, -1, -1),
    }
}

/// The scale takes 11 bits since Postgres 15, where it may be negative; ours is not.
fn numeric_typmod((precision, scale): (u16, u16)) -> i32 {
    ((i32::from(precision) << 16) | i32::from(scale & 0x7ff)) + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_type_modifiers_as_postgres_does() {
        assert_eq!(shown_oid(Declared::Varchar(Some(150))), (1043, -1, 154));
        assert_eq!(shown_oid(Declared::Numeric(Some((10, 2)))), (1700, -1, 655_366));
        assert_eq!(shown_oid(Declared::Timestamptz(Some(3))), (1184, 8, 3));
        assert_eq!(shown_oid(Declared::Varchar(None)), (1043, -1, -1));
    }
}
