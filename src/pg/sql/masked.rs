//! What stands in the place of a relation of the catalog: the same rows, with the declared types and without the guard.

use super::edit::quote_text;
use super::mask::Reference;
use super::{Scope, types};
use crate::policy::guard::SCHEMA;
use crate::policy::model::Declared;
use std::fmt::Write as _;

/// Relations of the catalog that name the guard's schema, by which column (its OID).
pub(super) const BY_SCHEMA: [(&str, &str); 3] =
    [("pg_namespace", "oid"), ("pg_type", "typnamespace"), ("pg_constraint", "connamespace")];

/// Views of the information schema that name it, by which columns.
const BY_NAME: [(&str, &str); 8] = [
    ("schemata", "schema_name"),
    ("domains", "domain_schema"),
    ("domain_constraints", "constraint_schema"),
    ("domain_udt_usage", "domain_schema"),
    ("column_domain_usage", "domain_schema"),
    ("check_constraints", "constraint_schema"),
    ("udt_privileges", "udt_schema"),
    ("usage_privileges", "object_schema"),
];

/// What stands in a relation's place; `None` where it tells nothing of what is hidden.
pub(super) fn subquery(reference: &Reference, system: &[&str], scope: &Scope<'_>) -> Option<String> {
    let mask = &scope.catalog.mask;
    let relation = &*reference.relation;
    if reference.in_information_schema {
        if relation == "columns" {
            return columns(scope);
        }
        let (_, column) = BY_NAME.iter().find(|(name, _)| *name == relation)?;
        mask.schema?;
        return Some(format!(
            "(SELECT * FROM information_schema.{relation} WHERE {column} IS DISTINCT FROM '{SCHEMA}')"
        ));
    }
    if relation == "pg_attribute" {
        return attribute(scope, &system.iter().map(|name| format!("a.{name}, ")).collect::<String>());
    }
    let system: String = system.iter().map(|name| format!("{name}, ")).collect();
    let (_, column) = BY_SCHEMA.iter().find(|(name, _)| *name == relation)?;
    let schema = mask.schema?;
    Some(format!(
        "(SELECT {system}* FROM pg_catalog.{relation} WHERE {column} OPERATOR(pg_catalog.<>) {schema})"
    ))
}

/// A protected column that is stored otherwise than it is shown.
struct Masked<'s> {
    schema: &'s str,
    table: &'s str,
    relation: u32,
    column: &'s str,
    attnum: i16,
    ty: Declared,
}

fn masked<'s>(scope: &Scope<'s>) -> Vec<Masked<'s>> {
    let mut all = Vec::new();
    for table in scope.tables {
        let Some(relation) = scope.catalog.relations.get(&(table.schema.clone(), table.name.clone())) else {
            continue;
        };
        for placed in &table.columns {
            let Some((_, column)) = relation.column(&placed.column) else { continue };
            let field = scope.policy.field(placed.field);
            let shown = types::shown(field, column.type_oid, column.typmod);
            let holds = super::schema::stores(field, column.type_oid);
            if holds && (shown.oid, shown.typmod) != (column.type_oid, column.typmod) {
                all.push(Masked {
                    schema: &table.schema,
                    table: &table.name,
                    relation: relation.oid,
                    column: &placed.column,
                    attnum: column.attnum,
                    ty: field.ty,
                });
            }
        }
    }
    all
}

/// What clients are shown of some rows of a relation.
struct Told {
    alias: &'static str,
    /// The columns by which a row is found.
    keys: &'static str,
    /// How.
    on: String,
    /// Those, and what is told, of each.
    rows: Vec<String>,
}

/// A relation with what is told of its rows (`names`), as FROM has it; and the aliases of which there is something.
fn joined(relation: &str, names: &str, told: [Told; 2]) -> Option<(String, Vec<&'static str>)> {
    let mut from = relation.to_owned();
    let mut aliases = Vec::new();
    for Told { alias, keys, on, rows } in told.into_iter().filter(|told| !told.rows.is_empty()) {
        let rows = rows.join(", ");
        let _ = write!(from, " LEFT JOIN (VALUES {rows}) AS {alias} ({keys}, {names}) ON {on}");
        aliases.push(alias);
    }
    (!aliases.is_empty()).then_some((from, aliases))
}

/// `pg_attribute` with the types that clients see.
fn attribute(scope: &Scope<'_>, system: &str) -> Option<String> {
    let mask = &scope.catalog.mask;
    let cells = |ty: Declared| {
        let (oid, typmod) = types::declared(ty);
        let (len, by_value, align, storage) = layout(oid);
        let textual = types::is_text(oid);
        format!(
            "{oid}::oid, {typmod}, {len}::int2, {by_value}, '{align}'::\"char\", {storage}::\"char\", {textual}"
        )
    };
    let columns: Vec<String> = masked(scope)
        .iter()
        .map(|m| format!("({}::oid, {}::int2, {})", m.relation, m.attnum, cells(m.ty)))
        .collect();
    let domains: Vec<String> =
        mask.domains.iter().map(|(oid, _, ty)| format!("({oid}::oid, {})", cells(*ty))).collect();
    if mask.attribute.is_empty() {
        return None;
    }
    let (from, sources) = joined(
        "pg_catalog.pg_attribute AS a",
        "ty, mod, len, byval, align, storage, textual",
        [
            Told {
                alias: "p",
                keys: "rel, num",
                on: "p.rel OPERATOR(pg_catalog.=) a.attrelid AND p.num OPERATOR(pg_catalog.=) a.attnum"
                    .into(),
                rows: columns,
            },
            Told {
                alias: "d",
                keys: "domain",
                on: "d.domain OPERATOR(pg_catalog.=) a.atttypid".into(),
                rows: domains,
            },
        ],
    )?;
    let pick = |what: &str| sources.iter().map(|s| format!("{s}.{what}, ")).collect::<String>();
    let list: Vec<String> = mask
        .attribute
        .iter()
        .map(|name| {
            let what = match &**name {
                "atttypid" => "ty",
                "atttypmod" => "mod",
                "attlen" => "len",
                "attbyval" => "byval",
                "attalign" => "align",
                "attstorage" => "storage",
                "attcollation" => {
                    return format!(
                        "CASE COALESCE({}NULL) WHEN true THEN COALESCE(NULLIF(a.attcollation, 0::oid), 100::oid) \
                         WHEN false THEN 0::oid ELSE a.attcollation END AS attcollation",
                        pick("textual")
                    );
                }
                _ => return format!("a.{name}"),
            };
            format!("COALESCE({}a.{name}) AS {name}", pick(what))
        })
        .collect();
    Some(format!("(SELECT {system}{} FROM {from})", list.join(", ")))
}

/// `typlen`, `typbyval`, `typalign`, and the storage where it is not the column's own.
fn layout(oid: u32) -> (i16, bool, char, &'static str) {
    let align = match oid {
        types::BOOL | types::UUID => 'c',
        types::INT8 | types::TIMESTAMPTZ => 'd',
        _ => 'i',
    };
    let len = types::len(oid);
    let storage = match oid {
        types::NUMERIC => "'m'",
        _ if len > 0 => "'p'",
        _ => "NULL",
    };
    (len, (1..=8).contains(&len), align, storage)
}

/// Columns of `information_schema.columns` that tell the type.
const TOLD: [&str; 8] = [
    "data_type",
    "character_maximum_length",
    "character_octet_length",
    "numeric_precision",
    "numeric_precision_radix",
    "numeric_scale",
    "datetime_precision",
    "udt_name",
];

/// `information_schema.columns` with the types that clients see.
fn columns(scope: &Scope<'_>) -> Option<String> {
    let mask = &scope.catalog.mask;
    let list: Vec<String> = masked(scope)
        .iter()
        .map(|m| {
            let [schema, table, column] = [m.schema, m.table, m.column].map(quote_text);
            format!("({schema}::name, {table}::name, {column}::name, {})", told(m.ty))
        })
        .collect();
    let domains: Vec<String> = mask
        .domains
        .iter()
        .map(|(_, name, ty)| format!("({}::name, {})", quote_text(name), told(*ty)))
        .collect();
    if mask.columns.is_empty() {
        return None;
    }
    let (from, sources) = joined(
        "information_schema.columns AS c",
        &TOLD.join(", "),
        [
            Told {
                alias: "p",
                keys: "s, t, c",
                on: "p.s OPERATOR(pg_catalog.=) c.table_schema AND p.t OPERATOR(pg_catalog.=) c.table_name \
                     AND p.c OPERATOR(pg_catalog.=) c.column_name"
                    .into(),
                rows: list,
            },
            Told {
                alias: "d",
                keys: "domain",
                on: format!(
                    "c.domain_schema OPERATOR(pg_catalog.=) '{SCHEMA}' AND d.domain OPERATOR(pg_catalog.=) c.domain_name"
                ),
                rows: domains,
            },
        ],
    )?;
    let shown: Vec<String> = mask
        .columns
        .iter()
        .map(|(name, ty)| {
            let own = ["domain_catalog", "domain_schema", "domain_name"].contains(&&**name);
            if !own && !TOLD.contains(&&**name) {
                return format!("c.{name}");
            }
            let cases: String = sources
                .iter()
                .map(|s| {
                    let told = if own { "NULL".to_owned() } else { format!("{s}.{name}") };
                    format!("WHEN {s}.data_type IS NOT NULL THEN {told} ")
                })
                .collect();
            format!("(CASE {cases}ELSE c.{name} END)::{ty} AS {name}")
        })
        .collect();
    Some(format!("(SELECT {} FROM {from})", shown.join(", ")))
}

/// What `information_schema.columns` says of a type, in the order of [`TOLD`].
fn told(ty: Declared) -> String {
    const LONGEST: u32 = 1 << 30;
    let number = |n: Option<u32>| n.map_or("NULL::int".to_owned(), |n| format!("{n}::int"));
    let (name, udt) = match ty {
        Declared::Text => ("text", "text"),
        Declared::Varchar(_) => ("character varying", "varchar"),
        Declared::Integer => ("integer", "int4"),
        Declared::Bigint => ("bigint", "int8"),
        Declared::Numeric(_) => ("numeric", "numeric"),
        Declared::Boolean => ("boolean", "bool"),
        Declared::Date => ("date", "date"),
        Declared::Timestamptz(_) => ("timestamp with time zone", "timestamptz"),
        Declared::Uuid => ("uuid", "uuid"),
        Declared::Jsonb => ("jsonb", "jsonb"),
        Declared::Bytea => ("bytea", "bytea"),
    };
    let (length, octets) = match ty {
        Declared::Text | Declared::Varchar(None) => (None, Some(LONGEST)),
        // Four bytes at most for a character.
        Declared::Varchar(Some(n)) => (Some(n), Some(n.saturating_mul(4))),
        _ => (None, None),
    };
    let (precision, radix, scale) = match ty {
        Declared::Integer => (Some(32), Some(2), Some(0)),
        Declared::Bigint => (Some(64), Some(2), Some(0)),
        Declared::Numeric(None) => (None, Some(10), None),
        Declared::Numeric(Some((p, s))) => (Some(p.into()), Some(10), Some(s.into())),
        _ => (None, None, None),
    };
    let datetime = match ty {
        Declared::Date => Some(0),
        Declared::Timestamptz(p) => Some(p.map_or(6, u32::from)),
        _ => None,
    };
    let numbers = [length, octets, precision, radix, scale, datetime].map(number).join(", ");
    format!("'{name}'::text, {numbers}, '{udt}'::name")
}
