//! From the rows of the catalog queries to a snapshot.

use super::collations::Collations;
use super::hierarchy::Hierarchy;
use super::mask::Mask;
use super::model::{Catalog, Column, ForeignKey, Relation, RelationKind};
use super::touch::{self, Function, Uses};
use super::triggers::Triggers;
use crate::policy::model::Table;
use hashbrown::HashMap;
use std::sync::Arc;

/// A row of text columns.
pub type Row = Vec<Option<String>>;

/// What stands for a text that is none in UTF-8 (a database in `SQL_ASCII` takes any bytes).
pub(super) const UNREADABLE: &str = "\u{fffd}";

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
/// A relation of which something can't be read is [`odd`](Relation::odd), the others are as ever.
///
/// # Errors
/// A row of which it can't be told whose it is.
pub(super) fn build(version: u64, answers: &[Vec<Row>], tables: &[Table]) -> Result<Catalog, BuildError> {
    let [server, columns, unique, foreign, views, functions, uses, collations, hierarchy, mask] = answers
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
    let views = depends(&mut relations, views).ok_or(BuildError("VIEWS"))?;
    let uses = Uses::read(uses).ok_or(BuildError("USES"))?;
    let functions: Option<Vec<Function>> = functions.iter().map(Function::read).collect();
    let functions = functions.ok_or(BuildError("FUNCTIONS"))?;
    let touching = touch::mark(&mut relations, &views, (&functions, &uses), (tables, &hierarchy));
    let triggers = Triggers::new(&functions, &uses, tables, &relations);
    let triggered = triggers.mark(&mut relations);
    let assigning = triggers.assigning;
    let mut bodies: Vec<_> = functions.into_iter().map(Function::into_says).collect();
    bodies.sort_unstable_by_key(|(oid, _)| *oid);
    hierarchy.rise(&mut relations);
    mask.needed = relations.values().any(|r| r.among(&all).is_some());
    let relations =
        relations.into_values().map(|r| ((r.schema.clone(), r.name.clone()), Arc::new(r))).collect();
    Ok(Catalog {
        version,
        server_version,
        relations,
        functions: touching.functions,
        operators: touching.operators,
        types: touching.types,
        type_oids: touching.type_oids,
        triggered,
        assigning,
        touching: touching.code,
        bodies,
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
            match column(name, row) {
                Some(column) => relation.columns.push(column),
                None => relation.odd = true,
            }
        }
    }
    Some(relations)
}

fn column(name: &str, row: &Row) -> Option<Column> {
    Some(Column {
        name: name.into(),
        attnum: number(row, 7)?,
        type_oid: number(row, 8)?,
        typmod: number(row, 9)?,
        not_null: yes(row, 10),
        generated: yes(row, 11),
        computed: yes(row, 12),
        defaults: yes(row, 13),
        collation: number(row, 14).unwrap_or(0),
    })
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
        odd: false,
        columns: Vec::new(),
        unique: Vec::new(),
        foreign: Vec::new(),
        has_rules: yes(row, 4),
        has_before_triggers: yes(row, 5),
        in_hierarchy: false,
        touches_protected: false,
        writes_protected: false,
        truncates: false,
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
        match (relation.unique.last_mut(), text(row, 2)) {
            (Some(key), Some(column)) => key.push(column.into()),
            _ => relation.odd = true,
        }
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
        match (relation.foreign.last_mut(), text(row, 2), text(row, 4)) {
            (Some(foreign), Some(column), Some(referenced)) => {
                foreign.columns.push(column.into());
                foreign.referenced.push(referenced.into());
            }
            _ => relation.odd = true,
        }
    }
    Some(())
}

/// Which view depends on which relation. One of which that can't be read may depend on any.
fn depends(relations: &mut HashMap<u32, Relation>, rows: &[Row]) -> Option<Vec<(u32, u32)>> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let view = number(row, 0)?;
        match (number(row, 1), relations.get_mut(&view)) {
            (Some(on), _) => all.push((view, on)),
            (None, Some(relation)) => (relation.odd, relation.touches_protected) = (true, true),
            (None, None) => {}
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::{Bind, TableSubject};

    fn row(cells: &[&str]) -> Row {
        cells.iter().map(|c| Some((*c).to_owned())).collect()
    }

    #[test]
    fn what_can_t_be_read_of_a_relation_is_told_and_the_others_are_as_ever() {
        let column = |oid: &str, kind: &str, name: &str, type_oid: Option<&str>| {
            let mut column =
                row(&[oid, "public", &format!("r{oid}"), kind, "", "", name, "1", "", "-1", "true"]);
            column[8] = type_oid.map(str::to_owned);
            column
        };
        let answers = vec![
            vec![row(&["150000"])],
            vec![
                column("1", "r", "good", Some("23")),
                column("2", "r", "good", Some("23")),
                column("2", "r", "bad", None),
                column("3", "r", "good", Some("23")),
                column("4", "r", "good", Some("23")),
                column("5", "v", "good", Some("23")),
            ],
            vec![row(&["31", "1", "good"]), vec![Some("33".into()), Some("3".into()), None]],
            vec![row(&["41", "1", "good", "2", "good"]), row(&["44", "4", "good", "1"])],
            vec![row(&["5"])],
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
        ];
        let catalog = build(1, &answers, &[]).unwrap();
        let of = |oid: u32| catalog.relations.values().find(|r| r.oid == oid).unwrap();
        assert_eq!([1, 2, 3, 4, 5].map(|oid| of(oid).odd), [false, true, true, true, true]);
        assert_eq!((of(1).unique.len(), of(1).foreign.len(), of(1).columns.len()), (1, 1, 1));
        assert!(of(5).touches_protected && !of(4).touches_protected, "a view may depend on anything");
        assert!(build(1, &[answers[0].clone()], &[]).is_err());
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
        let uses = |kind: &str, oid: &str, name: &str, how: &str, on: &str| {
            let class = match kind {
                "relation" => "1259",
                "function" => "1255",
                _ => "2617",
            };
            row(&[kind, class, oid, name, how, "1255", on])
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
                relation("9", "chosen", "r"),
                relation("10", "logged", "r"),
                relation("11", "indexed", "r"),
            ],
            Vec::new(),
            Vec::new(),
            vec![row(&["3", "1"]), row(&["4", "1"]), row(&["5", "2"]), row(&["1", "7"])],
            vec![
                row(&["101", "Writes", "plpgsql", "begin insert into People values (1); end", "", "true"]),
                row(&["102", "again", "sql", "insert into triggered values (1)", "", "false"]),
                row(&["103", "other", "sql", "select 1", "", "false"]),
                row(&["104", "reads", "sql", "select 1 from U&\"p\\0065ople\" for update", "", "false"]),
            ],
            vec![
                uses("relation", "1", "", "before", "101"),
                uses("relation", "2", "", "before", "101"),
                uses("relation", "6", "", "", "102"),
                uses("relation", "7", "", "", "103"),
                uses("relation", "8", "", "", "102"),
                uses("function", "105", "Sum", "", "102"),
                uses("operator", "200", "@@@", "", "105"),
                uses("relation", "9", "", "policy", "104"),
                uses("relation", "10", "", "policy", "102"),
                uses("relation", "11", "", "", "104"),
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
            ("chosen", (false, false)),
            ("logged", (false, true)),
            ("indexed", (false, true)),
        ] {
            assert_eq!(marks(name), expected, "{name}");
        }
        let mut functions: Vec<&str> = catalog.functions.iter().map(|f| &**f).collect();
        functions.sort_unstable();
        assert_eq!(functions, ["again", "reads", "sum", "writes"]);
        assert_eq!(catalog.operators, ["@@@".into()]);
    }
}
