//! `INSERT … SELECT`: constants are protected as in VALUES, one row for each branch of a UNION ALL; what is
//! stored is copied within the database where field and subject are proven to be the same on both sides.

use super::core::{Planner, Step};
use super::insert::{Draft, Target, when_expression, write_action};
use super::names::{At, Env, FieldFlow, Flow, RelCol};
use super::types;
use super::value::What;
use crate::pg::plan::{RowSubject, SubjectSource};
use crate::pg::refusal::Refusal;
use pg_raw_parse::raw::SetOperation;
use pg_raw_parse::{Node, nodes};
use std::collections::BTreeMap;

/// Constants of a target list, by the place where each item begins; and which column of the result each is, once
/// that is known.
pub(super) type Items = BTreeMap<i32, Option<usize>>;

impl<'s> Planner<'s> {
    /// The rows of such a SELECT, as far as they are known.
    pub(super) fn insert_select(
        &mut self,
        select: &nodes::SelectStmt,
        target: &Target<'s>,
        columns: &[usize],
        env: &Env<'_>,
    ) -> Step<Draft> {
        let mut leaves = Vec::new();
        branches(select, &mut leaves);
        for leaf in &leaves {
            for item in leaf.target_list() {
                if self.value(item.val()).is_ok_and(|v| v.is_some()) {
                    self.items.insert(item.location, None);
                }
            }
        }
        let selected = self.select(select, env)?;
        let items = std::mem::take(&mut self.items);
        if selected.open {
            return Err(super::unnest::form().into());
        }
        self.no_more_than(columns, selected.cols.len(), target)?;
        let mut draft = Draft::default();
        for leaf in &leaves {
            self.leaf(leaf, &items, target, columns, env, &mut draft)?;
        }
        self.copies(&selected.cols, target, columns, (&leaves, &items), &mut draft)?;
        draft.repeats = !leaves.iter().all(|leaf| is_one_row(leaf));
        Ok(draft)
    }

    /// The constants of one branch, which are those of one row.
    fn leaf(
        &mut self,
        leaf: &nodes::SelectStmt,
        items: &Items,
        target: &Target<'s>,
        columns: &[usize],
        env: &Env<'_>,
        draft: &mut Draft,
    ) -> Step<()> {
        let row = super::insert::row_number(draft.rows.len())?;
        let (mut subject, mut when) = (SubjectSource::Returned, None);
        for item in leaf.target_list() {
            let Some(Some(at)) = items.get(&item.location) else { continue };
            let Some(&column) = columns.get(*at) else { continue };
            if let Some(field) = self.field_at(target.rel, column) {
                if let Some(value) = self.value(item.val())? {
                    if !matches!(value.what, What::Null) {
                        draft.wrote((target.rel, column));
                    }
                    let action = write_action(&field, row);
                    let pieces = |u| vec![super::edit::Piece::Use(u)];
                    self.protect(value, &field.place(), action, false, pieces)?;
                }
                continue;
            }
            let oid = target.relation.columns.get(column).map_or(0, |c| c.type_oid);
            if column == target.subject {
                subject = self.constant_source(item.val(), oid)?.unwrap_or(SubjectSource::Returned);
            } else if Some(column) == target.when {
                when = Some(self.constant_source(item.val(), oid)?.ok_or_else(|| when_expression(target))?);
            }
            self.plain(item.val(), env, "a column of INSERT … SELECT")?;
        }
        let tests = |c: &usize| Some(*c) == target.when;
        if when.is_none() && columns.iter().any(tests) {
            return Err(when_expression(target).into());
        }
        let when = self.row_when(target, when)?;
        draft.rows.push(self.row_of(target, subject, when));
        Ok(())
    }

    /// What is not constant: nothing protected, or the same field of the same subject.
    fn copies(
        &mut self,
        cols: &[RelCol],
        target: &Target<'s>,
        columns: &[usize],
        (leaves, items): (&[&nodes::SelectStmt], &Items),
        draft: &mut Draft,
    ) -> Step<()> {
        let place = columns.iter().position(|&c| c == target.subject);
        let subject = place.and_then(|p| cols.get(p)).and_then(|c| match &c.flow {
            Flow::Plain(at) => Some(((*at)?, c.oid)),
            _ => None,
        });
        for (place, (col, &column)) in cols.iter().zip(columns).enumerate() {
            let constants = leaves
                .iter()
                .flat_map(|leaf| leaf.target_list().iter())
                .filter(|item| items.get(&item.location) == Some(&Some(place)))
                .count();
            let to = self.field_at(target.rel, column);
            match (&col.flow, to) {
                (Flow::Field(from), Some(to)) if same_place(from, &to, subject, target) => {
                    if constants > 0 {
                        return Err(super::unnest::form().into());
                    }
                    draft.copies = true;
                }
                (Flow::Field(from), _) => return Err(super::insert::copied(&from.label).into()),
                (_, Some(_)) if constants < leaves.len() => return Err(super::unnest::form().into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// A row of the target.
    pub(super) fn row_of(
        &self,
        target: &Target<'_>,
        subject: SubjectSource,
        when: Option<crate::pg::plan::RowWhen>,
    ) -> RowSubject {
        RowSubject {
            subject,
            when,
            pinned: false,
            class: std::sync::Arc::clone(&target.table.subject.class),
            oid: target.subject_oid,
        }
    }
}

/// Whether what is stored for a value may stand in a column as it is: field, form and subject are the same.
pub(super) fn same_place(
    from: &FieldFlow,
    to: &FieldFlow,
    subject: Option<(At, u32)>,
    target: &Target<'_>,
) -> bool {
    let text = types::is_text(from.stored_oid) && types::is_text(to.stored_oid);
    let stored = from.stored_oid == to.stored_oid || text;
    let integer = |oid| matches!(oid, types::INT2 | types::INT4 | types::INT8);
    let spelt = |oid: u32| {
        oid == target.subject_oid
            || (integer(oid) && integer(target.subject_oid))
            || target.subject_oid == types::TEXT
    };
    let whose = subject.is_some_and(|(at, oid)| from.subject == Some(at) && spelt(oid));
    from.field == to.field
        && stored
        && whose
        && from.class == target.table.subject.class
        && from.when.is_none()
        && target.when.is_none()
}

/// The branches of UNION ALL, or the SELECT itself. (Other set operations compare their rows.)
fn branches<'n>(select: &'n nodes::SelectStmt, leaves: &mut Vec<&'n nodes::SelectStmt>) {
    match (select.op, select.larg(), select.rarg()) {
        (SetOperation::SETOP_UNION, Some(left), Some(right)) if select.all => {
            branches(left, leaves);
            branches(right, leaves);
        }
        _ => leaves.push(select),
    }
}

/// Whether it gives one row at most: it has no FROM, and nothing in it that may give several.
fn is_one_row(leaf: &nodes::SelectStmt) -> bool {
    let single = |node: Node<'_>| {
        let mut node = node;
        while let Node::TypeCast(cast) = node {
            node = cast.arg();
        }
        matches!(node, Node::A_Const(_) | Node::ParamRef(_) | Node::SQLValueFunction(_))
    };
    leaf.op == SetOperation::SETOP_NONE
        && leaf.values_lists().is_empty()
        && leaf.from_clause().is_empty()
        && leaf.target_list().iter().all(|item| single(item.val()))
}

/// More rows than one may come of a value whose subject the database makes.
pub(super) fn repeats(table: &str) -> Refusal {
    super::refuse::refusal(
        "insert-select",
        format!(
            "INSERT … SELECT with ON CONFLICT DO UPDATE of protected columns of {table}, whose subjects are not constants"
        ),
        "Give the subject as a constant, or use DO NOTHING.",
    )
}
