//! Views: seen through by their definitions. The statement goes to the server as it was written; only what
//! flows from each of the view's columns is needed here.

use super::core::{Planner, Step, Stop};
use super::lex::Tokens;
use super::names::{Env, Flow, RelCol, RelId};
use super::select::Selected;
use super::{Schemas, Scope, refuse, types};
use crate::pg::catalog::model::Relation;
use crate::pg::refusal::Refusal;
use pg_raw_parse::Node;
use std::sync::Arc;

impl Planner<'_> {
    /// An instance of a view that depends on a protected table.
    pub(super) fn view(&mut self, relation: &Arc<Relation>) -> Step<RelId> {
        self.touched = true;
        if relation.odd {
            return Err(super::names::odd(relation).into());
        }
        let unseen = |why: &str| Stop::from(unseen(&relation.name, why));
        let Some(definition) = &relation.definition else {
            return Err(unseen(
                "was made or changed in this transaction, is new, or one of its tables is locked by another session",
            ));
        };
        let Ok(parsed) = pg_raw_parse::parse(definition) else {
            return Err(unseen("has a definition of another grammar"));
        };
        let Some(Node::SelectStmt(query)) = parsed.iter().next().map(|raw| raw.stmt()) else {
            return Err(unseen("has no query"));
        };
        // All names in it are qualified.
        let scope = Scope { search_path: Schemas::default(), ..*self.scope };
        let tokens = Tokens::new(definition);
        let mut inner = self.inside(&scope, definition, &tokens);
        let selected = match inner.select(query, &Env::default()) {
            Ok(selected) => selected,
            Err(Stop::Refuse(inner)) => {
                let refusal =
                    Refusal { message: format!("view {}: {}", relation.name, inner.message), ..inner };
                return Err(refusal.into());
            }
            Err(Stop::Unknown(_)) => return Err(unseen("names what the catalog does not know")),
        };
        if !inner.unknown.is_empty() || selected.open || selected.cols.len() != relation.columns.len() {
            return Err(unseen("has columns that are not known"));
        }
        if !inner.uses.is_empty() {
            return Err(unseen(
                "compares a protected column with a constant, which the database holds in clear",
            ));
        }
        let mut cols = Vec::with_capacity(selected.cols.len());
        for (col, column) in selected.cols.into_iter().zip(&relation.columns) {
            let flow = match col.flow {
                Flow::Field(mut f) => {
                    let text = types::is_text(f.stored_oid) && types::is_text(column.type_oid);
                    if f.stored_oid != column.type_oid && !text {
                        return Err(unseen("casts a protected column"));
                    }
                    f.stored_oid = column.type_oid;
                    Flow::Field(f)
                }
                other => other,
            };
            cols.push(RelCol { name: column.name.to_string(), flow, oid: column.type_oid });
        }
        let rel = self.derived(&relation.name, Some(cols));
        self.rels[rel].relation = Some(Arc::clone(relation));
        Ok(rel)
    }

    /// A query that the database keeps and runs by itself: nothing in it may need a value of ours. Gives what
    /// flows from it.
    pub(super) fn kept_query(&mut self, query: Node<'_>, what: &str) -> Step<Selected> {
        let Node::SelectStmt(query) = query else {
            return Err(refuse::unknown("a query of that form").into());
        };
        let (uses, edits) = (self.uses.len(), self.edits.len());
        self.evaluating.off = true;
        let selected = self.select(query, &Env::default())?;
        if self.modifies {
            return Err(super::within::of_that_kind(
                "a statement that writes, within one that keeps its query",
            )
            .into());
        }
        if self.uses.len() > uses {
            return Err(refuse::refusal(
                "view",
                format!("{what} that compares a protected column with a constant"),
                "The database would keep the constant in clear: compare in the statements that read it.",
            )
            .into());
        }
        if selected.open && selected.cols.iter().any(|c| matches!(c.flow, Flow::Field(_))) {
            return Err(refuse::unknown("* of unknown columns beside protected ones").into());
        }
        // It is kept as it is written.
        self.edits.truncate(edits);
        Ok(selected)
    }
}

/// A view whose definition doesn't tell what flows from it.
pub(super) fn unseen(name: &str, why: &str) -> Refusal {
    refuse::refusal(
        "view",
        format!("view {name}, which depends on a protected table, {why}"),
        "Query the tables themselves, or simplify the view.",
    )
}

/// A write through a view.
pub(super) fn written(name: &str) -> Refusal {
    refuse::refusal(
        "view-write",
        format!("a write through view {name}, which depends on a protected table"),
        "Write to the table itself.",
    )
}
