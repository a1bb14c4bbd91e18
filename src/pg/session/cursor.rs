//! Cursors of SQL on protected tables: remembered by name, since FETCH names nothing else.

use super::Session;
use super::running::Running;
use crate::pg::plan::{Cursor, Plan, Verdict};
use crate::pg::sql::{Planned, StatementKind};
use std::sync::Arc;

impl Session {
    /// Whether a text must be decided on: by the names in it, or since it may be about a cursor that was
    /// declared here.
    pub(super) fn may_touch(&self, text: &[u8]) -> bool {
        self.snapshot.filter.may_touch(text)
            || (!self.cursors.is_empty() && has_word(text, &[b"fetch", b"declare"]))
    }

    /// FETCH from a cursor on a protected table runs as its query's rows are to be read. A cursor that is
    /// declared later under the same name stands in its place.
    pub(super) fn plan_fetches(&mut self, text: &str, planned: &mut [Planned]) {
        for statement in planned {
            match (&statement.kind, &statement.verdict) {
                (StatementKind::Declare(_), Verdict::Run(plan)) => {
                    let plan = Arc::clone(plan);
                    self.declares(&plan);
                }
                (StatementKind::Declare(name), _) => drop(self.cursors.remove(&**name)),
                (StatementKind::Fetch(name), Verdict::Pass) => {
                    if let Some(cursor) = self.cursors.get(&**name) {
                        let sql = &text[statement.range.clone()];
                        statement.verdict = Verdict::Run(Arc::new(cursor.fetched(sql.trim())));
                    }
                }
                _ => {}
            }
        }
    }

    /// A cursor's rows by the protocol, where it is a portal of that name too.
    pub(super) fn cursor_portal(&self, name: &[u8]) -> Option<Arc<Running>> {
        if self.cursors.is_empty() || self.portals.get(name).is_some() {
            return None;
        }
        let cursor = self.cursors.get(std::str::from_utf8(name).ok()?)?;
        Some(Running::text(&Arc::new(cursor.fetched("")), &Arc::from([])))
    }

    /// A statement of this plan is about to run.
    pub(super) fn declares(&mut self, plan: &Plan) {
        if let Some(cursor) = &plan.cursor {
            self.cursors.insert(cursor.name.clone(), Arc::clone(cursor));
        }
    }

    /// A transaction is over: only cursors WITH HOLD may be left, unless more was sent meanwhile.
    pub(super) fn close_cursors(&mut self) {
        if !self.expects.is_empty() {
            return;
        }
        self.cursors.retain(|_, cursor: &mut Arc<Cursor>| cursor.hold);
    }
}

/// Whether a text holds a word that statements about cursors begin with.
fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word)))
}
