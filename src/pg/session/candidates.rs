//! Candidate rows, opened as a read would open them: what their protected columns show is what is evaluated.

use super::Session;
use super::encoding;
use super::failure::Failure;
use super::hidden::{HiddenError, RawRows};
use super::rows::{stored_envelope, token_text};
use super::subject;
use crate::clear::{Clear, Kind};
use crate::pg::evaluation::{Evaluation, Fetched};
use crate::pg::value::{self, Format, Settings};
use crate::pg::wire::row::cells;
use crate::policy::model::{Declared, Field};
use crate::protect::{Memo, Missing, Outcome, Row};
use std::collections::HashSet;
use std::ops::Range;
use zeroize::Zeroizing;

/// How many rows are opened between two looks at the lease; the cache holds far more keys.
const CHUNK: usize = 512;

/// What opening a row needs, used for every row again.
#[derive(Default)]
struct Scratch {
    cells: Vec<Option<Range<usize>>>,
    stored: Vec<u8>,
    clear: Zeroizing<Vec<u8>>,
    subject: String,
    memo: Memo,
    missing: HashSet<Missing>,
}

/// A row's values; `None` is NULL.
pub(super) type Opened = Vec<Option<Clear>>;

impl Session {
    /// Opens the rows, some at a time, and hands each to `take` with its key.
    pub(super) async fn open_candidates(
        &self,
        evaluation: &Evaluation,
        rows: &RawRows,
        mut take: impl FnMut(&str, &Opened) -> Result<(), Failure>,
    ) -> Result<(), HiddenError> {
        let mut scratch = Scratch::default();
        let mut chunk: Vec<(String, Opened)> = Vec::with_capacity(CHUNK.min(rows.len()));
        let mut from = 0;
        while from < rows.len() {
            let to = (from + CHUNK).min(rows.len());
            self.shared.door.begin_batch().map_err(|e| Failure::protect(&e))?;
            loop {
                chunk.clear();
                for body in (from..to).filter_map(|row| rows.get(row)) {
                    chunk.push(self.open_candidate(evaluation, body, &mut scratch)?);
                }
                scratch.memo.forget();
                if scratch.missing.is_empty() {
                    break;
                }
                let missing: Vec<Missing> = scratch.missing.drain().collect();
                self.shared.door.load(&missing).await.map_err(|e| Failure::protect(&e))?;
            }
            // On record, and under the lease, before anything comes of it.
            self.shared.door.lease().map_err(|e| Failure::protect(&e))?;
            for (key, row) in &chunk {
                take(key, row)?;
            }
            from = to;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// A row's key and values. What the cache lacks is noted, and NULL stands for it.
    fn open_candidate(
        &self,
        evaluation: &Evaluation,
        body: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(String, Opened), Failure> {
        let Scratch { cells: ranges, stored, clear, subject, memo, missing } = scratch;
        ranges.clear();
        for cell in cells(body).map_err(|e| Failure::malformed(&e))? {
            ranges.push(cell.map_err(|e| Failure::malformed(&e))?);
        }
        let cell = |at: usize| ranges.get(at).cloned().flatten().map(|range| &body[range]);
        let charset = self.settings.charset.as_deref();
        let lost = || Failure::internal("a candidate row has other columns than were planned");
        let key = encoding::read(charset, cell(0).ok_or_else(lost)?).map_err(|_| lost())?;
        let key = String::from_utf8(key.to_vec()).map_err(|_| lost())?;
        let of = match cell(1) {
            Some(id) if subject::read(charset, evaluation.subject_oid, Format::Text, id, subject) => {
                Row::Of { class: &evaluation.class, id: subject }
            }
            Some(_) => return Err(Failure::internal("the subject column could not be read")),
            None => Row::Unknown,
        };
        let applies = !evaluation.when || cell(2) == Some(b"t");
        let first = 2 + usize::from(evaluation.when);
        let mut opened = Vec::with_capacity(evaluation.columns.len());
        for (at, column) in (first..).zip(&evaluation.columns) {
            let value = match (cell(at), column.field.filter(|_| applies)) {
                (None, _) => None,
                (Some(bytes), None) => Some(self.plain_value(column, bytes)?),
                (Some(bytes), Some(id)) => {
                    let field = self.shared.door.policy().field(id);
                    if evaluation.bound && matches!(of, Row::Unknown) {
                        return Err(Failure::open(self.shared.door.nobodys(id), &field.name));
                    }
                    clear.clear();
                    let outcome = if column.token {
                        match token_text(column.stored_oid, Format::Text, bytes) {
                            Some(token) => self.shared.door.reveal_next(id, &token, of, memo, clear),
                            None => Outcome::Fault(self.shared.door.in_clear(id)),
                        }
                    } else if stored_envelope(column.stored_oid, Format::Text, bytes, stored) {
                        self.shared.door.open_next(id, stored, of, memo, clear)
                    } else {
                        Outcome::Fault(self.shared.door.in_clear(id))
                    };
                    match outcome {
                        Outcome::Opened(kind) => Some(self.canonical(field, kind, clear)?),
                        Outcome::Erased => self.placeholder(field, column.not_null)?,
                        Outcome::Missing(what) => {
                            missing.insert(what);
                            None
                        }
                        Outcome::Fault(why) => return Err(Failure::open(why, &field.name)),
                    }
                }
            };
            opened.push(value);
        }
        Ok((key, opened))
    }

    /// A value that stands in clear, as the server wrote it.
    fn plain_value(&self, column: &Fetched, bytes: &[u8]) -> Result<Clear, Failure> {
        let failed = |e| Failure::value(&e, "of a candidate row");
        let words = encoding::read(self.settings.charset.as_deref(), bytes).map_err(failed)?;
        value::decode(&words, Format::Text, 0, column.ty, &self.settings).map_err(failed)
    }

    /// What was opened, in the canonical form of its field's type: it may have been sealed as another.
    fn canonical(&self, field: &Field, kind: Kind, bytes: &[u8]) -> Result<Clear, Failure> {
        if value::is_canonical(kind, field.ty) {
            return Ok(Clear::new(kind, bytes.to_vec()));
        }
        let failed = |e| Failure::value(&e, &field.name);
        let mut text = Zeroizing::new(Vec::new());
        value::encode(kind, bytes, field.ty, Format::Text, false, &self.settings, &mut text)
            .map_err(failed)?;
        value::decode(&text, Format::Text, 0, field.ty, &self.settings).map_err(failed)
    }

    /// What an erased value shows: NULL, or the field's placeholder where the column can't be NULL.
    fn placeholder(&self, field: &Field, not_null: bool) -> Result<Option<Clear>, Failure> {
        let text = matches!(field.ty, Declared::Text | Declared::Varchar(_));
        let Some(shown) = field.placeholder().filter(|shown| not_null && (!shown.is_empty() || text)) else {
            return Ok(None);
        };
        let settings: &Settings = &self.settings;
        let read = value::decode(shown.as_bytes(), Format::Text, 0, field.ty, settings);
        read.map(Some).map_err(|e| Failure::value(&e, &field.name))
    }
}
