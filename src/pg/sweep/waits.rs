//! When no row, connection or transaction of a database can need a key any more that is about to be destroyed.
//!
//! Who sealed under it is waited for first: the units of this process (the caller knows), then connections that are not
//! this process's, since what an earlier process of the gateway sent last may still lie in one of them; then every
//! transaction that was open by then, prepared ones too. A pass that finds nothing after that has seen all there will be.
//! Then those who may read what was there before: transactions whose snapshot is older than that pass.
//!
//! Every transaction holds a lock on its own virtual id for as long as it lives, and everybody may read the list of locks
//! (Postgres documentation, "pg_locks"): as `CREATE INDEX CONCURRENTLY` does it, and without rights on other users' sessions.

use super::super::catalog::rows;
use crate::pg::net::connect::{Connector, Login};
use std::collections::BTreeSet;
use std::io;
use tokio_postgres::Client;

/// How far a database has come. A new process begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wait {
    /// For the units of this process. What was there has been gone through once.
    Units,
    /// For connections that may carry what somebody else sent: their processes.
    Connections(BTreeSet<String>),
    /// For transactions that may still write.
    Writers(BTreeSet<String>),
    /// For a pass that finds nothing.
    Pass,
    /// For transactions that may still read what was there.
    Readers(BTreeSet<String>),
    /// For another pass that finds nothing: one of them may have copied it.
    LastPass,
    /// For nothing any more.
    Over,
}

impl Wait {
    /// What it waits for, in words.
    pub(super) fn told(&self, database: &str) -> Option<String> {
        let count = |ids: &BTreeSet<String>| ids.len();
        match self {
            Self::Units => Some("statements of this gateway that began before are still open".to_owned()),
            Self::Connections(ids) => Some(format!(
                "{} connections to {database} that are not this gateway's were open before, and are still (process ids {}): \
                 one of them may carry what an earlier gateway sent; it goes on when they are closed",
                count(ids),
                some(ids)
            )),
            Self::Writers(ids) | Self::Readers(ids) => Some(format!(
                "{} transactions in {database} that began before are still open ({})",
                count(ids),
                some(ids)
            )),
            Self::Pass | Self::LastPass | Self::Over => None,
        }
    }

    /// The next step, where this one is over without a pass through the tables.
    pub(super) async fn next(self, client: &Login, connector: &Connector) -> io::Result<Self> {
        Ok(match self {
            Self::Connections(ids) => match still(&ids, strangers(client, connector).await?) {
                left if left.is_empty() => Self::Writers(transactions(client).await?),
                left => Self::Connections(left),
            },
            Self::Writers(ids) => match still(&ids, transactions(client).await?) {
                left if left.is_empty() => Self::Pass,
                left => Self::Writers(left),
            },
            Self::Readers(ids) => match still(&ids, transactions(client).await?) {
                left if left.is_empty() => Self::LastPass,
                left => Self::Readers(left),
            },
            other => other,
        })
    }
}

fn still(before: &BTreeSet<String>, now: BTreeSet<String>) -> BTreeSet<String> {
    now.into_iter().filter(|id| before.contains(id)).collect()
}

/// The first few of them.
fn some(ids: &BTreeSet<String>) -> String {
    let first: Vec<&str> = ids.iter().take(5).map(String::as_str).collect();
    format!("{}{}", first.join(", "), if ids.len() > 5 { ", …" } else { "" })
}

/// Clients' connections to this database that are not this process's. `backend_type` is shown to some logins only; without it
/// every process of a user counts, but for those that send the log to a replica.
pub(super) async fn strangers(client: &Login, connector: &Connector) -> io::Result<BTreeSet<String>> {
    let all = rows(
        client,
        "SELECT a.pid::text FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() \
         AND a.usesysid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication r WHERE r.pid = a.pid)",
    )
    .await?;
    let own = connector.registered(client);
    let pids = all.into_iter().filter_map(|mut row| row.pop()?);
    Ok(pids.filter(|pid| !pid.parse().is_ok_and(|pid| own.contains(&pid))).collect())
}

/// Transactions that are open in this database, but for this one: virtual ids, and the ids of prepared ones.
pub(super) async fn transactions(client: &Client) -> io::Result<BTreeSet<String>> {
    let all = rows(
        client,
        "SELECT DISTINCT l.virtualxid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted \
         AND a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid() \
         UNION ALL SELECT 'prepared ' || p.transaction::text FROM pg_catalog.pg_prepared_xacts p \
         WHERE p.database = pg_catalog.current_database()",
    )
    .await?;
    Ok(all.into_iter().filter_map(|mut row| row.pop()?).collect())
}

/// Whether the server repeats what another one wrote: what it has not seen yet, nobody can know here.
pub(in crate::pg) async fn is_standby(client: &Client) -> io::Result<bool> {
    let answer = rows(client, "SELECT pg_catalog.pg_is_in_recovery()::text").await?;
    Ok(answer.first().and_then(|row| row.first()?.as_deref()) != Some("false"))
}
