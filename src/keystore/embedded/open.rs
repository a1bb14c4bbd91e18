//! Opening the file: who may, what must be true of it, and how a new one comes to be.

use super::fail;
use crate::keystore::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "Pvnt": what SQLite's header says that this file is.
const APPLICATION: i64 = 0x5076_6e74;
/// What version 2 of the schema added.
const ADDED_2: &str = include_str!("added-2.sql");
/// What version 3 added.
const ADDED_3: &str = include_str!("added-3.sql");
/// The schema version that this program makes and knows.
const SCHEMA: i64 = 4;
/// Up to this size the whole file is checked at start; beyond it would delay a restart.
const CHECKED: u64 = 64 << 20;

/// Takes the lock for as long as the file is kept open, and makes the keystore if there is none.
pub(super) fn prepare(path: &Path) -> Result<File, StoreError> {
    let lock = lock(path)?;
    match std::fs::metadata(path) {
        Ok(found) if found.len() == 0 => {
            return Err(StoreError::Damaged(path.display().to_string(), "it is empty".into()));
        }
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => create(path)?,
        Err(e) => return Err(unavailable(path, &e)),
    }
    Ok(lock)
}

fn unavailable(path: &Path, e: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {e}", path.display()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A file of its own: closing any descriptor of a database file would drop SQLite's own locks on it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(beside(path, ".lock"))
        .map_err(|e| unavailable(path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
        Err(TryLockError::Error(e)) => Err(unavailable(path, &e)),
    }
}

/// Builds the file under another name: under its own it is either absent or whole.
fn create(path: &Path) -> Result<(), StoreError> {
    let draft = beside(path, ".new");
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(beside(&draft, suffix));
    }
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|e| unavailable(&draft, &e))?;
    let conn = connect(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.execute_batch(&format!(
        "PRAGMA auto_vacuum = NONE; PRAGMA synchronous = FULL; BEGIN; {} {ADDED_2} {ADDED_3} PRAGMA application_id = {APPLICATION}; \
         PRAGMA user_version = {SCHEMA}; COMMIT;",
        include_str!("schema.sql")
    ))
    .map_err(|e| fail::classify(&draft, &e))?;
    conn.close().map_err(|(_, e)| fail::classify(&draft, &e))?;
    std::fs::rename(&draft, path).map_err(|e| unavailable(path, &e))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| unavailable(folder, &e))
}

/// How long a connection waits for another that is in the way.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| fail::classify(path, &e))?;
    conn.busy_timeout(PATIENCE).map_err(|e| fail::classify(path, &e))?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

/// The writing connection, the file's state checked.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let found = check(&conn, path)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(|e| fail::classify(path, &e))?;
    if found < 2 {
        let step = include_str!("schema-2.sql");
        conn.execute_batch(&format!("BEGIN IMMEDIATE; {step} {ADDED_2} PRAGMA user_version = 2; COMMIT;"))
            .map_err(|e| fail::classify(path, &e))?;
    }
    if found < 3 {
        conn.execute_batch(&format!("BEGIN IMMEDIATE; {ADDED_3} PRAGMA user_version = 3; COMMIT;"))
            .map_err(|e| fail::classify(path, &e))?;
    }
    if found < 4 {
        // Its second-long copy of a million secrets is made once.
        tracing::info!(from = found, to = SCHEMA, "the keystore is brought up to date");
        let step = include_str!("schema-4.sql");
        conn.execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = 4; COMMIT;"))
            .map_err(|e| fail::classify(path, &e))?;
    }
    Ok(conn)
}

/// The connection that copies the write-ahead log.
pub(super) fn checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.execute_batch("PRAGMA synchronous = FULL;").map_err(|e| fail::classify(path, &e))?;
    Ok(conn)
}

/// A reading connection.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn number(conn: &Connection, path: &Path, pragma: &str) -> Result<i64, StoreError> {
    conn.query_row(pragma, [], |row| row.get(0)).map_err(|e| fail::classify(path, &e))
}

/// Its schema version.
fn check(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let damaged = |why: String| StoreError::Damaged(path.display().to_string(), why);
    let found = number(conn, path, "PRAGMA user_version")?;
    if number(conn, path, "PRAGMA application_id")? != APPLICATION {
        return Err(damaged("it is not a keystore".into()));
    }
    if found > SCHEMA {
        return Err(StoreError::Newer { path: path.display().to_string(), found, known: SCHEMA });
    }
    if found < 1 {
        return Err(damaged(format!("its schema version is {found}")));
    }
    let size = std::fs::metadata(path).map_err(|e| unavailable(path, &e))?.len();
    if size <= CHECKED {
        let verdict: String = conn
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|e| fail::classify(path, &e))?;
        if verdict != "ok" {
            return Err(damaged("its pages do not fit together".into()));
        }
    }
    Ok(found)
}
