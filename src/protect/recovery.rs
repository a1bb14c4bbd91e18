//! What lost transactions left: listed for the job that looks in the database, and settled by it.

use super::{Door, ProtectError};
use crate::ids::{KeyId, Subject};
use crate::keystore::model::UnsettledRow;
use jiff::Timestamp;

/// One key of a transaction whose outcome isn't known: its process died, or its connection was lost at COMMIT.
#[derive(Debug, Clone)]
pub struct Unsettled {
    row: UnsettledRow,
}

impl Unsettled {
    /// The transaction's unit; several keys may share it.
    pub fn unit(&self) -> [u8; 16] {
        self.row.unit.0
    }

    /// The database that the transaction ran in.
    pub fn database(&self) -> &str {
        &self.row.database
    }

    /// Whether it was made for something else than a database ([`Door::outside`]): nobody can look there for what
    /// became of it, so that it stays, provisionally, until its subject is erased.
    pub fn outside(&self) -> bool {
        Door::is_outside(&self.row.database)
    }

    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.row.made_at).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The secret: if an envelope with it stands in a declared place, the transaction committed.
    pub fn key_id(&self) -> KeyId {
        self.row.key_id
    }

    /// Whose it is. None: no row was bound to it before the transaction could commit, so it did not.
    pub fn subject(&self) -> Option<&Subject> {
        self.row.subject.as_ref()
    }

    /// Pseudonym domain and token of each identifier held under it: where the row has no envelope, a row of
    /// the subject with the token tells that the transaction committed.
    pub fn tokens(&self) -> &[(Box<str>, Box<str>)] {
        &self.row.tokens
    }
}

/// Begins the names of what is no database.
const OUTSIDE: &str = "http:";

impl Door {
    /// The name under which a unit is kept that writes to a service behind `listener`, and to no database.
    pub fn outside(listener: &str) -> String {
        format!("{OUTSIDE}{listener}")
    }

    /// Whether what the keystore calls a database is a service instead.
    pub fn is_outside(name: &str) -> bool {
        name.starts_with(OUTSIDE)
    }

    /// What transactions left without an outcome. Those under way in this process are not listed.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn unsettled(&self) -> Result<Vec<Unsettled>, ProtectError> {
        let rows = self.keyring().unsettled().await?;
        Ok(rows.into_iter().map(|row| Unsettled { row }).collect())
    }

    /// Settles what recovery found out (`true`: it committed). What was never bound to a subject is destroyed in
    /// any case. Durable when it returns.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`], [`ProtectError::DiskFull`].
    pub async fn settle(&self, found: &[(&Unsettled, bool)]) -> Result<(), ProtectError> {
        for (unsettled, committed) in found {
            self.keyring().recover(&unsettled.row, *committed).await?;
        }
        Ok(())
    }
}
