//! From the rows of the catalog queries to a snapshot.

use super::model::{Catalog, Column, ForeignKey, Relation, RelationKind};
use crate::policy::model::Table;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// A row of text columns.
pub type Row = Vec<Option<String>>;

/// The catalog's answers could not be read: the query it was, and what was wrong.
#[derive(Debug, thiserror::Error)]
#[error("the answer of the catalog query {0} could not be read")]
pub struct BuildError(&'static str);

fn text(row: &Row, i: usize) -> Option<&str> {
    row.get(i)?.as_deref()
}

fn number<T: std::str::FromStr>(row: &Row, i: usize) -> Option<T> {
    text(row, i)?.parse().ok()
}

fn yes(row: &Row, i: usize) -> bool {
    text(row, i) == Some("true")
}

/// Builds a snapshot from the rows of [`super::queries::ALL`], in that order.
///
/// # Errors
/// A row that does not have the query's form.
pub(super) fn build(version: u64, answers: &[Vec<Row>], tables: &[Table]) -> Result<Catalog, BuildError> {
    let [server, columns, unique, foreign, views, functions] = answers else {
        return Err(BuildError("count"));
    };
    let server_version = server.first().and_then(|row| number(row, 0)).ok_or(BuildError("VERSION"))?;
    let mut relations = relations(columns).ok_or(BuildError("COLUMNS"))?;
    add_unique(&mut relations, unique).ok_or(BuildError("UNIQUE"))?;
    add_foreign(&mut relations, foreign).ok_or(BuildError("FOREIGN"))?;
    mark_views(&mut relations, views, tables).ok_or(BuildError("VIEWS"))?;
    let functions = touching(functions, tables, &relations);
    let relations =
        relations.into_values().map(|r| ((r.schema.clone(), r.name.clone()), Arc::new(r))).collect();
    Ok(Catalog { version, server_version, relations, functions })
}

fn relations(rows: &[Row]) -> Option<HashMap<u32, Relation>> {
    let mut relations = HashMap::new();
    for row in rows {
        let oid = number(row, 0)?;
        let relation = match relations.entry(oid) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) => entry.insert(relation(oid, row)?),
        };
        if let Some(name) = text(row, 7) {
            relation.columns.push(Column {
                name: name.into(),
                attnum: number(row, 8)?,
                type_oid: number(row, 9)?,
                typmod: number(row, 10)?,
                not_null: yes(row, 11),
                generated: yes(row, 12),
            });
        }
    }
    Some(relations)
}

fn relation(oid: u32, row: &Row) -> Option<Relation> {
    Some(Relation {
        oid,
        schema: text(row, 1)?.into(),
        name: text(row, 2)?.into(),
        kind: match text(row, 3)? {
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            _ => RelationKind::Table,
        },
        columns: Vec::new(),
        unique: Vec::new(),
        foreign: Vec::new(),
        has_rules: yes(row, 4),
        has_before_triggers: yes(row, 5),
        in_hierarchy: yes(row, 6),
        touches_protected: false,
        writes_protected: false,
    })
}

fn add_unique(relations: &mut HashMap<u32, Relation>, rows: &[Row]) -> Option<()> {
    let mut last = None;
    for row in rows {
        let (index, oid): (u32, u32) = (number(row, 0)?, number(row, 1)?);
        let Some(relation) = relations.get_mut(&oid) else { continue };
        if last != Some(index) {
            relation.unique.push(Vec::new());
            last = Some(index);
        }
        relation.unique.last_mut()?.push(text(row, 2)?.into());
    }
    Some(())
}

fn add_foreign(relations: &mut HashMap<u32, Relation>, rows: &[Row]) -> Option<()> {
    let mut last = None;
    for row in rows {
        let (key, here, there): (u32, u32, u32) = (number(row, 0)?, number(row, 1)?, number(row, 3)?);
        let Some(references) = relations.get(&there).map(|r| (r.schema.clone(), r.name.clone())) else {
            continue;
        };
        let Some(relation) = relations.get_mut(&here) else { continue };
        if last != Some(key) {
            relation.foreign.push(ForeignKey { columns: Vec::new(), references, referenced: Vec::new() });
            last = Some(key);
        }
        let foreign = relation.foreign.last_mut()?;
        foreign.columns.push(text(row, 2)?.into());
        foreign.referenced.push(text(row, 4)?.into());
    }
    Some(())
}

/// Marks the views that depend on a protected table, at any depth.
fn mark_views(relations: &mut HashMap<u32, Relation>, rows: &[Row], tables: &[Table]) -> Option<()> {
    let mut on: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in rows {
        on.entry(number(row, 1)?).or_default().push(number(row, 0)?);
    }
    let mut open: Vec<u32> = relations
        .values()
        .filter(|r| tables.iter().any(|t| t.schema == r.schema && t.name == r.name))
        .map(|r| r.oid)
        .collect();
    let mut seen: HashSet<u32> = open.iter().copied().collect();
    while let Some(oid) = open.pop() {
        for view in on.get(&oid).into_iter().flatten() {
            if seen.insert(*view) {
                if let Some(relation) = relations.get_mut(view) {
                    relation.touches_protected = true;
                }
                open.push(*view);
            }
        }
    }
    Some(())
}

/// Names of functions whose body names a protected table, a view over one, or another such function.
fn touching(rows: &[Row], tables: &[Table], relations: &HashMap<u32, Relation>) -> Vec<Arc<str>> {
    let mut words: Vec<String> = tables.iter().map(|t| t.name.to_lowercase()).collect();
    words.extend(relations.values().filter(|r| r.touches_protected).map(|r| r.name.to_lowercase()));
    let bodies: Vec<(String, String)> = rows
        .iter()
        .filter_map(|row| Some((text(row, 0)?.to_lowercase(), text(row, 1)?.to_lowercase())))
        .collect();
    let mut found: Vec<Arc<str>> = Vec::new();
    loop {
        let before = found.len();
        for (name, body) in &bodies {
            if !found.iter().any(|f| **f == **name) && words.iter().any(|w| body.contains(w.as_str())) {
                found.push(name.as_str().into());
                words.push(name.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
