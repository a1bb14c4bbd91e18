//! Type OIDs (`pg_type.dat`), as far as fields and subjects need them.

use crate::pg::plan::Shown;
use crate::policy::guard::Storage;
use crate::policy::model::{Declared, Field};

pub(super) const BOOL: u32 = 16;
pub(super) const BYTEA: u32 = 17;
pub(super) const INT8: u32 = 20;
pub(super) const INT2: u32 = 21;
pub(super) const INT4: u32 = 23;
pub(super) const TEXT: u32 = 25;
pub(super) const FLOAT4: u32 = 700;
pub(super) const FLOAT8: u32 = 701;
pub(super) const BPCHAR: u32 = 1042;
pub(super) const VARCHAR: u32 = 1043;
pub(super) const DATE: u32 = 1082;
pub(super) const TIMESTAMP: u32 = 1114;
pub(super) const TIMESTAMPTZ: u32 = 1184;
pub(super) const NUMERIC: u32 = 1700;
pub(super) const UUID: u32 = 2950;
pub(super) const JSONB: u32 = 3802;

/// What a column of this type stores, where that may be a protected value.
pub(super) fn storage(oid: u32, typmod: i32) -> Option<Storage> {
    Some(match oid {
        TEXT => Storage::Text,
        VARCHAR => Storage::Varchar(u32::try_from(typmod.saturating_sub(4)).ok()),
        BYTEA => Storage::Bytea,
        UUID => Storage::Uuid,
        INT8 => Storage::Bigint,
        _ => return None,
    })
}

/// Whether it is text or varchar.
pub(super) fn is_text(oid: u32) -> bool {
    matches!(oid, TEXT | VARCHAR)
}

/// The OID of the array over a type, where known.
pub(super) fn array_of(oid: u32) -> Option<u32> {
    Some(match oid {
        BOOL => 1000,
        BYTEA => 1001,
        INT2 => 1005,
        INT4 => 1007,
        TEXT => 1009,
        BPCHAR => 1014,
        VARCHAR => 1015,
        INT8 => 1016,
        DATE => 1182,
        TIMESTAMPTZ => 1185,
        NUMERIC => 1231,
        UUID => 2951,
        JSONB => 3807,
        _ => return None,
    })
}

/// The SQL name of a storage or subject type, where known; varchar is written as text.
pub(super) fn sql_name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        BYTEA => "bytea",
        INT8 => "bigint",
        INT2 => "smallint",
        INT4 => "integer",
        TEXT | VARCHAR => "text",
        BPCHAR => "bpchar",
        UUID => "uuid",
        _ => return None,
    })
}

/// The same of any type that a parameter may have, arrays too.
pub(super) fn full_name(oid: u32) -> Option<String> {
    const ELEMENTS: [u32; 7] = [BYTEA, INT8, INT2, INT4, TEXT, BPCHAR, UUID];
    match ELEMENTS.iter().find(|&&e| array_of(e) == Some(oid)) {
        Some(&element) => sql_name(element).map(|name| format!("{name}[]")),
        None => sql_name(oid).map(str::to_owned),
    }
}

/// The OID that upstream is told for a value in a column of this type: text serves varchar and its indexes.
pub(super) fn parameter_oid(stored: u32) -> u32 {
    if stored == VARCHAR { TEXT } else { stored }
}

/// OID and typmod of a declared type.
pub(super) fn declared(ty: Declared) -> (u32, i32) {
    match ty {
        Declared::Text => (TEXT, -1),
        Declared::Varchar(None) => (VARCHAR, -1),
        Declared::Varchar(Some(n)) => (VARCHAR, i32::try_from(n).map_or(-1, |n| n.saturating_add(4))),
        Declared::Integer => (INT4, -1),
        Declared::Bigint => (INT8, -1),
        Declared::Numeric(None) => (NUMERIC, -1),
        Declared::Numeric(Some((p, s))) => (NUMERIC, ((i32::from(p) << 16) | i32::from(s)) + 4),
        Declared::Boolean => (BOOL, -1),
        Declared::Date => (DATE, -1),
        Declared::Timestamptz(p) => (TIMESTAMPTZ, p.map_or(-1, i32::from)),
        Declared::Uuid => (UUID, -1),
        Declared::Jsonb => (JSONB, -1),
        Declared::Bytea => (BYTEA, -1),
    }
}

/// `typlen` of a type.
pub(super) fn len(oid: u32) -> i16 {
    match oid {
        BOOL => 1,
        INT2 => 2,
        DATE | INT4 => 4,
        INT8 | TIMESTAMPTZ => 8,
        UUID => 16,
        _ => -1,
    }
}

/// The type that clients see of a field in a column stored as `stored`, `typmod`: text, and varchar without
/// a length, keep the column's own where that is text; anything else is as declared.
pub(super) fn shown(field: &Field, stored: u32, typmod: i32) -> Shown {
    let own = match field.ty {
        Declared::Text => stored != BYTEA,
        Declared::Varchar(None) => stored == VARCHAR,
        _ => false,
    };
    if own {
        return Shown { oid: stored, len: len(stored), typmod };
    }
    let (oid, typmod) = declared(field.ty);
    Shown { oid, len: len(oid), typmod }
}

/// The OID and typmod of a type by its name in `pg_catalog`, with the constant modifiers written.
pub(super) fn named(name: &str, mods: &[i32]) -> Option<(u32, i32)> {
    let one = |plus: i32| mods.first().map_or(-1, |n| n.saturating_add(plus));
    Some(match name {
        "text" => (TEXT, -1),
        "varchar" => (VARCHAR, one(4)),
        "bpchar" => (BPCHAR, one(4)),
        "int2" => (INT2, -1),
        "int4" => (INT4, -1),
        "int8" => (INT8, -1),
        "bool" => (BOOL, -1),
        "float4" => (FLOAT4, -1),
        "float8" => (FLOAT8, -1),
        "timestamp" => (TIMESTAMP, one(0)),
        "date" => (DATE, -1),
        "timestamptz" => (TIMESTAMPTZ, one(0)),
        "uuid" => (UUID, -1),
        "jsonb" => (JSONB, -1),
        "bytea" => (BYTEA, -1),
        "numeric" => match mods {
            [] => (NUMERIC, -1),
            [p] => (NUMERIC, (p << 16).saturating_add(4)),
            [p, s, ..] => (NUMERIC, ((p << 16) | (s & 0x7ff)).saturating_add(4)),
        },
        _ => return None,
    })
}
