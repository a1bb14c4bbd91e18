//! What a statement does where it writes back what an erased person's row shows: nothing. The columns keep
//! what they hold, in a text of its own that runs only then.

use super::core::{KeepDraft, Origin, Planner, Step, Use};
use super::edit::{Edit, Piece, quote};
use super::insert::Target;
use super::names::At;
use super::{refuse, types};
use crate::pg::plan::Action;
use pg_raw_parse::nodes;
use std::ops::Range;

impl<'s> Planner<'s> {
    /// UPDATE: the value that was just put in place, kept instead. `found`: there is an element for each
    /// subject, and NULL stands for those who keep theirs.
    pub(super) fn keep_set(&mut self, at: At, found: bool) {
        let own = self.rels.get(at.0).and_then(|r| r.column_sql(at.1));
        let edit = self.edits.last().cloned();
        let value = edit.as_ref().and_then(|e| e.pieces.iter().find(|p| matches!(p, Piece::Use(_))).cloned());
        let (Some(own), Some(edit), Some(value)) = (own, edit, value) else {
            self.keep = None;
            return;
        };
        let mut pieces =
            vec![Piece::Text("CASE WHEN ".into()), value, Piece::Text(" IS NULL THEN NULL ELSE ".into())];
        if found {
            pieces.push(Piece::Text("COALESCE(".into()));
            pieces.extend(edit.pieces);
            pieces.push(Piece::Text(format!(", {own}) END")));
        } else {
            pieces.push(Piece::Text(format!("{own} END")));
        }
        if let Some(keep) = &mut self.keep {
            keep.edits.push(Edit { range: edit.range, pieces });
        }
    }

    /// Upsert on the subject: the parameter with those who keep theirs, and the look for their rows.
    pub(super) fn keep_rows(&mut self, target: &Target<'s>) -> Step<usize> {
        let unnamed = || refuse::unknown("a subject of that type");
        let kind = types::sql_name(target.subject_oid).ok_or_else(unnamed)?;
        let oid = types::array_of(types::parameter_oid(target.subject_oid)).ok_or_else(unnamed)?;
        let table = format!("{}.{}", quote(&target.relation.schema), quote(&target.relation.name));
        let subject = quote(&target.table.subject.column);
        let rows = format!(
            "SELECT {subject}::text FROM {table} WHERE {subject}::{kind} = ANY($1::{kind}[]) FOR UPDATE"
        );
        self.keep = Some(KeepDraft { edits: Vec::new(), rows: Some((rows, oid)) });
        let action = Action::Kept;
        Ok(self.use_value(Use {
            origin: Origin::Nothing,
            action,
            oid,
            client_oid: 0,
            read_as: 0,
            not_null: false,
        }))
    }

    /// Upsert: a SET whose value stands at `range` and is `pieces` else.
    pub(super) fn keep_upsert(
        &mut self,
        at: At,
        kept: usize,
        target: &Target<'s>,
        range: Range<usize>,
        pieces: &[Piece],
    ) -> Step<()> {
        let subject = self.subject_sql(target)?;
        let kind = types::sql_name(target.subject_oid).unwrap_or("text");
        let own = self.rels[at.0].column_sql(at.1);
        let own = own.ok_or_else(|| refuse::unknown("a protected column without a name"))?;
        let text = |text: &str| Piece::Text(text.to_owned());
        let mut new = vec![text("CASE WHEN "), Piece::Text(subject), text(" = ANY("), Piece::Use(kept)];
        new.push(Piece::Text(format!("::{kind}[]) AND ")));
        new.extend_from_slice(pieces);
        new.push(Piece::Text(format!(" IS NOT NULL THEN {own} ELSE ")));
        new.extend_from_slice(pieces);
        new.push(text(" END"));
        if let Some(keep) = &mut self.keep {
            keep.edits.push(Edit { range, pieces: new });
        }
        Ok(())
    }

    /// The bytes of a column reference.
    pub(super) fn column_range(&self, column: &nodes::ColumnRef) -> Step<Range<usize>> {
        let first = self.token_at(column.location)?;
        let last = first + 2 * column.fields().len().saturating_sub(1);
        Ok(self.bytes_of(first).start..self.bytes_of(last).end)
    }
}
