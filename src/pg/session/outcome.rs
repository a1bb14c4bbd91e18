//! How statements and transactions end: what an error undoes, and what ReadyForQuery settles.

use super::detail::Detail;
use super::expect::{Context, Expect, Show, What};
use super::failure::Failure;
use super::hidden::Captured;
use super::rewrite::error_for;
use super::units::Control;
use super::{End, Session};
use crate::pg::two_phase::TwoPhase;
use crate::pg::wire::error;
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::simple::{self, Status};
use crate::protect::Mark;

impl Session {
    /// A statement wrote no row: what its values made is nobody's. Where more was written since, that is
    /// left to be settled with its transaction.
    pub(super) fn undo(&mut self, write: u64, mark: Mark) {
        if write == self.writes {
            let units =
                if self.units.is_empty() { self.expects.latest_units() } else { Some(&mut self.units) };
            if let Some(unit) = units.and_then(super::units::Units::last) {
                unit.rollback_to(mark);
            }
        }
    }

    /// An error: the client sees it, or the refusal that it stands for.
    pub(super) fn error_response(&mut self, frame: &[u8], detail: &Detail) -> Result<(), End> {
        let body = &frame[HEADER..];
        self.copy_out = None;
        self.passing.is_over();
        self.copy_failed();
        let Some(front) = self.expects.front_mut() else {
            self.said_goodbye = error::is_fatal(body)?;
            self.io.client.output.push(frame);
            return Ok(());
        };
        let hidden = matches!(front.show, Show::Capture | Show::Hold);
        let mut shown = Vec::new();
        error_for(front, body, frame, detail, &mut shown)?;
        if hidden {
            self.captured = Some(Captured::failed(shown));
        } else if !self.poisoned {
            self.said_goodbye = error::is_fatal(body)?;
            self.io.client.output.push(&shown);
        }
        if front.what == What::Query {
            if let Some(context) = &mut front.context {
                context.units.mark_failed();
                context.failed = true;
            }
            return Ok(());
        }
        self.skip();
        self.copy_failed();
        Ok(())
    }

    /// A statement that may prepare the transaction is sent.
    pub(super) fn prepares(&mut self, control: &Control) {
        if let Control::Unclear(name) = control {
            self.units.prepares(name.clone());
        }
    }

    /// A command completed that may have ended a prepared transaction.
    pub(super) fn may_end_prepared(&self, tag: &[u8]) {
        if tag.starts_with(b"COMMIT PREPARED\0") || tag.starts_with(b"ROLLBACK PREPARED\0") {
            self.database.two_phase().ended();
        }
    }

    /// The server skips what was sent up to the next Sync.
    pub(super) fn skip(&mut self) {
        let mut units = super::units::Units::default();
        let mut undo = Vec::new();
        for (i, mut skipped) in self.expects.skip_to_sync().into_iter().enumerate() {
            if let Some(context) = &mut skipped.context {
                let later = context.units.take();
                units.append(later);
                // The first is the one that failed.
                undo.extend(context.undo.take().map(|undo| if i == 0 { undo.of_failed() } else { undo }));
            }
            if matches!(skipped.show, Show::Capture | Show::Hold)
                && self.captured.as_ref().is_none_or(Captured::is_open)
            {
                self.captured = Some(Captured::skipped());
            }
        }
        undo.into_iter().rev().for_each(|undo| self.statements.undo(undo));
        units.mark_failed();
        match self.expects.front_mut() {
            Some(Expect { what: What::Sync, context, .. }) => {
                context.get_or_insert_default().units.put_back(units);
            }
            Some(_) => self.units.put_back(units),
            None => {
                self.skipping = true;
                self.units.put_back(units);
            }
        }
    }

    /// ReadyForQuery: a transaction may have ended.
    pub(super) fn ready(&mut self, status: Status) {
        let front = self.expects.pop();
        if self.expects.is_empty() {
            self.passing.settle();
        }
        let before = self.status;
        self.status = status;
        // What the gateway asks by itself, before a statement that moves a setting or the path, is not that statement's end.
        let own = front.as_ref().is_some_and(|e| e.show == Show::Hide);
        self.reported_settings(own);
        if status == Status::Idle {
            // Those that were bound since belong to the next transaction.
            let boundary = self.expects.answered();
            self.portals.retain(|portal| portal.since >= boundary);
            self.close_cursors();
            if !own {
                self.search_path.settle(self.expects.is_empty());
            }
        }
        let Some(expect) = front else {
            self.io.client.output.append_with(|out| simple::ready(out, status));
            return;
        };
        if let Some(mut context) = expect.context {
            if context.ddl {
                self.dirty = true;
            }
            if let Some(change) = context.change.take().filter(|_| !context.failed) {
                self.statements.apply(change);
            }
            match status {
                Status::Idle if context.units.failed(before) => context.units.rollback(),
                Status::Idle => context.units.commit(),
                Status::InBlock | Status::Failed => {
                    if context.units.unclear() {
                        context.units.abandon();
                    }
                    context.units.clear_marks();
                    self.units.put_back(context.units.take());
                }
            }
        }
        if status == Status::Idle {
            self.settle_trust();
        }
        if status == Status::Idle && self.private {
            // What this transaction changed is now everybody's, or undone.
            self.private = false;
            self.unseen = None;
            self.dirty = false;
            self.database.expire();
        } else if status == Status::Idle && self.dirty {
            self.dirty = false;
            self.database.expire();
        }
        if self.poisoned {
            self.poisoned = false;
            if status == Status::InBlock {
                self.fail_transaction();
                return;
            }
        }
        if expect.show == Show::Relay || expect.show == Show::Rewrite {
            self.tell_settings();
            self.io.client.output.append_with(|out| simple::ready(out, status));
        }
    }

    /// Tells the client that a row can't be shown. What follows of the statement, and of the pipeline
    /// up to its Sync, is not shown; the transaction fails as with any error.
    pub(super) fn poison(&mut self, failure: &Failure) {
        self.shared.metrics.failed(failure.anchor);
        if !self.poisoned {
            let response = super::encoding::spoken(self.charset(), failure.response());
            self.io.client.output.push(&response);
        }
        self.poisoned = true;
        if self.expects.hide_to_sync() {
            return;
        }
        // The pipeline is still open: the server is to skip the rest of it, and undo what came before.
        if self.io.server.output.append_with(super::failing::failing_parse).is_ok() {
            let context = Context { refusal: Some(Vec::new()), ..Context::default() };
            self.expects.push_with(What::Complete, Show::Hide, context);
            self.skipping = true;
        }
    }

    /// After a poisoned statement in a transaction block: a statement that fails, so that the server
    /// sees the transaction as the client does.
    fn fail_transaction(&mut self) {
        let mut context = Context { refusal: Some(Vec::new()), ..Context::default() };
        context.units = self.units.take();
        self.io.server.output.append_with(super::failing::failing_query);
        self.expects.push_with(What::Query, Show::Rewrite, context);
    }
}

/// The status after a command. In a pipeline no ReadyForQuery tells that a block was ended, or went back to a savepoint.
pub(super) fn after(status: Status, front: Option<&Expect>, tag: &[u8]) -> Status {
    let ends = front.is_some_and(|e| e.what == What::Execute && e.context.is_some());
    match (tag.starts_with(b"COMMIT\0"), tag.starts_with(b"ROLLBACK\0")) {
        (true, _) | (_, true) if ends => Status::Idle,
        (_, true) if status == Status::Failed => Status::InBlock,
        _ => status,
    }
}

/// A command completed: settles what it committed.
pub(super) fn settle(what: What, context: &mut Context, tag: &[u8], two_phase: &TwoPhase) {
    if tag.starts_with(b"COMMIT\0") {
        context.units.commit();
    } else if tag.starts_with(b"ROLLBACK\0") && what == What::Query && !context.units.is_empty() {
        context.units.mark_rolled_back();
    } else if tag.starts_with(b"PREPARE TRANSACTION\0") {
        let prepared = context.units.prepared();
        context.units.abandon();
        if let Some((name, units)) = prepared {
            two_phase.prepared(&name, units);
        }
    }
}
