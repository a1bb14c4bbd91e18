//! Prepared statements by name. SQL and the protocol share one namespace, and what is known of a name must be
//! what the server has under it: values that are bound to a statement which is not known would go unread.

use super::names::{Names, counts};
use super::{Failure, Prepared};
use hashbrown::HashSet;

/// What the server has under a name.
pub(super) enum Known {
    /// Nothing, as far as is known.
    Nothing,
    /// A statement that is let through.
    Plain,
    /// One that is kept here.
    Kept(Box<Prepared>),
}

/// What a name stood for before a message that the server may not carry out.
pub(super) struct Undo {
    name: Box<[u8]>,
    before: Known,
}

impl Undo {
    /// The message itself failed. The unnamed statement is gone with a Parse before its text is read.
    pub(super) fn of_failed(self) -> Self {
        match &*self.name {
            [] => Self { before: Known::Nothing, ..self },
            _ => self,
        }
    }
}

/// What a statement of SQL does to the names, once it has run.
#[derive(Clone)]
pub(super) enum NameChange {
    /// PREPARE: what is kept of it, if anything.
    Made(Box<str>, Option<Box<Prepared>>),
    /// DEALLOCATE.
    Gone(Box<str>),
    /// DEALLOCATE ALL, DISCARD ALL.
    AllGone,
}

/// All names of a session.
#[derive(Default)]
pub(super) struct Statements {
    kept: Names<Prepared>,
    /// Names of those that are let through. The unnamed one is not listed: it is gone with any Parse.
    plain: HashSet<Box<[u8]>>,
}

impl Statements {
    /// Nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Prepared> {
        self.kept.get(name)
    }

    /// A statement that is let through stands under the name.
    pub(super) fn is_plain(&self, name: &[u8]) -> bool {
        self.plain.contains(counts(name))
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut Prepared> {
        self.kept.get_mut(name)
    }

    /// A message is on its way that makes a name stand for this. Gives what undoes it, where that may matter.
    pub(super) fn put(&mut self, name: &[u8], now: Known) -> Option<Undo> {
        let name = counts(name);
        let before = match (self.kept.remove(name), self.plain.remove(name)) {
            (Some(kept), _) => Known::Kept(Box::new(kept)),
            (None, true) => Known::Plain,
            (None, false) => Known::Nothing,
        };
        let untold = match (&before, &now) {
            (Known::Nothing, Known::Nothing) => true,
            (Known::Nothing, Known::Plain) => name.is_empty(),
            _ => false,
        };
        match now {
            Known::Nothing => {}
            Known::Plain if name.is_empty() => {}
            Known::Plain => drop(self.plain.insert(name.into())),
            Known::Kept(kept) => self.kept.insert(name, *kept),
        }
        (!untold).then(|| Undo { name: name.into(), before })
    }

    /// A Parse fails for certain. Under a name that is taken the server keeps what it has; where there is nothing, or the
    /// unnamed statement is gone, what is bound to the name all the same was meant for this one.
    pub(super) fn fails(&mut self, name: &[u8], instead: Prepared) {
        let name = counts(name);
        if name.is_empty() || (self.kept.get(name).is_none() && !self.plain.contains(name)) {
            drop(self.put(name, Known::Kept(Box::new(instead))));
        }
    }

    /// The message was not carried out.
    pub(super) fn undo(&mut self, undo: Undo) {
        let Undo { name, before } = undo;
        if matches!(before, Known::Nothing) && self.kept.get(&name).is_some() {
            // The server has nothing there, or as the unnamed one what was let through before: values of a Bind that comes
            // all the same were meant for this one.
            let missing = Failure::no_statement(&String::from_utf8_lossy(&name));
            self.kept.insert(&name, Prepared::Refused(missing.into()));
            return;
        }
        drop(self.put(&name, before));
    }

    /// A statement of SQL was carried out.
    pub(super) fn apply(&mut self, change: NameChange) {
        match change {
            NameChange::Made(name, Some(kept)) => drop(self.put(name.as_bytes(), Known::Kept(kept))),
            NameChange::Made(name, None) => drop(self.put(name.as_bytes(), Known::Plain)),
            NameChange::Gone(name) => drop(self.put(name.as_bytes(), Known::Nothing)),
            NameChange::AllGone => {
                self.kept.clear_named();
                self.plain.clear();
            }
        }
    }

    /// Names are known, if only of statements that are let through.
    pub(super) fn has_names(&self) -> bool {
        !self.kept.is_empty() || !self.plain.is_empty()
    }

    /// The unnamed one is gone.
    pub(super) fn forget_unnamed(&mut self) {
        self.kept.remove(b"");
    }
}

#[cfg(test)]
mod tests {
    use super::super::units::Control;
    use super::*;

    fn kept() -> Known {
        Known::Kept(Box::new(Prepared::Control(Control::Commit)))
    }

    fn state(statements: &Statements, name: &str) -> &'static str {
        match (statements.get(name.as_bytes()), statements.plain.contains(name.as_bytes())) {
            (Some(_), _) => "kept",
            (None, true) => "plain",
            (None, false) => "nothing",
        }
    }

    #[test]
    fn what_the_server_did_not_carry_out_is_undone_in_reverse() {
        let mut statements = Statements::default();
        statements.put(b"s", kept());
        let undo = [statements.put(b"s", Known::Nothing), statements.put(b"s", Known::Plain)];
        assert_eq!(state(&statements, "s"), "plain");
        undo.into_iter().rev().flatten().for_each(|u| statements.undo(u));
        assert_eq!(state(&statements, "s"), "kept");
        // A plain one is left in place of one that could not be made.
        statements.put(b"p", Known::Plain);
        let undo = statements.put(b"p", kept()).unwrap();
        statements.undo(undo);
        assert_eq!(state(&statements, "p"), "plain");
    }

    #[test]
    fn what_could_not_be_made_where_there_was_nothing_still_protects() {
        let mut statements = Statements::default();
        let undo = statements.put(b"s", kept()).unwrap();
        statements.undo(undo);
        assert_eq!(state(&statements, "s"), "kept");
        let undo = statements.put(b"p", Known::Plain).unwrap();
        statements.undo(undo);
        assert_eq!(state(&statements, "p"), "nothing");
    }

    #[test]
    fn what_is_bound_to_the_unnamed_one_after_a_parse_that_was_skipped_goes_nowhere() {
        let mut statements = Statements::default();
        statements.put(b"", Known::Plain);
        let undo = statements.put(b"", kept()).unwrap();
        statements.undo(undo);
        assert!(matches!(statements.get(b""), Some(Prepared::Refused(_))));
        // One that was kept before is there still.
        statements.put(b"", kept());
        let undo = statements.put(b"", Known::Plain).unwrap();
        statements.undo(undo);
        assert!(matches!(statements.get(b""), Some(Prepared::Control(_))));
    }

    #[test]
    fn a_parse_that_fails_for_certain_leaves_a_name_that_is_taken() {
        let mut statements = Statements::default();
        let missing = || Prepared::Refused(Failure::no_statement("").into());
        statements.put(b"k", kept());
        statements.put(b"p", Known::Plain);
        statements.put(b"", kept());
        for name in ["k", "p", "n", ""] {
            statements.fails(name.as_bytes(), missing());
        }
        assert_eq!(["k", "p", "n", ""].map(|n| state(&statements, n)), ["kept", "plain", "kept", "kept"]);
        assert!(matches!(statements.get(b"k"), Some(Prepared::Control(_))));
        for name in ["n", ""] {
            assert!(matches!(statements.get(name.as_bytes()), Some(Prepared::Refused(_))), "{name}");
        }
    }

    #[test]
    fn changes_by_sql_leave_the_unnamed_statement() {
        let mut statements = Statements::default();
        statements.put(b"", kept());
        statements.put(b"a", kept());
        statements.put(b"b", kept());
        statements.apply(NameChange::Gone("a".into()));
        statements.apply(NameChange::Made("c".into(), None));
        assert_eq!(["", "a", "b", "c"].map(|n| state(&statements, n)), ["kept", "nothing", "kept", "plain"]);
        statements.apply(NameChange::AllGone);
        assert_eq!(
            ["", "a", "b", "c"].map(|n| state(&statements, n)),
            ["kept", "nothing", "nothing", "nothing"]
        );
        statements.forget_unnamed();
        assert!(statements.is_empty());
    }
}
