//! Partitions and children: what descends from a protected table is protected as it is. What a protected table
//! descends from, and is not, is closed: what is written there would go past the policy.

use super::build::Row;
use super::model::{Relation, RelationKind};
use crate::pg::sql::{names_one_of, protects_alike};
use crate::policy::model::Table;
use hashbrown::{HashMap, HashSet};

/// Which tables are whose children, and by what the partitioned ones are partitioned.
#[derive(Default)]
pub(super) struct Hierarchy {
    /// Child and parent.
    links: Vec<(u32, u32)>,
    /// `None` where that can't be read.
    keys: HashMap<u32, Option<String>>,
}

impl Hierarchy {
    /// From the rows of [`super::queries::HIERARCHY`].
    pub(super) fn read(rows: &[Row]) -> Option<Self> {
        let mut read = Self::default();
        for row in rows {
            let number = |i: usize| -> Option<u32> { row.get(i)?.as_deref()?.parse().ok() };
            let first = number(0)?;
            match number(1) {
                Some(parent) => read.links.push((first, parent)),
                None => drop(read.keys.insert(first, row.get(2).cloned().flatten())),
            }
        }
        Some(read)
    }

    fn children(&self, parent: u32) -> impl Iterator<Item = u32> {
        self.links.iter().filter(move |l| l.1 == parent).map(|l| l.0)
    }

    fn parents(&self, child: u32) -> impl Iterator<Item = u32> {
        self.links.iter().filter(move |l| l.0 == child).map(|l| l.1)
    }

    /// The tables of the policy, then those that descend from them; marks in `relations` which of them can't be
    /// followed in writes ([`Relation::in_hierarchy`]).
    pub(super) fn extend(&self, relations: &mut HashMap<u32, Relation>, tables: &[Table]) -> Vec<Table> {
        let mut all = tables.to_vec();
        // Which table's protection each relation has.
        let mut holds: HashMap<u32, Table> = HashMap::new();
        for relation in relations.values() {
            holds.extend(relation.among(tables).map(|table| (relation.oid, table.clone())));
        }
        let mut closed: HashSet<u32> = HashSet::new();
        let mut open: Vec<u32> = holds.keys().copied().collect();
        while let Some(parent) = open.pop() {
            let Some(table) = holds.get(&parent).cloned() else { continue };
            for child in self.children(parent) {
                let Some(relation) = relations.get(&child) else { continue };
                match holds.get(&child) {
                    Some(other) if protects_alike(other, &table) => {}
                    Some(_) => closed.extend([child, parent]),
                    None => {
                        let mut derived = table.clone();
                        (derived.schema, derived.name) = (relation.schema.clone(), relation.name.clone());
                        all.push(derived.clone());
                        holds.insert(child, derived);
                        open.push(child);
                    }
                }
            }
        }
        // In the same order whatever the maps' is: plans are compared.
        all[tables.len()..].sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        for (oid, table) in &holds {
            let columns = || table.columns.iter().map(|p| &*p.column).collect::<Vec<_>>();
            let names = |key: &String| names_one_of(key, &columns());
            let by_value = self.keys.get(oid).is_some_and(|key| key.as_ref().is_none_or(names));
            if by_value || self.parents(*oid).any(|parent| !holds.contains_key(&parent)) {
                closed.insert(*oid);
            }
        }
        self.spread(&mut closed);
        for relation in relations.values_mut() {
            relation.in_hierarchy = closed.contains(&relation.oid);
            // Keys of a parent are no keys of its children; those of a partitioned table are.
            if relation.kind == RelationKind::Table
                && !self.keys.contains_key(&relation.oid)
                && self.children(relation.oid).next().is_some()
            {
                relation.unique.clear();
            }
        }
        all
    }

    /// What is closed closes its relatives: rows go both ways.
    fn spread(&self, closed: &mut HashSet<u32>) {
        loop {
            let before = closed.len();
            for &(child, parent) in &self.links {
                if closed.contains(&child) || closed.contains(&parent) {
                    closed.extend([child, parent]);
                }
            }
            if closed.len() == before {
                return;
            }
        }
    }

    /// Ancestors that are not protected, of tables that are.
    pub(super) fn unprotected_ancestors(&self, protected: &HashSet<u32>) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        let mut open: Vec<u32> = protected.iter().copied().collect();
        while let Some(child) = open.pop() {
            for parent in self.parents(child) {
                if !protected.contains(&parent) && !found.contains(&parent) {
                    found.push(parent);
                    open.push(parent);
                }
            }
        }
        found
    }

    /// What is so of a table is so of what it descends from: a row written there may be a row of its own.
    pub(super) fn rise(&self, relations: &mut HashMap<u32, Relation>) {
        loop {
            let mut changed = false;
            for &(child, parent) in &self.links {
                let Some(below) = relations.get(&child) else { continue };
                let marks =
                    (below.has_rules, below.has_before_triggers, below.writes_protected, below.truncates);
                let Some(above) = relations.get_mut(&parent) else { continue };
                let before =
                    (above.has_rules, above.has_before_triggers, above.writes_protected, above.truncates);
                let both = (before.0 | marks.0, before.1 | marks.1, before.2 | marks.2, before.3 | marks.3);
                (above.has_rules, above.has_before_triggers, above.writes_protected, above.truncates) = both;
                changed |= before != both;
            }
            if !changed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FieldId;
    use crate::policy::model::{Bind, Placed, TableSubject};

    fn table(name: &str, column: &str) -> Table {
        let subject = TableSubject { column: "id".into(), class: "person".into(), when: None };
        let columns = vec![Placed { column: column.into(), field: FieldId(0) }];
        Table { schema: "public".into(), name: name.into(), subject, columns, bind: Bind::Allow }
    }

    fn relation(oid: u32) -> Relation {
        Relation {
            oid,
            schema: "public".into(),
            name: format!("t{oid}").into(),
            kind: RelationKind::Table,
            definition: None,
            odd: false,
            columns: Vec::new(),
            unique: vec![vec!["id".into()]],
            foreign: Vec::new(),
            has_rules: false,
            has_before_triggers: false,
            in_hierarchy: false,
            touches_protected: false,
            writes_protected: false,
            truncates: false,
        }
    }

    fn row(cells: [Option<&str>; 3]) -> Row {
        cells.map(|c| c.map(str::to_owned)).to_vec()
    }

    /// Names of all protected tables, and OIDs of those that are closed.
    fn extended(links: &[(&str, &str)], keys: &[(&str, &str)], tables: &[Table]) -> (Vec<String>, Vec<u32>) {
        let mut rows: Vec<Row> = links.iter().map(|(c, p)| row([Some(c), Some(p), None])).collect();
        rows.extend(keys.iter().map(|(oid, key)| row([Some(oid), None, Some(key)])));
        let hierarchy = Hierarchy::read(&rows).unwrap();
        let mut relations: HashMap<u32, Relation> = (1..7).map(|oid| (oid, relation(oid))).collect();
        let all = hierarchy.extend(&mut relations, tables);
        let mut closed: Vec<u32> = relations.values().filter(|r| r.in_hierarchy).map(|r| r.oid).collect();
        closed.sort_unstable();
        let bare = links.iter().find(|(_, p)| !keys.iter().any(|(k, _)| k == p));
        if let Some((_, parent)) = bare {
            assert!(
                relations[&parent.parse::<u32>().unwrap()].unique.is_empty(),
                "its children have keys of their own"
            );
        }
        (all.iter().map(|t| t.name.to_string()).collect(), closed)
    }

    #[test]
    fn descendants_of_any_depth_are_protected() {
        let found = extended(
            &[("2", "1"), ("3", "2"), ("5", "4")],
            &[("1", "RANGE (day)"), ("2", "LIST (id)")],
            &[table("t1", "name")],
        );
        assert_eq!(found, (vec!["t1".into(), "t2".into(), "t3".into()], vec![]));
        let found = extended(&[("2", "1")], &[], &[table("t1", "name"), table("t2", "name")]);
        assert_eq!(found, (vec!["t1".into(), "t2".into()], vec![]));
    }

    #[test]
    fn what_is_not_protected_throughout_is_closed() {
        // The policy names a child only; or child and parent in different ways; or a second parent is not protected.
        assert_eq!(extended(&[("2", "1")], &[("1", "LIST (id)")], &[table("t2", "name")]).1, [1, 2]);
        assert_eq!(extended(&[("2", "1")], &[], &[table("t1", "name"), table("t2", "other")]).1, [1, 2]);
        assert_eq!(extended(&[("2", "1"), ("2", "3")], &[], &[table("t1", "name")]).1, [1, 2, 3]);
        // Nor can what is not known.
        let rows = [row([Some("1"), None, None]), row([Some("4"), None, None])];
        let hierarchy = Hierarchy::read(&rows).unwrap();
        let mut relations: HashMap<u32, Relation> = (1..7).map(|oid| (oid, relation(oid))).collect();
        hierarchy.extend(&mut relations, &[table("t1", "name")]);
        assert!(relations[&1].in_hierarchy && !relations[&4].in_hierarchy);
        // By a protected column nothing can be partitioned.
        assert_eq!(extended(&[("2", "1")], &[("1", "HASH (lower(name))")], &[table("t1", "name")]).1, [1, 2]);
    }
}
