//! The simple Query: relayed, planned, or refused.

use super::client::{first_words, names_anew};
use super::encoding;
use super::expect::{Context, Show, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::plan::Decision;
use super::units::{Control, is_ddl, may_commit_within};
use super::{End, Session};
use crate::pg::plan::Plan;
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::simple;
use std::sync::Arc;

impl Session {
    /// A simple Query that is passed, or planned already; false where it must wait.
    pub(super) fn query_now(&mut self, total: usize) -> Result<bool, End> {
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
        if control.is_some() || may_commit_within(text, self.must_tell()) {
            return Ok(false);
        }
        if ddl {
            self.changes(self.change(false, names_anew(text)));
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
    pub(super) async fn query(&mut self, total: usize) -> Result<(), End> {
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
        self.settle_settings().await?;
        let rolls_back = simple::read_query(&self.io.client.input.bytes()[HEADER..total])
            .is_ok_and(|text| first_words(text).0 == Some(Control::Rollback));
        let trusted = self.trust_filter(rolls_back).await;
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
        let alone = !may_commit_within(text, self.must_tell());
        if alone && !self.may_touch(text) && self.trusts_filter() {
            let (control, ddl) = first_words(text);
            if ddl {
                self.changes(self.change(false, names_anew(text)));
            }
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
        if decision.is_ok() {
            self.following.binds(self.moves);
        }
        if self.skipping && matches!(decision, Ok(_) | Err(HiddenError::Skipped)) {
            // An error has come meanwhile.
            self.pass_over(total);
            return Ok(());
        }
        if !matches!(decision, Ok(Decision::Pass | Decision::Tied(_) | Decision::Ends(..))) {
            self.io.client.input.consume(total);
        }
        let text = text.unwrap_or_default();
        if let Some(change) =
            self.alters.take().filter(|_| !matches!(decision, Ok(Decision::Refuse(_)) | Err(_)))
        {
            self.dirty = true;
            self.changes(change);
        }
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
            HiddenError::Server(response) => self.fail_query(response, true),
            // So is the Query.
            HiddenError::Skipped if self.skipping => Ok(()),
            HiddenError::Skipped => self.refuse_query(&Failure::internal("the catalog could not be asked")),
            HiddenError::End(end) => Err(end),
        }
    }

    /// Relays a simple Query; what transactions wrote goes with it, since it may end them.
    async fn pass_query(&mut self, total: usize, control: Option<Control>, ddl: bool) -> Result<(), End> {
        if control.is_some() {
            self.units_at_hand().await?;
            if self.skipping {
                self.pass_over(total);
                return Ok(());
            }
        }
        match &control {
            Some(Control::Savepoint(name)) => self.units.savepoint(name.clone()),
            Some(Control::RollbackTo(_) | Control::Rollback) => self.undoes_ddl(),
            Some(control) => self.prepares(control),
            None => {}
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
        self.fail_query(failure.response(), false)
    }

    /// A statement that fails stands for the refused one; its error is replaced by ours. See [`Context::stands`].
    pub(super) fn fail_query(&mut self, response: Vec<u8>, stands: bool) -> Result<(), End> {
        self.copy_over = true;
        self.io.server.output.append_with(|out| super::failing::failing_query_for(&response, out));
        let units = self.units.take();
        let response = encoding::spoken(self.charset(), response);
        let context = Context { refusal: Some(response), stands, units, ..Context::default() };
        self.expects.push_with(What::Query, Show::Rewrite, context);
        self.pipeline = false;
        Ok(())
    }
}
