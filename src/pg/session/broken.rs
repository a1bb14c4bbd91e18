//! Messages of the client whose bodies don't read, or don't fit their statement. As on the server they are errors that a
//! session survives: it is sent a message of the same kind that fails at the same point, and says so in its own words.
//! What holds text or values holds none of the client's then; Describe, Close and Execute, which hold names alone, go
//! as they came.

use super::expect::{Context, Expect, Show, What};
use super::failure::Failure;
use super::running::Running;
use super::{End, Prepared, Session, encoding};
use crate::pg::plan::Plan;
use crate::pg::wire::bind::{self, Formats};
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::simple::Status;
use crate::pg::wire::{WireError, frame};
use std::sync::Arc;

/// A Bind with another number of values than its statement has parameters. That is for the gateway to say: on the
/// server the statement may have others.
pub(super) fn other_count(plan: &Plan, body: &[u8]) -> Option<Failure> {
    // EXECUTE has arguments of its own.
    let needed = if plan.calls.is_some() { 0 } else { plan.client_params.len() };
    let sent = bind::count(body).filter(|sent| *sent != needed)?;
    let statement = bind::names(body).map_or(&b""[..], |names| names.statement);
    Some(Failure::parameters(sent, &String::from_utf8_lossy(statement), needed))
}

/// The same, of the formats of the results: what the server's own error must say where it counts hidden columns too.
pub(super) fn other_columns(plan: &Plan, results: Formats<'_>) -> Option<Failure> {
    if plan.hidden.is_empty() {
        return None;
    }
    let columns = plan.visible.map(usize::from).filter(|_| !plan.swallow_rows)?;
    (results.len() > 1 && results.len() != columns).then(|| Failure::result_formats(results.len(), columns))
}

impl Session {
    /// Refuses a Bind that doesn't fit its statement, where the server finds that out.
    pub(super) fn refuse_count(&mut self, body: &[u8], plan: &Plan, failure: &Failure) -> Result<(), End> {
        self.copy_over = true;
        // EXECUTE has no parameters there either.
        let params = if plan.calls.is_some() { 0 } else { plan.params.len() };
        self.io.server.output.append_with(|out| bind::miscounted(out, body, params))?;
        let response = encoding::spoken(self.charset(), failure.response());
        let context = Context { refusal: Some(response), ..Context::default() };
        self.expects.push_with(What::Complete, Show::Rewrite, context);
        self.pipeline = true;
        self.skipping = true;
        Ok(())
    }

    /// Bind; `run`: of a planned statement.
    pub(super) fn broken_bind(&mut self, total: usize, run: Option<&Arc<Running>>) -> Result<(), End> {
        let body = self.take(total);
        let params = run.map_or(0, |run| run.plan.params.len());
        if let Some(run) = run
            && let Some(failure) = other_count(&run.plan, &body)
        {
            return self.refuse_count(&body, &run.plan, &failure);
        }
        self.io.server.output.append_with(|out| bind::failing(out, &body, params))?;
        self.fails_on_server();
        Ok(())
    }

    /// Bind in a block that has failed: the server looks whether it reads, up to the count of its values, before it tells of
    /// the block. Whether it was refused for that.
    pub(super) fn bind_in_failed(&mut self, total: usize, prepared: &Prepared) -> Result<bool, End> {
        let Prepared::Run { run, .. } = prepared else { return Ok(false) };
        if self.status != Status::Failed {
            return Ok(false);
        }
        let body = &self.io.client.input.bytes()[HEADER..total];
        if bind::read_results(body).is_err() || other_count(&run.plan, body).is_some() {
            self.broken_bind(total, Some(run))?;
            return Ok(true);
        }
        Ok(false)
    }

    pub(super) fn broken_parse(&mut self, total: usize, error: WireError) -> Result<(), End> {
        if self.skipping {
            self.pass_over(total);
            return Ok(());
        }
        self.take(total);
        let body: &[u8] = match error {
            WireError::Unterminated(_) => b"",
            WireError::Trailing(_) => b"\0\0\0\0\0",
            _ => b"\0\0",
        };
        self.io.server.output.append_with(|out| append(out, b'P', body))?;
        self.fails_on_server();
        Ok(())
    }

    fn fails_on_server(&mut self) {
        // Rewritten, since its context would tell of parameters that are not the client's.
        let run = Running::text(&Arc::default(), &Arc::from([]));
        self.expects.add(Expect::of(&run, What::Complete, Show::Rewrite));
        self.pipeline = true;
    }

    /// A simple Query, which ReadyForQuery follows.
    pub(super) async fn broken_query(&mut self, total: usize) -> Result<(), End> {
        self.in_order(false).await?;
        if self.skipping {
            self.pass_over(total);
            return Ok(());
        }
        let body: &[u8] = if self.take(total).contains(&0) { b"\0\0" } else { b"" };
        self.io.server.output.append_with(|out| append(out, b'Q', body))?;
        let units = self.units.take();
        self.expects.push_with(What::Query, Show::Relay, Context { units, ..Context::default() });
        self.pipeline = false;
        Ok(())
    }
}

fn append(out: &mut Vec<u8>, tag: u8, body: &[u8]) -> Result<(), WireError> {
    let begun = frame::begin(out, tag);
    out.extend_from_slice(body);
    frame::finish(out, begun)
}
