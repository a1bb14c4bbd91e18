//! The policy's sections of the file, into [`RawPolicy`]'s parts.

use super::section::{Entry, Section, entries, kind};
use crate::policy::raw::{At, Problems, RawClass, RawField, RawSubject, RawTable};
use toml::de::{DeTable, DeValue};

const LATER_FIELD: &[&str] = &["was", "pad", "protected_since", "retention", "roles", "search", "purposes"];
const LATER_CLASS: &[&str] = &["retention", "realm", "was"];
const LATER_TABLE: &[&str] = &["guard", "protected_since", "retention", "realm", "functions", "was"];

/// `[fields]`.
pub(super) fn fields(table: &DeTable<'_>, problems: &mut Problems) -> Vec<RawField> {
    entries(table).iter().map(|entry| field(entry, problems)).collect()
}

fn field(entry: &Entry<'_>, problems: &mut Problems) -> RawField {
    let mut raw = RawField {
        name: entry.name(),
        protect: None,
        ty: None,
        kind: None,
        domain: None,
        normalise: None,
        purpose: None,
        erased: None,
    };
    match entry.value.get_ref() {
        DeValue::String(protect) => raw.protect = Some(At { at: entry.at, value: protect.to_string() }),
        DeValue::Table(table) => {
            let mut section = Section::new(format!("field \"{}\"", entry.key), entry.at, table);
            raw.protect = section.required("protect", problems);
            raw.ty = section.string("type", problems);
            raw.kind = section.string("kind", problems);
            raw.domain = section.string("domain", problems);
            raw.normalise = section.boolean("normalise", problems);
            raw.purpose = section.string("purpose", problems);
            raw.erased = section.scalar("erased", problems);
            section.finish(LATER_FIELD, problems);
        }
        other => {
            // Still declared, so that tables which name it aren't wrong too.
            problems.add(
                entry.at,
                format!(
                    "field \"{}\" is \"encrypt\", \"pseudonym\" or a table, not {}",
                    entry.key,
                    kind(other)
                ),
            );
        }
    }
    raw
}

/// `[classes.…]`.
pub(super) fn classes(table: &DeTable<'_>, problems: &mut Problems) -> Vec<RawClass> {
    entries(table)
        .iter()
        .filter_map(|entry| {
            let DeValue::Table(table) = entry.value.get_ref() else {
                return problems
                    .none(entry.at, format!("class \"{}\" is a table: [classes.{}]", entry.key, entry.key));
            };
            let mut section = Section::new(format!("[classes.{}]", entry.key), entry.at, table);
            let after_erasure = section.string("after_erasure", problems);
            let ids = section.string("id", problems);
            section.finish(LATER_CLASS, problems);
            Some(RawClass { name: entry.name(), after_erasure, ids })
        })
        .collect()
}

/// `[postgres.tables.…]` of one `[[postgres]]` section.
pub(super) fn tables(table: &DeTable<'_>, problems: &mut Problems) -> Vec<RawTable> {
    entries(table).iter().filter_map(|entry| one_table(entry, problems)).collect()
}

fn one_table(entry: &Entry<'_>, problems: &mut Problems) -> Option<RawTable> {
    let DeValue::Table(table) = entry.value.get_ref() else {
        return problems
            .none(entry.at, format!("table \"{0}\" is a table: [postgres.tables.{0}]", entry.key));
    };
    if let Some(nested) = unquoted_schema(table) {
        return problems.none(
            entry.at,
            format!("a table of another schema is quoted: [postgres.tables.\"{}.{nested}\"]", entry.key),
        );
    }
    let mut section = Section::new(format!("table \"{}\"", entry.key), entry.at, table);
    let class = section.string("class", problems);
    let subject = subject(&mut section, class, problems);
    let columns = columns(&mut section, problems);
    let bind = section.string("bind", problems);
    section.finish(LATER_TABLE, problems);
    Some(RawTable { name: entry.name(), subject, columns, bind })
}

/// `[postgres.tables.hr.people]` without quotes: TOML reads a table `hr` that holds one.
fn unquoted_schema<'a>(table: &'a DeTable<'a>) -> Option<&'a str> {
    let entries = entries(table);
    let own = |key: &str| ["subject", "fields", "class"].contains(&key);
    let inner = entries.first()?;
    let holds = matches!(inner.value.get_ref(), DeValue::Table(t) if entries_have(t, &["subject", "fields"]));
    (holds && !entries.iter().any(|entry| own(entry.key))).then_some(inner.key)
}

fn entries_have(table: &DeTable<'_>, keys: &[&str]) -> bool {
    table.iter().any(|(key, _)| keys.contains(&key.get_ref().as_ref()))
}

fn subject(
    section: &mut Section<'_>,
    class: Option<At<String>>,
    problems: &mut Problems,
) -> Option<RawSubject> {
    let what = section.what.clone();
    let Some(entry) = section.take("subject") else {
        return problems.none(section.at, format!("{what} needs `subject`: the column with the person's id"));
    };
    match entry.value.get_ref() {
        DeValue::String(column) => {
            Some(RawSubject { column: At { at: entry.at, value: column.to_string() }, class, when: None })
        }
        DeValue::Table(table) => {
            let mut inner = Section::new(format!("{what}: subject"), entry.at, table);
            let column = inner.required("column", problems);
            let own = inner.string("class", problems);
            let when = inner.string("when", problems);
            inner.finish(&["realm", "path"], problems);
            if let (Some(_), Some(twice)) = (&own, &class) {
                problems.add(twice.at, format!("{what}: class is given twice, here and in `subject`"));
            }
            Some(RawSubject { column: column?, class: own.or(class), when })
        }
        other => problems.none(
            entry.at,
            format!("{what}: subject is a column or {{ column, class, when }}, not {}", kind(other)),
        ),
    }
}

fn columns(section: &mut Section<'_>, problems: &mut Problems) -> Vec<(At<String>, At<String>)> {
    let what = section.what.clone();
    let Some(entry) = section.take("fields") else {
        problems.add(section.at, format!("{what} needs `fields`: its protected columns"));
        return Vec::new();
    };
    let mut columns = Vec::new();
    match entry.value.get_ref() {
        DeValue::Array(names) => {
            for name in names.iter() {
                let at = name.span().start;
                match name.get_ref() {
                    DeValue::String(text) => {
                        let name = At { at, value: text.to_string() };
                        columns.push((name.clone(), name));
                    }
                    other => problems.add(at, format!("{what}: fields lists names, not {}", kind(other))),
                }
            }
        }
        DeValue::Table(pairs) => {
            for pair in entries(pairs) {
                match pair.value.get_ref() {
                    DeValue::String(field) => {
                        columns.push((pair.name(), At { at: pair.at, value: field.to_string() }));
                    }
                    other => problems.add(
                        pair.at,
                        format!(
                            "{what}: fields is {{ column = \"field\" }}; \"{}\" is {}",
                            pair.key,
                            kind(other)
                        ),
                    ),
                }
            }
        }
        other => {
            problems.add(
                entry.at,
                format!("{what}: fields is [\"field\", …] or {{ column = \"field\" }}, not {}", kind(other)),
            );
            return columns;
        }
    }
    if columns.is_empty() {
        problems.add(entry.at, format!("{what}: fields is empty: the table holds nothing to protect"));
    }
    columns
}
