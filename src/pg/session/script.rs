//! A simple Query of several statements.

use super::encoding;
use super::expect::{Context, Expect, Show, What};
use super::failure::Failure;
use super::plan::Script;
use super::running::Running;
use super::{End, Session};
use crate::pg::plan::Verdict;
use crate::pg::sql::{self, Planned, StatementKind};
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::simple::{self, Target};
use crate::pg::wire::{WireError, bind, parse_msg};
use std::sync::Arc;

impl Session {
    /// Relays a script in a text of ours.
    pub(super) fn pass_script(&mut self, script: &Script) -> Result<(), End> {
        if script.undoes {
            self.undoes_ddl();
        }
        let sql = encoding::write(self.settings.charset.as_deref(), script.plan.sql.as_bytes());
        let sql = sql.map_err(|f| End::Fatal(Box::new(f)))?;
        self.shared.metrics.passed.increment(1);
        self.io.server.output.append_with(|out| simple::query(out, &sql))?;
        let run = Running::text(&script.plan, &Arc::default());
        let context = Context { units: self.units.take(), ddl: script.ddl, ..Context::default() };
        self.expects.add(Expect::of(&run, What::Query, Show::Relay).with(context));
        self.order.ends = self.expects.sent();
        self.pipeline = false;
        Ok(())
    }

    /// A script whose first statement ends a failed block, or goes back in it: that is run, and what follows it is left in
    /// the client's buffer, to be decided on as a Query of its own.
    pub(super) async fn end_failed(
        &mut self,
        total: usize,
        text: &str,
        kind: &StatementKind,
        end: usize,
    ) -> Result<(), End> {
        let (first, ascii) = (&text[..end], text[..end].is_ascii());
        if self.settings.charset.is_some() && !ascii {
            // Where it ends in the client's encoding is not known.
            self.io.client.input.consume(total);
            return self.refuse_query(&Failure::internal("the transaction has failed"));
        }
        let kind = match kind {
            StatementKind::PrepareTransaction => &StatementKind::Rollback,
            other => other,
        };
        self.run_plain(first, &Planned::passed(0..end, kind.clone())).await?;
        self.wait_for_all().await?;
        if self.skipping {
            self.io.client.input.consume(total);
            return self.end_simple().await;
        }
        self.io.server.output.append_with(simple::sync);
        self.expects.push(What::Sync, Show::Hide);
        self.after_sync();
        self.all_answered().await?;
        if let Some(first) = self.io.client.input.bytes_mut().get_mut(HEADER..=HEADER + end) {
            first.fill(b' ');
        }
        Ok(())
    }

    /// A simple Query of several statements, all of them decided: one pipeline, one transaction.
    pub(super) async fn run_script(&mut self, text: &str, script: Vec<Planned>) -> Result<(), End> {
        let block = self.begin_block(text).await?;
        for statement in script {
            if self.skipping {
                break;
            }
            match &statement.verdict {
                Verdict::Run(plan) => self.run_simple(plan).await?,
                Verdict::Fails(sql) => self.send_failing(sql)?,
                Verdict::Missing(name) => self.refuse_extended(Failure::no_statement(name).response())?,
                _ => self.run_plain(text, &statement).await?,
            }
        }
        if block { self.end_block().await } else { self.end_simple().await }
    }

    /// A statement of a script that touches nothing protected.
    async fn run_plain(&mut self, script: &str, statement: &Planned) -> Result<(), End> {
        let (text, kind) = (&script[statement.range.clone()], &statement.kind);
        let before = script[..statement.range.start].chars().count();
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        self.begin_pipeline();
        self.in_order(false).await?;
        if self.skipping {
            return Ok(());
        }
        self.order.pure = false;
        if text.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("copy")) {
            self.shared.metrics.refused("copy");
            let failure = Failure::new(
                "0A000",
                "copy",
                "paravent: COPY in one Query with protected statements",
                "send the COPY by itself",
            );
            return self.refuse_extended(failure.response());
        }
        if super::units::is_control(kind) {
            self.units_at_hand().await?;
            if self.skipping {
                return Ok(());
            }
        }
        if matches!(kind, StatementKind::RollbackTo(_) | StatementKind::Rollback) {
            self.undoes_ddl();
        }
        let mut units = super::units::Units::default();
        match kind {
            StatementKind::Commit | StatementKind::Rollback => units = self.units.take(),
            StatementKind::PrepareTransaction => {
                self.units.prepares(sql::prepared_name(text));
                units = self.units.take();
            }
            StatementKind::Savepoint(name) => self.units.savepoint(name.to_string()),
            _ => {}
        }
        self.shared.metrics.passed.increment(1);
        let text = encoding::write(self.settings.charset.as_deref(), text.as_bytes());
        let text = text.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            parse_msg::write(out, b"", &text, &[])?;
            bind::BindWriter::begin(out, b"", b"", &[])?.finish(&[])?;
            simple::describe(out, Target::Portal(b""))?;
            simple::execute(out, b"", 0)
        })?;
        let quiet = |what| Expect { what, show: Show::Rewrite, simple: true, run: None, context: None };
        for _ in 0..2 {
            self.expects.add(quiet(What::Complete).with(Context { before, ..Context::default() }));
        }
        self.expects.add(quiet(What::Describe));
        let ddl = matches!(kind, StatementKind::Ddl);
        let change = self.change_of(script, &[], statement);
        let declares = self.hidden_cursors(std::iter::once(statement));
        let changes = change.is_some() || !declares.is_empty();
        self.expects.add(quiet(What::Execute).with(Context {
            units,
            ddl,
            change,
            declares,
            before,
            ..Context::default()
        }));
        self.pipeline = true;
        if matches!(kind, StatementKind::Commit) && self.must_tell() {
            self.io.server.output.append_with(simple::flush);
        }
        if changes {
            return self.wait_for_all().await;
        }
        if let StatementKind::RollbackTo(name) = kind {
            self.io.server.output.append_with(simple::flush);
            let sent = self.expects.sent();
            self.wait_until(|s| s.expects.answered() >= sent).await?;
            if !self.skipping {
                self.units.rollback_to(name);
            }
        }
        Ok(())
    }
}
