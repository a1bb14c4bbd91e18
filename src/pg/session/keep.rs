//! What an erased person's row shows is written back: it means "unchanged". An application that saves a whole
//! row sends the placeholders that it read; nothing of theirs is stored, and the columns keep what they hold.

use super::Session;
use super::encoding;
use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam};
use super::params::{Bound, element, single};
use super::subject;
use super::values::{Array, Whose, Work};
use crate::clear::Clear;
use crate::ids::FieldId;
use crate::pg::plan::{Action, Plan, Write};
use crate::pg::value::Format;
use crate::protect::ProtectError;
use std::collections::BTreeMap;

/// Rows of a statement whose protected columns keep what they hold.
pub(super) struct Kept(Vec<usize>);

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of their subjects.
    pub(super) fn ids(&self, whose: &[Whose]) -> Vec<String> {
        let id = |row: &usize| match whose.get(*row) {
            Some(Whose::Known(subject)) => Some(subject.id.to_string()),
            _ => None,
        };
        self.0.iter().filter_map(id).collect()
    }
}

impl Session {
    /// The rows that write nothing but placeholders about somebody erased.
    pub(super) async fn unchanged(
        &mut self,
        plan: &Plan,
        write: &Write,
        whose: &[Whose],
        work: &[Work],
    ) -> Result<Kept, HiddenError> {
        let Some(keep) = &plan.keep else { return Ok(Kept(Vec::new())) };
        let mut rows: BTreeMap<usize, bool> = BTreeMap::new();
        for w in work {
            let all = rows.entry(w.row).or_insert(true);
            *all = *all && plan.params[w.param].not_null && self.is_placeholder(w.field, &w.value)?;
        }
        let mut kept = Kept(Vec::new());
        for (row, _) in rows.into_iter().filter(|(_, all)| *all) {
            let Some(Whose::Known(subject)) = whose.get(row) else { continue };
            if self.shared.door.is_erased(subject).await.map_err(|e| Failure::protect(&e))? {
                kept.0.push(row);
            }
        }
        if let (Some((sql, oid)), false) = (&keep.rows, kept.is_empty()) {
            let ids = kept.ids(whose);
            let ids_text = subject::array(&ids);
            let value = Some(encoding::write(self.charset(), &ids_text)?.into_owned());
            self.pipeline = true;
            let found = self.hidden(sql, &[HiddenParam { oid: *oid, format: Format::Text, value }]).await?;
            let there = |id: &String| {
                found.iter().any(|row| {
                    let found = row.first().cloned().flatten();
                    found.and_then(|f| subject::canonical(write.subject_oid, &f)).as_ref() == Some(id)
                })
            };
            if !ids.iter().all(there) {
                return Err(Failure::protect(&ProtectError::ErasedSubject).into());
            }
        }
        Ok(kept)
    }

    /// Takes these rows out of what is to be protected. What is bound for them is never stored.
    pub(super) fn keep(
        &self,
        plan: &Plan,
        kept: &Kept,
        work: &mut Vec<Work>,
        bound: &mut [Bound],
        arrays: &mut [Option<Array>],
    ) -> Result<(), HiddenError> {
        for w in work.iter().filter(|w| kept.0.contains(&w.row)) {
            let param = &plan.params[w.param];
            if matches!(param.action, Action::ProtectPerSubject { .. }) {
                continue;
            }
            let blank = self.shared.door.blank(w.field).map_err(|e| Failure::protect(&e))?;
            match &mut arrays[w.param] {
                None => bound[w.param] = single(blank, param.type_oid),
                Some(array) => {
                    if let Some(slot) = array.get_mut(w.row) {
                        *slot = Some(element(blank, param.type_oid));
                    }
                }
            }
        }
        work.retain(|w| !kept.0.contains(&w.row));
        Ok(())
    }

    /// Whether it is what a column that can't be NULL shows for the erased.
    fn is_placeholder(&self, id: FieldId, value: &Clear) -> Result<bool, Failure> {
        let field = self.shared.door.policy().field(id);
        let Some(placeholder) = field.placeholder() else { return Ok(false) };
        let shown = self.clear(id, placeholder.as_bytes(), Format::Text, 0)?;
        Ok(shown.kind() == value.kind() && shown.bytes() == value.bytes())
    }
}
