//! Statements of the gateway's own on the client's connection, within its transaction: whose rows an
//! UPDATE will touch, what a `when` refers to, what the catalog looks like from in here.
//!
//! They use names of their own, never the unnamed statement or portal, which are the client's. Once
//! something of a pipeline was sent they are flushed, never synced: a Sync would end the client's implicit
//! transaction. Before that, a question that needs no transaction has one of its own, since the client's
//! first statement would be the second of its pipeline otherwise.

use super::encoding;
use super::expect::{Show, What};
use super::{End, Session};
use crate::pg::value::{Charset, Format};
use crate::pg::wire::row::cells;
use crate::pg::wire::simple::{self, Target};
use crate::pg::wire::{WireError, bind, parse_msg};

/// Name of the private statement and portal.
const NAME: &[u8] = b"_paravent";

/// What a hidden statement gave.
pub(super) struct Captured {
    rows: Vec<Vec<Option<String>>>,
    /// How many of these there were when each of its statements ended; and how many statements are still to end.
    ends: Vec<usize>,
    open: usize,
    /// The rows as they came, where they are wanted so.
    raw: Option<RawRows>,
    state: State,
}

/// Rows as they came: the bodies of DataRow messages.
#[derive(Default)]
pub(super) struct RawRows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// No more than so many bytes are kept; what is beyond is lost.
    limit: usize,
    lost: bool,
}

impl RawRows {
    fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn push(&mut self, body: &[u8]) {
        self.lost |= self.bytes.len() + body.len() > self.limit;
        if !self.lost {
            self.bytes.extend_from_slice(body);
            self.ends.push(self.bytes.len());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// They were too large to be kept.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    pub(super) fn get(&self, row: usize) -> Option<&[u8]> {
        let start = if row == 0 { 0 } else { *self.ends.get(row - 1)? };
        self.bytes.get(start..*self.ends.get(row)?)
    }
}

enum State {
    Open,
    Done,
    /// The server's ErrorResponse, whole.
    Failed(Vec<u8>),
    /// An earlier error of the pipeline: the server skipped it.
    Skipped,
}

/// Why a hidden statement gave no rows.
pub(super) enum HiddenError {
    /// The server refused it: this ErrorResponse stands for the client's statement.
    Server(Vec<u8>),
    /// The pipeline had failed before: the client's statement would be skipped as well.
    Skipped,
    /// The session ends.
    End(End),
}

impl From<End> for HiddenError {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<WireError> for HiddenError {
    fn from(error: WireError) -> Self {
        Self::End(error.into())
    }
}

impl Captured {
    fn in_state(state: State) -> Self {
        Self { rows: Vec::new(), ends: Vec::new(), open: 1, raw: None, state }
    }

    fn open() -> Self {
        Self::in_state(State::Open)
    }

    pub(super) fn done() -> Self {
        Self::in_state(State::Done)
    }

    pub(super) fn failed(response: Vec<u8>) -> Self {
        Self::in_state(State::Failed(response))
    }

    pub(super) fn skipped() -> Self {
        Self::in_state(State::Skipped)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    pub(super) fn row(&mut self, body: &[u8], charset: Option<&Charset>) -> Result<(), WireError> {
        if let Some(raw) = &mut self.raw {
            raw.push(body);
            return Ok(());
        }
        let mut row = Vec::new();
        for cell in cells(body)? {
            row.push(cell?.map(|range| {
                let text = encoding::read_lossy(charset, &body[range]);
                String::from_utf8_lossy(&text).into_owned()
            }));
        }
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn complete(&mut self) {
        self.ends.push(self.rows.len());
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.state = State::Done;
        }
    }

    /// The rows of each of its statements.
    fn apart(self) -> Vec<Vec<Vec<Option<String>>>> {
        let mut rows = self.rows.into_iter();
        let lengths = self.ends.iter().scan(0, |before, end| Some(end - std::mem::replace(before, *end)));
        lengths.map(|length| rows.by_ref().take(length).collect()).collect()
    }

    pub(super) fn result(self) -> Result<Vec<Vec<Option<String>>>, HiddenError> {
        self.finished().map(|captured| captured.rows)
    }

    fn finished(self) -> Result<Self, HiddenError> {
        match self.state {
            State::Done => Ok(self),
            State::Failed(response) => Err(HiddenError::Server(response)),
            State::Open | State::Skipped => Err(HiddenError::Skipped),
        }
    }
}

/// A parameter of a hidden statement.
pub(super) struct HiddenParam {
    pub oid: u32,
    pub format: Format,
    pub value: Option<Vec<u8>>,
}

impl Session {
    /// Runs a statement whose rows only the session sees; waits for them.
    pub(super) async fn hidden(
        &mut self,
        sql: &str,
        params: &[HiddenParam],
    ) -> Result<Vec<Vec<Option<String>>>, HiddenError> {
        let alone = !self.pipeline;
        self.run_hidden(&[(sql, params)], Captured::open(), alone).await.map(|captured| captured.rows)
    }

    /// Asks for what is the same in a transaction of its own: how names are found, what the catalog looks
    /// like. Where none of the pipeline's has begun it has one: for the server the second statement of a
    /// transaction in a pipeline stands in a block, in which VACUUM fails, and SET LOCAL and LOCK do not.
    pub(super) async fn ask(
        &mut self,
        sql: &str,
        params: &[HiddenParam],
    ) -> Result<Vec<Vec<Option<String>>>, HiddenError> {
        let alone = self.asks_alone().await?;
        self.run_hidden(&[(sql, params)], Captured::open(), alone).await.map(|captured| captured.rows)
    }

    /// The same of several questions, which are sent at once and lie in one transaction; gives the rows of each.
    pub(super) async fn ask_all(
        &mut self,
        questions: &[(&str, &[HiddenParam])],
    ) -> Result<Vec<Vec<Vec<Option<String>>>>, HiddenError> {
        let alone = self.asks_alone().await?;
        let capture = Captured { open: questions.len(), ..Captured::open() };
        self.run_hidden(questions, capture, alone).await.map(Captured::apart)
    }

    /// What [`Session::ask`] gives, as it came.
    pub(super) async fn ask_raw(&mut self, sql: &str) -> Result<RawRows, HiddenError> {
        let alone = self.asks_alone().await?;
        let capture = Captured { raw: Some(RawRows::new(usize::MAX)), ..Captured::open() };
        let captured = self.run_hidden(&[(sql, &[])], capture, alone).await?;
        Ok(captured.raw.unwrap_or_default())
    }

    async fn asks_alone(&mut self) -> Result<bool, End> {
        if self.in_pipeline() {
            // What was sent may end its transaction.
            self.all_answered().await?;
        }
        Ok(!self.pipeline || !self.expects.has_begun())
    }

    /// The same; gives the rows as they came, no more than so many bytes.
    pub(super) async fn hidden_rows(
        &mut self,
        sql: &str,
        params: &[HiddenParam],
        limit: usize,
    ) -> Result<RawRows, HiddenError> {
        let capture = Captured { raw: Some(RawRows::new(limit)), ..Captured::open() };
        let alone = !self.pipeline;
        let captured = self.run_hidden(&[(sql, params)], capture, alone).await?;
        Ok(captured.raw.unwrap_or_default())
    }

    async fn run_hidden(
        &mut self,
        statements: &[(&str, &[HiddenParam])],
        capture: Captured,
        alone: bool,
    ) -> Result<Captured, HiddenError> {
        if self.skipping {
            return Err(HiddenError::Skipped);
        }
        let mut texts = Vec::with_capacity(statements.len());
        for (sql, _) in statements {
            texts.push(encoding::write(self.settings.charset.as_deref(), sql.as_bytes())?.into_owned());
        }
        let left = std::mem::replace(&mut self.hidden_left, true);
        if left {
            // An earlier one failed half-way: its statement may still have the name.
            self.io.server.output.append_with(|out| simple::close(out, Target::Statement(NAME)))?;
            self.expects.push(What::Complete, Show::Hide);
        }
        self.captured = Some(capture);
        for (text, (_, params)) in texts.iter().zip(statements) {
            self.io.server.output.append_with(|out| write_hidden(out, text, params))?;
            self.expects.push(What::Complete, Show::Capture);
            self.expects.push(What::Complete, Show::Capture);
            self.expects.push(What::Execute, Show::Capture);
            self.expects.push(What::Complete, Show::Hide);
            self.expects.push(What::Complete, Show::Hide);
        }
        if alone {
            self.io.server.output.append_with(simple::sync);
            self.expects.push(What::Sync, Show::Hide);
        } else {
            self.io.server.output.append_with(simple::flush);
        }
        // Wait for the last of its answers, so that nothing of it is open when the client goes on.
        let before = self.expects.sent();
        self.wait_until(|s| s.expects.answered() >= before).await?;
        match self.captured.take() {
            Some(captured) => {
                let result = captured.finished();
                self.hidden_left = result.is_err();
                // Its answers may have come with a row that can't be shown: then nothing more is executed.
                if self.skipping && result.is_ok() { Err(HiddenError::Skipped) } else { result }
            }
            None => Err(HiddenError::Skipped),
        }
    }
}

/// Writes one statement of ours, from Parse to Close.
fn write_hidden(out: &mut Vec<u8>, text: &[u8], params: &[HiddenParam]) -> Result<(), WireError> {
    let oids: Vec<u32> = params.iter().map(|p| p.oid).collect();
    let formats: Vec<Format> = params.iter().map(|p| p.format).collect();
    parse_msg::write(out, NAME, text, &oids)?;
    let mut writer = bind::BindWriter::begin(out, NAME, NAME, &formats)?;
    for param in params {
        match &param.value {
            Some(value) => writer.value(value)?,
            None => writer.null()?,
        }
    }
    writer.finish(&[])?;
    simple::execute(out, NAME, 0)?;
    simple::close(out, Target::Portal(NAME))?;
    simple::close(out, Target::Statement(NAME))
}
