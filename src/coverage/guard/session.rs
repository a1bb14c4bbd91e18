//! The connection that alters the tables.

use crate::pg::net::connect::{Login, describe, describe_without_data};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

/// Names are qualified; a table in use is waited for, but not so long that all of its users wait too; rows that
/// row-level security would hide are an error.
const SETTINGS: &str = "SET search_path TO ''; SET lock_timeout = '5s'; SET row_security = off; \
     SET standard_conforming_strings = on";

/// A login of the guard's.
pub(super) struct Session {
    client: Login,
    dry: bool,
}

/// Why statements were not done.
pub(super) struct Refused {
    /// In one line.
    pub(super) why: String,
    /// What helps.
    pub(super) hint: &'static str,
    /// The connection is gone, or the server: so are all that would follow.
    lost: bool,
}

impl Refused {
    /// Whether there is any sense in going on.
    ///
    /// # Errors
    /// What to tell instead of every statement that would fail from here.
    pub(super) fn go_on(&self) -> Result<(), String> {
        let Self { why, lost, .. } = self;
        if !lost {
            return Ok(());
        }
        Err(format!(
            "the connection was lost ({why}). A column is changed whole or not at all: run this again"
        ))
    }
}

impl Session {
    pub(super) async fn new(client: Login, dry: bool) -> Result<Self, String> {
        client.batch_execute(SETTINGS).await.map_err(|error| describe(&error))?;
        Ok(Self { client, dry })
    }

    /// Rows of the catalog.
    pub(super) async fn rows(&self, query: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, String> {
        self.client.query(query, params).await.map_err(|error| describe(&error))
    }

    /// A count of rows of a table.
    pub(super) async fn count(&self, query: &str) -> Result<i64, Refused> {
        let row = self.client.query_one(query, &[]).await.map_err(|error| self.refused(&error))?;
        row.try_get(0).map_err(|error| self.refused(&error))
    }

    /// All of them or none.
    pub(super) async fn run(&self, statements: &[String]) -> Result<(), Refused> {
        if self.dry {
            return Ok(());
        }
        let text = format!("BEGIN; {}; COMMIT", statements.join("; "));
        let done = self.client.batch_execute(&text).await;
        if done.is_err() {
            // What failed is rolled back; when that fails too the connection is gone.
            let _ = self.client.batch_execute("ROLLBACK").await;
        }
        done.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &Error) -> Refused {
        // An error that ends the connection comes before its end.
        let ended = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
        let lost = self.client.is_closed() || error.code().is_some_and(|code| ended.contains(code));
        Refused { lost, ..refused(error) }
    }
}

/// Errors of ALTER that name things of the schema say which.
fn refused(error: &Error) -> Refused {
    let code = error.code();
    let names_only = [
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        SqlState::INSUFFICIENT_PRIVILEGE,
        SqlState::INVALID_TABLE_DEFINITION,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    let known = code.is_some_and(|code| names_only.contains(code));
    let detail = error.as_db_error().filter(|_| known).and_then(|db| db.detail());
    let why = match (known, detail) {
        (true, Some(detail)) => format!("{}: {detail}", describe(error)),
        (true, None) => describe(error),
        (false, _) => describe_without_data(error),
    };
    let hint = match code {
        Some(code) if *code == SqlState::FEATURE_NOT_SUPPORTED => {
            "Drop what depends on the column, run this again, and make it again as it was (psql's \\sv, pg_dump)."
        }
        Some(code) if *code == SqlState::DEPENDENT_OBJECTS_STILL_EXIST => {
            "Drop or change what depends on it, and run this again."
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            "Give the login of the tables' owner, who may create a schema: --database postgres://owner@host/database"
        }
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => {
            "The table is in use: run this again. What is done already stays."
        }
        _ => "",
    };
    Refused { why, hint, lost: false }
}
