//! Cursors of SQL on protected tables: remembered by name, since FETCH names nothing else.

use super::running::Running;
use super::{Prepared, Session, encoding};
use crate::pg::plan::{Cursor, Plan, Verdict};
use crate::pg::sql::{Planned, StatementKind, refuse};
use std::sync::Arc;

impl Session {
    /// Whether a text must be decided on: by the names in it, or since it may be about a cursor that was
    /// declared here.
    pub(super) fn may_touch(&self, text: &[u8]) -> bool {
        self.snapshot.filter.may_touch(text)
            || ((!self.cursors.is_empty() || self.portals.has_named())
                && has_word(text, &[b"fetch", b"declare"]))
    }

    /// FETCH from a cursor on a protected table runs as its query's rows are to be read. A cursor that is
    /// declared later under the same name stands in its place.
    pub(super) fn plan_fetches(&mut self, text: &str, planned: &mut [Planned]) {
        for statement in planned {
            match (&statement.kind, &statement.verdict) {
                (StatementKind::Declare(_), Verdict::Run(plan)) if plan.cursor.is_some() => {
                    let plan = Arc::clone(plan);
                    self.declares(&plan);
                }
                (StatementKind::Declare(name), _) => drop(self.cursors.remove(&**name)),
                (StatementKind::Fetch(name), Verdict::Pass) => {
                    let sql = text[statement.range.clone()].trim();
                    if let Some(verdict) = self.fetched(name, sql) {
                        statement.verdict = verdict;
                    }
                }
                _ => {}
            }
        }
    }

    /// FETCH from a portal that was bound by the protocol, or from a cursor; `None` for one of which nothing is known.
    fn fetched(&self, name: &str, sql: &str) -> Option<Verdict> {
        let bound = encoding::write(self.charset(), name.as_bytes()).ok();
        if let Some(portal) = bound.and_then(|name| self.portals.get(&name)) {
            let Prepared::Run { run, .. } = &portal.prepared else { return None };
            // Rows of these are kept here, and what they wrote hangs on their Execute.
            if run.plan.modifies || run.holds_rows() || run.plan.copy.is_some() {
                return Some(Verdict::Refuse(refuse::refusal(
                    "cursor",
                    "FETCH from a portal of a statement that writes to a protected table",
                    "Fetch its rows by Execute, as they were bound.",
                )));
            }
            return Some(Verdict::Run(Arc::new(run.plan.read_by(sql))));
        }
        let cursor = self.cursors.get(name)?;
        Some(Verdict::Run(Arc::new(cursor.fetched(sql))))
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

/// Whether a text holds one of these words, in any case.
pub(super) fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word)))
}
