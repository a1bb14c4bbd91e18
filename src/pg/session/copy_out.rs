//! COPY TO: the server's stream cut into rows, their protected values opened, the hidden ones left out.

use super::expect::{Expect, Show};
use super::failure::Failure;
use super::rows::{Opener, RowError, Scratch};
use super::running::Running;
use super::{End, Session, encoding};
use crate::pg::copy::{BAD_FORMAT, Cell, CopyError, Cut, Options, Reader, Style};
use crate::pg::plan::Plan;
use crate::pg::value::{Format, Settings};
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::row::cells;
use crate::protect::{Door, Missing};
use std::sync::Arc;

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        Self {
            code: BAD_FORMAT,
            message: error.to_string(),
            hint: Some("the data of the COPY is not in the format that the statement names".into()),
            anchor: "copy-data",
        }
    }
}

/// A COPY TO whose rows are coming.
pub(super) struct CopyOut {
    run: Arc<Running>,
    options: Options,
    /// The session's, with the encoding of the data.
    settings: Settings,
    reader: Reader,
    /// What came and was not cut yet.
    held: Vec<u8>,
    /// The message at hand was added to it.
    fed: bool,
    /// The binary format's head: it goes with the first row, or the end.
    head: Vec<u8>,
    row: RowBuffers,
}

/// Buffers that are used for every row again.
#[derive(Default)]
struct RowBuffers {
    cells: Vec<Cell>,
    /// The row as a DataRow: as it came, and opened.
    closed: Vec<u8>,
    opened: Vec<u8>,
    /// As the client is to get it.
    shown: Vec<u8>,
}

impl CopyOut {
    /// Opens one row and appends it, as CopyData, to `out`.
    fn row(
        &mut self,
        (content, total): (usize, usize),
        from: usize,
        door: &Door,
        scratch: &mut Scratch,
        missing: &mut Vec<Missing>,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let row = &self.held[from..from + content];
        let plan = &self.run.plan;
        let options = &self.options;
        let buffers = &mut self.row;
        let opener = Opener { door, plan, formats: formats(options), settings: &self.settings };
        open(options, &opener, row, buffers, scratch, missing)?;
        let RowBuffers { cells, opened, shown, .. } = buffers;
        shown.clear();
        shown.append(&mut self.head);
        let visible = visible(plan, cells.len());
        options.begin_row(count(visible), shown);
        let opened = opened.get(HEADER..).unwrap_or_default();
        let mut outputs = plan.outputs.iter().peekable();
        for (at, value) in self::cells(opened)?.enumerate() {
            options.separate(at == 0, shown);
            let column = count(at);
            let written = match (outputs.next_if(|o| o.column == column), cells.get(at)) {
                (Some(_), _) => {
                    let value = value?.map(|range| &opened[range]);
                    options.write(value, column, visible == 1, shown)
                }
                (None, Some(cell)) => options.write_raw(raw(options, cell, row), shown),
                (None, None) => Err("the row has too few values".into()),
            };
            written.map_err(|e| RowError::Failure(e.into()))?;
        }
        shown.extend_from_slice(&self.held[from + content..from + total]);
        Ok(data(out, shown)?)
    }

    /// The line of names, without those of hidden columns.
    fn names(
        &mut self,
        (content, total): (usize, usize),
        from: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let row = &self.held[from..from + content];
        let cells = &mut self.row.cells;
        self.options.cells(row, true, cells).map_err(|e| RowError::Failure(e.into()))?;
        let visible = visible(&self.run.plan, cells.len());
        let shown = &mut self.row.shown;
        shown.clear();
        for (at, cell) in cells.iter().take(visible).enumerate() {
            self.options.separate(at == 0, shown);
            shown.extend_from_slice(&row[cell.raw.clone()]);
        }
        shown.extend_from_slice(&self.held[from + content..from + total]);
        Ok(data(out, shown)?)
    }
}

/// Opens what is protected in a row; the rest of the DataRow that it makes is NULL.
fn open(
    options: &Options,
    opener: &Opener<'_>,
    row: &[u8],
    buffers: &mut RowBuffers,
    scratch: &mut Scratch,
    missing: &mut Vec<Missing>,
) -> Result<(), RowError> {
    let RowBuffers { cells, closed, opened, .. } = buffers;
    options.cells(row, false, cells).map_err(|e| RowError::Failure(e.into()))?;
    let plan = opener.plan;
    closed.clear();
    opened.clear();
    closed.extend_from_slice(&count(cells.len()).to_be_bytes());
    for (at, cell) in cells.iter().enumerate() {
        let column = count(at);
        let used = |o: &crate::pg::plan::Output| {
            o.column == column || o.subject == Some(column) || o.when == Some(column)
        };
        if cell.null || !plan.outputs.iter().any(used) {
            closed.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        }
        let place = closed.len();
        closed.extend_from_slice(&[0; 4]);
        options.value(&row[cell.raw.clone()], closed);
        let length = i32::try_from(closed.len() - place - 4).unwrap_or(i32::MAX);
        closed[place..place + 4].copy_from_slice(&length.to_be_bytes());
    }
    opener.row(closed, scratch, missing, opened)
}

/// A value as it stands in a row.
fn raw<'r>(options: &Options, cell: &Cell, row: &'r [u8]) -> Option<&'r [u8]> {
    (options.style != Style::Binary || !cell.null).then(|| &row[cell.raw.clone()])
}

fn visible(plan: &Plan, columns: usize) -> usize {
    plan.visible.map_or(columns, usize::from)
}

fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn formats(options: &Options) -> &'static [Format] {
    if options.style == Style::Binary { &[Format::Binary] } else { &[] }
}

/// Appends CopyData.
pub(super) fn data(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), crate::pg::wire::WireError> {
    let begun = frame::begin(out, b'd');
    out.extend_from_slice(bytes);
    frame::finish(out, begun)
}

/// Appends CopyInResponse or CopyOutResponse for the columns that the client knows of.
pub(super) fn response(frame: &[u8], columns: Option<u16>, out: &mut Vec<u8>) {
    // One byte for the format, a count, and a format of two bytes for each column.
    let (Some(columns), Some(format)) = (columns, frame.get(HEADER)) else {
        return out.extend_from_slice(frame);
    };
    let begun = frame::begin(out, frame[0]);
    out.push(*format);
    out.extend_from_slice(&columns.to_be_bytes());
    for _ in 0..columns {
        out.extend_from_slice(&[0, *format]);
    }
    // A few bytes: it can't be too long.
    let _ = frame::finish(out, begun);
}

impl Session {
    /// The encoding that a COPY's data is in, for this session.
    pub(super) fn copy_settings(&self, options: &Options) -> Settings {
        let mut settings = self.settings.clone();
        if let Some(charset) = options.encoding.as_deref().and_then(encoding::charset) {
            settings.charset = charset;
        }
        settings
    }

    /// Whether the answer at the front is of a planned COPY.
    pub(super) fn copies(&self) -> bool {
        self.expects
            .front()
            .is_some_and(|e| e.show == Show::Rewrite && e.run.as_ref().is_some_and(|r| r.plan.copy.is_some()))
    }

    /// CopyOutResponse, CopyData or CopyDone of a planned COPY. False when a key is missing.
    pub(super) fn copy_to(&mut self, tag: u8, total: usize) -> Result<bool, End> {
        let Some(Expect { run: Some(run), .. }) = self.expects.front() else { return Ok(true) };
        let run = Arc::clone(run);
        let Some(copy) = &run.plan.copy else { return Ok(true) };
        let plain = run.plan.outputs.is_empty() && run.plan.hidden.is_empty();
        match tag {
            b'H' => {
                let settings = self.copy_settings(&copy.options);
                let null = encoding::write(settings.charset.as_deref(), &copy.options.null)
                    .map_err(|f| End::Fatal(Box::new(f)))?;
                // What the server writes never ends before its end.
                let options = Options { dot_ends: false, ..copy.options.encoded(&null) };
                self.copy_out = Some(Box::new(CopyOut {
                    run: Arc::clone(&run),
                    options,
                    settings,
                    reader: Reader::default(),
                    held: Vec::new(),
                    fed: false,
                    head: Vec::new(),
                    row: RowBuffers::default(),
                }));
                let frame = &self.io.server.input.bytes()[..total];
                self.io.client.output.append_with(|out| response(frame, run.plan.visible, out));
            }
            b'd' if !plain => return self.copy_data(total),
            b'c' => {
                let left = self.copy_out.take().is_some_and(|c| !c.held.is_empty());
                if left {
                    self.poison(&Failure::internal("the server's COPY data ends within a row"));
                    return Ok(true);
                }
                self.io.client.output.push(&self.io.server.input.bytes()[..total]);
            }
            _ => self.io.client.output.push(&self.io.server.input.bytes()[..total]),
        }
        Ok(true)
    }

    /// CopyData: as many rows as it completes.
    fn copy_data(&mut self, total: usize) -> Result<bool, End> {
        let Some(mut copy) = self.copy_out.take() else {
            return Err(End::Fatal(Box::new(Failure::internal("COPY data came unannounced"))));
        };
        if !std::mem::replace(&mut copy.fed, true) {
            copy.held.extend_from_slice(&self.io.server.input.bytes()[HEADER..total]);
        }
        if self.batch.is_none() {
            if let Err(error) = self.shared.door.begin_batch() {
                self.poison(&Failure::protect(&error));
                return Ok(true);
            }
            self.batch = Some(self.io.client.output.len());
        }
        match self.copy_held(&mut copy) {
            Ok(()) => {
                copy.fed = false;
                self.copy_out = Some(copy);
                Ok(true)
            }
            Err(RowError::Missing) => {
                self.copy_ahead(&mut copy, total);
                self.copy_out = Some(copy);
                Ok(false)
            }
            Err(RowError::Failure(failure)) => {
                self.poison(&failure);
                Ok(true)
            }
        }
    }

    fn copy_held(&mut self, copy: &mut CopyOut) -> Result<(), RowError> {
        let (door, scratch, missing) = (&self.shared.door, &mut self.scratch, &mut self.missing);
        self.io.client.output.append_with(|out| {
            let mut at = 0;
            let done = loop {
                let cut = match copy.reader.next(&copy.options, &copy.held[at..], false) {
                    Ok(cut) => cut,
                    Err(e) => break Err(RowError::Failure(e.into())),
                };
                let written = match cut {
                    Cut::More => break Ok(()),
                    Cut::Row { content, total } => {
                        copy.row((content, total), at, door, scratch, missing, out)
                    }
                    Cut::Names { content, total } => copy.names((content, total), at, out),
                    Cut::Head { total } => {
                        copy.head.extend_from_slice(&copy.held[at..at + total]);
                        Ok(())
                    }
                    Cut::End { total } => {
                        copy.head.extend_from_slice(&copy.held[at..at + total]);
                        data(out, &std::mem::take(&mut copy.head)).map_err(RowError::from)
                    }
                };
                if let Err(error) = written {
                    break Err(error);
                }
                at += match cut {
                    Cut::Names { total, .. } | Cut::Row { total, .. } | Cut::Head { total } => total,
                    Cut::End { .. } | Cut::More => copy.held.len() - at,
                };
                if matches!(cut, Cut::End { .. }) {
                    break Ok(());
                }
            };
            copy.held.drain(..at);
            done
        })
    }

    /// Collects what the rows that have come already lack too, so that it is fetched at once. The server sends
    /// a message for each row; where it does not, there is only less to collect.
    fn copy_ahead(&mut self, copy: &mut CopyOut, mut at: usize) {
        let options = &copy.options;
        let plan = &copy.run.plan;
        let opener =
            Opener { door: &self.shared.door, plan, formats: formats(options), settings: &copy.settings };
        let input = self.io.server.input.bytes();
        while let Ok(Some(header)) = frame::header(&input[at..], frame::LARGE) {
            let end = at + header.total();
            if header.tag != b'd' || end > input.len() {
                break;
            }
            let row = input[at + HEADER..end].strip_suffix(b"\n").unwrap_or(&input[at + HEADER..end]);
            let seen = open(options, &opener, row, &mut copy.row, &mut self.scratch, &mut self.missing);
            if seen.is_err() && self.missing.is_empty() {
                break;
            }
            at = end;
        }
    }
}
