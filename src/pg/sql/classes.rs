//! Values that are put together: DISTINCT, GROUP BY, min and max of encrypted columns. A row's rank among the others
//! stands for its value; one of the rows that have it shows it.

use super::core::{Planner, Step};
use super::edit::{Piece, quote};
use super::names::{At, Env, FieldFlow, Flow, RelCol};
use super::types;
use super::value::function_name;
use crate::pg::plan::Shown;
use pg_raw_parse::{Node, nodes};

impl Planner<'_> {
    /// `min(column)` or `max(column)` of a protected column: the value of the first row in that order. The erased count as NULL.
    pub(super) fn extreme(&mut self, f: &nodes::FuncCall, env: &Env<'_>) -> Step<Option<Flow>> {
        let (name, system) = function_name(f)?;
        let plain = f.over().is_none()
            && matches!(f.agg_filter(), Node::None)
            && f.agg_order().is_empty()
            && !(f.agg_star || f.agg_within_group || f.func_variadic);
        if self.evaluating.off || !system || !plain || !matches!(name.as_str(), "min" | "max") {
            return Ok(None);
        }
        let Some(Node::ColumnRef(column)) = f.args().first().filter(|_| f.args().len() == 1) else {
            return Ok(None);
        };
        let Ok(flow @ Flow::Field(_)) = self.column(column, env) else { return Ok(None) };
        let Flow::Field(field) = &flow else { return Ok(None) };
        if !has_extremes(field.shown.oid) {
            return Ok(None);
        }
        // It is of rows, not of groups.
        let grouped = self.evaluating.grouped.take();
        let ranks = self.rank_of_living(&flow);
        self.evaluating.grouped = grouped;
        let (Some(ranks), Some(range), Some(at)) = (ranks?, self.extent(Node::FuncCall(f)), field.at) else {
            return Ok(None);
        };
        let Some(sql) = self.rels[at.0].column_sql(at.1) else { return Ok(None) };
        let descending = if name == "max" { " DESC" } else { "" };
        let mut pieces = vec![Piece::Text(format!("(pg_catalog.array_agg({sql} ORDER BY "))];
        pieces.extend(ranks.iter().cloned());
        pieces.push(Piece::Text(format!("{descending}) FILTER (WHERE ")));
        pieces.extend(ranks);
        pieces.push(Piece::Text(" IS NOT NULL))[1]".into()));
        self.edit(range, pieces);
        Ok(Some(Flow::Field(Box::new(alone(field)))))
    }

    /// Encrypted columns by which a SELECT groups its rows, each by itself.
    pub(super) fn classes(&mut self, s: &nodes::SelectStmt, env: &Env<'_>) -> Vec<At> {
        let mut classes = Vec::new();
        // Which column a number means is known only with the output columns.
        if self.evaluating.off || s.group_clause().iter().any(|n| !matches!(n, Node::ColumnRef(_))) {
            return classes;
        }
        let keys = self.group_keys(s.group_clause(), &[], env);
        for group in s.group_clause() {
            if let Node::ColumnRef(c) = group
                && super::grouping::in_view(c, env)
                && let Ok(Flow::Field(f)) = self.column(c, env)
                && let Some(at) = f.at.filter(|at| !f.token && self.key(at.0).is_some())
                && !self.determined(&f, &keys)
            {
                classes.push(at);
            }
        }
        classes
    }

    /// An output column that is such a group's: one of its rows shows it.
    pub(super) fn shown_class(&mut self, target: &nodes::ResTarget, flow: Flow) -> Flow {
        let Flow::Field(f) = &flow else { return flow };
        let (Node::ColumnRef(_), Some(at)) = (target.val(), f.at) else { return flow };
        if !self.evaluating.classes.contains(&at) {
            return flow;
        }
        let (Some(range), Some(sql)) = (self.extent(target.val()), self.rels[at.0].column_sql(at.1)) else {
            return flow;
        };
        self.edit(range, vec![Piece::Text(format!("(pg_catalog.array_agg({sql}))[1]"))]);
        let mut shown = alone(f);
        (shown.at, shown.shown) = (f.at, f.shown);
        let relation = self.rels[at.0].relation.as_ref();
        shown.origin = relation.and_then(|r| Some((r.oid, r.columns.get(at.1)?.attnum)));
        Flow::Field(Box::new(shown))
    }

    /// An output column without a name, that was replaced since so many edits, keeps the name that it had.
    pub(super) fn keep_name(&mut self, value: Node<'_>, name: &str, edits: usize) {
        if self.edits.len() == edits || !self.gives_name(value, edits) {
            return;
        }
        let Some(whole) = self.extent(value) else { return };
        let name = Piece::Text(format!(" AS {}", quote(name)));
        if let Some(bracket) = self.last_bracket(&whole) {
            return self.edit(bracket, vec![Piece::Text(")".into()), name]);
        }
        match self.edits[edits..].iter_mut().find(|e| e.range == whole && !e.pieces.is_empty()) {
            Some(edit) => edit.pieces.push(name),
            None => self.edit(whole.end..whole.end, vec![name]),
        }
    }

    /// Whether that which gives an expression its name was replaced.
    fn gives_name(&self, value: Node<'_>, edits: usize) -> bool {
        let Some(range) = self.extent(value) else { return false };
        if self.edits[edits..].iter().any(|e| e.range == range && !e.pieces.is_empty()) {
            return true;
        }
        match value {
            Node::TypeCast(cast) => self.gives_name(cast.arg(), edits),
            Node::CollateClause(c) => self.gives_name(c.arg(), edits),
            _ => false,
        }
    }

    /// SELECT DISTINCT of encrypted columns: of the rows that are equal the first is shown. False where they can't
    /// be told apart so.
    pub(super) fn distinct_rows(&mut self, s: &nodes::SelectStmt, cols: &[RelCol], open: bool) -> Step<bool> {
        let first = s.target_list().first().and_then(|t| self.token_at(t.location).ok());
        let Some(word) =
            first.and_then(|at| at.checked_sub(1)).filter(|at| self.tokens.is_word(*at, "distinct"))
        else {
            return Ok(false);
        };
        if open || self.evaluating.off || self.evaluating.grouped.is_some() {
            return Ok(false);
        }
        let mut pieces = vec![Piece::Text(" ON (".into())];
        for (i, col) in cols.iter().enumerate() {
            if i > 0 {
                pieces.push(Piece::Text(", ".into()));
            }
            match &col.flow {
                flow @ Flow::Field(f) if !f.token => match self.rank_of_column(flow)? {
                    Some(ranks) => pieces.extend(ranks),
                    None => return Ok(false),
                },
                _ => pieces.push(Piece::Text((i + 1).to_string())),
            }
        }
        pieces.push(Piece::Text(")".into()));
        let end = self.bytes_of(word).end;
        self.edit(end..end, pieces);
        Ok(true)
    }
}

/// A value that has left its row.
fn alone(field: &FieldFlow) -> FieldFlow {
    let mut field = field.clone();
    field.at = None;
    field.subject = None;
    field.beneath = None;
    field.when = field.when.map(|_| None);
    field.not_null = false;
    let oid = if field.shown.oid == types::VARCHAR { types::TEXT } else { field.shown.oid };
    field.shown = Shown { oid, len: types::len(oid), typmod: -1 };
    field
}

/// Types of which there are a least and a greatest value.
fn has_extremes(oid: u32) -> bool {
    matches!(
        oid,
        types::TEXT
            | types::VARCHAR
            | types::INT4
            | types::INT8
            | types::NUMERIC
            | types::DATE
            | types::TIMESTAMPTZ
    )
}
