//! Messages of the server: relayed, or treated as the entry at the front of what is due says.

use super::detail;
use super::expect::{Context, Expect, Show, What};
use super::failure::Failure;
use super::hidden::Captured;
use super::outcome::{after, settle};
use super::rewrite::{fits, follow, rewrite};
use super::rows::{Opener, RowError};
use super::{End, Session};
use crate::pg::wire::WireError;
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::simple;

/// The tag of DECLARE.
const DECLARED: &[u8] = b"DECLARE CURSOR\0";

/// What is done with a message.
enum Treat {
    /// Passed on whole or in parts, not looked at.
    Relay,
    /// Read whole, then treated.
    Inspect,
    /// Dropped.
    Drop,
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Fatal(Box::new(Failure::malformed(&error)))
    }
}

impl Session {
    /// Treats the messages in the server's buffer. True when none is left that is whole; false when a
    /// key is missing, or there may be more to do.
    ///
    /// Rows are opened under a lease, which is checked before the first of a batch and again before the
    /// batch is written: nothing opened after the lease's end leaves the gateway.
    pub(super) fn server_messages(&mut self) -> Result<bool, End> {
        self.batch = None;
        let done = self.server_batch();
        self.scratch.end_batch();
        let done = done?;
        if let Some(mark) = self.batch.take()
            && let Err(error) = self.shared.door.lease()
        {
            self.io.client.output.truncate(mark);
            return Err(End::Fatal(Box::new(Failure::protect(&error))));
        }
        Ok(done)
    }

    fn server_batch(&mut self) -> Result<bool, End> {
        let mut at = 0;
        loop {
            let input = self.io.server.input.bytes();
            if self.server_rest > 0 {
                let n = self.server_rest.min(input.len() - at);
                self.server_rest -= n;
                at += n;
                if self.server_rest > 0 {
                    break;
                }
            }
            let Some(header) = frame::header(&input[at..], frame::LARGE)? else { break };
            let whole = input.len() - at >= header.total();
            if header.tag == b'C' && !whole {
                // Its tag says whether what was written is kept.
                self.relay(at);
                self.await_message(header.total())?;
                return Ok(true);
            }
            match self.treat(header.tag) {
                Treat::Relay => {
                    if header.tag == b'C' {
                        self.passing.is_over();
                        self.status = after(self.status, self.expects.front(), &input[at + HEADER..]);
                        self.expects.over(&input[at + HEADER..]);
                        self.may_commit(&input[at + HEADER..]);
                        self.may_end_prepared(&input[at + HEADER..]);
                        if input[at + HEADER..].starts_with(DECLARED) {
                            self.declared();
                        }
                    }
                    let input = self.io.server.input.bytes();
                    if header.tag == b'C'
                        && let Some(Expect { what, context: Some(context), .. }) = self.expects.front_mut()
                    {
                        settle(*what, context, &input[at + HEADER..], self.database.two_phase());
                    }
                    if header.tag == b'C' && input[at + HEADER..].starts_with(b"ROLLBACK\0") {
                        self.undoes_ddl();
                    }
                    self.relayed(header.tag);
                    self.server_rest = header.total();
                }
                treat => {
                    self.relay(at);
                    at = 0;
                    if !whole {
                        self.await_message(header.total())?;
                        return Ok(true);
                    }
                    match treat {
                        Treat::Inspect if !self.inspect(header.tag, header.total())? => return Ok(false),
                        Treat::Drop => self.relayed(header.tag),
                        _ => {}
                    }
                    self.io.server.input.consume(header.total());
                }
            }
        }
        self.relay(at);
        Ok(true)
    }

    /// The RowDescription that is owed goes before the first row or the end; where it failed there is none.
    fn pay(&mut self, tag: u8) {
        match tag {
            b'D' | b'C' if self.expects.front().is_some_and(|front| front.simple) => {
                self.io.client.output.push(&self.owed);
                self.owed.clear();
            }
            b'E' | b'Z' => self.owed.clear(),
            _ => {}
        }
    }

    /// Makes room for a message that is read whole.
    fn await_message(&mut self, total: usize) -> Result<(), End> {
        let limit = self.shared.limits.message_bytes;
        if total > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(End::Fatal(Box::new(Failure::too_large(limit))));
        }
        self.io.server.input.reserve(total);
        Ok(())
    }

    fn relay(&mut self, n: usize) {
        if n > 0 {
            self.io.client.output.take_from(&mut self.io.server.input, n);
        }
    }

    fn treat(&self, tag: u8) -> Treat {
        match tag {
            b'S' | b'Z' | b'E' => return Treat::Inspect,
            b'A' | b'N' | b'K' | b'v' => return Treat::Relay,
            _ => {}
        }
        let Some(front) = self.expects.front() else { return Treat::Relay };
        if front.simple && matches!(tag, b'D' | b'C') && !self.owed.is_empty() {
            return Treat::Inspect;
        }
        match front.show {
            Show::Relay if tag == b'G' => Treat::Inspect,
            Show::Relay => Treat::Relay,
            // The client was told that a row can't be shown: nothing more of its Query.
            Show::Rewrite if self.poisoned && front.what == What::Query => Treat::Drop,
            Show::Rewrite if front.simple && matches!(tag, b'1' | b'2' | b'3' | b'n') => Treat::Drop,
            // Nothing to do but to pass it on.
            Show::Rewrite
                if front.context.is_none()
                    && matches!(tag, b'1' | b'2' | b'3' | b'n' | b'C' | b'I' | b's') =>
            {
                Treat::Relay
            }
            Show::Rewrite | Show::Capture | Show::Hold => Treat::Inspect,
            Show::Hide if ends(front.what, tag) => Treat::Inspect,
            Show::Hide => Treat::Drop,
        }
    }

    /// The entry at the front is answered when this message ends it.
    fn relayed(&mut self, tag: u8) {
        if let Some(front) = self.expects.front()
            && front.what != What::Query
            && ends(front.what, tag)
        {
            let done = self.expects.pop();
            if let Some(context) = done.and_then(|d| d.context) {
                self.completed(*context);
            }
        }
    }

    fn completed(&mut self, mut context: Context) {
        if context.ddl {
            self.dirty = true;
        }
        if let Some(change) = context.change.take() {
            self.statements.apply(change);
        }
        // An Execute of COMMIT or ROLLBACK: `settle` took care of COMMIT; what is left was rolled back.
        context.units.rollback();
    }

    /// Treats a whole message. False when a key is missing: the message stays.
    fn inspect(&mut self, tag: u8, total: usize) -> Result<bool, End> {
        if !self.owed.is_empty() {
            self.pay(tag);
        }
        if tag == b'C' {
            let body = &self.io.server.input.bytes()[HEADER..total];
            self.status = after(self.status, self.expects.front(), body);
            self.expects.over(body);
            self.may_commit(body);
            self.may_end_prepared(body);
            let declared = body.starts_with(DECLARED);
            if body.starts_with(b"ROLLBACK\0") {
                self.undoes_ddl();
            }
            if declared {
                self.declared();
            }
        }
        if tag == b'T' && !self.fits_plan(total) {
            self.poison(&Failure::internal("the result has other columns than were planned"));
            self.relayed(tag);
            return Ok(true);
        }
        match tag {
            b'D' => return self.data_row(total),
            b'H' | b'd' | b'c' if self.copies() => return self.copy_to(tag, total),
            b'T' | b't' if self.rewrites() => {
                let frame = &self.io.server.input.bytes()[..total];
                if let Some(front) = self.expects.front() {
                    if front.simple && front.run.as_ref().is_some_and(|run| run.plan.modifies) {
                        // To a simple Query that writes, rows are described only once all is written.
                        rewrite(tag, &frame[HEADER..], frame, front, &mut self.owed)?;
                    } else {
                        let output = &mut self.io.client.output;
                        output.append_with(|out| rewrite(tag, &frame[HEADER..], frame, front, out))?;
                    }
                }
                self.relayed(tag);
            }
            b'S' => self.parameter_status(total)?,
            b'E' => {
                let frame = self.io.server.input.bytes()[..total].to_vec();
                let tables = &self.snapshot.catalog.tables;
                let charset = self.settings.charset.as_deref();
                let door = &self.shared.door;
                let run = self.expects.front().and_then(|e| e.run.as_ref());
                let wrote = run.is_some_and(|run| run.plan.write.is_some() || run.plan.copy.is_some());
                let detail = detail::of(&frame[HEADER..], tables, door, charset, wrote, &mut self.missing);
                // What was asked for once and is still missing is not asked for again.
                if self.missing.is_empty() || std::mem::replace(&mut self.asked, true) {
                    self.missing.clear();
                    self.asked = false;
                    self.error_response(&frame, &detail)?;
                } else {
                    return Ok(false);
                }
            }
            b'Z' => {
                let status = simple::read_ready(&self.io.server.input.bytes()[HEADER..total])?;
                self.ready(status);
            }
            b'G' => {
                self.copy_begins();
                let run = self.expects.front().and_then(|e| e.run.as_ref());
                let from = run.and_then(|r| r.plan.copy.as_ref()?.from.as_ref());
                let columns = from.and_then(|from| u16::try_from(from.columns.len()).ok());
                let frame = &self.io.server.input.bytes()[..total];
                self.io.client.output.append_with(|out| super::copy_out::response(frame, columns, out));
            }
            _ => {
                let frame = self.io.server.input.bytes()[..total].to_vec();
                self.answer(tag, &frame)?;
            }
        }
        Ok(true)
    }

    fn fits_plan(&self, total: usize) -> bool {
        let body = &self.io.server.input.bytes()[HEADER..total];
        self.expects.front().is_none_or(|front| front.show != Show::Rewrite || fits(front, body))
    }

    /// The entry at the front is a planned statement's, and hangs nothing on its end.
    fn rewrites(&self) -> bool {
        self.expects.front().is_some_and(|front| front.show == Show::Rewrite && front.context.is_none())
    }

    fn parameter_status(&mut self, total: usize) -> Result<(), End> {
        let frame = self.io.server.input.bytes()[..total].to_vec();
        let (name, value) = simple::read_parameter_status(&frame[HEADER..])?;
        self.restore_settings();
        follow(&mut self.settings, name, value).map_err(|f| End::Fatal(Box::new(f)))?;
        self.report(name, &frame);
        Ok(())
    }

    /// A row of a planned statement.
    fn data_row(&mut self, total: usize) -> Result<bool, End> {
        let frame = &self.io.server.input.bytes()[..total];
        let Some(Expect { show, run, .. }) = self.expects.front() else {
            self.io.client.output.push(frame);
            return Ok(true);
        };
        match show {
            Show::Hold => {
                self.held.extend_from_slice(frame);
                return Ok(true);
            }
            Show::Capture => {
                if let Some(captured) = &mut self.captured {
                    captured.row(&frame[HEADER..], self.settings.charset.as_deref())?;
                }
                return Ok(true);
            }
            Show::Rewrite => {}
            Show::Relay | Show::Hide => return Ok(true),
        }
        let Some(run) = run else {
            // A statement of a script that touches nothing protected.
            self.io.client.output.push(frame);
            return Ok(true);
        };
        if run.plan.swallow_rows {
            return Ok(true);
        }
        if self.batch.is_none() {
            if let Err(error) = self.shared.door.begin_batch() {
                self.poison(&Failure::protect(&error));
                return Ok(true);
            }
            self.batch = Some(self.io.client.output.len());
        }
        let opener = Opener {
            door: &self.shared.door,
            plan: &run.plan,
            formats: &run.formats,
            settings: &self.settings,
        };
        let (scratch, missing) = (&mut self.scratch, &mut self.missing);
        let written =
            self.io.client.output.append_with(|out| opener.row(&frame[HEADER..], scratch, missing, out));
        match written {
            Ok(()) => Ok(true),
            Err(RowError::Missing) => {
                self.look_ahead(total);
                Ok(false)
            }
            Err(RowError::Failure(failure)) => {
                self.poison(&failure);
                Ok(true)
            }
        }
    }

    /// Collects what the following rows in the buffer lack too, so that it is fetched at once.
    fn look_ahead(&mut self, mut at: usize) {
        let Some(Expect { run: Some(run), .. }) = self.expects.front() else { return };
        let opener = Opener {
            door: &self.shared.door,
            plan: &run.plan,
            formats: &run.formats,
            settings: &self.settings,
        };
        let input = self.io.server.input.bytes();
        let mut out = Vec::new();
        while let Ok(Some(header)) = frame::header(&input[at..], frame::LARGE) {
            let end = at + header.total();
            if header.tag != b'D' || end > input.len() {
                break;
            }
            out.clear();
            if opener.row(&input[at + HEADER..end], &mut self.scratch, &mut self.missing, &mut out).is_err()
                && self.missing.is_empty()
            {
                break;
            }
            at = end;
        }
    }

    /// A message other than rows, errors and the like, for the entry at the front.
    fn answer(&mut self, tag: u8, frame: &[u8]) -> Result<(), End> {
        let Some(front) = self.expects.front_mut() else {
            self.io.client.output.push(frame);
            return Ok(());
        };
        let body = &frame[HEADER..];
        let ended = front.what != What::Query && ends(front.what, tag);
        let mut unwritten = None;
        if let (b'C', Some(context)) = (tag, &mut front.context) {
            settle(front.what, context, body, self.database.two_phase());
            unwritten = context.made.take().filter(|_| body.ends_with(b" 0\0"));
        }
        match front.show {
            Show::Relay => self.io.client.output.push(frame),
            Show::Hide => {}
            Show::Capture => {
                if tag == b'C'
                    && let Some(captured) = &mut self.captured
                {
                    captured.complete();
                }
            }
            Show::Hold => {
                if ended {
                    self.held.extend_from_slice(frame);
                    self.captured = Some(Captured::done());
                }
            }
            Show::Rewrite => {
                let output = &mut self.io.client.output;
                output.append_with(|out| rewrite(tag, body, frame, front, out))?;
            }
        }
        if ended && let Some(context) = self.expects.pop().and_then(|e| e.context) {
            self.completed(*context);
        }
        if let Some((write, mark)) = unwritten {
            self.undo(write, mark);
        }
        Ok(())
    }
}

/// Whether this message is the last answer to what was sent.
fn ends(what: What, tag: u8) -> bool {
    match what {
        What::Complete => matches!(tag, b'1' | b'2' | b'3'),
        What::Describe => matches!(tag, b'T' | b'n'),
        What::Execute => matches!(tag, b'C' | b'I' | b's'),
        What::Query | What::Sync => tag == b'Z',
    }
}
