//! COPY FROM: the client's stream cut into rows, their values protected, a batch at a time: one commit of the
//! keystore serves many rows, and what they need is durable before any of them goes to the server.

use super::copy_out::data;
use super::copy_pass::unexpected;
use super::encoding;
use super::expect::{Context, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::params::nobody;
use super::running::Running;
use super::subject;
use super::whose::Whose;
use super::{End, Session};
use crate::clear::Clear;
use crate::ids::Subject;
use crate::pg::catalog::Ids;
use crate::pg::copy::{Cell, Options, Reader, Style};
use crate::pg::plan::{Copy, CopyField, CopyFrom, CopySubject, Plan, WhenTest};
use crate::pg::value::Charset;
use crate::pg::wire::error::{self, Report};
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::simple;
use crate::protect::{Item, Owner, Stored};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use zeroize::Zeroizing;

mod rows;

/// Bytes that are collected before their rows are.
const BYTES: usize = 64 * 1024;
/// What the server is told where the gateway, or the client, gives up.
const FAILED: &[u8] = b"the COPY was ended before its data";

/// A COPY FROM whose rows are coming.
pub(super) struct CopyIn {
    run: Arc<Running>,
    options: Options,
    charset: Option<Arc<Charset>>,
    reader: Reader,
    /// What came and was not cut yet.
    held: Zeroizing<Vec<u8>>,
    /// The server has asked for the data.
    begun: bool,
    /// It came as a simple Query: its end may be the transaction's.
    simple: bool,
    /// Where ids are drawn from, and those that are left.
    ids: Option<Ids>,
    drawn: VecDeque<String>,
    /// What the column that `when` tests must equal; none: it holds in no row.
    equals: Option<String>,
}

/// A row that waits for what is stored in place of its values.
struct Row {
    /// Where it begins, its end without the line's, and its end.
    from: usize,
    content: usize,
    total: usize,
    cells: Vec<Cell>,
    whose: Whose,
}

/// What a step through the data gave.
enum Step {
    /// Nothing more is whole.
    Over,
    /// There may be more.
    Full,
}

impl CopyIn {
    fn copy(&self) -> Option<(&Copy, &CopyFrom)> {
        let copy = self.run.plan.copy.as_deref()?;
        Some((copy, copy.from.as_ref()?))
    }

    /// Takes bytes of the client; whether there are enough to be protected.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> bool {
        self.held.extend_from_slice(bytes);
        self.held.len() >= BYTES
    }

    /// The server asks for the data.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether it has.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether it is of this statement.
    pub(super) fn is_of(&self, run: &Arc<Running>) -> bool {
        Arc::ptr_eq(&self.run, run)
    }
}

impl Session {
    /// Prepares for the data of a COPY FROM, before the statement is sent.
    pub(super) async fn begin_copy(&mut self, run: &Arc<Running>, simple: bool) -> Result<(), HiddenError> {
        let Some(copy) = &run.plan.copy else { return Ok(()) };
        let Some(from) = &copy.from else { return Ok(()) };
        let equals = match &from.when {
            None => None,
            Some((_, _, WhenTest::Literal(text))) => Some(text.to_string()),
            Some((_, _, WhenTest::Query(sql))) => {
                let rows = self.hidden(sql, &[]).await?;
                rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten()
            }
        };
        let ids = match from.subject {
            CopySubject::Drawn => Some(self.copy_ids(from).await?),
            _ => None,
        };
        let settings = self.copy_settings(&copy.options);
        let null = encoding::write(settings.charset.as_deref(), &copy.options.null)?;
        self.copy_in = Some(Box::new(CopyIn {
            run: Arc::clone(run),
            options: copy.options.encoded(&null),
            // Texts in the binary format are in the session's encoding, whatever ENCODING says.
            charset: if copy.options.style == Style::Binary {
                self.settings.charset.clone()
            } else {
                settings.charset
            },
            reader: Reader::default(),
            held: Zeroizing::default(),
            begun: false,
            simple,
            ids,
            drawn: VecDeque::new(),
            equals,
        }));
        Ok(())
    }

    /// Where the ids of a COPY without them come from.
    async fn copy_ids(&self, from: &CopyFrom) -> Result<Ids, Failure> {
        let found = self.database.ids((&from.table.0, &from.table.1), &from.subject_column).await;
        match found {
            Ok(Some(ids)) => Ok(ids),
            Ok(None) => Err(Failure::new(
                "0A000",
                "copy-ids",
                format!(
                    "paravent: COPY into {} without its subject column {}, whose ids can't be drawn beforehand",
                    from.table.1, from.subject_column
                ),
                "give the column in the data, or make it an identity column and commit that first",
            )),
            Err(error) => Err(self.no_ids(&error, from)),
        }
    }

    fn no_ids(&self, error: &io::Error, from: &CopyFrom) -> Failure {
        tracing::warn!(%error, table = %from.table.1, "ids could not be drawn");
        let role = self.database.own_role();
        let hint = if error.kind() == io::ErrorKind::PermissionDenied {
            format!("GRANT USAGE on its sequence to {role}, or give the column in the data")
        } else {
            "the gateway's own login must reach the database; see its log".to_owned()
        };
        let message =
            format!("paravent: ids for {}.{} could not be drawn", from.table.1, from.subject_column);
        Failure::new("0A000", "copy-ids", message, hint)
    }

    /// The rows that are whole go on to the server. `end`: no more will come.
    pub(super) async fn copy_rows(&mut self, end: bool) -> Result<(), End> {
        self.wait_until(|s| s.copy_in.as_ref().is_none_or(|c| c.has_begun())).await?;
        let Some(mut copy) = self.copy_in.take() else { return Ok(()) };
        let done = self.convert(&mut copy, end).await;
        self.copy_in = Some(copy);
        match done {
            Ok(()) => Ok(()),
            Err(failure) => {
                self.shared.metrics.failed(failure.anchor);
                self.fail_copy(failure.response())
            }
        }
    }

    async fn convert(&mut self, copy: &mut CopyIn, end: bool) -> Result<(), Failure> {
        loop {
            let mut out = Vec::new();
            let mut rows = Vec::new();
            let (at, step) = copy.cut(end, &mut rows, &mut out)?;
            self.copy_batch(copy, &mut rows, &mut out).await?;
            copy.held.drain(..at);
            if !out.is_empty() {
                let sent = self.io.server.output.append_with(|to| data(to, &out));
                sent.map_err(|e| Failure::malformed(&e))?;
            }
            if matches!(step, Step::Over) {
                break;
            }
        }
        if copy.held.len() > self.copy_limit() {
            return Err(Failure::too_large(self.shared.limits.message_bytes));
        }
        Ok(())
    }

    fn copy_limit(&self) -> usize {
        usize::try_from(self.shared.limits.message_bytes).unwrap_or(usize::MAX)
    }

    /// Protects a batch of rows and appends them to `out`.
    async fn copy_batch(
        &mut self,
        copy: &mut CopyIn,
        rows: &mut [Row],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let run = Arc::clone(&copy.run);
        let Some(from) = run.plan.copy.as_ref().and_then(|c| c.from.as_ref()) else { return Ok(()) };
        let mut drawn = Vec::new();
        if let Some(ids) = &copy.ids {
            if copy.drawn.len() < rows.len() {
                let more = self.database.draw(ids, rows.len() - copy.drawn.len()).await;
                copy.drawn.extend(more.map_err(|e| self.no_ids(&e, from))?);
            }
            for row in &mut *rows {
                let id = copy.drawn.pop_front().ok_or_else(|| Failure::internal("an id is missing"))?;
                let id = subject::canonical(from.subject_oid, &id)
                    .ok_or_else(|| Failure::internal("an id does not fit its column"))?;
                if matches!(row.whose, Whose::Returned) {
                    row.whose = Whose::Known(Subject::new(from.class.clone(), id.as_str()));
                }
                drawn.push(id);
            }
        }
        let values = self.copy_values(copy, rows, &from.fields)?;
        let items: Vec<Item<'_>> = values
            .iter()
            .filter_map(|(row, field, value)| match &rows[*row].whose {
                Whose::Known(subject) => {
                    Some(Item { field: field.field, owner: Owner::Known(subject), value })
                }
                _ => None,
            })
            .collect();
        if items.len() != values.len() {
            return Err(nobody());
        }
        let mut stored = self.copy_protect(&items).await?.into_iter();
        for (at, row) in rows.iter().enumerate() {
            let id = drawn.get(at).map(|id| (id.as_str(), from.subject_oid));
            copy.write(row, &from.fields, &mut stored, id, out)?;
        }
        Ok(())
    }

    /// The values that are to be protected, in order: number of the row, field, value.
    fn copy_values<'f>(
        &self,
        copy: &CopyIn,
        rows: &[Row],
        fields: &'f [CopyField],
    ) -> Result<Vec<(usize, &'f CopyField, Clear)>, Failure> {
        let mut values = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            if matches!(row.whose, Whose::Unprotected) {
                continue;
            }
            for field in fields {
                let cell = row.cells.get(usize::from(field.column)).filter(|c| !c.null);
                let Some(cell) = cell else { continue };
                if matches!(row.whose, Whose::Nobody) {
                    return Err(nobody());
                }
                let bytes = copy.value(&copy.held[row.from..][cell.raw.clone()])?;
                let value = self.clear(field.field, &bytes, copy.format(), 0)?;
                values.push((at, field, value));
            }
        }
        Ok(values)
    }

    async fn copy_protect(&mut self, items: &[Item<'_>]) -> Result<Vec<Stored>, Failure> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let (door, database) = (self.shared.door.clone(), self.database.name().to_owned());
        let unit = self.units.current(|| door.unit(&database));
        self.writes += 1;
        unit.protect(items).await.map_err(|e| Failure::protect(&e))
    }

    /// CopyDone: the last rows, and the end.
    pub(super) async fn copy_done(&mut self, total: usize) -> Result<(), End> {
        self.io.client.input.consume(total);
        self.copy_rows(true).await?;
        if self.copy_in.is_some() {
            self.end_copy();
            self.io.server.output.append_with(|out| {
                let begun = frame::begin(out, b'c');
                frame::finish(out, begun)
            })?;
        }
        Ok(())
    }

    /// CopyFail: the server is told no more than that; its error gets the client's words back.
    pub(super) async fn copy_fail(&mut self, total: usize) -> Result<(), End> {
        let body = self.take(total);
        self.wait_until(|s| s.copy_in.as_ref().is_none_or(|c| c.has_begun())).await?;
        if self.copy_in.is_none() {
            return Ok(());
        }
        let words = body.split(|b| *b == 0).next().unwrap_or_default();
        let words = encoding::read_lossy(self.charset(), words);
        let message = format!("COPY from stdin failed: {}", String::from_utf8_lossy(&words));
        let mut response = Vec::new();
        error::write(&mut response, &Report { code: "57014", message: &message, ..Report::default() });
        self.fail_copy(response)
    }

    /// Ends the COPY on the server; its error is replaced by this response.
    fn fail_copy(&mut self, response: Vec<u8>) -> Result<(), End> {
        let response = encoding::spoken(self.charset(), response);
        if let Some(copy) = &self.copy_in
            && let Some(expect) = self.expects.of_run(&copy.run)
        {
            expect.context.get_or_insert_default().refusal = Some(response);
        }
        self.end_copy();
        self.io.server.output.append_with(|out| {
            let begun = frame::begin(out, b'f');
            frame::cstr(out, FAILED);
            frame::finish(out, begun)
        })?;
        Ok(())
    }

    /// No more data goes to the server: what comes still is dropped. A simple Query ends its transaction by
    /// itself, so what was written goes with its answer.
    pub(super) fn end_copy(&mut self) {
        self.copy_over = true;
        let Some(copy) = self.copy_in.take() else { return };
        if !copy.simple {
            return;
        }
        let units = self.units.take();
        if let Some(expect) = self.expects.of_run(&copy.run).filter(|e| e.what == What::Query) {
            expect.context.get_or_insert_default().units.put_back(units);
        } else {
            self.units.put_back(units);
        }
    }

    /// The COPY that waits for data, where this statement is it or was skipped, has failed.
    pub(super) fn copy_failed(&mut self) {
        let Some(copy) = &self.copy_in else { return };
        let run = Arc::clone(&copy.run);
        let at_front = self.expects.front().and_then(|e| e.run.as_ref()).is_some_and(|r| copy.is_of(r));
        if at_front || self.expects.of_run(&run).is_none() {
            self.end_copy();
        }
    }

    /// A simple Query of one COPY of a protected table.
    pub(super) async fn run_copy(&mut self, plan: &Arc<Plan>) -> Result<(), End> {
        let run = Running::text(plan, &Arc::default());
        let text = match self.constant_text(plan).await {
            Ok(text) => match self.begin_copy(&run, true).await {
                Ok(()) => Ok(text),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let text = match text {
            Ok(text) => text,
            Err(HiddenError::End(end)) => return Err(end),
            Err(HiddenError::Server(response)) => return self.fail_query(response, true),
            Err(HiddenError::Skipped) => {
                return self.refuse_query(&Failure::internal("the COPY was skipped"));
            }
        };
        let sql = text.as_deref().unwrap_or(&plan.sql);
        self.begin_pipeline();
        self.shared.metrics.protected.increment(1);
        let sql = encoding::write(self.settings.charset.as_deref(), sql.as_bytes());
        let sql = sql.map_err(|f| End::Fatal(Box::new(f)))?;
        self.io.server.output.append_with(|out| simple::query(out, &sql))?;
        let mut expect =
            super::expect::Expect::of(&run, What::Query, super::expect::Show::Rewrite).simple(true);
        if self.copy_in.is_none() && !self.units.is_empty() {
            expect = expect.with(Context { units: self.units.take(), ..Context::default() });
        }
        self.query_sent(expect, plan);
        Ok(())
    }
}

/// What the client's data messages are, while a COPY of a protected table runs or just ran.
pub(super) enum CopyMessage {
    /// No part of it.
    No,
    /// Data: it is collected.
    Data,
    /// It ends the data: must be read whole.
    End,
    /// Dropped.
    Drop,
}

impl Session {
    /// What a message is to the COPY.
    pub(super) fn copy_message(&mut self, tag: u8) -> Result<CopyMessage, End> {
        let Some(copy) = &self.copy_in else {
            // A COPY that failed, was refused or is over: what comes still must not reach the server.
            self.copy_over &= self.skipping || !matches!(tag, b'Q' | b'E' | b'F');
            let data = matches!(tag, b'd' | b'c' | b'f') && self.copy_over;
            return Ok(if data { CopyMessage::Drop } else { CopyMessage::No });
        };
        match tag {
            b'd' => Ok(CopyMessage::Data),
            b'c' | b'f' => Ok(CopyMessage::End),
            // The server passes them over once it waits for data.
            b'S' | b'H' if copy.has_begun() => Ok(CopyMessage::Drop),
            b'S' | b'H' | b'X' => Ok(CopyMessage::No),
            _ => Err(unexpected(tag)),
        }
    }

    /// Drops the header of a data message: what follows is collected.
    pub(super) fn feed_copy(&mut self, total: usize) {
        self.io.client.input.consume(HEADER);
        self.client_rest = total - HEADER;
        self.feeding = true;
    }
}
