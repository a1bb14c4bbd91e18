//! What the server still owes: one entry for each message sent that it answers.
//!
//! Every answer is taken to the entry at the front, so that in a pipeline each is treated as its
//! own statement's plan says, whatever was sent meanwhile.

use super::running::Running;
use super::statements::{NameChange, Undo};
use super::units::Units;
use crate::protect::Mark;
use std::collections::VecDeque;
use std::sync::Arc;

/// An answer that is due.
pub(super) struct Expect {
    /// What the server was sent.
    pub what: What,
    /// Whether the client sees the answer.
    pub show: Show,
    /// The statement came as a simple Query: no ParseComplete, BindComplete, NoData for the client.
    pub simple: bool,
    /// The planned statement that it belongs to.
    pub run: Option<Arc<Running>>,
    /// What else hangs on it, which is rare.
    pub context: Option<Box<Context>>,
}

impl Expect {
    /// The answer to a message of a planned statement.
    pub(super) fn of(run: &Arc<Running>, what: What, show: Show) -> Self {
        Self { what, show, simple: false, run: Some(Arc::clone(run)), context: None }
    }

    /// The same, where the client sent a simple Query.
    pub(super) fn simple(mut self, simple: bool) -> Self {
        self.simple = simple;
        self
    }

    /// Hangs more on it.
    pub(super) fn with(mut self, context: Context) -> Self {
        self.context = Some(Box::new(context));
        self
    }
}

/// Which answer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// ParseComplete, BindComplete or CloseComplete.
    Complete,
    /// Of a statement: ParameterDescription, then RowDescription or NoData. Of a portal: only these.
    Describe,
    /// Rows and the like, up to CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute,
    /// Everything up to ReadyForQuery.
    Query,
    /// ReadyForQuery.
    Sync,
}

/// Whether the client sees an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// As it comes.
    Relay,
    /// Rewritten as its plan says.
    Rewrite,
    /// Not at all.
    Hide,
    /// Not at all, and its rows are kept for the session itself.
    Capture,
    /// The rows are kept until what they bind is durable.
    Hold,
}

/// What hangs on an answer.
#[derive(Default)]
pub(super) struct Context {
    /// The whole ErrorResponse that stands for the error which is due.
    pub refusal: Option<Vec<u8>>,
    /// It is an error that the server gave to a question of the gateway's own, and stands whatever it says now: by that
    /// error the transaction may have failed.
    pub stands: bool,
    /// What transactions that may end here have written.
    pub units: Units,
    /// The statement changes the schema.
    pub ddl: bool,
    /// What the statement's values made, to be undone if it writes no row: the number of the write, and
    /// the mark before it.
    pub made: Option<(u64, Mark)>,
    /// What it does to the names of prepared statements once it has run.
    pub change: Option<NameChange>,
    /// Cursors that it declares, in order: under these names are none of the protected ones then.
    pub declares: Vec<Box<str>>,
    /// What a name stands for if it is not carried out.
    pub undo: Option<Undo>,
    /// An error was among its answers.
    pub failed: bool,
    /// How many characters of the client's text lie before the statement, which is sent by itself.
    pub before: u32,
}

/// All that is due, in order.
#[derive(Default)]
pub(super) struct Expects {
    queue: VecDeque<Expect>,
    sent: u64,
    /// The number of the last message that changes what a name stood for.
    renamed: u64,
    /// The same, of those before the last Sync or Query.
    renamed_before: u64,
    /// The number of the last Sync or Query.
    boundary: u64,
    /// Something was sent since.
    within: bool,
    /// Something was sent since a transaction last ended for certain.
    begun: bool,
}

impl Expects {
    pub(super) fn push(&mut self, what: What, show: Show) {
        self.add(Expect { what, show, simple: false, run: None, context: None });
    }

    pub(super) fn push_with(&mut self, what: What, show: Show, context: Context) {
        self.add(Expect { what, show, simple: false, run: None, context: Some(Box::new(context)) });
    }

    pub(super) fn add(&mut self, expect: Expect) {
        self.sent += 1;
        self.within = !matches!(expect.what, What::Sync | What::Query);
        self.begun = self.within;
        match expect.what {
            What::Sync | What::Query => (self.renamed_before, self.boundary) = (self.renamed, self.sent),
            _ if expect.context.as_ref().is_some_and(|context| context.undo.is_some()) => {
                self.renamed = self.sent;
            }
            _ => {}
        }
        self.queue.push_back(expect);
    }

    /// Whether a name may still stand for what it stood for before: the message that changed it is not answered, and what
    /// comes now is carried out even if that one is not, since a Sync or Query lies between them.
    pub(super) fn names_in_doubt(&self) -> bool {
        self.renamed_before > self.answered()
    }

    /// Whether a Sync or Query is not answered, which may have ended the transaction.
    pub(super) fn may_have_ended(&self) -> bool {
        self.boundary > self.answered()
    }

    /// Whether something was sent since the last Sync or Query.
    pub(super) fn is_within(&self) -> bool {
        self.within
    }

    /// The same, since a transaction last ended: a statement in the middle of a pipeline may end it.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// The statement at the front is over; whether it ended the transaction.
    pub(super) fn over(&mut self, tag: &[u8]) {
        // These come to their end alone: with the transaction, or a block that goes on.
        const LAST: [&[u8]; 6] = [
            b"COMMIT\0",
            b"ROLLBACK\0",
            b"DISCARD ALL\0",
            b"VACUUM\0",
            b"PREPARE TRANSACTION\0",
            b"CREATE DATABASE\0",
        ];
        if self.queue.len() == 1 && LAST.iter().any(|last| tag.starts_with(last)) {
            self.begun = false;
        }
    }

    /// How many entries there have been.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many of them are over.
    pub(super) fn answered(&self) -> u64 {
        self.sent - self.queue.len() as u64
    }

    pub(super) fn front(&self) -> Option<&Expect> {
        self.queue.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Expect> {
        self.queue.front_mut()
    }

    /// The answer that is due for a statement, the last of them.
    pub(super) fn of_run(&mut self, run: &Arc<Running>) -> Option<&mut Expect> {
        self.queue.iter_mut().rev().find(|e| e.run.as_ref().is_some_and(|r| Arc::ptr_eq(r, run)))
    }

    pub(super) fn pop(&mut self) -> Option<Expect> {
        self.queue.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// An error in the extended protocol: the server skips all that was sent up to the next Sync.
    /// Gives what was skipped.
    pub(super) fn skip_to_sync(&mut self) -> Vec<Expect> {
        let end = self.queue.iter().position(|e| matches!(e.what, What::Sync | What::Query));
        self.queue.drain(..end.unwrap_or(self.queue.len())).collect()
    }

    /// Nothing of what is due up to the next ReadyForQuery is for the client any more. Whether one is due.
    pub(super) fn hide_to_sync(&mut self) -> bool {
        for expect in &mut self.queue {
            if matches!(expect.what, What::Sync | What::Query) {
                return true;
            }
            if matches!(expect.show, Show::Relay | Show::Rewrite) {
                expect.show = Show::Hide;
            }
        }
        false
    }

    /// The units of the latest boundary that has any.
    pub(super) fn latest_units(&mut self) -> Option<&mut Units> {
        let contexts = self.queue.iter_mut().rev().filter_map(|e| e.context.as_mut());
        contexts.map(|c| &mut c.units).find(|units| !units.is_empty())
    }

    /// COPY IN has begun: the server ignores the Sync messages that came before the end of its data, up to the message
    /// with that number.
    pub(super) fn ignore_syncs(&mut self, end: u64) -> Vec<Expect> {
        let mut kept = VecDeque::new();
        let mut ignored = Vec::new();
        for (number, expect) in (self.answered() + 1..).zip(std::mem::take(&mut self.queue)) {
            if expect.what == What::Sync && number <= end {
                ignored.push(expect);
            } else {
                kept.push_back(expect);
            }
        }
        self.queue = kept;
        let last = !self.queue.iter().any(|e| e.what == What::Sync);
        self.within |= last && !ignored.is_empty();
        self.begun |= last && !ignored.is_empty();
        ignored
    }
}
