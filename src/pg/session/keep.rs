//! What an erased person's row shows is written back: it means "unchanged". An application that saves a whole
//! row sends the placeholders that it read; nothing of theirs is stored, and the columns keep what they hold.

use super::Session;
use super::encoding;
use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam};
use super::params::{Bound, element, single};
use super::subject;
use super::values::{Array, Work};
use super::whose::Whose;
use crate::clear::Clear;
use crate::ids::FieldId;
use crate::pg::plan::{Action, Plan, Write};
use crate::pg::value::Format;
use crate::protect::Stored;
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
        let mut kept = self.of_the_erased(plan, whose, work).await?;
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
            let there: Vec<bool> = ids.iter().map(there).collect();
            let mut there = there.into_iter();
            // Where there is no row, nothing can be kept.
            kept.0.retain(|_| there.next().unwrap_or(false));
        }
        Ok(kept)
    }

    /// The rows in which nothing but placeholders about somebody erased is to be protected.
    async fn of_the_erased(&self, plan: &Plan, whose: &[Whose], work: &[Work]) -> Result<Kept, HiddenError> {
        let mut rows: BTreeMap<usize, bool> = BTreeMap::new();
        for w in work {
            let all = rows.entry(w.row).or_insert(true);
            *all = *all && plan.params[w.param].not_null && self.is_placeholder(w.field, &w.value)?;
        }
        let mut found = Vec::new();
        for (row, _) in rows.into_iter().filter(|(_, all)| *all) {
            let Some(Whose::Known(subject)) = whose.get(row) else { continue };
            if self.shared.door.is_erased(subject).await.map_err(|e| Failure::protect(&e))? {
                found.push(row);
            }
        }
        Ok(Kept(found))
    }

    /// New rows about somebody erased (an entry in a log, say) that hold nothing but what the application was
    /// shown in their place: stand-ins are stored, which read as erased too.
    pub(super) async fn stand_in(
        &self,
        plan: &Plan,
        whose: &[Whose],
        work: &mut Vec<Work>,
        bound: &mut [Bound],
        arrays: &mut [Option<Array>],
    ) -> Result<(), HiddenError> {
        if !plan.write.as_ref().is_some_and(|write| write.inserts) {
            return Ok(());
        }
        let rows = self.of_the_erased(plan, whose, work).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let theirs: Vec<&Work> = work.iter().filter(|w| rows.0.contains(&w.row)).collect();
        let fields: Vec<FieldId> = theirs.iter().map(|w| w.field).collect();
        let stored = self.shared.door.stand_ins(&fields).await.map_err(|e| Failure::protect(&e))?;
        for (w, stored) in theirs.into_iter().zip(stored) {
            put(plan, w, stored, bound, arrays);
        }
        work.retain(|w| !rows.0.contains(&w.row));
        Ok(())
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
            put(plan, w, blank, bound, arrays);
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

/// Binds what is stored for a value.
pub(super) fn put(plan: &Plan, w: &Work, stored: Stored, bound: &mut [Bound], arrays: &mut [Option<Array>]) {
    let oid = plan.params[w.param].type_oid;
    match &mut arrays[w.param] {
        None => bound[w.param] = single(stored, oid),
        Some(array) => {
            if let Some(slot) = array.get_mut(w.row) {
                *slot = Some(element(stored, oid));
            }
        }
    }
}
