//! `when`: rows for which a table's subject holds, by a literal or by a natural key.

use super::core::{Planner, Step};
use super::edit::{quote, quote_text};
use super::names::At;
use super::{refuse, types};
use crate::pg::catalog::model::Relation;
use crate::pg::plan::WhenTest;
use crate::pg::refusal::Refusal;
use crate::policy::model::{Table, WhenValue};
use std::sync::Arc;

/// The shape of a statement hides the tested column.
pub(super) fn shape(label: &str) -> Refusal {
    refuse::refusal(
        "when-shape",
        format!("{label} belongs to a person only in some rows, and this statement's shape hides which"),
        "Select it from the table itself, without grouping, set operations or subqueries.",
    )
}

impl<'s> Planner<'s> {
    /// The column that a table's `when` tests: `Some(None)` when the catalog has none of that name.
    pub(super) fn when_column(&self, table: &Table, relation: &Relation) -> Option<Option<usize>> {
        let when = table.subject.when.as_ref()?;
        Some(match &when.equals {
            WhenValue::Literal(_) => relation.column(&when.column).map(|(i, _)| i),
            WhenValue::NaturalKey(_) => {
                let is = |name: &str| {
                    let key = relation.foreign.iter().any(|k| k.columns.len() == 1 && &*k.columns[0] == name);
                    relation.column(name).filter(|_| key).map(|(i, _)| i)
                };
                is(&when.column).or_else(|| is(&format!("{}_id", when.column)))
            }
        })
    }

    /// The policy table of that name.
    fn policy_table(&self, (schema, name): &(Arc<str>, Arc<str>)) -> Step<&'s Table> {
        let mut tables = self.scope.tables.iter();
        tables
            .find(|t| t.schema == *schema && t.name == *name)
            .ok_or_else(|| refuse::unknown("a table of another policy").into())
    }

    /// The test as a column of the result: `(t.content_type_id = 4)`.
    pub(super) fn when_sql(&self, table: &(Arc<str>, Arc<str>), at: At) -> Step<String> {
        let table = self.policy_table(table)?;
        let column = self.rels.get(at.0).and_then(|r| r.column_sql(at.1));
        let column = column.ok_or_else(|| shape(&table.name))?;
        Ok(match self.when_test(table)? {
            WhenTest::Literal(text) => format!("({column} = {})", quote_text(&text)),
            WhenTest::Query(query) => format!("({column} = ({}))", query.replacen("::text FROM", " FROM", 1)),
        })
    }

    /// The right side of a table's `when`, resolved.
    pub(super) fn when_test(&self, table: &Table) -> Step<WhenTest> {
        let unresolved = || {
            refuse::refusal(
                "when-key",
                format!("the `when` of {} can't be resolved in this database", table.name),
                "It needs a foreign key of one column, to a table with a UNIQUE key of text columns.",
            )
        };
        let when = table.subject.when.as_ref().ok_or_else(unresolved)?;
        let parts = match &when.equals {
            WhenValue::Literal(text) => return Ok(WhenTest::Literal(Arc::clone(text))),
            WhenValue::NaturalKey(parts) => parts,
        };
        let relations = &self.scope.catalog.relations;
        let relation =
            relations.get(&(Arc::clone(&table.schema), Arc::clone(&table.name))).ok_or_else(unresolved)?;
        let column = self.when_column(table, relation).flatten().ok_or_else(unresolved)?;
        let name = &relation.columns[column].name;
        let key = relation.foreign.iter().find(|k| k.columns.len() == 1 && k.columns[0] == *name);
        let key = key.ok_or_else(unresolved)?;
        let there = relations.get(&key.references).ok_or_else(unresolved)?;
        let text = |unique: &&Vec<Arc<str>>| {
            unique.len() == parts.len()
                && unique.iter().all(|c| there.column(c).is_some_and(|(_, c)| types::is_text(c.type_oid)))
        };
        let natural = there.unique.iter().find(text).ok_or_else(unresolved)?;
        let id = key.referenced.first().ok_or_else(unresolved)?;
        let tests: Vec<String> =
            natural.iter().zip(parts).map(|(c, v)| format!("{} = {}", quote(c), quote_text(v))).collect();
        let query = format!(
            "SELECT {}::text FROM {}.{} WHERE {}",
            quote(id),
            quote(&there.schema),
            quote(&there.name),
            tests.join(" AND ")
        );
        Ok(WhenTest::Query(query.into()))
    }
}
