//! CREATE TABLE AS and SELECT INTO: a table made from rows that hold protected values, where the policy protects them
//! there as the same fields of the same subject.

use super::core::{Planner, Step};
use super::names::{At, Env, FieldFlow, Flow, RelCol};
use super::{refuse, schema};
use crate::pg::refusal::Refusal;
use crate::policy::model::Table;
use pg_raw_parse::raw::ObjectType;
use pg_raw_parse::{Node, nodes};

impl<'s> Planner<'s> {
    /// CREATE TABLE AS, CREATE MATERIALIZED VIEW.
    pub(super) fn create_table_as(&mut self, c: &nodes::CreateTableAsStmt, mentions: bool) -> Step<()> {
        let Some(into) = c.into() else { return Err(refuse::unknown("CREATE TABLE AS").into()) };
        into.rel().map_or(Ok(()), |r| self.shadows(r))?;
        let view = c.objtype == ObjectType::OBJECT_MATVIEW;
        let what = if view { "CREATE MATERIALIZED VIEW" } else { "CREATE TABLE AS" };
        let own = into.rel().and_then(|r| self.policy_table_of(r));
        let Node::SelectStmt(query) = c.query() else {
            let hint = "Create the table, then copy through the application.";
            self.touched |= own.is_some();
            return self.hides(c.query(), mentions, ("create-table-as", what, hint));
        };
        if view {
            // What flows from it is seen through; it can't be a table of the policy.
            if let Some(table) = own {
                return self.stop(unprotected("create-table-as", &table.name));
            }
            self.kept_query(c.query(), what)?;
            self.touched = false;
            return Ok(());
        }
        let selected = self.select(query, &Env::default())?;
        if self.modifies {
            return Err(super::within::of_that_kind("a statement that writes, within CREATE TABLE AS").into());
        }
        self.made_of(&selected.cols, selected.open, into, "create-table-as")?;
        // Without a value of ours in it, it goes as it is.
        self.touched = !self.uses.is_empty() || !self.edits.is_empty();
        Ok(())
    }

    /// Whether a new table protects what flows into it.
    pub(super) fn made_of(
        &mut self,
        cols: &[RelCol],
        open: bool,
        into: &nodes::IntoClause,
        anchor: &'static str,
    ) -> Step<()> {
        let table = into.rel().and_then(|r| self.policy_table_of(r));
        if open && (table.is_some() || cols.iter().any(|c| matches!(c.flow, Flow::Field(_)))) {
            return self.stop(refuse::unknown("* of unknown columns beside protected ones"));
        }
        let given: Vec<&str> = into.col_names().iter().filter_map(|n| n.as_str()).collect();
        let named = |i: usize| given.get(i).copied().unwrap_or(&cols[i].name);
        let subject = table.and_then(|t| {
            let at = (0..cols.len()).find(|&i| *named(i) == *t.subject.column)?;
            if let Flow::Plain(at) = cols[at].flow { at } else { None }
        });
        for (i, col) in cols.iter().enumerate() {
            let placed = table.and_then(|t| Self::placed(t, named(i)));
            match (&col.flow, table, placed) {
                (Flow::Field(from), Some(table), Some(placed))
                    if placed.field == from.field
                        && schema::stores(self.field(from.field)?, from.stored_oid)
                        && same_subject(from, subject, table) => {}
                (Flow::Field(from), ..) => return self.stop(unprotected(anchor, &from.label)),
                (_, Some(table), Some(placed)) => {
                    return self.stop(unprotected(anchor, &format!("{}.{}", table.name, placed.column)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn same_subject(from: &FieldFlow, subject: Option<At>, table: &Table) -> bool {
    subject.is_some()
        && subject == from.subject
        && from.class == table.subject.class
        && from.when.is_none()
        && table.subject.when.is_none()
}

fn unprotected(anchor: &'static str, label: &str) -> Refusal {
    let what = if anchor == "select-into" { "SELECT INTO" } else { "CREATE TABLE AS" };
    refuse::refusal(
        anchor,
        format!("{what} with protected column {label}, not as the same field of the same subject"),
        "Name the new table in the policy, with the same fields in its columns, and select the subject's column too; or \
         create it, then copy through the application.",
    )
}
