//! What SQLite's errors mean here.

use crate::keystore::StoreError;
use rusqlite::{Error, ErrorCode};
use std::path::Path;

/// SQLITE_IOERR_SHMSIZE: the shared-memory file could not grow, which is a full disk too.
const SHM_SIZE: i32 = 10 | (19 << 8);

/// An operation's failure: its own answer, or SQLite's.
#[derive(Debug)]
pub(super) enum Fail {
    /// The operation said no.
    Answer(StoreError),
    /// SQLite did.
    Sqlite(Error),
}

impl From<StoreError> for Fail {
    fn from(e: StoreError) -> Self {
        Self::Answer(e)
    }
}

impl From<Error> for Fail {
    fn from(e: Error) -> Self {
        Self::Sqlite(e)
    }
}

/// What an operation on a connection gives.
pub(super) type Op<T> = Result<T, Fail>;

/// Turns SQLite's error into the store's. Its text is SQLite's own and holds no value.
pub(super) fn classify(path: &Path, e: &Error) -> StoreError {
    let path = path.display().to_string();
    match e {
        Error::SqliteFailure(inner, _) => match inner.code {
            ErrorCode::DiskFull => StoreError::DiskFull,
            _ if inner.extended_code == SHM_SIZE => StoreError::DiskFull,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                StoreError::Damaged(path, inner.to_string())
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Locked(path),
            _ => StoreError::Unavailable(format!("{path}: {inner}")),
        },
        // A row that does not have the schema's types.
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..) => {
            StoreError::Damaged(path, "a row has a value of the wrong type".into())
        }
        Error::SqlInputError { .. } => StoreError::Damaged(path, "a table or column is missing".into()),
        _ => StoreError::Unavailable(format!("{path}: an unexpected error of the database library")),
    }
}

/// Whether going on could make it worse: after a failed write or fsync nobody knows what the disk holds.
pub(super) fn stops(e: &Error) -> bool {
    matches!(e, Error::SqliteFailure(inner, _) if inner.extended_code != SHM_SIZE
    && matches!(
        inner.code,
        ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
    ))
}
