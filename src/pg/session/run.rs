//! Running a plan: its statement parsed upstream, its values protected and bound, its rows held back
//! where they say whose they are.

use super::encoding;
use super::expect::{Context, Expect, Show, What};
use super::failing::FAILING_NAME;
use super::failure::Failure;
use super::hidden::{Captured, HiddenError};
use super::prepare::kept;
use super::rows::{Opener, RowError};
use super::running::Running;
use super::statements::{Known, Undo};
use super::values::Ready;
use super::{End, Made, Prepared, Session};
use crate::pg::plan::{Param, Plan, Verdict};
use crate::pg::sql::Planned;
use crate::pg::value::Format;
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::simple::{self, Target};
use crate::pg::wire::{WireError, bind, parse_msg};
use crate::protect::Mark;
use std::collections::VecDeque;
use std::sync::Arc;

/// The name of a statement in the form of its [`Plan::keep`].
const KEEPING_NAME: &[u8] = b"_paravent_keeping";

/// What no Parse takes.
const SEVERAL: &str = "SELECT 1; SELECT 1";

/// Rows of a bound INSERT that the client has not fetched yet, as it is to see them.
pub(super) struct Kept {
    rows: VecDeque<Vec<u8>>,
    /// How CommandComplete ends it.
    tag: Vec<u8>,
    /// It tells how many rows the last Execute gave, as where a portal's rows come from a store.
    counts: bool,
}

impl Session {
    /// Parse of a planned statement.
    pub(super) fn parse_plan(&mut self, name: &[u8], plan: &Arc<Plan>, made: Arc<Made>) -> Result<(), End> {
        let run = Running::text(plan, &made.declared);
        let prepared = Prepared::Run { run: Arc::clone(&run), made };
        let key = self.statement_name(name).into_owned();
        let undo = self.statements.put(&key, Known::Kept(Box::new(prepared)));
        self.send_parse(name, &run, false, undo)
    }

    /// Parse of what is not just run: it fails on the server in its own words, or has several statements.
    pub(super) fn parse_script(&mut self, name: &[u8], script: &[Planned]) -> Result<(), End> {
        match script {
            [Planned { verdict: Verdict::Fails(text), .. }] => {
                let failure = Failure::no_statement(&String::from_utf8_lossy(name));
                let text = text.clone();
                self.statements.fails(name, Prepared::Refused(failure.into()));
                self.send_failing(&text)
            }
            [Planned { verdict: Verdict::Missing(called), .. }] => {
                let failure = Failure::no_statement(called);
                let response = failure.response();
                self.statements.fails(name, Prepared::Refused(failure.into()));
                self.refuse_extended(response)
            }
            _ => {
                let missing = Failure::no_statement(&String::from_utf8_lossy(name));
                self.statements.fails(name, Prepared::Refused(missing.into()));
                self.send_failing(SEVERAL)
            }
        }
    }

    fn send_parse(
        &mut self,
        name: &[u8],
        run: &Arc<Running>,
        simple: bool,
        undo: Option<Undo>,
    ) -> Result<(), End> {
        // EXECUTE has no parameters of its own.
        let oids = if run.plan.calls.is_some() { Vec::new() } else { parameter_types(run) };
        let sql = encoding::write(self.settings.charset.as_deref(), run.plan.sql.as_bytes());
        let sql = sql.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| parse_msg::write(out, name, &sql, &oids))?;
        let expect = Expect::of(run, What::Complete, Show::Rewrite).simple(simple);
        self.expects.add(match undo {
            Some(undo) => expect.with(Context { undo: Some(undo), ..Context::default() }),
            None => expect,
        });
        self.pipeline = true;
        Ok(())
    }

    /// Parses the statement in the form in which rows of the erased stay as they are; gives its name.
    fn parse_keeping(&mut self, run: &Arc<Running>, sql: &str) -> Result<&'static [u8], End> {
        let oids = parameter_types(run);
        let sql = encoding::write(self.settings.charset.as_deref(), sql.as_bytes());
        let sql = sql.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            simple::close(out, Target::Statement(KEEPING_NAME))?;
            parse_msg::write(out, KEEPING_NAME, &sql, &oids)
        })?;
        self.expects.push(What::Complete, Show::Hide);
        self.expects.add(Expect::of(run, What::Complete, Show::Hide));
        Ok(KEEPING_NAME)
    }

    /// Sends a text that fails on the server in its own words; should it not, what follows it fails.
    pub(super) fn send_failing(&mut self, text: &str) -> Result<(), End> {
        let text = encoding::write(self.settings.charset.as_deref(), text.as_bytes());
        let text = text.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            simple::close(out, Target::Statement(FAILING_NAME))?;
            parse_msg::write(out, FAILING_NAME, &text, &[])
        })?;
        self.expects.push(What::Complete, Show::Hide);
        let run = Running::text(&Arc::default(), &Arc::from([]));
        self.expects.add(Expect::of(&run, What::Complete, Show::Rewrite).simple(true));
        let failure = Failure::internal("the statement was planned as one that fails, and did not");
        self.refuse_extended(failure.response())
    }

    /// Bind of a planned statement: protects its values first. False when it was refused.
    pub(super) async fn bind_plan(
        &mut self,
        run: &Arc<Running>,
        message: &bind::Bind<'_>,
        simple: bool,
    ) -> Result<bool, End> {
        let body = match self.evaluated(run, message).await {
            Ok(body) => body,
            Err(HiddenError::End(end)) => return Err(end),
            Err(error) => return self.failed_extended(error).map(|()| false),
        };
        let evaluated = body.as_deref().map(bind::read).transpose()?;
        let (portal, message) = (message.portal, evaluated.as_ref().unwrap_or(message));
        let declared: &[u32] = if run.plan.calls.is_some() { &[] } else { &run.declared };
        let Ready { bound, keep } = match self.protect_values(&run.plan, declared, message).await {
            Ok(ready) => ready,
            Err(HiddenError::End(end)) => return Err(end),
            Err(error) => return self.failed_extended(error).map(|()| false),
        };
        let param_formats: Vec<Format> =
            bound.iter().enumerate().map(|(i, b)| b.format(i, message)).collect();
        let text = match self.constant_text(&run.plan).await {
            Ok(text) => text,
            Err(HiddenError::End(end)) => return Err(end),
            Err(error) => return self.failed_extended(error).map(|()| false),
        };
        let called = run.plan.calls.as_ref().map(|c| encoding::write(self.charset(), c.name.as_bytes()));
        let called = called.transpose().map_err(|f| End::Fatal(Box::new(f)))?.map(|name| name.into_owned());
        let statement = match (run.plan.keep.as_ref().filter(|_| keep), text) {
            (Some(keep), _) => self.parse_keeping(run, &keep.sql)?,
            (None, Some(text)) => self.parse_keeping(run, &text)?,
            // Planned anew with its keys: a plan for any number of them would look through all for each row.
            (None, None) if !simple && !run.plan.evaluations.is_empty() => {
                self.parse_keeping(run, &run.plan.sql)?
            }
            (None, None) => called.as_deref().unwrap_or(message.statement),
        };
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            let mut writer = bind::BindWriter::begin(out, portal, statement, &param_formats)?;
            for value in &bound {
                match value.bytes(message) {
                    Some(bytes) => writer.value(bytes)?,
                    None => writer.null()?,
                }
            }
            writer.finish(&run.formats)
        })?;
        self.expects.add(Expect::of(run, What::Complete, Show::Rewrite).simple(simple));
        self.pipeline = true;
        Ok(true)
    }

    /// Execute of a planned statement.
    pub(super) async fn execute_plan(
        &mut self,
        portal: &[u8],
        run: &Arc<Running>,
        rows: i32,
        simple: bool,
    ) -> Result<(), End> {
        let plan = &run.plan;
        if let Some(kept) = self.portals.get_mut(portal).and_then(|p| p.kept.take()) {
            return self.fetch_kept(portal, kept, rows).await;
        }
        self.in_order(!plan.modifies).await?;
        if self.skipping {
            return Ok(());
        }
        match self.begin_copy(run, false).await {
            Ok(()) => {}
            Err(HiddenError::End(end)) => return Err(end),
            Err(error) => return self.failed_extended(error),
        }
        let made = match self.portals.get_mut(portal) {
            Some(portal) => portal.made.take(),
            None => self.made.take(),
        };
        if let Some(prepares) = &plan.prepares {
            return self.execute_prepare(portal, run, prepares, simple).await;
        }
        let Some(write) = plan.write.as_ref().filter(|_| run.holds_rows()) else {
            self.io.server.output.append_with(|out| simple::execute(out, portal, rows))?;
            self.begin_run(run, made, simple);
            // What its name stands for must be known before it is fetched from.
            return if plan.cursor.is_some() { self.wait_for_all().await } else { Ok(()) };
        };
        let expect = self.counted_run(run, made, simple);
        // All rows at once and held: whose they are must be durable before anything can commit.
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            simple::execute(out, portal, 0)?;
            simple::flush(out);
            Ok(())
        })?;
        self.expects.add(Expect { show: Show::Hold, ..expect });
        self.pipeline = true;
        self.captured = None;
        self.held.clear();
        self.wait_until(|s| s.captured.is_some()).await?;
        let held = std::mem::take(&mut self.held);
        match self.captured.take().map(Captured::result) {
            Some(Ok(_)) => {}
            Some(Err(HiddenError::Server(response))) => {
                let response = encoding::spoken(self.charset(), response);
                self.io.client.output.push(&response);
                return Ok(());
            }
            _ => return Ok(()),
        }
        match self.bind_rows(plan, write, &run.formats, &held).await {
            Ok(()) => {}
            Err(HiddenError::End(end)) => return Err(end),
            Err(error) => return self.failed_extended(error),
        }
        let kept = self.open_held(plan, &run.formats, &held).await;
        self.scratch.end_batch();
        let kept = kept?;
        match kept {
            Ok(kept) => self.fetch_kept(portal, kept, rows).await,
            Err(failure) => {
                self.shared.metrics.failed(failure.anchor);
                self.refuse_extended(failure.response())
            }
        }
    }

    /// An Execute of a plan goes to the server, and its rows come as they are.
    pub(super) fn begin_run(&mut self, run: &Arc<Running>, made: Option<(u64, Mark)>, simple: bool) {
        let expect = self.counted_run(run, made, simple);
        self.expects.add(expect);
        if !run.plan.outputs.is_empty() {
            self.order.rows = self.expects.sent();
        }
        self.pipeline = true;
    }

    pub(super) fn counted_run(
        &mut self,
        run: &Arc<Running>,
        made: Option<(u64, Mark)>,
        simple: bool,
    ) -> Expect {
        self.order.pure &= !run.plan.modifies;
        self.shared.metrics.protected.increment(1);
        if run.plan.sorts_by_token {
            self.shared.metrics.sorted_by_token.increment(1);
        }
        let expect = Expect::of(run, What::Execute, Show::Rewrite).simple(simple);
        match made {
            Some(_) => expect.with(Context { made, ..Context::default() }),
            None => expect,
        }
    }

    /// The rows as the client sees them, and the tag.
    async fn open_held(
        &mut self,
        plan: &Plan,
        formats: &[Format],
        held: &[u8],
    ) -> Result<Result<Kept, Failure>, End> {
        let mut kept = Kept { rows: VecDeque::new(), tag: Vec::new(), counts: !plan.swallow_rows };
        for frame in whole_frames(held) {
            if frame[0] != b'D' {
                kept.tag = frame.to_vec();
                continue;
            }
            if plan.swallow_rows {
                continue;
            }
            loop {
                let mut row = Vec::new();
                let opener = Opener { door: &self.shared.door, plan, formats, settings: &self.settings };
                match opener.row(&frame[HEADER..], &mut self.scratch, &mut self.missing, &mut row) {
                    Ok(()) => {
                        kept.rows.push_back(row);
                        break;
                    }
                    Err(RowError::Missing) => {
                        let missing = std::mem::take(&mut self.missing);
                        if let Err(error) = self.shared.door.load(&missing).await {
                            return Ok(Err(Failure::protect(&error)));
                        }
                    }
                    Err(RowError::Failure(failure)) => return Ok(Err(failure)),
                }
            }
        }
        // On record before the client sees a row.
        Ok(self.shared.door.lease().map_err(|error| Failure::protect(&error)).map(|()| kept))
    }

    /// Gives the client as many rows as it asked for, then the tag or PortalSuspended.
    async fn fetch_kept(&mut self, portal: &[u8], mut kept: Kept, rows: i32) -> Result<(), End> {
        if !self.expects.is_empty() {
            self.io.server.output.append_with(simple::flush);
            let sent = self.expects.sent();
            self.wait_until(|s| s.expects.answered() >= sent).await?;
        }
        if self.skipping {
            return Ok(());
        }
        let limit = usize::try_from(rows).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
        let mut sent = 0;
        let client = &mut self.io.client.output;
        while let Some(row) = kept.rows.pop_front_if(|_| sent < limit) {
            client.push(&row);
            sent += 1;
        }
        // As Postgres: a limit that is reached suspends, even when no row is left.
        if sent < limit && kept.counts {
            client.append_with(|out| simple::recounted(out, &kept.tag, sent))?;
        } else if sent < limit {
            client.push(&kept.tag);
        } else {
            client.append_with(simple::portal_suspended);
            if let Some(portal) = self.portals.get_mut(portal) {
                portal.kept = Some(kept);
            }
        }
        Ok(())
    }

    /// A simple Query of one planned statement.
    pub(super) async fn run_query(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        if plan.copy.is_some() {
            return self.run_copy(plan).await;
        }
        if plan.stays_simple() {
            return self.run_as_query(plan);
        }
        self.run_simple(plan).await?;
        self.end_simple().await
    }

    /// As a simple Query upstream too: one message instead of six.
    fn run_as_query(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        let sql = encoding::write(self.settings.charset.as_deref(), plan.sql.as_bytes());
        let sql = sql.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| simple::query(out, &sql))?;
        self.runs_as_query(plan);
        Ok(())
    }

    /// The same, once its text was sent.
    pub(super) fn runs_as_query(&mut self, plan: &Arc<Plan>) {
        self.begin_pipeline();
        self.shared.metrics.protected.increment(1);
        if plan.sorts_by_token {
            self.shared.metrics.sorted_by_token.increment(1);
        }
        let run = match &self.last_query {
            Some(last) if Arc::ptr_eq(&last.plan, plan) => Arc::clone(last),
            _ => Arc::clone(self.last_query.insert(Running::text(plan, &Arc::default()))),
        };
        let mut expect = Expect::of(&run, What::Query, Show::Rewrite).simple(true);
        if !self.units.is_empty() {
            expect = expect.with(Context { units: self.units.take(), ..Context::default() });
        }
        self.query_sent(expect, plan);
    }

    /// A planned Query is on its way: its answer ends with ReadyForQuery.
    pub(super) fn query_sent(&mut self, expect: Expect, plan: &Plan) {
        self.expects.add(expect);
        if !plan.outputs.is_empty() {
            self.order.rows = self.expects.sent();
        }
        self.order.ends = self.expects.sent();
        self.after_sync();
    }

    pub(super) async fn run_simple(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        self.begin_pipeline();
        let run = Running::text(plan, &Arc::default());
        self.send_parse(b"", &run, true, None)?;
        let body = empty_bind();
        let message = bind::read(&body)?;
        if self.bind_plan(&run, &message, true).await? {
            self.io.server.output.append_with(|out| simple::describe(out, Target::Portal(b"")))?;
            self.expects.add(Expect::of(&run, What::Describe, Show::Rewrite).simple(true));
            self.execute_plan(b"", &run, 0, true).await?;
        }
        Ok(())
    }

    /// The Sync that ends a simple Query.
    pub(super) async fn end_simple(&mut self) -> Result<(), End> {
        if !self.order.pure {
            self.in_order(false).await?;
        }
        self.end_simple_now()
    }

    pub(super) fn end_simple_now(&mut self) -> Result<(), End> {
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            simple::close(out, Target::Statement(b""))?;
            simple::sync(out);
            Ok(())
        })?;
        if !self.skipping {
            self.expects.push(What::Complete, Show::Hide);
        }
        // Where the Query fails the server passes the Close over: what is bound to what it left must not reach it.
        let missing = Failure::no_statement("");
        drop(self.statements.put(b"", kept(Prepared::Refused(missing.into()))));
        let units = self.units.take();
        self.expects.push_with(What::Sync, Show::Relay, Context { units, ..Context::default() });
        self.order.ends = self.expects.sent();
        self.after_sync();
        Ok(())
    }
}

/// Type OIDs that upstream is told in Parse.
fn parameter_types(run: &Running) -> Vec<u32> {
    let of = |(i, p): (usize, &Param)| match p.type_oid {
        0 => run.declared.get(i).copied().unwrap_or(0),
        oid => oid,
    };
    run.plan.params.iter().enumerate().map(of).collect()
}

/// Type OID of a result column as stored.
pub(super) fn stored_oid(plan: &Plan, column: u16) -> u32 {
    let oid = match plan.visible.and_then(|visible| column.checked_sub(visible)) {
        Some(hidden) => plan.hidden.get(usize::from(hidden)).copied(),
        None => plan.outputs.iter().find(|o| o.column == column).map(|o| o.stored_oid),
    };
    oid.unwrap_or(25)
}

/// The body of a Bind without parameters.
fn empty_bind() -> Vec<u8> {
    vec![0; 8]
}

fn whole_frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let header = frame::header(bytes, frame::LARGE).ok()??;
        let (frame, rest) = bytes.split_at_checked(header.total())?;
        bytes = rest;
        Some(frame)
    })
}

pub(super) fn frames(bytes: &[u8], tag: u8) -> impl Iterator<Item = &[u8]> {
    whole_frames(bytes).filter(move |f| f[0] == tag).map(|f| &f[HEADER..])
}
