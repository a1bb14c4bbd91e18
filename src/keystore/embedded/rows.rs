//! Rows to structs and back.

use crate::ids::{KeyId, Subject};
use crate::keystore::model::{GenerationState, LedgerHead, State, UnitId};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Result, Row};
use std::sync::Arc;

impl FromSql for KeyId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(KeyId)
    }
}

impl ToSql for KeyId {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_slice()))
    }
}

impl FromSql for UnitId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(UnitId)
    }
}

impl ToSql for UnitId {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_slice()))
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "provisional" => Ok(Self::Provisional),
            "sealing" => Ok(Self::Sealing),
            "open-only" => Ok(Self::OpenOnly),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl FromSql for GenerationState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let all = [Self::Active, Self::Closing, Self::Empty, Self::Destroyed];
        all.into_iter().find(|state| state.name() == name).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for GenerationState {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.name()))
    }
}

/// Names that one row after the other repeats (realm, class, purpose): shared for as long as they are the same.
#[derive(Default)]
pub(super) struct Names {
    realm: Option<Arc<str>>,
    class: Option<Arc<str>>,
    purpose: Option<Arc<str>>,
}

impl Names {
    fn name(last: &mut Option<Arc<str>>, row: &Row<'_>, column: usize) -> Result<Arc<str>> {
        let name = row.get_ref(column)?.as_str()?;
        Ok(match last {
            Some(last) if **last == *name => last.clone(),
            _ => last.insert(name.into()).clone(),
        })
    }

    /// Reads a purpose.
    pub(super) fn purpose(&mut self, row: &Row<'_>, column: usize) -> Result<Arc<str>> {
        Self::name(&mut self.purpose, row, column)
    }

    /// Reads realm, class and id from three columns; none where they are NULL.
    pub(super) fn subject(&mut self, row: &Row<'_>, first: usize) -> Result<Option<Subject>> {
        let Some(id) = row.get::<_, Option<Box<str>>>(first + 2)? else { return Ok(None) };
        let realm = Self::name(&mut self.realm, row, first)?;
        let class = Self::name(&mut self.class, row, first + 1)?;
        Ok(Some(Subject { realm, class, id }))
    }
}

/// [`Names::subject`] of one row.
pub(super) fn subject(row: &Row<'_>, first: usize) -> Result<Option<Subject>> {
    Names::default().subject(row, first)
}

/// Reads realm, class and id of a row that always has them.
pub(super) fn subject_of(row: &Row<'_>) -> Result<Subject> {
    Ok(Subject { realm: row.get(0)?, class: row.get(1)?, id: row.get(2)? })
}

/// The three columns of a subject that may not be known.
pub(super) fn columns(subject: Option<&Subject>) -> (Option<&str>, Option<&str>, Option<&str>) {
    (subject.map(|s| &*s.realm), subject.map(|s| &*s.class), subject.map(|s| &*s.id))
}

/// Eight bytes of sequence, then the hash.
pub(super) fn head_bytes(head: &LedgerHead) -> Vec<u8> {
    [head.sequence.to_be_bytes().as_slice(), head.hash.as_slice()].concat()
}

/// The inverse of [`head_bytes`].
pub(super) fn head(bytes: &[u8]) -> Option<LedgerHead> {
    let (sequence, hash) = bytes.split_at_checked(8)?;
    Some(LedgerHead { sequence: u64::from_be_bytes(sequence.try_into().ok()?), hash: hash.try_into().ok()? })
}
