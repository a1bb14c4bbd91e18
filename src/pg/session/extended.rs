//! The extended protocol's messages that are about what was parsed: Bind, Describe, Execute.

use super::broken::{other_columns, other_count};
use super::encoding;
use super::expect::{Context, Expect, Show, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::running::Running;
use super::statements::NameChange;
use super::units::Control;
use super::{End, Made, Portal, Prepared, Session, Tie};
use crate::pg::wire::bind;
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::simple::{self, Target};
use std::sync::Arc;

impl Session {
    /// A Bind that goes on as it came; false for any other.
    pub(super) fn bind_now(&mut self, total: usize) -> Result<bool, End> {
        if self.judges_binds() {
            return Ok(false);
        }
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok(names) = bind::names(body) else { return Ok(false) };
        let (run, made) = match self.statements.get(names.statement) {
            Some(Prepared::Run { run, made })
                if run.plan.calls.is_none() && !made.moves.any() && self.holds_now(made) =>
            {
                (run, made)
            }
            Some(_) => return Ok(false),
            None => {
                self.portals.remove(names.portal);
                self.forward(total, What::Complete);
                return Ok(true);
            }
        };
        let Ok(results) = bind::read_results(body) else { return Ok(false) };
        if !run.binds_as_sent || !run.serves(results) {
            return Ok(false);
        }
        let expect = Expect::of(run, What::Complete, Show::Relay);
        let prepared = Prepared::Run { run: Arc::clone(run), made: Arc::clone(made) };
        let since = self.expects.sent();
        self.portals.insert(names.portal, Portal { prepared, made: None, kept: None, since });
        self.pipeline = true;
        self.expects.add(expect);
        self.relay_client(total);
        Ok(true)
    }

    pub(super) async fn bind(&mut self, total: usize) -> Result<(), End> {
        self.settle_names().await?;
        self.follow_catalog();
        self.settle_settings().await?;
        let rolls_back = bind::names(&self.io.client.input.bytes()[HEADER..total])
            .is_ok_and(|names| self.statements.get(names.statement).is_some_and(Prepared::rolls_back));
        let trusted = self.trust_filter(rolls_back).await;
        if self.stops(total, trusted)? {
            return Ok(());
        }
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok(names) = bind::names(body) else { return self.broken_bind(total, None) };
        let portal = names.portal.to_vec();
        self.portals.remove(&portal);
        let statement = self.statement_name(names.statement);
        let Some(prepared) = self.statements.get(&statement).cloned() else {
            if self.is_stale(&statement) {
                self.take(total);
                self.shared.metrics.refused("replan");
                return self.refuse_extended(Failure::replan().response());
            }
            self.forward(total, What::Complete);
            return Ok(());
        };
        let decided = match &prepared {
            Prepared::Run { run, made } => Some((made, Some(&*run.plan))),
            Prepared::Passed { made } => Some((made, None)),
            Prepared::Tied { made, tie: Tie::Calls(_) | Tie::Changes(NameChange::Made(..)) } => {
                Some((made, None))
            }
            _ => None,
        };
        if !self.calls_the_same(&prepared) {
            self.take(total);
            self.shared.metrics.refused("replan");
            return self.refuse_extended(Failure::replan().response());
        }
        if let Some((made, plan)) = decided {
            let holds = match self.same_path(made).await {
                Ok(true) => self.still_holds(made, plan).await,
                other => other,
            };
            match holds {
                Ok(true) => {}
                Ok(false) => {
                    if self.bind_in_failed(total, &prepared)? {
                        return Ok(());
                    }
                    self.take(total);
                    self.shared.metrics.refused("replan");
                    return self.refuse_extended(Failure::replan().response());
                }
                Err(error) => {
                    self.take(total);
                    return self.failed_extended(error);
                }
            }
            self.following.binds(made.moves);
        }
        match prepared {
            Prepared::Refused(failure) => {
                self.take(total);
                self.refuse_named(&failure)
            }
            Prepared::Control(_) | Prepared::Ddl(_) | Prepared::Tied { .. } => {
                if let Prepared::Tied { made, .. } = &prepared {
                    self.following.binds(made.moves);
                }
                let since = self.expects.sent();
                self.portals.insert(&portal, Portal { prepared, made: None, kept: None, since });
                self.forward(total, What::Complete);
                Ok(())
            }
            Prepared::Passed { .. } => {
                self.forward(total, What::Complete);
                Ok(())
            }
            Prepared::Run { run, made } => self.bind_run(total, portal, run, made).await,
        }
    }

    /// Waits until every name stands for what the server has under it: values must not be bound by another plan.
    pub(super) async fn settle_names(&mut self) -> Result<(), End> {
        if self.expects.names_in_doubt() { self.all_answered().await } else { Ok(()) }
    }

    /// Bind of a planned statement.
    async fn bind_run(
        &mut self,
        total: usize,
        portal: Vec<u8>,
        run: Arc<Running>,
        decided: Arc<Made>,
    ) -> Result<(), End> {
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok(results) = bind::read_results(body) else { return self.broken_bind(total, Some(&run)) };
        if let Some(failure) = other_count(&run.plan, body) {
            let body = self.take(total);
            return self.refuse_count(&body, &run.plan, &failure);
        }
        let other_columns = other_columns(&run.plan, results);
        let (run, another) = if run.serves(results) {
            (run, None)
        } else {
            match Running::new(&run.plan, &decided.declared, results) {
                Some(run) => (Arc::clone(&run), Some(run)),
                None => {
                    let failure = Failure::format_code(results);
                    self.take(total);
                    return self.refuse_extended(failure.response());
                }
            }
        };
        if let Some(run) = another {
            let name = self.statement_name(bind::names(body)?.statement).into_owned();
            if let Some(Prepared::Run { run: kept, .. }) = self.statements.get_mut(&name) {
                *kept = run;
            }
        }
        if run.binds_as_sent {
            self.pipeline = true;
            self.expects.add(Expect::of(&run, What::Complete, Show::Relay));
            self.relay_client(total);
        } else {
            let body = self.take(total);
            let message = bind::read(&body)?;
            if (0..message.values.len()).any(|i| message.formats.at(i).is_err()) {
                return self.refuse_extended(Failure::format_code(message.formats).response());
            }
            if !self.bind_plan(&run, &message, false).await? {
                return Ok(());
            }
            if let Some(failure) = other_columns {
                let response = encoding::spoken(self.charset(), failure.response());
                if let Some(bind) = self.expects.of_run(&run) {
                    bind.context.get_or_insert_default().refusal = Some(response);
                }
            }
        }
        let made = self.made.take();
        let (prepared, since) = (Prepared::Run { run, made: decided }, self.expects.sent());
        self.portals.insert(&portal, Portal { prepared, made, kept: None, since });
        Ok(())
    }

    pub(super) fn describe(&mut self, total: usize) -> Result<(), End> {
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok(target) = simple::read_target(body) else {
            self.forward(total, What::Describe);
            return Ok(());
        };
        if let Target::Portal(name) = target
            && let Some(run) = self.cursor_portal(name)
        {
            self.expects.add(Expect::of(&run, What::Describe, Show::Rewrite));
            self.pipeline = true;
            self.relay_client(total);
            return Ok(());
        }
        let prepared = match target {
            Target::Statement(name) => self.statements.get(&self.statement_name(name)),
            Target::Portal(name) => self.portals.get(name).map(|portal| &portal.prepared),
        };
        if let Some(Prepared::Refused(failure)) = prepared {
            // Under the name may lie what was left of something else.
            let failure = Arc::clone(failure);
            self.take(total);
            return self.refuse_named(&failure);
        }
        let Some(Prepared::Run { run, .. }) = prepared else {
            self.forward(total, What::Describe);
            return Ok(());
        };
        self.expects.add(Expect::of(run, What::Describe, Show::Rewrite));
        self.pipeline = true;
        self.relay_client(total);
        Ok(())
    }

    /// Execute of a planned statement that is sent at once; false for any other.
    pub(super) fn execute_now(&mut self, total: usize) -> Result<bool, End> {
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok((name, _)) = simple::read_execute(body) else { return Ok(false) };
        if let Some(run) = self.cursor_portal(name) {
            if !self.is_in_order(true) {
                return Ok(false);
            }
            self.begin_run(&run, None, false);
            self.relay_client(total);
            return Ok(true);
        }
        let Some(portal) = self.portals.get_mut(name) else { return Ok(self.pass_execute_now(total)) };
        let Prepared::Run { run, made } = &portal.prepared else { return Ok(false) };
        if made.alters.is_some() {
            return Ok(false);
        }
        let run = Arc::clone(run);
        let plan = &run.plan;
        let waits = plan.copy.is_some() || plan.prepares.is_some() || plan.cursor.is_some();
        if portal.kept.is_some() || run.holds_rows() || waits || !self.is_in_order(!run.plan.modifies) {
            return Ok(false);
        }
        let made = self.portals.get_mut(name).and_then(|portal| portal.made.take());
        self.begin_run(&run, made, false);
        self.relay_client(total);
        Ok(true)
    }

    /// Whether a message ends here: the server passes it over, or what had to be known before it could not be.
    fn stops(&mut self, total: usize, known: Result<(), HiddenError>) -> Result<bool, End> {
        if self.skipping {
            self.pass_over(total);
            return Ok(true);
        }
        if let Err(error) = known {
            self.take(total);
            self.failed_extended(error)?;
            return Ok(true);
        }
        Ok(false)
    }

    pub(super) async fn execute(&mut self, total: usize) -> Result<(), End> {
        if !self.following.is_settled() {
            self.settle_settings().await?;
        }
        // It may have been bound a while ago.
        let rolls_back = simple::read_execute(&self.io.client.input.bytes()[HEADER..total])
            .is_ok_and(|(name, _)| self.portals.get(name).is_some_and(|p| p.prepared.rolls_back()));
        let trusted = self.trust_filter(rolls_back).await;
        if self.stops(total, trusted)? {
            return Ok(());
        }
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok((name, rows)) = simple::read_execute(body) else {
            self.forward(total, What::Execute);
            return Ok(());
        };
        let name = name.to_vec();
        if let Some(run) = self.cursor_portal(&name) {
            self.in_order(true).await?;
            if self.skipping {
                self.pass_over(total);
                return Ok(());
            }
            self.begin_run(&run, None, false);
            self.relay_client(total);
            return Ok(());
        }
        let Some(prepared) = self.portals.get(&name).map(|portal| portal.prepared.clone()) else {
            return self.pass_execute(total).await;
        };
        if !matches!(prepared, Prepared::Run { .. }) {
            self.in_order(false).await?;
            if self.skipping {
                self.pass_over(total);
                return Ok(());
            }
            self.order.pure = false;
        }
        match prepared {
            Prepared::Run { run, made } => {
                if let Some(change) = made.alters {
                    self.dirty = true;
                    self.changes(change);
                    self.woken.done(&name);
                }
                self.take(total);
                self.execute_plan(&name, &run, rows, false).await
            }
            Prepared::Control(control) => {
                self.shared.metrics.passed.increment(1);
                self.execute_control(total, control).await
            }
            Prepared::Ddl(change) => {
                self.dirty = true;
                self.changes(change);
                self.woken.done(&name);
                self.shared.metrics.passed.increment(1);
                self.expects.push_with(
                    What::Execute,
                    Show::Relay,
                    Context { ddl: true, ..Context::default() },
                );
                self.pipeline = true;
                self.relay_told(total).await
            }
            Prepared::Tied { tie, .. } => self.execute_tied(total, tie).await,
            Prepared::Passed { .. } | Prepared::Refused(_) => {
                self.forward(total, What::Execute);
                Ok(())
            }
        }
    }

    async fn execute_control(&mut self, total: usize, control: Control) -> Result<(), End> {
        self.units_at_hand().await?;
        if self.skipping {
            self.pass_over(total);
            return Ok(());
        }
        if matches!(control, Control::RollbackTo(_) | Control::Rollback) {
            self.undoes_ddl();
        }
        match control {
            Control::Savepoint(name) => {
                self.units.savepoint(name);
                self.forward(total, What::Execute);
            }
            Control::RollbackTo(name) if !self.units.is_empty() => {
                self.forward(total, What::Execute);
                while self.client_rest > 0 {
                    Box::pin(self.client_message()).await?;
                }
                self.io.server.output.append_with(simple::flush);
                let sent = self.expects.sent();
                self.wait_until(|s| s.expects.answered() >= sent).await?;
                if !self.skipping {
                    self.units.rollback_to(&name);
                }
            }
            Control::RollbackTo(_) => self.forward(total, What::Execute),
            Control::Commit | Control::Rollback | Control::Unclear(_) => {
                self.prepares(&control);
                let units = self.units.take();
                self.expects.push_with(What::Execute, Show::Relay, Context { units, ..Context::default() });
                self.order.ends = self.expects.sent();
                self.pipeline = true;
                self.relay_told(total).await?;
            }
        }
        Ok(())
    }

    /// Relays an Execute that may commit what others must hear of: its answer is not to wait for the rest of the pipeline.
    async fn relay_told(&mut self, total: usize) -> Result<(), End> {
        if !self.must_tell() {
            self.relay_client(total);
            return Ok(());
        }
        self.relay_rest(total).await?;
        self.io.server.output.append_with(simple::flush);
        Ok(())
    }
}
