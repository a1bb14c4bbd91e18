//! From the rows of the catalog queries to a snapshot.

use super::collations::Collations;
use super::hierarchy::Hierarchy;
use super::mask::Mask;
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
    let [server, columns, unique, foreign, views, functions, calls, collations, hierarchy, mask] = answers
    else {
        return Err(BuildError("count"));
    };
    let server_version = server.first().and_then(|row| number(row, 0)).ok_or(BuildError("VERSION"))?;
    let mut relations = relations(columns).ok_or(BuildError("COLUMNS"))?;
    add_unique(&mut relations, unique).ok_or(BuildError("UNIQUE"))?;
    add_foreign(&mut relations, foreign).ok_or(BuildError("FOREIGN"))?;
    let mut mask = Mask::new(mask).ok_or(BuildError("MASK"))?;
    let hierarchy = Hierarchy::read(hierarchy).ok_or(BuildError("HIERARCHY"))?;
    let own = tables.len();
    let all = hierarchy.extend(&mut relations, tables);
    let tables = &all[..];
    let views = pairs(views, |row| number(row, 1)).ok_or(BuildError("VIEWS"))?;
    let calls = pairs(calls, |row| Some(text(row, 1)?.to_ascii_lowercase())).ok_or(BuildError("CALLS"))?;
    let assigning: Vec<Arc<str>> = functions
        .iter()
        .filter(|row| text(row, 1).is_some_and(|body| crate::pg::sql::assigns_protected(body, tables)))
        .filter_map(|row| Some(text(row, 0)?.to_ascii_lowercase().into()))
        .collect();
    let functions = mark(&mut relations, &views, functions, &calls, (tables, &hierarchy));
    let mut triggered: Vec<Arc<str>> = Vec::new();
    for (oid, function) in &calls {
        // A protected table whose own trigger would put a value in clear.
        if let Some(relation) = relations.get_mut(oid)
            && tables.iter().any(|t| t.schema == relation.schema && t.name == relation.name)
        {
            triggered.push(function.as_str().into());
            relation.writes_protected |= assigning.iter().any(|f| **f == **function);
        }
    }
    hierarchy.rise(&mut relations);
    mask.needed = relations.values().any(|r| all.iter().any(|t| t.schema == r.schema && t.name == r.name));
    let relations =
        relations.into_values().map(|r| ((r.schema.clone(), r.name.clone()), Arc::new(r))).collect();
    Ok(Catalog {
        version,
        server_version,
        relations,
        functions,
        triggered,
        assigning,
        own,
        tables: all.into(),
        collations: Collations::new(collations),
        mask,
    })
}

/// The views whose texts matter.
pub(super) fn seen_through(catalog: &Catalog) -> Vec<u32> {
    let view = |r: &Relation| matches!(r.kind, RelationKind::View | RelationKind::MaterializedView);
    let seen = catalog.relations.values().filter(|r| r.touches_protected && view(r));
    let mut oids: Vec<u32> = seen.map(|r| r.oid).collect();
    oids.sort_unstable();
    oids
}

/// Adds the texts of views, from the rows of [`super::queries::definitions`].
///
/// # Errors
/// As [`build`].
pub(super) fn define(catalog: &mut Catalog, rows: &[Row]) -> Result<(), BuildError> {
    let mut texts: HashMap<u32, Option<Arc<str>>> = HashMap::new();
    for row in rows {
        texts.insert(number(row, 0).ok_or(BuildError("definitions"))?, text(row, 2).map(Arc::from));
    }
    for relation in catalog.relations.values_mut() {
        if let Some(text) = texts.remove(&relation.oid) {
            Arc::make_mut(relation).definition = text;
        }
    }
    Ok(())
}

fn relations(rows: &[Row]) -> Option<HashMap<u32, Relation>> {
    let mut relations = HashMap::new();
    for row in rows {
        let oid = number(row, 0)?;
        let relation = match relations.entry(oid) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) => entry.insert(relation(oid, row)?),
        };
        if let Some(name) = text(row, 6) {
            relation.columns.push(Column {
                name: name.into(),
                attnum: number(row, 7)?,
                type_oid: number(row, 8)?,
                typmod: number(row, 9)?,
                not_null: yes(row, 10),
                generated: yes(row, 11),
                computed: yes(row, 12),
                defaults: yes(row, 13),
                collation: number(row, 14).unwrap_or(0),
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
        definition: None,
        columns: Vec::new(),
        unique: Vec::new(),
        foreign: Vec::new(),
        has_rules: yes(row, 4),
        has_before_triggers: yes(row, 5),
        in_hierarchy: false,
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

/// Rows of a relation's OID and something else.
fn pairs<T>(rows: &[Row], second: impl Fn(&Row) -> Option<T>) -> Option<Vec<(u32, T)>> {
    rows.iter().map(|row| Some((number(row, 0)?, second(row)?))).collect()
}

/// Marks, at any depth, what depends on a protected table and what writes one; gives the functions that touch
/// one. Views by what they read, tables by their rules, both by the functions that they call; functions by the
/// names in their bodies, also of what was marked.
fn mark(
    relations: &mut HashMap<u32, Relation>,
    views: &[(u32, u32)],
    functions: &[Row],
    calls: &[(u32, String)],
    (tables, hierarchy): (&[Table], &Hierarchy),
) -> Vec<Arc<str>> {
    let is_protected = |r: &Relation| tables.iter().any(|t| t.schema == r.schema && t.name == r.name);
    let protected: HashSet<u32> = relations.values().filter(|r| is_protected(r)).map(|r| r.oid).collect();
    for oid in hierarchy.unprotected_ancestors(&protected) {
        if let Some(ancestor) = relations.get_mut(&oid) {
            ancestor.writes_protected = true;
        }
    }
    loop {
        let found = touching(functions, tables, relations);
        let mut changed = false;
        let mut set = |relations: &mut HashMap<u32, Relation>, oid: u32, reads: bool| {
            let Some(r) = relations.get_mut(&oid).filter(|_| !protected.contains(&oid)) else { return };
            let view = matches!(r.kind, RelationKind::View | RelationKind::MaterializedView);
            let mark = if reads && view { &mut r.touches_protected } else { &mut r.writes_protected };
            changed |= !*mark;
            *mark = true;
        };
        for &(oid, on) in views {
            let base = relations.get(&on);
            if protected.contains(&on) || base.is_some_and(|r| r.touches_protected) {
                set(relations, oid, true);
            } else if base.is_some_and(|r| r.writes_protected) {
                set(relations, oid, false);
            }
        }
        for (oid, function) in calls {
            if found.iter().any(|f| **f == **function) {
                set(relations, *oid, true);
            }
        }
        if !changed {
            return found;
        }
    }
}

/// Names of functions whose body names a protected table, a relation that is marked, or another such function.
fn touching(rows: &[Row], tables: &[Table], relations: &HashMap<u32, Relation>) -> Vec<Arc<str>> {
    let mut words: Vec<String> = tables.iter().map(|t| t.name.to_ascii_lowercase()).collect();
    words.extend(relations.values().filter(|r| r.is_watched()).map(|r| r.name.to_ascii_lowercase()));
    let bodies: Vec<(String, String)> = rows
        .iter()
        .filter_map(|row| Some((text(row, 0)?.to_ascii_lowercase(), text(row, 1)?.to_ascii_lowercase())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::{Bind, TableSubject};

    fn row(cells: &[&str]) -> Row {
        cells.iter().map(|c| Some((*c).to_owned())).collect()
    }

    #[test]
    fn what_writes_a_protected_table_is_marked_at_any_depth_and_may_be_read() {
        let subject = TableSubject { column: "id".into(), class: "person".into(), when: None };
        let tables = [Table {
            schema: "public".into(),
            name: "people".into(),
            subject,
            columns: Vec::new(),
            bind: Bind::Allow,
        }];
        let relation = |oid: &str, name: &str, kind: &str| {
            row(&[
                oid, "public", name, kind, "false", "false", "id", "1", "23", "-1", "false", "false", "false",
            ])
        };
        let answers = vec![
            vec![row(&["150000"])],
            vec![
                relation("1", "people", "r"),
                relation("2", "triggered", "r"),
                relation("3", "ruled", "r"),
                relation("4", "over_people", "v"),
                relation("5", "over_triggered", "v"),
                relation("6", "twice", "r"),
                relation("7", "plain", "r"),
                relation("8", "calling", "v"),
            ],
            Vec::new(),
            Vec::new(),
            vec![row(&["3", "1"]), row(&["4", "1"]), row(&["5", "2"]), row(&["1", "7"])],
            vec![
                row(&["Writes", "begin insert into People values (1); end"]),
                row(&["again", "insert into triggered values (1)"]),
                row(&["other", "select 1"]),
            ],
            vec![
                row(&["1", "Writes"]),
                row(&["2", "Writes"]),
                row(&["6", "again"]),
                row(&["7", "other"]),
                row(&["8", "again"]),
            ],
            Vec::new(),
            Vec::new(),
            Vec::new(),
        ];
        let mut catalog = build(1, &answers, &tables).unwrap();
        assert_eq!(seen_through(&catalog), [4, 8], "of others no text is read");
        define(&mut catalog, &[row(&["4", "digest", "SELECT id FROM public.people;"])]).unwrap();
        let over_people = &catalog.relations[&("public".into(), "over_people".into())];
        assert_eq!(over_people.definition.as_deref(), Some("SELECT id FROM public.people;"));
        let marks = |name: &str| {
            let r = &catalog.relations[&("public".into(), name.into())];
            (r.touches_protected, r.writes_protected)
        };
        for (name, expected) in [
            ("people", (false, false)),
            ("triggered", (false, true)),
            ("ruled", (false, true)),
            ("over_people", (true, false)),
            ("over_triggered", (false, true)),
            ("twice", (false, true)),
            ("plain", (false, false)),
            ("calling", (true, false)),
        ] {
            assert_eq!(marks(name), expected, "{name}");
        }
        let mut functions: Vec<&str> = catalog.functions.iter().map(|f| &**f).collect();
        functions.sort_unstable();
        assert_eq!(functions, ["again", "writes"]);
    }
}
