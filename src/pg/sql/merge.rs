//! MERGE: each of its actions as the statement that it is. Its source may be rows of constants, which are protected
//! where they stand, each row for the subject that it names.

use super::core::{Planner, Step};
use super::edit::Piece;
use super::from::Side;
use super::insert::{Target, row_number, write_action};
use super::insert_select::same_place;
use super::names::{At, Env, FieldFlow, Flow, Namespace, RelCol};
use super::update::{set_value, subject_change};
use super::value::What;
use super::{refuse, types};
use crate::pg::plan::{RowSubject, Write};
use crate::pg::refusal::Refusal;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, CmdType, SetOperation};
use pg_raw_parse::{Node, nodes};
use std::sync::Arc;

/// What planning a MERGE gathers.
#[derive(Default)]
struct Merge {
    rows: Vec<RowSubject>,
    /// Columns that ON sets equal to the subject.
    equated: Vec<At>,
    /// Something protected is written.
    writes: bool,
}

/// A source of constants: its rows, and what its columns are called.
struct Constants<'n> {
    alias: &'n str,
    rows: Vec<Vec<Node<'n>>>,
    names: Vec<String>,
}

/// The protected column that a column of the source goes to, if any.
type Goes = Option<Box<FieldFlow>>;

impl<'s> Planner<'s> {
    /// MERGE.
    pub(super) fn merge_into(&mut self, s: &nodes::MergeStmt, outer: &Env<'_>) -> Step<()> {
        // Its rows are matched and written in one step: what is evaluated before could be about others.
        self.evaluating.off = true;
        let env = self.with(s.with_clause(), outer)?;
        let var = s.relation().ok_or_else(|| refuse::unknown("MERGE without a table"))?;
        let rel = self.range_var(var, &Env::default())?;
        let target = self.target(rel)?;
        let mut merge = Merge::default();
        let constants = match &target {
            Some(target) => self.constants(s, target, &env, &mut merge)?,
            None => None,
        };
        let source = match constants {
            Some(ns) => ns,
            None => self.item(s.source_relation(), &env, &Namespace::default())?,
        };
        // In the order in which `RETURNING *` shows them.
        let ns = Side(source).beside(self.namespace(rel));
        let env = Env { parent: Some(&env), ns, ctes: Vec::new() };
        self.plain(s.join_condition(), &env, "a MERGE's ON")?;
        if let Some(target) = &target {
            self.equated(s.join_condition(), (rel, target.subject), &env, &mut merge.equated)?;
        }
        for when in s.merge_when_clauses() {
            self.plain(when.condition(), &env, "a MERGE's WHEN")?;
            match (&target, when.command_type) {
                (Some(target), CmdType::CMD_INSERT) => self.merge_insert(when, target, &env, &mut merge)?,
                (Some(target), CmdType::CMD_UPDATE) => {
                    self.merge_update(s, when, target, &env, &mut merge)?;
                }
                _ => {
                    for set in when.target_list() {
                        if let Node::ResTarget(set) = set {
                            self.plain(set_value(set), &env, "an assignment to another table")?;
                        }
                    }
                    self.plain_list(when.values(), &env, "an assignment to another table")?;
                }
            }
        }
        if let Some(target) = target.as_ref().filter(|_| merge.writes) {
            if target.when.is_some() {
                let what = "MERGE of protected columns where rows hold persons only in part";
                return Err(unfollowed(what).into());
            }
            self.check_target(target, false)?;
            if !merge.rows.is_empty() && !self.explain {
                self.write = Some(Write {
                    class: Arc::clone(&target.table.subject.class),
                    rows: merge.rows,
                    subject_oid: target.subject_oid,
                    ..Write::default()
                });
            }
        }
        let star = |t: &nodes::ResTarget| matches!(t.val(), Node::ColumnRef(c) if c.fields().len() == 1 && matches!(c.fields().first(), Some(Node::A_Star(_))));
        let stars = s
            .returning_clause()
            .is_some_and(|r| r.exprs().iter().any(|n| matches!(n, Node::ResTarget(t) if star(t))));
        if stars && target.is_some() {
            return Err(unfollowed("MERGE … RETURNING *").into());
        }
        self.returning((s.returning_clause(), rel), &env, target.as_ref(), &[])
    }

    fn merge_insert(
        &mut self,
        when: &nodes::MergeWhenClause,
        target: &Target<'s>,
        env: &Env<'_>,
        merge: &mut Merge,
    ) -> Step<()> {
        let columns = self.insert_columns(when.target_list(), target.rel)?;
        self.no_more_than(&columns, when.values().len(), target)?;
        self.no_defaults(target, columns.get(..when.values().len()).unwrap_or(&columns))?;
        let place = columns.iter().position(|&c| c == target.subject);
        let subject = place.and_then(|p| when.values().get(p));
        let (mut at, mut known) = (None, None);
        if let Some(node) = subject {
            known = self.constant_source(node, target.subject_oid)?;
            if let Flow::Plain(Some(from)) = self.expr(node, env)? {
                at = Some((from, self.rels[from.0].cols.get(from.1).map_or(0, |c| c.oid)));
            }
        }
        let row = row_number(merge.rows.len())?;
        let mut constants = false;
        for (node, &column) in when.values().iter().zip(&columns) {
            let Some(field) = self.field_at(target.rel, column) else {
                self.plain(node, env, "a value of MERGE")?;
                continue;
            };
            if matches!(node, Node::SetToDefault(_)) {
                self.no_default(&field)?;
                continue;
            }
            merge.writes = true;
            if let Some(value) = self.value(node)? {
                let null = matches!(value.what, What::Null);
                if !null && known.is_none() {
                    let what = "MERGE that inserts a protected value for a subject that is no constant";
                    return Err(unfollowed(what).into());
                }
                constants |= !null;
                let action = write_action(&field, row);
                self.protect(value, &field.place(), action, false, |u| vec![Piece::Use(u)])?;
                continue;
            }
            match self.expr(node, env)? {
                Flow::Field(from) if same_place(&from, &field, at, target) => {}
                Flow::Null => {}
                _ => return Err(refuse::expression(&field.label).into()),
            }
        }
        if let (true, Some(subject)) = (constants, known) {
            merge.rows.push(self.row_of(target, subject, None));
        }
        Ok(())
    }

    fn merge_update(
        &mut self,
        s: &nodes::MergeStmt,
        when: &nodes::MergeWhenClause,
        target: &Target<'s>,
        env: &Env<'_>,
        merge: &mut Merge,
    ) -> Step<()> {
        let row = row_number(merge.rows.len())?;
        let mut constants = false;
        for set in when.target_list() {
            let Node::ResTarget(set) = set else { return Err(refuse::unknown("a SET").into()) };
            let column = self.set_column(set, target)?;
            if column == target.subject || Some(column) == target.when {
                let same = matches!(self.expr(set_value(set), env)?, Flow::Plain(Some(at))
                    if at == (target.rel, column) || (column == target.subject && merge.equated.contains(&at)));
                if !same {
                    return Err(subject_change(target).into());
                }
                continue;
            }
            let Some(field) = self.field_at(target.rel, column) else {
                self.plain(set_value(set), env, "an assignment to another column")?;
                continue;
            };
            if matches!(set_value(set), Node::SetToDefault(_)) {
                self.no_default(&field)?;
                continue;
            }
            if self.is_itself(set, (target.rel, column), env)? {
                continue;
            }
            merge.writes = true;
            if let Some(value) = self.value(set_value(set))? {
                constants |= !matches!(value.what, What::Null);
                let action = write_action(&field, row);
                self.protect(value, &field.place(), action, false, |u| vec![Piece::Use(u)])?;
                continue;
            }
            match self.expr(set_value(set), env)? {
                Flow::Field(from) if copies(&from, &field, merge, target) => {}
                Flow::Null => {}
                _ => return Err(refuse::expression(&field.label).into()),
            }
        }
        if constants {
            let at = (target.rel, target.subject);
            let known = match self.pinned(s.join_condition(), at, env)? {
                Some(known) => Some(known),
                None => self.pinned(when.condition(), at, env)?,
            };
            let what = "MERGE that updates a protected column for a subject that is no constant";
            let known = known.ok_or_else(|| unfollowed(what))?;
            merge.rows.push(RowSubject { pinned: true, ..self.row_of(target, known, None) });
        }
        Ok(())
    }

    /// The columns that a top-level conjunct of a condition sets equal to one.
    fn equated(&mut self, node: Node<'_>, to: At, env: &Env<'_>, found: &mut Vec<At>) -> Step<()> {
        match node {
            Node::BoolExpr(b) if b.boolop == BoolExprType::AND_EXPR => {
                b.args().iter().try_for_each(|arg| self.equated(arg, to, env, found))
            }
            Node::A_Expr(e)
                if e.kind == A_Expr_Kind::AEXPR_OP
                    && e.name().len() == 1
                    && e.name().first().and_then(Node::as_str) == Some("=") =>
            {
                let (Node::ColumnRef(a), Node::ColumnRef(b)) = (e.lexpr(), e.rexpr()) else { return Ok(()) };
                if let (Flow::Plain(Some(a)), Flow::Plain(Some(b))) =
                    (self.column(a, env)?, self.column(b, env)?)
                {
                    found.extend((a == to).then_some(b));
                    found.extend((b == to).then_some(a));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A source of constants, some of which go to protected columns: its namespace, as if it held protected values.
    fn constants(
        &mut self,
        s: &nodes::MergeStmt,
        target: &Target<'s>,
        env: &Env<'_>,
        merge: &mut Merge,
    ) -> Step<Option<Namespace>> {
        let Some(source) = constants_of(s.source_relation()) else { return Ok(None) };
        let (goes, subject) = self.goes(s, target, &source)?;
        let (true, Some(subject)) = (goes.iter().any(Option::is_some), subject) else { return Ok(None) };
        for cells in &source.rows {
            let row = row_number(merge.rows.len())?;
            let known = self.constant_source(cells[subject], target.subject_oid)?;
            let what = "MERGE from rows whose subject is no constant";
            let known = known.ok_or_else(|| unfollowed(what))?;
            for (&cell, field) in cells.iter().zip(&goes) {
                let Some(field) = field else {
                    self.plain(cell, env, "a value of MERGE")?;
                    continue;
                };
                let value = self.value(cell)?.ok_or_else(|| refuse::expression(&field.label))?;
                let stored =
                    types::sql_name(field.stored_oid).ok_or_else(|| refuse::unknown("a value of MERGE"))?;
                let end = value.range.end;
                let action = write_action(field, row);
                self.protect(value, &field.place(), action, false, |u| vec![Piece::Use(u)])?;
                self.edit(end..end, vec![Piece::Text(format!("::{stored}"))]);
            }
            merge.rows.push(self.row_of(target, known, None));
        }
        let cols = source.names.iter().map(|n| RelCol { name: n.clone(), flow: Flow::Plain(None), oid: 0 });
        let rel = self.derived(source.alias, Some(cols.collect()));
        for (at, field) in goes.into_iter().enumerate() {
            if let Some(mut field) = field {
                field.at = Some((rel, at));
                field.subject = Some((rel, subject));
                field.not_null = false;
                self.rels[rel].cols[at].flow = Flow::Field(field);
            }
        }
        self.rels[rel].cols[subject].oid = target.subject_oid;
        Ok(Some(self.namespace(rel)))
    }

    /// Which protected column each column of the source goes to; and which is the subject's.
    fn goes(
        &mut self,
        s: &nodes::MergeStmt,
        target: &Target<'s>,
        source: &Constants<'_>,
    ) -> Step<(Vec<Goes>, Option<usize>)> {
        let mut goes: Vec<Goes> = source.names.iter().map(|_| None).collect();
        let mut subjects: Vec<usize> = Vec::new();
        let target_names: Vec<String> = self.rels[target.rel].cols.iter().map(|c| c.name.clone()).collect();
        let of = |node: Node<'_>| source.column(node, &target_names);
        for when in s.merge_when_clauses() {
            let pairs: Vec<(usize, Node<'_>)> = match when.command_type {
                CmdType::CMD_INSERT => {
                    let columns = self.insert_columns(when.target_list(), target.rel)?;
                    columns.into_iter().zip(when.values()).collect()
                }
                CmdType::CMD_UPDATE => {
                    let mut pairs = Vec::new();
                    for set in when.target_list() {
                        if let Node::ResTarget(set) = set {
                            pairs.push((self.set_column(set, target)?, set_value(set)));
                        }
                    }
                    pairs
                }
                _ => Vec::new(),
            };
            for (column, node) in pairs {
                let Some(at) = of(node) else { continue };
                if column == target.subject {
                    subjects.push(at);
                }
                if let Some(field) = self.field_at(target.rel, column) {
                    goes[at] = Some(field);
                }
            }
        }
        let subject = &target.relation.columns[target.subject].name;
        equal_columns(s.join_condition(), &mut |a, b| {
            for (one, other) in [(a, b), (b, a)] {
                let named = matches!(one, Node::ColumnRef(c)
                    if c.fields().iter().filter_map(|n| n.as_str()).next_back() == Some(subject));
                if let (true, Some(at), None) = (named, of(other), of(one)) {
                    subjects.push(at);
                }
            }
        });
        subjects.dedup();
        Ok((goes, if subjects.len() == 1 { subjects.pop() } else { None }))
    }
}

impl Constants<'_> {
    /// The column of the source that an expression is; a name of the target's too is not taken for it.
    fn column(&self, node: Node<'_>, target: &[String]) -> Option<usize> {
        let Node::ColumnRef(c) = node else { return None };
        let parts: Vec<&str> = c.fields().iter().filter_map(|n| n.as_str()).collect();
        let name = match parts.as_slice() {
            [name] if !target.iter().any(|t| t == name) => name,
            [of, name] if *of == self.alias => name,
            _ => return None,
        };
        self.names.iter().position(|n| n == name)
    }
}

/// Calls `each` with both sides of every top-level equality.
fn equal_columns<'n>(node: Node<'n>, each: &mut impl FnMut(Node<'n>, Node<'n>)) {
    match node {
        Node::BoolExpr(b) if b.boolop == BoolExprType::AND_EXPR => {
            b.args().iter().for_each(|arg| equal_columns(arg, each));
        }
        Node::A_Expr(e)
            if e.kind == A_Expr_Kind::AEXPR_OP && e.name().first().and_then(Node::as_str) == Some("=") =>
        {
            each(e.lexpr(), e.rexpr());
        }
        _ => {}
    }
}

/// VALUES, or one SELECT of nothing but its columns.
fn constants_of(node: Node<'_>) -> Option<Constants<'_>> {
    let Node::RangeSubselect(from) = node else { return None };
    let Node::SelectStmt(select) = from.subquery() else { return None };
    let nothing = |list: &NodeList| list.is_empty();
    let bare = !from.lateral
        && select.op == SetOperation::SETOP_NONE
        && select.with_clause().is_none()
        && [select.from_clause(), select.distinct_clause(), select.group_clause()].into_iter().all(nothing)
        && select.sort_clause().is_empty()
        && [select.where_clause(), select.having_clause(), select.limit_count(), select.limit_offset()]
            .iter()
            .all(|n| matches!(n, Node::None));
    if !bare {
        return None;
    }
    let alias = from.alias().and_then(|a| a.aliasname()).unwrap_or_default();
    if !select.values_lists().is_empty() {
        let names = super::values_from::names(from, select.values_lists());
        let rows: Vec<Vec<Node<'_>>> = select
            .values_lists()
            .iter()
            .filter_map(|row| if let Node::NodeList(row) = row { Some(row.iter().collect()) } else { None })
            .collect();
        let whole = rows.iter().all(|row| row.len() == names.len());
        return whole.then_some(Constants { alias, rows, names });
    }
    let mut names: Vec<String> =
        select.target_list().iter().map(|t| t.name().unwrap_or_default().to_owned()).collect();
    for (name, given) in names.iter_mut().zip(from.alias()?.colnames()) {
        given.as_str()?.clone_into(name);
    }
    let row = select.target_list().iter().map(|t| t.val()).collect();
    Some(Constants { alias, rows: vec![row], names })
}

/// Whether an UPDATE of MERGE may copy a value as it is stored: it is the same field of the subject that ON names.
fn copies(from: &FieldFlow, to: &FieldFlow, merge: &Merge, target: &Target<'_>) -> bool {
    let text = types::is_text(from.stored_oid) && types::is_text(to.stored_oid);
    from.field == to.field
        && (from.stored_oid == to.stored_oid || text)
        && from.class == target.table.subject.class
        && from.when.is_none()
        && from.subject.is_some_and(|at| merge.equated.contains(&at))
}

fn unfollowed(what: &str) -> Refusal {
    refuse::refusal(
        "merge",
        what,
        "Fix the subject: a constant in ON and in VALUES, or a column of the source that both name; or use INSERT … ON CONFLICT.",
    )
}
