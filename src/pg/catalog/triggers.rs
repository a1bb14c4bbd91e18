//! Triggers of protected tables that would store a value in clear.

use super::model::Relation;
use super::touch::{Function, How, Uses};
use crate::pg::sql::{assigns_new, sets_protected};
use crate::policy::model::Table;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Which functions give a protected column a value, and which relations run which.
pub(super) struct Triggers<'a> {
    functions: &'a [Function],
    uses: &'a Uses,
    tables: &'a [Table],
    /// OIDs of those that change the row at hand.
    change_row: HashSet<(u32, u32)>,
    /// OIDs of those that write it to a table, by themselves or by another.
    set: HashSet<(u32, u32)>,
    /// Names of both, lower case.
    pub(super) assigning: Vec<Arc<str>>,
}

impl<'a> Triggers<'a> {
    pub(super) fn new(
        functions: &'a [Function],
        uses: &'a Uses,
        tables: &'a [Table],
        relations: &HashMap<u32, Relation>,
    ) -> Self {
        let watched = |name: &str| relations.values().any(|r| r.is_watched() && *r.name == *name);
        let (mut change_row, mut set) = (HashSet::new(), HashSet::new());
        let mut assigning = Vec::new();
        for f in functions {
            let Some(body) = &f.body else { continue };
            if f.of_trigger && (f.is_unreadable() || assigns_new(&f.language, body, tables)) {
                change_row.insert(f.object());
                assigning.push(Arc::clone(&f.name));
            }
        }
        let sets = |f: &&Function| {
            f.is_unreadable() || f.body.as_deref().is_some_and(|body| sets_protected(body, tables, &watched))
        };
        let mut setting: Vec<&Function> = functions.iter().filter(sets).collect();
        while let Some(f) = setting.pop() {
            if set.insert(f.object()) {
                assigning.push(Arc::clone(&f.name));
                setting.extend(functions.iter().filter(|other| other.names(&f.name)));
            }
        }
        Self { functions, uses, tables, change_row, set, assigning }
    }

    /// Closes the protected tables whose own triggers do so; gives the names of all functions that protected tables run.
    pub(super) fn mark(&self, relations: &mut HashMap<u32, Relation>) -> Vec<Arc<str>> {
        let mut triggered: Vec<Arc<str>> = Vec::new();
        for (oid, how, function) in self.uses.calls() {
            let Some(relation) = relations.get_mut(&oid).filter(|r| r.among(self.tables).is_some()) else {
                continue;
            };
            relation.writes_protected |= self.set.contains(&function)
                || (how == How::BeforeRow && self.change_row.contains(&function));
            let named = self.functions.iter().filter(|f| f.object() == function);
            triggered.extend(named.map(|f| Arc::clone(&f.name)));
        }
        for (oid, argument) in &self.uses.arguments {
            let Some(relation) = relations.get_mut(oid) else { continue };
            let columns = relation.among(self.tables).into_iter().flat_map(|t| &t.columns);
            relation.writes_protected |= columns.into_iter().any(|p| *p.column == **argument);
        }
        triggered
    }
}
