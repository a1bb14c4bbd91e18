//! ON CONFLICT: an upsert may land in another person's row.

use super::core::{Planner, Step, Stop};
use super::edit::Piece;
use super::insert::{Draft, Target, write_action};
use super::names::{At, Env, FieldFlow, Flow, RelId};
use super::refuse;
use super::value::What;
use crate::pg::plan::{Bind, SubjectSource, Write};
use pg_raw_parse::raw::OnConflictAction;
use pg_raw_parse::{Node, nodes};
use std::ops::Range;
use std::sync::Arc;

impl<'s> Planner<'s> {
    /// `excluded`: an instance of its own, that adds no unqualified names.
    pub(super) fn excluded(&mut self, rel: RelId) -> Step<RelId> {
        let (relation, table) = (self.rels[rel].relation.clone(), self.rels[rel].table);
        let id = match relation {
            Some(relation) => self.base(relation, table)?,
            None => self.derived("excluded", None),
        };
        "excluded".clone_into(&mut self.rels[id].alias);
        Ok(id)
    }

    /// ON CONFLICT, then the write as a whole; gives the protected columns that are written.
    pub(super) fn conflict(
        &mut self,
        s: &nodes::InsertStmt,
        target: &Target<'s>,
        mut draft: Draft,
        env: &Env<'_>,
    ) -> Step<Vec<At>> {
        let mut elsewhere = false;
        if let Some(conflict) = s.on_conflict_clause() {
            // Which row it lands in is not known before.
            self.evaluating.off = true;
            let on_subject = conflict
                .infer()
                .is_some_and(|i| only_subject(i, &target.relation.columns[target.subject].name));
            let known = !draft.rows.iter().any(|r| matches!(r.subject, SubjectSource::Returned));
            // A row that conflicts and is not updated is nobody's write: only RETURNING tells.
            let always = conflict.action == OnConflictAction::ONCONFLICT_UPDATE
                && matches!(conflict.where_clause(), Node::None);
            elsewhere = !(on_subject && known && always);
            self.infer(conflict.infer(), target, env)?;
            if conflict.action == OnConflictAction::ONCONFLICT_UPDATE {
                let whole = conflict.infer().is_some_and(|i| matches!(i.where_clause(), Node::None));
                let keeps = !elsewhere && whole && !self.explain && target.when.is_none();
                let kept = if keeps { Some(self.keep_rows(target)?) } else { None };
                self.do_update(conflict, target, &mut draft, (on_subject, kept), env)?;
                let constant = draft.repeats && !draft.written.is_empty();
                // What was copied is the row's whose subject it was copied with; what is constant, one row's.
                if (draft.copies && !on_subject) || (constant && (elsewhere || !known)) {
                    return Err(super::insert_select::repeats(&target.relation.name).into());
                }
            }
        }
        if draft.copies {
            self.check_target(target, false)?;
        }
        if draft.written.is_empty() || self.explain {
            self.keep = None;
            return Ok(Vec::new());
        }
        let returned = elsewhere || draft.rows.iter().any(|r| matches!(r.subject, SubjectSource::Returned));
        self.check_target(target, returned)?;
        if returned {
            for row in &mut draft.rows {
                if !matches!(row.subject, SubjectSource::Nobody) {
                    row.subject = SubjectSource::Returned;
                }
            }
        }
        self.write = Some(Write {
            inserts: true,
            class: Arc::clone(&target.table.subject.class),
            rows: draft.rows,
            lookup: None,
            bind: returned.then(|| Bind { subject: 0, witnesses: Vec::new(), repeats: draft.repeats }),
            within: Vec::new(),
            subject_oid: target.subject_oid,
        });
        Ok(draft.written)
    }

    /// The conflict target: tokens may be in it, encrypted columns not.
    fn infer(&mut self, infer: Option<&nodes::InferClause>, target: &Target<'s>, env: &Env<'_>) -> Step<()> {
        let Some(infer) = infer else { return Ok(()) };
        let env = Env { parent: Some(env), ns: self.namespace(target.rel), ctes: Vec::new() };
        for element in infer.index_elems() {
            let Node::IndexElem(e) = element else { return Err(refuse::unknown("a conflict target").into()) };
            self.plain(e.expr(), &env, "a conflict target")?;
            let flow = e.name().and_then(|n| self.rels[target.rel].cols.iter().find(|c| c.name == n));
            if let Some(Flow::Field(f)) = flow.map(|c| &c.flow)
                && !f.token
            {
                return Err(refuse::operator("ON CONFLICT", false, &f.label).into());
            }
        }
        self.plain(infer.where_clause(), &env, "a conflict target's WHERE")
    }

    fn do_update(
        &mut self,
        conflict: &nodes::OnConflictClause,
        target: &Target<'s>,
        draft: &mut Draft,
        (on_subject, kept): (bool, Option<usize>),
        env: &Env<'_>,
    ) -> Step<()> {
        let excluded = self.excluded(target.rel)?;
        let mut ns = self.namespace(target.rel);
        ns.rels.push(excluded);
        let env = Env { parent: Some(env), ns, ctes: Vec::new() };
        for set in conflict.target_list() {
            let name = set.name().unwrap_or_default();
            let column = self.rels[target.rel].cols.iter().position(|c| c.name == name);
            let tested = column.is_some() && column == target.when;
            if target.when.is_some() && (tested || column == Some(target.subject)) {
                return Err(lands_elsewhere(&target.relation.name));
            }
            if column == Some(target.subject) {
                let same = matches!(self.expr(set.val(), &env)?, Flow::Plain(Some((r, c)))
                    if Some(c) == column && (r == target.rel || (r == excluded && on_subject)));
                if !same {
                    return Err(super::update::subject_change(target).into());
                }
                continue;
            }
            match column.and_then(|c| self.field_at(target.rel, c)) {
                Some(_) if target.when.is_some() => return Err(lands_elsewhere(&target.relation.name)),
                Some(field) => {
                    let whole = self.do_update_field(set, &field, draft, &env)?;
                    match (kept, field.at, whole) {
                        (_, _, Whole::Same) => {}
                        (Some(kept), Some(at), Whole::Value(range, pieces)) => {
                            self.keep_upsert(at, kept, target, range, &pieces)?;
                        }
                        _ => self.keep = None,
                    }
                }
                None => self.plain(set.val(), &env, "an assignment to another column")?,
            }
        }
        self.plain(conflict.where_clause(), &env, "WHERE")
    }

    fn do_update_field(
        &mut self,
        set: &nodes::ResTarget,
        field: &FieldFlow,
        draft: &mut Draft,
        env: &Env<'_>,
    ) -> Step<Whole> {
        if !set.indirection().is_empty() {
            return Err(refuse::unknown("a part of a protected column").into());
        }
        if let Some(value) = self.value(set.val())? {
            let null = matches!(value.what, What::Null);
            if !null && draft.rows.len() != 1 {
                return Err(refuse::refusal(
                    "upsert-values",
                    format!("ON CONFLICT sets {} to one value for several rows", field.label),
                    "Use EXCLUDED, or insert one row per statement.",
                )
                .into());
            }
            if let (false, Some(at)) = (null, field.at) {
                draft.wrote(at);
            }
            let range = value.range.clone();
            self.protect(value, &field.place(), write_action(field, 0), false, |u| vec![Piece::Use(u)])?;
            return Ok(match self.edits.last() {
                Some(edit) if !null && edit.range == range => Whole::Value(range, edit.pieces.clone()),
                _ => Whole::Same,
            });
        }
        if matches!(set.val(), Node::SetToDefault(_)) {
            self.no_default(field)?;
            return Ok(Whole::Same);
        }
        match self.expr(set.val(), env)? {
            Flow::Field(from) if from.field == field.field && from.stored_oid == field.stored_oid => {
                let Node::ColumnRef(column) = set.val() else { return Ok(Whole::Other) };
                if from.at == field.at {
                    return Ok(Whole::Same);
                }
                let range = self.column_range(column)?;
                let text = self.text.get(range.clone()).unwrap_or_default().to_owned();
                Ok(Whole::Value(range, vec![Piece::Text(text)]))
            }
            Flow::Null => Ok(Whole::Same),
            _ => Err(refuse::expression(&field.label).into()),
        }
    }
}

/// What an upsert sets a protected column to.
enum Whole {
    /// What it is, NULL, or the default: nobody's value.
    Same,
    /// This value, at these bytes.
    Value(Range<usize>, Vec<Piece>),
    /// An expression.
    Other,
}

/// The row that is proposed tells nothing of whether the row that is met holds a person's values.
fn lands_elsewhere(table: &str) -> Stop {
    let message =
        format!("ON CONFLICT sets protected columns of {table}, whose rows hold persons only in part");
    refuse::refusal(
        "when-update",
        message,
        "Use DO NOTHING, then UPDATE with the subject and the column that tells fixed in WHERE.",
    )
    .into()
}

/// Whether a conflict target is exactly the subject column.
fn only_subject(infer: &nodes::InferClause, subject: &str) -> bool {
    let elements = infer.index_elems();
    let is = |n: Node<'_>| matches!(n, Node::IndexElem(e) if e.name() == Some(subject));
    infer.conname().is_none() && elements.len() == 1 && elements.first().is_some_and(is)
}
