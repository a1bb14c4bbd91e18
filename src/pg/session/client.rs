//! Messages of the client, in order: relayed, planned, or refused.

use super::copy_in::CopyMessage;
use super::encoding;
use super::expect::{Context, Show, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::plan::Decision;
use super::units::{Control, is_ddl};
use super::{End, Session};
use crate::pg::catalog::Snapshot;
use crate::pg::plan::Plan;
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::simple::{self, Status};
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
        let needs_whole = match tag {
            b'Q' | b'P' | b'F' => true,
            b'B' => self.judges_binds() || (self.knows_names() && !self.bind_is_plain(&input[HEADER..])),
            b'E' => self.knows_names(),
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
        if in_doubt {
            // What an answer yet to come undoes must not undo what this does.
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
        match tag {
            b'Q' => self.query(total).await,
            b'P' => self.parse(total).await,
            b'B' => self.bind(total).await,
            b'E' => self.execute(total).await,
            b'D' | b'C' => {
                self.settle_names().await?;
                if self.skipping {
                    self.pass_over(total);
                    return Ok(());
                }
                self.relay_or_note(tag, total, true)
            }
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
        self.pass_execute_now(total);
        Ok(())
    }

    /// The same; false where it must wait.
    pub(super) fn pass_execute_now(&mut self, total: usize) -> bool {
        if !self.is_in_order(false) {
            return false;
        }
        self.order.pure = false;
        self.shared.metrics.passed.increment(1);
        self.forward(total, What::Execute);
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

    /// A simple Query that is passed, or planned already; false where it must wait.
    fn query_now(&mut self, total: usize) -> Result<bool, End> {
        if !self.is_in_order(false) {
            return Ok(false);
        }
        self.follow_catalog();
        if !self.trusts_filter() {
            return Ok(false);
        }
        // Where the last one was found by its shape, the next may be: then its words are known too.
        if self.shape_repeats && self.shaped_query_now(total)? {
            return Ok(true);
        }
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok(text) = simple::read_query(body) else { return Ok(false) };
        if self.shared.moves_search_path(text) {
            return Ok(false);
        }
        if self.may_touch(text) {
            return Ok(self.shaped_query_now(total)? || self.known_query_now(total)?);
        }
        let (control, ddl) = first_words(text);
        if control.is_some() {
            return Ok(false);
        }
        self.shape_repeats = false;
        self.forget_unnamed();
        self.passes_query(total, ddl);
        Ok(true)
    }

    /// A simple Query of a shape that was planned before; false for any other.
    fn shaped_query_now(&mut self, total: usize) -> Result<bool, End> {
        if self.settings.charset.is_some() || !self.decides_now() {
            return Ok(false);
        }
        let Some(path) = &self.search_path.known else { return Ok(false) };
        let text = simple::read_query(&self.io.client.input.bytes()[HEADER..total]).ok();
        let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) else { return Ok(false) };
        if !self.shape.read(text) {
            return Ok(false);
        }
        let Some(template) = self.snapshot.plans.of_shape(&self.shape, path) else { return Ok(false) };
        let pieces = template.sql(text, self.shape.holes());
        self.io.server.output.append_with(|out| simple::query_of(out, pieces))?;
        self.shape_repeats = true;
        self.sent_query(total, &template.plan);
        Ok(true)
    }

    /// A simple Query whose very text was planned before, and runs as a simple Query; false for any other.
    fn known_query_now(&mut self, total: usize) -> Result<bool, End> {
        if !self.decides_now() {
            return Ok(false);
        }
        let Some(path) = &self.search_path.known else { return Ok(false) };
        let text = simple::read_query(&self.io.client.input.bytes()[HEADER..total])?;
        let Ok(text) = std::str::from_utf8(text) else { return Ok(false) };
        let found = self.snapshot.plans.of_text(text, path).filter(|plan| plan.stays_simple());
        let Some(plan) = found else { return Ok(false) };
        let sql = encoding::write(self.settings.charset.as_deref(), plan.sql.as_bytes());
        let sql = sql.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| simple::query(out, &sql))?;
        self.sent_query(total, &plan);
        Ok(true)
    }

    /// The client's Query of `total` bytes was sent as this plan has it.
    fn sent_query(&mut self, total: usize, plan: &Arc<Plan>) {
        self.forget_unnamed();
        self.io.client.input.consume(total);
        self.runs_as_query(plan);
    }

    /// A simple Query ends the unnamed statement and portal.
    fn forget_unnamed(&mut self) {
        self.statements.forget_unnamed();
        self.portals.remove(b"");
    }

    /// A simple Query.
    async fn query(&mut self, total: usize) -> Result<(), End> {
        if simple::read_query(&self.io.client.input.bytes()[HEADER..total]).is_err() {
            return self.broken_query(total).await;
        }
        self.forget_unnamed();
        self.in_order(false).await?;
        self.settle_names().await?;
        if self.skipping {
            self.pass_over(total);
            return Ok(());
        }
        self.follow_catalog();
        self.settle_encoding().await?;
        let trusted = self.trust_filter().await;
        if self.skipping && trusted.is_ok() {
            self.pass_over(total);
            return Ok(());
        }
        if let Err(error) = trusted {
            self.io.client.input.consume(total);
            return self.failed_query(error);
        }
        let body = &self.io.client.input.bytes()[HEADER..total];
        let text = &*encoding::read_lossy(self.charset(), simple::read_query(body)?);
        if self.shared.moves_search_path(text) {
            self.search_path.disturb();
        }
        // In a block that has failed nothing could be asked to trust it: a script may end that, and go on.
        if !self.may_touch(text) && self.trusts_filter() {
            let (control, ddl) = first_words(text);
            return self.pass_query(total, control, ddl).await;
        }
        let body = self.copy(total);
        let text = simple::read_query(&body)?;
        let mut room = None;
        let text = self.utf8(text, &mut room);
        let decision = match &text {
            Ok(text) => self.decide(text, &[]).await,
            Err(failure) => Ok(Decision::Refuse(Box::new(failure.clone()))),
        };
        if self.skipping && matches!(decision, Ok(_) | Err(HiddenError::Skipped)) {
            // An error has come meanwhile.
            self.pass_over(total);
            return Ok(());
        }
        if !matches!(decision, Ok(Decision::Pass | Decision::Tied(_) | Decision::Ends(..))) {
            self.io.client.input.consume(total);
        }
        let text = text.unwrap_or_default();
        match decision {
            Ok(Decision::Pass) => {
                let control = Control::of(text);
                self.pass_query(total, control, is_ddl(text)).await
            }
            Ok(Decision::Tied(tie)) => self.pass_tied_query(total, tie).await,
            Ok(Decision::Ends(kind, end)) => self.end_failed(total, text, &kind, end).await,
            Ok(Decision::Text(script)) => self.pass_script(&script),
            Ok(Decision::Refuse(failure)) => self.refuse_query(&failure),
            Ok(Decision::Run(plan)) => self.run_query(&plan).await,
            Ok(Decision::Script(script)) => self.run_script(text, script).await,
            Err(error) => self.failed_query(error),
        }
    }

    /// What a failed decision means for a simple Query.
    fn failed_query(&mut self, error: HiddenError) -> Result<(), End> {
        match error {
            HiddenError::Server(response) if self.skipping => {
                // It came in the pipeline that the Query is to end.
                let response = encoding::spoken(self.charset(), response);
                self.io.client.output.push(&response);
                self.end_simple_now()
            }
            HiddenError::Server(response) => self.refuse_query_with(response),
            // So is the Query.
            HiddenError::Skipped if self.skipping => Ok(()),
            HiddenError::Skipped => self.refuse_query(&Failure::internal("the catalog could not be asked")),
            HiddenError::End(end) => Err(end),
        }
    }

    /// Takes the newest snapshot, so that a view or function made behind the gateway is seen.
    pub(super) fn follow_catalog(&mut self) {
        if !self.private
            && !self.database.is_newest(&self.snapshot)
            && let Some(newer) = self.database.newest()
        {
            self.follow_to(newer);
        }
    }

    /// Goes on with another snapshot. Where it protects more names, statements that were let pass before, and
    /// are not kept here, may mean something else by now: they are refused until they are prepared again.
    pub(super) fn follow_to(&mut self, newer: Arc<Snapshot>) {
        if !self.snapshot.filter.covers(&newer.filter) {
            self.passed_since = Some(hashbrown::HashSet::new());
        }
        self.snapshot = newer;
    }

    /// Whether a Bind must wait until it is known what its statement means today, even one that is not kept here.
    pub(super) fn judges_binds(&self) -> bool {
        self.passed_since.is_some()
            || self.expects.names_in_doubt()
            || !self.trusts_filter()
            || !(self.private || self.database.is_newest(&self.snapshot))
    }

    /// Whether a statement that is not kept here was let pass before more names were protected.
    pub(super) fn is_stale(&self, statement: &[u8]) -> bool {
        self.passed_since.as_ref().is_some_and(|since| !since.contains(statement))
    }

    /// Relays a simple Query; what transactions wrote goes with it, since it may end them.
    async fn pass_query(&mut self, total: usize, control: Option<Control>, ddl: bool) -> Result<(), End> {
        if matches!(control, Some(Control::Savepoint(_) | Control::RollbackTo(_))) {
            self.units_at_hand().await?;
            if self.skipping {
                self.pass_over(total);
                return Ok(());
            }
        }
        match &control {
            Some(Control::Savepoint(name)) => self.units.savepoint(name.clone()),
            Some(Control::RollbackTo(_) | Control::Rollback) => self.undoes_ddl(),
            _ => {}
        }
        if let Some(Control::RollbackTo(name)) = control
            && !self.units.is_empty()
        {
            self.shared.metrics.passed.increment(1);
            self.expects.push(What::Query, Show::Relay);
            self.relay_client(total);
            while self.client_rest > 0 {
                Box::pin(self.client_message()).await?;
            }
            let sent = self.expects.sent();
            self.wait_until(|s| s.expects.answered() >= sent).await?;
            self.units.rollback_to(&name);
            return Ok(());
        }
        self.passes_query(total, ddl);
        Ok(())
    }

    fn passes_query(&mut self, total: usize, ddl: bool) {
        self.shared.metrics.passed.increment(1);
        if self.units.is_empty() && !ddl {
            self.expects.push(What::Query, Show::Relay);
        } else {
            let units = self.units.take();
            self.expects.push_with(What::Query, Show::Relay, Context { units, ddl, ..Context::default() });
        }
        self.order.ends = self.expects.sent();
        self.pipeline = false;
        self.relay_client(total);
    }

    pub(super) fn refuse_query(&mut self, failure: &Failure) -> Result<(), End> {
        self.refuse_query_with(failure.response())
    }

    /// A statement that fails stands for the refused one; its error is replaced by ours.
    pub(super) fn refuse_query_with(&mut self, response: Vec<u8>) -> Result<(), End> {
        self.copy_over = true;
        self.io.server.output.append_with(super::run::failing_query);
        let units = self.units.take();
        let response = encoding::spoken(self.charset(), response);
        let context = Context { refusal: Some(response), units, ..Context::default() };
        self.expects.push_with(What::Query, Show::Rewrite, context);
        self.pipeline = false;
        Ok(())
    }

    /// Refuses at this point of a pipeline: the server skips what follows up to Sync, and so do we.
    pub(super) fn refuse_extended(&mut self, response: Vec<u8>) -> Result<(), End> {
        self.copy_over = true;
        self.io.server.output.append_with(super::run::failing_parse)?;
        let response = encoding::spoken(self.charset(), response);
        let context = Context { refusal: Some(response), ..Context::default() };
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
            HiddenError::Server(response) => self.refuse_extended(response),
            HiddenError::Skipped => Ok(()),
            HiddenError::End(end) => Err(end),
        }
    }

    async fn sync(&mut self, total: usize) -> Result<(), End> {
        if !self.order.pure {
            self.in_order(false).await?;
        }
        self.synced(total);
        Ok(())
    }

    /// The same; false where it must wait.
    fn sync_now(&mut self, total: usize) -> bool {
        let now = self.order.pure || self.is_in_order(false);
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
    match std::str::from_utf8(text) {
        Ok(text) => (Control::of(text), is_ddl(text)),
        Err(_) => (None, false),
    }
}
