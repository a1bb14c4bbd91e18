//! Cursors of SQL on protected tables: remembered by name, since FETCH names nothing else.

use super::running::Running;
use super::{Prepared, Session, encoding};
use crate::pg::plan::{Cursor, Plan, Verdict};
use crate::pg::sql::{Planned, StatementKind, refuse};
use hashbrown::HashMap;
use std::sync::Arc;

impl Session {
    /// Whether a text must be decided on: by the names in it, or since it may be about a cursor that was
    /// declared here.
    pub(super) fn may_touch(&self, text: &[u8]) -> bool {
        self.snapshot.filter.may_touch(text)
            || self.names_unseen(text)
            || ((!self.cursors.is_empty() || self.portals.has_named())
                && has_word(text, &[b"fetch", b"declare"]))
    }

    /// FETCH from a cursor on a protected table runs as its query's rows are to be read. A cursor that the same text
    /// declares before it stands in the place of one that is open.
    pub(super) fn plan_fetches(&mut self, text: &str, planned: &mut [Planned]) {
        let mut ahead: HashMap<Box<str>, Option<Arc<Cursor>>> = HashMap::new();
        for statement in planned {
            match (&statement.kind, &statement.verdict) {
                (StatementKind::Declare(name), Verdict::Run(plan)) => {
                    if plan.cursor.is_none() {
                        // Of the catalog, with declared types in it.
                        self.cursors.remove(name);
                    }
                    ahead.insert(name.clone(), plan.cursor.clone());
                }
                (StatementKind::Declare(name), _) => drop(ahead.insert(name.clone(), None)),
                (StatementKind::Fetch(name), Verdict::Pass) => {
                    let sql = text[statement.range.clone()].trim();
                    let verdict = match ahead.get(name) {
                        Some(declared) => declared.as_ref().map(|cursor| run(cursor.fetched(sql))),
                        None => self.fetched(name, sql),
                    };
                    if let Some(verdict) = verdict {
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
            return Some(self::run(run.plan.read_by(sql)));
        }
        let cursor = self.cursors.get(name)?;
        Some(run(cursor.fetched(sql)))
    }

    /// A cursor's rows by the protocol, where it is a portal of that name too.
    pub(super) fn cursor_portal(&self, name: &[u8]) -> Option<Arc<Running>> {
        if self.cursors.is_empty() || self.portals.get(name).is_some() {
            return None;
        }
        let cursor = self.cursors.get(std::str::from_utf8(name).ok()?)?;
        Some(Running::text(&Arc::new(cursor.fetched("")), &Arc::from([])))
    }

    /// The cursors that statements declare which touch nothing protected, in order; none where none of them has the name
    /// of one that does.
    pub(super) fn hidden_cursors<'a>(&self, planned: impl Iterator<Item = &'a Planned>) -> Vec<Box<str>> {
        let name = |p: &'a Planned| match &p.kind {
            StatementKind::Declare(name) => Some(name),
            _ => None,
        };
        let names: Vec<&Box<str>> = planned.filter_map(name).collect();
        let any = names.iter().any(|name| self.cursors.contains_key(*name));
        if any { names.into_iter().cloned().collect() } else { Vec::new() }
    }

    /// The DECLARE at the front was carried out: from now on its name stands for this cursor.
    pub(super) fn declared(&mut self) {
        let Some(front) = self.expects.front_mut() else { return };
        if let Some(cursor) = front.run.as_ref().and_then(|run| run.plan.cursor.as_ref()) {
            self.cursors.insert(cursor.name.clone(), Arc::clone(cursor));
        } else if let Some(context) = front.context.as_mut().filter(|context| !context.declares.is_empty()) {
            self.cursors.remove(&context.declares.remove(0));
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

fn run(plan: Plan) -> Verdict {
    Verdict::Run(Arc::new(plan))
}

/// Whether a text holds one of these words, in any case.
pub(super) fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word)))
}
