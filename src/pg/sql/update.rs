//! UPDATE and DELETE: whose rows they write.

use super::core::{LookupDraft, Origin, Planner, Step, Stop, Use};
use super::edit::{Piece, quote};
use super::insert::{Target, write_action};
use super::locking::Lock;
use super::names::{At, Env, FieldFlow, Flow, RelId};
use super::value::What;
use super::{refuse, types};
use crate::pg::plan::{Action, Bind, RowSubject, SubjectSource, Write};
use crate::pg::refusal::Refusal;
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType};
use pg_raw_parse::{Node, nodes};
use std::ops::Range;
use std::sync::Arc;

/// The subject of rows is changed while their protected values stay sealed under the old one.
pub(super) fn subject_change(target: &Target<'_>) -> Refusal {
    let (table, column) = (&target.relation.name, &target.table.subject.column);
    refuse::refusal(
        "subject-change",
        format!("{table}.{column}, the subject of its rows, is changed without all their protected columns"),
        "Set every protected column of the row in the same UPDATE, or delete the row and insert it anew.",
    )
}

/// How an UPDATE's protected values are sealed.
enum Whose {
    /// All under this subject.
    One(RowSubject),
    /// Under those that a lookup finds; the use that holds them.
    Found(usize),
    /// Under that of the one row at which a cursor stands, which RETURNING tells.
    Current,
}

impl<'s> Planner<'s> {
    /// UPDATE.
    pub(super) fn update(&mut self, s: &nodes::UpdateStmt, outer: &Env<'_>) -> Step<()> {
        let env = self.with(s.with_clause(), outer)?;
        let var = s.relation().ok_or_else(|| refuse::unknown("UPDATE without a table"))?;
        let rel = self.range_var(var, &Env::default())?;
        let target = self.target(rel)?;
        self.lock(rel, Lock::WRITE);
        let mut ns = self.namespace(rel);
        let from = self.from(s.from_clause(), &env)?;
        ns = super::from::Side(ns).beside(from);
        let env = Env { parent: Some(&env), ns, ctes: Vec::new() };
        let mut written = Vec::new();
        match &target {
            Some(target) => written = self.update_protected(s, var, target, &env)?,
            None => {
                for set in s.target_list() {
                    self.plain(set_value(set), &env, "an assignment to another table")?;
                }
            }
        }
        self.condition_on(s.where_clause(), &env, "WHERE")?;
        self.narrow(s.where_clause(), &env);
        self.returning((s.returning_clause(), rel), &env, target.as_ref(), &written)
    }

    fn update_protected(
        &mut self,
        s: &nodes::UpdateStmt,
        var: &nodes::RangeVar,
        target: &Target<'s>,
        env: &Env<'_>,
    ) -> Step<Vec<At>> {
        let mut assigned = Vec::new();
        let mut new_subject = None;
        for set in s.target_list() {
            let column = self.set_column(set, target)?;
            if column == target.subject || Some(column) == target.when {
                if self.is_itself(set, (target.rel, column), env)? {
                    continue;
                }
                let source = self
                    .constant_source(set_value(set), target.subject_oid)?
                    .filter(|_| column == target.subject);
                new_subject = Some(source.ok_or_else(|| subject_change(target))?);
                self.plain(set_value(set), env, "an assignment")?;
                continue;
            }
            match self.field_at(target.rel, column) {
                None => self.plain(set_value(set), env, "an assignment to another column")?,
                Some(_) if self.is_itself(set, (target.rel, column), env)? => {}
                Some(field) => {
                    assigned.push((self.given(set, (target.rel, column), env)?, column, field));
                }
            }
        }
        if new_subject.is_some() {
            let all =
                (0..self.rels[target.rel].cols.len()).filter(|&c| self.field_at(target.rel, c).is_some());
            if !all.into_iter().all(|c| assigned.iter().any(|a| a.1 == c)) || target.when.is_some() {
                return Err(subject_change(target).into());
            }
        }
        let mut needed = false;
        for (given, _, field) in &assigned {
            needed |= self.needs_protection(*given, field)?;
        }
        // A row that becomes another person's can't keep the values of the one that it was.
        let changes = new_subject.is_some();
        let whose =
            if needed && !self.explain { self.whose(s, var, target, new_subject, env)? } else { None };
        let current = matches!(whose, Some(Whose::Current));
        if needed {
            self.check_target(target, current)?;
        }
        self.keep = (!changes && !current && whose.is_some()).then(Default::default);
        let mut written = Vec::new();
        for (given, column, field) in assigned {
            if self.set_field(given, &field, whose.as_ref(), target)? {
                self.keep_set((target.rel, column), matches!(whose, Some(Whose::Found(_))));
                written.push((target.rel, column));
            }
        }
        if let Some(whose) = whose {
            let subject = match whose {
                Whose::One(row) => row,
                Whose::Found(_) => self.row_of(target, SubjectSource::Found, None),
                Whose::Current => self.row_of(target, SubjectSource::Returned, None),
            };
            self.write = Some(Write {
                inserts: false,
                class: Arc::clone(&target.table.subject.class),
                rows: vec![subject],
                lookup: None,
                bind: current.then(|| Bind { subject: 0, witnesses: Vec::new(), repeats: false }),
                within: Vec::new(),
                subject_oid: target.subject_oid,
            });
        }
        Ok(written)
    }

    /// The position of the column that a SET names.
    pub(super) fn set_column(&self, set: &nodes::ResTarget, target: &Target<'_>) -> Step<usize> {
        let name = set.name().unwrap_or_default();
        let Some(column) = self.rels[target.rel].cols.iter().position(|c| c.name == name) else {
            let (schema, table) = (quote(&target.relation.schema), quote(&target.relation.name));
            let before = format!("UPDATE {schema}.{table} SET ");
            let text = Stop::Unknown(format!("{before}{} = NULL WHERE false", quote(name)));
            return Err(self.missing_at(text, before.len(), set.location));
        };
        if !set.indirection().is_empty() && self.field_at(target.rel, column).is_some() {
            return Err(refuse::unknown("a part of a protected column").into());
        }
        self.storable(target.rel, column)?;
        Ok(column)
    }

    /// `SET col = col`.
    pub(super) fn is_itself(&mut self, set: &nodes::ResTarget, at: At, env: &Env<'_>) -> Step<bool> {
        let Node::ColumnRef(c) = set_value(set) else { return Ok(false) };
        Ok(match self.column(c, env)? {
            Flow::Plain(Some(a)) => a == at,
            Flow::Field(f) => f.at == Some(at),
            _ => false,
        })
    }

    /// Whether a SET writes a value that must be protected (NULL and DEFAULT need nothing).
    fn needs_protection(&self, given: Node<'_>, field: &FieldFlow) -> Step<bool> {
        match given {
            Node::SetToDefault(_) => self.no_default(field).map(|()| false),
            node => match self.value(node)? {
                Some(value) => Ok(!matches!(value.what, What::Null)),
                None => Err(refuse::expression(&field.label).into()),
            },
        }
    }

    /// The value of a SET; of `COALESCE(value, column)`, on the column itself, the value: where that is NULL the
    /// column keeps what it holds.
    fn given<'n>(&mut self, set: &'n nodes::ResTarget, at: At, env: &Env<'_>) -> Step<Node<'n>> {
        let node = set_value(set);
        let Node::CoalesceExpr(c) = node else { return Ok(node) };
        let (2, Some(value), Some(Node::ColumnRef(own))) =
            (c.args().len(), c.args().first(), c.args().get(1))
        else {
            return Ok(node);
        };
        let own = matches!(self.column(own, env)?, Flow::Field(f) if f.at == Some(at));
        Ok(if own && matches!(self.value(value), Ok(Some(_))) { value } else { node })
    }

    /// Protects the value of a SET; false where there is nothing to protect.
    fn set_field(
        &mut self,
        given: Node<'_>,
        field: &FieldFlow,
        whose: Option<&Whose>,
        target: &Target<'s>,
    ) -> Step<bool> {
        let Some(value) = self.value(given)? else { return Ok(false) };
        let written = !matches!(value.what, What::Null);
        let Some(Whose::Found(subjects)) = whose else {
            self.protect(value, &field.place(), write_action(field, 0), false, |u| vec![Piece::Use(u)])?;
            return Ok(written);
        };
        let unnamed = || refuse::unknown(&format!("a lookup for column {}", field.label));
        let stored = types::sql_name(field.stored_oid).ok_or_else(unnamed)?;
        let subject = self.subject_sql(target)?;
        let kind = types::sql_name(target.subject_oid).ok_or_else(unnamed)?;
        let subjects = *subjects;
        let action = Action::ProtectPerSubject { field: field.field };
        self.protect(value, &field.place(), action, false, |u| {
            vec![
                Piece::Text("(".into()),
                Piece::Use(u),
                Piece::Text(format!("::{stored}[])[array_position(")),
                Piece::Use(subjects),
                Piece::Text(format!("::{kind}[], {subject})]")),
            ]
        })?;
        Ok(written)
    }

    /// The subject column in SQL, as text where it is varchar.
    pub(super) fn subject_sql(&self, target: &Target<'_>) -> Step<String> {
        let sql = self.rels[target.rel].column_sql(target.subject);
        let sql = sql.ok_or_else(|| refuse::unknown("a subject column without a name"))?;
        Ok(if target.subject_oid == types::VARCHAR { format!("{sql}::text") } else { sql })
    }

    /// Whose rows are written: fixed by the statement, or to be looked up.
    fn whose(
        &mut self,
        s: &nodes::UpdateStmt,
        var: &nodes::RangeVar,
        target: &Target<'s>,
        new_subject: Option<SubjectSource>,
        env: &Env<'_>,
    ) -> Step<Option<Whose>> {
        let pinned = new_subject.is_none();
        let subject = match new_subject {
            Some(subject) => Some(subject),
            None => self.pinned(s.where_clause(), (target.rel, target.subject), env)?,
        };
        let when = match target.when {
            None => None,
            Some(column) => {
                let value = self.pinned(s.where_clause(), (target.rel, column), env)?.ok_or_else(|| {
                    refuse::refusal(
                        "when-update",
                        format!(
                            "UPDATE of protected columns of {}, whose rows hold persons only in part",
                            target.relation.name
                        ),
                        "Fix the subject and the column that tells in WHERE, each with = and a constant.",
                    )
                })?;
                self.row_when(target, Some(value))?
            }
        };
        if let Some(subject) = subject {
            return Ok(Some(Whose::One(RowSubject { pinned, ..self.row_of(target, subject, when) })));
        }
        let mut queries = s.with_clause().into_iter().flat_map(|w| w.ctes());
        let writes = queries.any(|q| !matches!(q.ctequery(), Node::SelectStmt(_)));
        if when.is_some()
            || writes
            || env.parent.and_then(|own| own.parent).is_some_and(super::within::sees_with)
        {
            return Err(refuse::refusal(
                "update-lookup",
                format!(
                    "UPDATE of protected columns of {} whose subjects can't be looked up",
                    target.relation.name
                ),
                "Fix the subject in WHERE with = and a constant.",
            )
            .into());
        }
        if matches!(s.where_clause(), Node::CurrentOfExpr(_)) {
            return Ok(Some(Whose::Current));
        }
        self.found(s, var, target).map(Some)
    }

    /// Prepares the lookup: its text, the parameter with what it finds, and the condition on it.
    fn found(&mut self, s: &nodes::UpdateStmt, var: &nodes::RangeVar, target: &Target<'s>) -> Step<Whose> {
        let subject = self.subject_sql(target)?;
        let unnamed = || refuse::unknown("a subject of that type");
        let kind = types::sql_name(target.subject_oid).ok_or_else(unnamed)?;
        let oid = types::array_of(types::parameter_oid(target.subject_oid)).ok_or_else(unnamed)?;
        let subjects = self.use_value(Use {
            origin: Origin::Nothing,
            action: Action::Subjects,
            oid,
            client_oid: 0,
            read_as: 0,
            not_null: false,
        });
        let only = if var.inh { "" } else { "ONLY " };
        let alias = var.alias().and_then(|a| a.aliasname()).map(|a| format!(" AS {}", quote(a)));
        let from = format!(
            "{} FROM {only}{}.{}{}",
            self.rels[target.rel].column_sql(target.subject).unwrap_or_default(),
            quote(&target.relation.schema),
            quote(&target.relation.name),
            alias.unwrap_or_default()
        );
        let (head, distinct) = (format!("SELECT {from}"), format!("SELECT DISTINCT {from}"));
        let column = &target.table.subject.column;
        let unique = target.relation.unique.iter().any(|u| matches!(&u[..], [one] if one == column));
        let test = |lead: &str| {
            vec![
                Piece::Text(format!("{lead}{subject} = ANY(")),
                Piece::Use(subjects),
                Piece::Text(format!("::{kind}[])")),
            ]
        };
        let (with, list) = (self.with_text(s, var)?, self.list_text(s)?);
        let of = quote(var.alias().and_then(|a| a.aliasname()).unwrap_or(&target.relation.name));
        let condition = self.condition(s)?;
        match &condition {
            Some(range) => {
                self.edit(range.start..range.start, vec![Piece::Text("(".into())]);
                self.edit(range.end..range.end, test(") AND "));
            }
            None => {
                let end = self.body_end(s);
                self.edit(end..end, test(" WHERE "));
            }
        }
        // The parentheses are not the lookup's.
        self.lookup = Some(LookupDraft { head, distinct, unique, with, from: list, condition, of });
        Ok(Whose::Found(subjects))
    }

    /// Where the statement ends, before RETURNING.
    fn body_end(&self, s: &nodes::UpdateStmt) -> usize {
        let depth = self.base_depth();
        let first = self.first_token();
        let clause =
            s.returning_clause().and_then(|_| self.tokens.clause("returning", first, self.span.end, depth));
        let last = match clause {
            Some(returning) => returning.checked_sub(1),
            None => self.tokens.all().iter().rposition(|t| t.start < self.span.end),
        };
        last.map_or(self.span.end, |i| self.bytes_of(i).end)
    }

    /// The bytes of the WITH clause, up to UPDATE.
    fn with_text(&self, s: &nodes::UpdateStmt, var: &nodes::RangeVar) -> Step<Option<Range<usize>>> {
        if s.with_clause().is_none() {
            return Ok(None);
        }
        let table = self.token_at(var.location)?;
        let update = (0..table).rev().find(|&i| self.tokens.is_word(i, "update"));
        let update = update.ok_or_else(|| refuse::unknown("a WITH that can't be located"))?;
        Ok(Some(self.bytes_of(self.first_token()).start..self.bytes_of(update).start))
    }

    /// The bytes of the list after FROM.
    fn list_text(&self, s: &nodes::UpdateStmt) -> Step<Option<Range<usize>>> {
        if s.from_clause().is_empty() {
            return Ok(None);
        }
        let clause = |word| self.tokens.clause(word, self.first_token(), self.span.end, self.base_depth());
        let from = clause("from").ok_or_else(|| refuse::unknown("a FROM that can't be located"))?;
        let end = match (s.where_clause(), clause("where")) {
            (Node::None, _) => self.body_end(s),
            (_, Some(condition)) => self.bytes_of(condition).start,
            (_, None) => return Err(refuse::unknown("a WHERE that can't be located").into()),
        };
        Ok(Some(self.bytes_of(from + 1).start..end))
    }

    /// The bytes of the condition after WHERE.
    fn condition(&self, s: &nodes::UpdateStmt) -> Step<Option<Range<usize>>> {
        if matches!(s.where_clause(), Node::None) {
            return Ok(None);
        }
        let clause = self.tokens.clause("where", self.first_token(), self.span.end, self.base_depth());
        let at = clause.ok_or_else(|| refuse::unknown("a WHERE that can't be located"))?;
        Ok(Some(self.bytes_of(at + 1).start..self.body_end(s)))
    }

    fn first_token(&self) -> usize {
        self.tokens.all().partition_point(|t| t.start < self.span.start)
    }

    fn base_depth(&self) -> u32 {
        self.tokens.get(self.first_token()).map_or(0, |t| t.depth)
    }

    /// The constant that a top-level conjunct of the condition sets a column equal to.
    pub(super) fn pinned(&mut self, node: Node<'_>, at: At, env: &Env<'_>) -> Step<Option<SubjectSource>> {
        match node {
            Node::BoolExpr(b) if b.boolop == BoolExprType::AND_EXPR => {
                for arg in b.args() {
                    if let Some(found) = self.pinned(arg, at, env)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Node::A_Expr(e) => {
                let equal = e.name().len() == 1 && e.name().first().and_then(Node::as_str) == Some("=");
                let right = match (e.kind, e.rexpr()) {
                    (A_Expr_Kind::AEXPR_OP, r) => r,
                    (A_Expr_Kind::AEXPR_IN, Node::NodeList(l)) if l.len() == 1 => {
                        l.first().unwrap_or(Node::None)
                    }
                    _ => return Ok(None),
                };
                for (column, constant) in [(e.lexpr(), right), (right, e.lexpr())] {
                    if let (true, Node::ColumnRef(c)) = (equal, column)
                        && matches!(self.column(c, env)?, Flow::Plain(Some(a)) if a == at)
                        && let Some(source) =
                            self.constant_source(constant, self.rels[at.0].cols[at.1].oid)?
                        && !matches!(source, SubjectSource::Nobody)
                    {
                        return Ok(Some(source));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// DELETE.
    pub(super) fn delete(&mut self, s: &nodes::DeleteStmt, outer: &Env<'_>) -> Step<()> {
        let env = self.with(s.with_clause(), outer)?;
        let var = s.relation().ok_or_else(|| refuse::unknown("DELETE without a table"))?;
        let rel: RelId = self.range_var(var, &Env::default())?;
        let target = self.target(rel)?;
        self.lock(rel, Lock::WRITE);
        let ns = self.namespace(rel);
        let using = self.from(s.using_clause(), &env)?;
        let env = Env { parent: Some(&env), ns: super::from::Side(ns).beside(using), ctes: Vec::new() };
        self.condition_on(s.where_clause(), &env, "WHERE")?;
        self.narrow(s.where_clause(), &env);
        self.returning((s.returning_clause(), rel), &env, target.as_ref(), &[])
    }
}

/// The value of one SET, also of `(a, b) = (x, y)`.
pub(super) fn set_value(set: &nodes::ResTarget) -> Node<'_> {
    match set.val() {
        Node::MultiAssignRef(m) => match m.source() {
            Node::RowExpr(row) => usize::try_from(m.colno)
                .ok()
                .and_then(|n| row.args().get(n.checked_sub(1)?))
                .unwrap_or(set.val()),
            _ => set.val(),
        },
        node => node,
    }
}
