//! The guard: domains inside the database whose constraints let nothing but envelopes and tokens into protected columns,
//! whoever writes them. It answers where the gateway can't: a connection past it, a function that puts names together.
//!
//! Each column is changed in a transaction of its own, which reads no row: the domain has no constraint at the moment
//! when the column becomes one of it. What lies in clear is looked for before, in which case the column is left alone,
//! and after, when nothing in clear can come any more.

mod apply;
mod column;
mod live;
mod remove;
mod session;

use super::CoverageError;
use crate::config::{PostgresConfig, Target, Upstream};
use crate::pg::net::connect::Connector;
use crate::policy::model::{Policy, Table};
use session::Session;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Guard every protected column.
    Apply,
    /// Give all columns their former types, and drop the domains.
    Remove,
}

/// Something done, or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Something is left that somebody must see to.
    pub wrong: bool,
    /// What it is.
    pub text: String,
    /// The statements that do it, or that help.
    pub sql: Vec<String>,
}

/// A listener's tables, and the login that may alter them.
pub struct Guard<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The tables.
    pub tables: Vec<&'a Table>,
    /// The listener in front of them, for messages.
    pub listener: String,
    /// The database, and its owner's login.
    pub upstream: Upstream,
    /// Nothing is changed: what would be done is told.
    pub dry: bool,
}

impl<'a> Guard<'a> {
    /// Of the tables of these listeners.
    pub fn new(policy: &'a Policy, listeners: &[&PostgresConfig], upstream: Upstream, dry: bool) -> Self {
        let mut tables: Vec<&Table> = Vec::new();
        for table in listeners.iter().filter_map(|l| policy.postgres.get(l.tables)).flatten() {
            if !tables.iter().any(|t| t.schema == table.schema && t.name == table.name) {
                tables.push(table);
            }
        }
        // Of several servers, the one that can be changed.
        let target = if upstream.hosts.len() > 1 { Target::ReadWrite } else { upstream.target };
        let upstream = Upstream { target, ..upstream };
        let listener = listeners.first().map(|l| l.listen.to_string()).unwrap_or_default();
        Self { policy, tables, listener, upstream, dry }
    }

    /// Does it, and tells each step as it comes.
    ///
    /// # Errors
    /// The database can't be asked.
    pub async fn run(&self, deed: Deed, tell: &mut dyn FnMut(Said)) -> Result<(), CoverageError> {
        let connector = Connector::new(self.upstream.clone()).map_err(CoverageError::Files)?;
        let unasked = |why: String| CoverageError::Unasked {
            database: self.upstream.database.clone(),
            listener: self.listener.clone(),
            why,
        };
        let client =
            connector.own_login(connector.database()).await.map_err(|error| unasked(error.to_string()))?;
        let session = Session::new(client, self.dry).await.map_err(unasked)?;
        let done = match deed {
            Deed::Apply => apply::run(self, &session, tell).await,
            Deed::Remove => remove::run(&self.tables, &session, tell).await,
        };
        done.map_err(unasked)
    }
}
