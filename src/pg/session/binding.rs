//! What was sealed provisionally, bound to the subjects that the database reported: in rows of the result, or in
//! the setting by which statements in WITH tell of theirs.

use super::failure::Failure;
use super::hidden::HiddenError;
use super::rows::{format_at, stored_envelope, token_text};
use super::run::{frames, stored_oid};
use super::{Session, subject};
use crate::ids::Subject;
use crate::pg::plan::{Bind, Plan, Within, Witness, Write};
use crate::pg::sql::SETTING;
use crate::pg::value::Format;
use crate::pg::wire::WireError;
use crate::pg::wire::row::cells;
use crate::protect::Unit;
use std::sync::Arc;

/// What the database told of one row.
struct Told {
    /// Its subject; none where that is NULL.
    subject: Option<Subject>,
    /// The provisional row that an envelope in it was sealed for.
    sealed: Option<u32>,
    tokens: Vec<String>,
    /// It holds what was written, or something older.
    any: bool,
    repeats: bool,
}

impl Session {
    /// Binds the rows of a statement, before anything can commit.
    pub(super) async fn bind_rows(
        &mut self,
        plan: &Plan,
        write: &Write,
        formats: &[Format],
        held: &[u8],
    ) -> Result<(), HiddenError> {
        let setting = if write.within.is_empty() { None } else { self.setting().await? };
        let charset = self.settings.charset.clone();
        let Some(unit) = self.units.last() else { return Ok(()) };
        let mut told = Vec::new();
        if let Some(bind) = &write.bind {
            for body in frames(held, b'D') {
                let subject = |format, bytes: &[u8]| {
                    subject::text_in(charset.as_deref(), write.subject_oid, format, bytes)
                        .map(|id| Subject::new(Arc::clone(&write.class), id))
                };
                told.push(of_result(plan, bind, formats, body, unit, subject)?);
            }
        }
        for line in setting.iter().flat_map(|all| all.lines()) {
            told.push(of_setting(&write.within, line, unit)?);
        }
        let rows = matched(told, unit)?;
        unit.bind(&rows).await.map_err(|e| Failure::protect(&e).into())
    }

    /// What the statements in WITH told; it is forgotten there.
    async fn setting(&mut self) -> Result<Option<String>, HiddenError> {
        let sql = format!(
            "SELECT pg_catalog.current_setting('{SETTING}', true), pg_catalog.set_config('{SETTING}', '', true)"
        );
        let rows = self.hidden(&sql, &[]).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }
}

/// A row of the result.
fn of_result(
    plan: &Plan,
    bind: &Bind,
    formats: &[Format],
    body: &[u8],
    unit: &Unit,
    subject: impl Fn(Format, &[u8]) -> Option<Subject>,
) -> Result<Told, Failure> {
    let cells: Vec<_> =
        cells(body).and_then(Iterator::collect).map_err(|e: WireError| Failure::malformed(&e))?;
    let cell = |column: u16| cells.get(usize::from(column)).cloned().flatten().map(|range| &body[range]);
    let mut told = Told {
        subject: cell(bind.subject)
            .and_then(|bytes| subject(format_at(formats, usize::from(bind.subject)), bytes)),
        sealed: None,
        tokens: Vec::new(),
        any: false,
        repeats: bind.repeats,
    };
    let mut stored = Vec::new();
    for witness in &bind.witnesses {
        let Some(bytes) = cell(*witness) else { continue };
        told.any = true;
        let format = format_at(formats, usize::from(*witness));
        let oid = stored_oid(plan, *witness);
        if told.sealed.is_none() && stored_envelope(oid, format, bytes, &mut stored) {
            told.sealed = unit.row_of_envelope(&stored);
        }
        told.tokens.extend(token_text(oid, format, bytes).map(std::borrow::Cow::into_owned));
    }
    Ok(told)
}

/// A line of the setting: number of the statement, subject, witnesses.
fn of_setting(within: &[Within], line: &str, unit: &Unit) -> Result<Told, Failure> {
    let lost = || Failure::internal("what a statement in WITH told of its rows can't be read");
    let parts: Vec<serde_json::Value> = serde_json::from_str(line).map_err(|_| lost())?;
    let mut parts = parts.into_iter();
    let number = parts.next().and_then(|n| n.as_u64()).and_then(|n| usize::try_from(n).ok());
    let of = number.and_then(|n| within.get(n)).ok_or_else(lost)?;
    let id = parts.next().ok_or_else(lost)?;
    let id = id.as_str().and_then(|id| subject::canonical(of.oid, id));
    let mut told = Told {
        subject: id.map(|id| Subject::new(Arc::clone(&of.class), id)),
        sealed: None,
        tokens: Vec::new(),
        any: false,
        repeats: of.repeats,
    };
    for (kind, part) in of.witnesses.iter().zip(parts) {
        let Some(text) = part.as_str() else { continue };
        told.any = true;
        match kind {
            Witness::Token => told.tokens.push(text.to_owned()),
            Witness::Text => told.sealed = told.sealed.or_else(|| unit.row_of_head(text, false)),
            Witness::Bytes => told.sealed = told.sealed.or_else(|| unit.row_of_head(text, true)),
        }
    }
    Ok(told)
}

/// Which provisional row is whose. Envelopes tell for certain, so they go first; a row without takes one of those
/// left that hold its token.
fn matched(told: Vec<Told>, unit: &mut Unit) -> Result<Vec<(u32, Subject)>, Failure> {
    let mut rows: Vec<(u32, Subject)> = Vec::new();
    let (sealed, others): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|t| t.sealed.is_some());
    for row in sealed.iter().filter_map(|t| t.sealed) {
        unit.take_row(row);
    }
    for told in sealed.into_iter().chain(others) {
        let taken = || told.tokens.iter().find_map(|token| unit.take_row_of_token(token));
        let Some(row) = told.sealed.or_else(taken) else {
            if told.repeats && told.any {
                return Err(repeated());
            }
            continue;
        };
        let subject = told.subject.ok_or_else(nobody)?;
        if rows.iter().any(|(other, of)| *other == row && *of != subject) {
            return Err(repeated());
        }
        rows.push((row, subject));
    }
    Ok(rows)
}

fn nobody() -> Failure {
    Failure::new(
        "0A000",
        "null-subject",
        "paravent: the database reported no subject for a row with protected values",
        "give the subject column a value",
    )
}

/// One value was stored for several subjects.
fn repeated() -> Failure {
    Failure::new(
        "0A000",
        "insert-select-rows",
        "paravent: one protected value is inserted for several subjects by INSERT … SELECT",
        "give the subject as a constant, or insert for one subject at a time",
    )
}
