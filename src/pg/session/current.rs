//! The snapshot that a session plans with is kept up to date: the shared one; or, within a transaction that changed the schema,
//! one that is read in the client's own session.

use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam};
use super::{Session, Snapshot};
use crate::pg::catalog::{Unseen, queries};
use crate::pg::value::Format;
use crate::pg::wire::simple::Status;
use std::sync::Arc;

/// What the client set is set again behind the reading. It is shown by SHOW, and neither takes more than the transaction.
const PATH: &str = "SHOW search_path";
const SET_PATH: &str = "SELECT pg_catalog.set_config('search_path', $1, true)";
/// Operators, functions and types are the server's own, whatever the client's path puts before them.
const OWN_PATH: &[u8] = b"pg_catalog, pg_temp";
const ISOLATION: &str = "SHOW transaction_isolation";
const TEXT: u32 = 25;

impl Session {
    /// Whether [`Session::refresh`] has nothing to do.
    pub(super) fn is_fresh(&self) -> bool {
        let in_transaction = self.status != Status::Idle || self.pipeline;
        let behind = self.may_have_ended() || (in_transaction && (self.dirty || self.is_behind_others()));
        !behind && (self.private || self.database.is_current(&self.snapshot))
    }

    /// Whether a transaction is open, as far as the server has answered.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.status != Status::Idle || self.in_pipeline()
    }

    /// Whether the transaction of which the snapshot is may be over by what is on its way.
    pub(super) fn may_have_ended(&self) -> bool {
        self.private && (self.expects.may_have_ended() || self.expects.answered() < self.order.ends)
    }

    /// Brings the snapshot up to date: within a transaction that changed the schema, or whose changes
    /// the shared snapshot can't show, by asking on the client's own connection.
    pub(super) async fn refresh(&mut self, must: bool) -> Result<(), HiddenError> {
        if self.may_have_ended() || !self.in_pipeline() {
            // What is under way may end the transaction; what has yet to be sent of a pipeline is in none.
            self.all_answered().await?;
            if self.skipping {
                return Err(HiddenError::Skipped);
            }
        }
        if self.is_in_transaction() && (must || self.dirty || self.is_behind_others()) {
            return self.read_privately().await;
        }
        if must {
            self.database.expire();
        }
        if !self.private && !self.database.is_current(&self.snapshot) {
            let newer = self.database.snapshot().await.map_err(|e| unavailable(&e))?;
            self.follow_to(newer);
        }
        Ok(())
    }

    async fn read_privately(&mut self) -> Result<(), HiddenError> {
        self.reads_privately();
        let raw = self.hidden_path().await?;
        let set = |path: &[u8]| [HiddenParam { oid: TEXT, format: Format::Text, value: Some(path.to_vec()) }];
        let (own, clients) = (set(OWN_PATH), set(&raw));
        let mut questions: Vec<(&str, &[HiddenParam])> = vec![(SET_PATH, &own), (ISOLATION, &[])];
        questions.extend(queries::ALL.map(|query| (query, &[][..])));
        questions.push((SET_PATH, &clients));
        let mut answers = self.ask_all(&questions).await?;
        answers.truncate(answers.len().saturating_sub(1));
        let mut first = answers.drain(..2.min(answers.len())).skip(1).flatten().flatten().flatten();
        let old = first.next().is_none_or(|level| matches!(&*level, "repeatable read" | "serializable"));
        drop(first);
        // Views are not seen through here: by their definitions names are found in the path of whoever reads them.
        let snapshot = self.database.build(answers).map_err(|error| unavailable(&error))?;
        let unseen = if old { self.unseen_by(&snapshot).await? } else { None };
        if unseen.as_ref().is_some_and(|unseen| unseen.is_watched()) {
            // What was let pass before may name what is protected since.
            self.passed_since = Some(hashbrown::HashSet::new());
        }
        self.unseen = unseen;
        self.wakes(&snapshot.catalog, true);
        self.follow_to(Arc::new(snapshot));
        self.private = true;
        self.dirty = false;
        Ok(())
    }

    /// The client's search path, byte for byte.
    async fn hidden_path(&mut self) -> Result<Vec<u8>, HiddenError> {
        let rows = self.ask_raw(PATH).await?;
        let row = rows.get(0).map(crate::pg::wire::row::cells).transpose()?;
        let range = row.into_iter().flatten().next().transpose()?.flatten();
        Ok(range.and_then(|range| rows.get(0)?.get(range)).unwrap_or_default().to_vec())
    }

    /// What others have changed since the transaction's snapshot was taken: that the server finds names by, and the reading
    /// of the catalog, which is as old as the transaction's snapshot, does not show it.
    async fn unseen_by(&mut self, private: &Snapshot) -> Result<Option<Box<Unseen>>, HiddenError> {
        let newest = self.database.snapshot().await.map_err(|e| unavailable(&e))?;
        self.knows_newest(newest.catalog.version);
        self.wakes(&newest.catalog, false);
        Ok(Unseen::between(&self.base, private, &newest).map(Box::new))
    }

    /// Whether a text may be about what others changed since the snapshot of its transaction was taken.
    pub(super) fn names_unseen(&self, text: &[u8]) -> bool {
        self.unseen
            .as_ref()
            .is_some_and(|unseen| unseen.may_touch(text, || self.snapshot.filter.may_touch(text)))
    }

    /// Nothing of the client's is under way: a transaction that begins now has no older snapshot than this one.
    pub(super) fn keep_base(&mut self) {
        if self.status == Status::Idle
            && self.expects.is_empty()
            && !self.private
            && !Arc::ptr_eq(&self.base, &self.snapshot)
        {
            self.base = Arc::clone(&self.snapshot);
        }
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> HiddenError {
    tracing::warn!(%error, "the catalog could not be read");
    let failure = Failure::new(
        "58030",
        "catalog-unavailable",
        "paravent: the catalog could not be read",
        "the gateway's own login must reach the database; see its log",
    );
    HiddenError::Server(failure.response())
}
