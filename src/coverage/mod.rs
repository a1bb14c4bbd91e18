//! The policy against the live schemas: what `paravent check` and `GET /v1/coverage` tell.

pub mod guard;
mod judge;
mod live;

pub use judge::Finding;

use crate::config::PostgresConfig;
use crate::pg::net::connect::{Connector, describe};
use crate::policy::model::Policy;
use std::io;

/// Why a database can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum CoverageError {
    /// The listener's files are wrong.
    #[error(transparent)]
    Files(io::Error),
    /// It can't be reached, or refuses.
    #[error("the schema of \"{database}\" behind {listener} can't be read: {why}")]
    Unasked {
        /// Its name.
        database: String,
        /// The listener in front of it.
        listener: String,
        /// What went wrong.
        why: String,
    },
}

/// Compares the tables of one listener with those of its own login's database.
///
/// # Errors
/// [`CoverageError`].
pub async fn compare(policy: &Policy, postgres: &PostgresConfig) -> Result<Vec<Finding>, CoverageError> {
    let connector = Connector::new(postgres.upstream.clone()).map_err(CoverageError::Files)?;
    let database = connector.database().to_owned();
    let unasked = |error: &dyn std::fmt::Display| CoverageError::Unasked {
        database: database.clone(),
        listener: postgres.listen.to_string(),
        why: error.to_string(),
    };
    let client = connector.own_login(&database).await.map_err(|error| unasked(&error))?;
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for table in policy.postgres.get(postgres.tables).into_iter().flatten() {
        let live = live::read(&client, table).await.map_err(|error| unasked(&describe(&error)))?;
        findings.extend(judge::judge(policy, table, live.as_ref()));
        seen.extend(live.map(|live| (table, live)));
    }
    findings.extend(judge::unguarded(&seen));
    Ok(findings)
}
