//! Messages of the client, in order: relayed, planned, or refused.

use super::copy_in::CopyMessage;
use super::encoding;
use super::expect::{Context, Show, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::units::{Control, is_ddl, may_follow};
use super::{End, Session};
use crate::pg::catalog::Snapshot;
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::simple::Status;
use std::sync::Arc;

/// Large object functions, the only ones that FunctionCall may name (`fmgroids.h`).
const LARGE_OBJECT: [u32; 13] = [715, 764, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171];
/// How much of a Bind must have come to read its names.
const NAMES: usize = 256;

/// What became of the client's next message.
enum Next {
    /// It has not come as far as it must.
    Nothing,
    /// It was treated.
    Done,
    /// It stands whole in the buffer, and something must be waited for: its tag and length.
    Later(u8, usize),
}

impl Session {
    /// Treats the next message of the client, if it has come as far as it must. True when there may be
    /// another.
    pub(super) async fn client_message(&mut self) -> Result<bool, End> {
        match self.client_now()? {
            Next::Nothing => Ok(false),
            Next::Done => Ok(true),
            Next::Later(tag, total) => {
                // On the heap: most messages never wait, and needn't carry the room for it.
                Box::pin(self.client_later(tag, total)).await?;
                Ok(true)
            }
        }
    }

    /// Treats the next message as far as that needs no waiting.
    fn client_now(&mut self) -> Result<Next, End> {
        let input = self.io.client.input.bytes();
        if input.is_empty() {
            return Ok(Next::Nothing);
        }
        if self.client_rest > 0 {
            let n = self.client_rest.min(input.len());
            self.client_rest -= n;
            if self.feeding {
                let full = self.copy_in.as_mut().is_some_and(|copy| copy.feed(&input[..n]));
                self.io.client.input.consume(n);
                return Ok(if full { Next::Later(b'd', 0) } else { Next::Done });
            } else if self.dropping {
                self.io.client.input.consume(n);
            } else {
                self.io.server.output.take_from(&mut self.io.client.input, n);
            }
            return Ok(Next::Done);
        }
        let Some(header) = frame::header(input, frame::client_limit(self.peek(input)))? else {
            return Ok(Next::Nothing);
        };
        let (tag, total) = (header.tag, header.total());
        if (self.copy_in.is_some() || self.copy_over)
            && let Some(next) = self.copy_now(tag, total)?
        {
            return Ok(next);
        }
        if self.passes_data(tag, total)? {
            return Ok(Next::Done);
        }
        if !matches!(
            tag,
            b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'F' | b'H' | b'S' | b'X' | b'd' | b'c' | b'f'
        ) {
            return Err(End::Fatal(Box::new(Failure::message_type(tag))));
        }
        if self.skipping && !matches!(tag, b'S' | b'X' | b'd' | b'c' | b'f') {
            // The server would pass these over too; values in them must not reach it.
            self.pass_over(total);
            return Ok(Next::Done);
        }
        if matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C' | b'H') {
            self.begin_pipeline();
        }
        let input = self.io.client.input.bytes();
        let whole = input.len() >= total;
        let in_doubt = matches!(tag, b'P' | b'D' | b'C') && self.expects.names_in_doubt();
        // It may have been bound a while ago.
        let stale = tag == b'E' && !self.trusts_filter();
        let needs_whole = match tag {
            b'Q' | b'P' | b'F' => true,
            b'B' => self.judges_binds() || (self.knows_names() && !self.bind_is_plain(&input[HEADER..])),
            b'E' => stale || self.knows_names() || !self.is_in_order(false),
            b'D' => in_doubt || self.knows_names(),
            b'C' => in_doubt || self.knows_names() || self.statements.has_names(),
            _ => false,
        };
        if needs_whole && !whole {
            if total > usize::try_from(self.shared.limits.message_bytes).unwrap_or(usize::MAX) {
                return Err(End::Fatal(Box::new(Failure::too_large(self.shared.limits.message_bytes))));
            }
            self.io.client.input.reserve(total);
            return Ok(Next::Nothing);
        }
        if !self.reads_at_once() && (needs_whole && matches!(tag, b'Q' | b'P' | b'B' | b'E')) {
            return Ok(Next::Later(tag, total));
        }
        if matches!(tag, b'Q' | b'F') && self.pipeline && !self.expects.is_empty() {
            // Should what comes before it in its pipeline fail, the server passes it over, and its Sync ends that.
            return Ok(Next::Later(tag, total));
        }
        if in_doubt || stale {
            // What an answer yet to come undoes must not undo what this does; and what was bound may run by other names than it was.
            return Ok(Next::Later(tag, total));
        }
        let done = match tag {
            b'Q' => self.query_now(total)?,
            b'P' => self.parse_now(total)?,
            b'B' if needs_whole => self.bind_now(total)?,
            b'E' if needs_whole => self.execute_now(total)?,
            b'E' => self.pass_execute_now(total),
            b'S' => self.sync_now(total),
            _ => {
                self.relay_or_note(tag, total, needs_whole)?;
                true
            }
        };
        if done && matches!(tag, b'Q' | b'E') {
            self.executed();
        }
        if done && tag == b'B' {
            self.woken.bound();
        }
        Ok(if done { Next::Done } else { Next::Later(tag, total) })
    }

    /// A message while a COPY of a protected table runs, or just ran; `None` for what is no part of it.
    fn copy_now(&mut self, tag: u8, total: usize) -> Result<Option<Next>, End> {
        let next = match self.copy_message(tag)? {
            CopyMessage::No => return Ok(None),
            CopyMessage::Data => {
                self.feed_copy(total);
                Next::Done
            }
            CopyMessage::Drop => {
                self.pass_over(total);
                Next::Done
            }
            CopyMessage::End if self.io.client.input.len() < total => {
                self.io.client.input.reserve(total);
                Next::Nothing
            }
            CopyMessage::End => Next::Later(tag, total),
        };
        Ok(Some(next))
    }

    /// Messages that never wait.
    fn relay_or_note(&mut self, tag: u8, total: usize, needs_whole: bool) -> Result<(), End> {
        match tag {
            b'B' => self.forward(total, What::Complete),
            b'D' if needs_whole => self.describe(total)?,
            b'D' => self.forward(total, What::Describe),
            b'C' if needs_whole => self.close(total)?,
            b'C' => self.forward(total, What::Complete),
            b'F' => self.function_call(total)?,
            // It fails as any other.
            b'H' if total > HEADER => self.forward(total, What::Complete),
            b'H' => {
                self.pipeline = true;
                self.relay_client(total);
            }
            _ => self.relay_client(total),
        }
        Ok(())
    }

    /// Treats a message that something must be waited for.
    async fn client_later(&mut self, tag: u8, total: usize) -> Result<(), End> {
        if matches!(tag, b'Q' | b'F') && self.pipeline {
            self.all_answered().await?;
            if self.skipping {
                self.pass_over(total);
                return Ok(());
            }
        }
        match tag {
            b'Q' => {
                self.query(total).await?;
                self.executed();
                Ok(())
            }
            b'P' => self.parse(total).await,
            b'B' => {
                self.bind(total).await?;
                self.woken.bound();
                Ok(())
            }
            b'E' => {
                self.execute(total).await?;
                self.executed();
                Ok(())
            }
            b'D' | b'C' => {
                self.settle_names().await?;
                if self.skipping {
                    self.pass_over(total);
                    return Ok(());
                }
                self.relay_or_note(tag, total, true)
            }
            b'F' => self.function_call(total),
            b'd' => self.copy_rows(false).await,
            b'c' => self.copy_done(total).await,
            b'f' => self.copy_fail(total).await,
            _ => self.sync(total).await,
        }
    }

    /// Statements or portals are kept here, so that names in messages must be looked at.
    fn knows_names(&self) -> bool {
        !self.statements.is_empty() || !self.portals.is_empty() || !self.cursors.is_empty()
    }

    fn peek(&self, input: &[u8]) -> u8 {
        input.first().copied().unwrap_or_default()
    }

    /// Drops a message that the server would pass over.
    pub(super) fn pass_over(&mut self, total: usize) {
        self.client_rest = total;
        self.dropping = true;
        self.feeding = false;
    }

    /// Relays a message of which the client's next bytes are the beginning.
    pub(super) fn relay_client(&mut self, total: usize) {
        self.dropping = false;
        self.feeding = false;
        self.client_rest = total;
    }

    /// Execute of a statement that touches nothing protected.
    pub(super) async fn pass_execute(&mut self, total: usize) -> Result<(), End> {
        self.in_order(false).await?;
        if self.skipping {
            self.pass_over(total);
            return Ok(());
        }
        self.pass_execute_on(total);
        Ok(())
    }

    fn pass_execute_on(&mut self, total: usize) {
        self.order.pure = false;
        self.shared.metrics.passed.increment(1);
        self.forward(total, What::Execute);
    }

    /// The same; false where it must wait.
    pub(super) fn pass_execute_now(&mut self, total: usize) -> bool {
        if !self.is_in_order(false) {
            return false;
        }
        self.pass_execute_on(total);
        true
    }

    pub(super) fn forward(&mut self, total: usize, what: What) {
        self.pipeline = true;
        self.expects.push(what, Show::Relay);
        self.relay_client(total);
    }

    /// The body of a message that has come whole.
    pub(super) fn copy(&self, total: usize) -> zeroize::Zeroizing<Vec<u8>> {
        zeroize::Zeroizing::new(self.io.client.input.bytes()[HEADER..total].to_vec())
    }

    /// The same, taken out of the buffer.
    pub(super) fn take(&mut self, total: usize) -> zeroize::Zeroizing<Vec<u8>> {
        let body = self.copy(total);
        self.io.client.input.consume(total);
        body
    }

    /// Whether a Bind concerns nothing that is kept here; its values need not be read then.
    fn bind_is_plain(&self, body: &[u8]) -> bool {
        let names = &body[..body.len().min(NAMES)];
        let mut parts = names.splitn(3, |b| *b == 0);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(portal), Some(statement), Some(_)) => {
                self.statements.get(&self.statement_name(statement)).is_none()
                    && self.portals.get(portal).is_none()
            }
            _ => false,
        }
    }

    /// Takes the newest snapshot, so that a view or function made behind the gateway is seen.
    pub(super) fn follow_catalog(&mut self) {
        self.looks();
        if self.private {
            self.follow_privately();
        } else if !self.database.is_newest(&self.snapshot)
            && let Some(newer) = self.database.newest()
        {
            self.follow_to(newer);
        }
        self.keep_base();
    }

    /// Goes on with another snapshot. Where it protects more names, statements that were let pass before, and
    /// are not kept here, may mean something else by now: they are refused until they are prepared again.
    pub(super) fn follow_to(&mut self, newer: Arc<Snapshot>) {
        if !self.snapshot.filter.covers(&newer.filter) {
            self.passed_since = Some(hashbrown::HashSet::new());
        }
        self.wakes(&newer.catalog, false);
        self.snapshot = newer;
    }

    /// Whether a Bind must wait until it is known what its statement means today, even one that is not kept here.
    pub(super) fn judges_binds(&self) -> bool {
        self.passed_since.is_some()
            || self.expects.names_in_doubt()
            || !self.trusts_filter()
            || self.is_behind_newest()
    }

    /// Whether a statement that is not kept here was let pass before more names were protected.
    pub(super) fn is_stale(&self, statement: &[u8]) -> bool {
        self.passed_since.as_ref().is_some_and(|since| !since.contains(statement))
    }

    /// Refuses at this point of a pipeline: the server skips what follows up to Sync, and so do we.
    pub(super) fn refuse_extended(&mut self, response: Vec<u8>) -> Result<(), End> {
        self.io.server.output.append_with(|out| super::failing::failing_parse_for(&response, out))?;
        self.refused_extended(response, false)
    }

    /// The same, of what is about a name that stands for a refusal. That there is no such statement is said even in a block
    /// that has failed.
    pub(super) fn refuse_named(&mut self, failure: &Failure) -> Result<(), End> {
        if failure.code != "26000" {
            return self.refuse_extended(failure.response());
        }
        self.io.server.output.append_with(super::failing::failing_bind)?;
        self.refused_extended(failure.response(), false)
    }

    /// What fails was sent. See [`Context::stands`].
    fn refused_extended(&mut self, response: Vec<u8>, stands: bool) -> Result<(), End> {
        self.copy_over = true;
        let response = encoding::spoken(self.charset(), response);
        let context = Context { refusal: Some(response), stands, ..Context::default() };
        self.expects.push_with(What::Complete, Show::Rewrite, context);
        self.pipeline = true;
        self.skipping = true;
        Ok(())
    }

    /// What a failed decision means in the extended protocol.
    pub(super) fn failed_extended(&mut self, error: HiddenError) -> Result<(), End> {
        match error {
            HiddenError::Server(response) if self.skipping => {
                // It came in this pipeline: it is the client's statement that fails.
                let response = encoding::spoken(self.charset(), response);
                self.io.client.output.push(&response);
                Ok(())
            }
            HiddenError::Server(response) => {
                self.io.server.output.append_with(super::failing::failing_parse)?;
                self.refused_extended(response, true)
            }
            HiddenError::Skipped => Ok(()),
            HiddenError::End(end) => Err(end),
        }
    }

    async fn sync(&mut self, total: usize) -> Result<(), End> {
        if self.commits_unseen()
            && let Err(error) = self.trust_filter(false).await
        {
            self.failed_extended(error)?;
        }
        if !self.order.pure {
            self.in_order(false).await?;
        }
        self.synced(total);
        Ok(())
    }

    /// The same; false where it must wait.
    fn sync_now(&mut self, total: usize) -> bool {
        let now = (self.order.pure || self.is_in_order(false)) && !self.commits_unseen();
        if now {
            self.synced(total);
        }
        now
    }

    fn synced(&mut self, total: usize) {
        // In a block that nothing on its way can end, Sync ends nothing: its unit goes on.
        let within = self.status == Status::InBlock && self.expects.answered() >= self.order.ends;
        if self.units.is_empty() || within {
            self.expects.push(What::Sync, Show::Relay);
        } else {
            let units = self.units.take();
            self.expects.push_with(What::Sync, Show::Relay, Context { units, ..Context::default() });
        }
        self.after_sync();
        self.relay_client(total);
    }

    /// A Sync was sent: the pipeline is over.
    pub(super) fn after_sync(&mut self) {
        if self.order.rows > self.expects.answered() && !self.order.quiet {
            // A row that can't be shown must fail the transaction block before it goes on.
            self.order.all = self.expects.sent();
        }
        self.pipeline = false;
        self.skipping = false;
        self.order.executed = 0;
    }

    fn function_call(&mut self, total: usize) -> Result<(), End> {
        let body = &self.io.client.input.bytes()[HEADER..total];
        let oid = body.first_chunk::<4>().map(|b| u32::from_be_bytes(*b));
        if oid.is_some_and(|oid| LARGE_OBJECT.contains(&oid)) {
            self.expects.push(What::Query, Show::Relay);
            self.relay_client(total);
            return Ok(());
        }
        self.take(total);
        self.shared.metrics.refused("function-call");
        self.refuse_query(&Failure::new(
            "0A000",
            "function-call",
            "paravent: the FunctionCall message is refused",
            "call the function by a SELECT",
        ))
    }
}

/// What a text that is not parsed does to the transaction and the schema.
pub(super) fn first_words(text: &[u8]) -> (Option<Control>, bool) {
    // Comments may be in any encoding.
    let text = String::from_utf8_lossy(text);
    (Control::of(&text), is_ddl(&text))
}

/// Whether such a change of the schema may give another name to what has one.
pub(super) fn names_anew(text: &[u8]) -> bool {
    may_follow(&String::from_utf8_lossy(text))
}
