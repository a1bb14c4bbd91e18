//! Code that was harmless when a cursor, a portal or a deferred trigger that runs it came to be, and touches something protected
//! since the schema was changed: what was let pass before does not run after that.

use super::Session;
use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam};
use crate::pg::catalog::model::Catalog;
use crate::pg::value::Format;
use crate::pg::wire::simple::Status;
use std::fmt::Write as _;

/// Whether the transaction has a cursor or portal, other than that of a change of the schema (`$1`), or has written a table (Postgres
/// documentation, chapter 28.2) whose trigger runs one of these functions (`$2`), or computes the expressions of an index, and may be
/// deferred. Operators are the server's own,
/// whatever the path.
const OPEN: &str = "\
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_cursors c
    WHERE c.creation_time OPERATOR(pg_catalog.>=) pg_catalog.transaction_timestamp()
      AND c.name OPERATOR(pg_catalog.<>) '_paravent' AND ($1 IS NULL OR c.name OPERATOR(pg_catalog.<>) $1)
  ) OR EXISTS (
    SELECT FROM pg_catalog.pg_trigger t
    WHERE t.tgdeferrable AND (t.tgfoid OPERATOR(pg_catalog.=) ANY ($2) OR EXISTS (
      SELECT FROM pg_catalog.pg_index i
      WHERE i.indexrelid OPERATOR(pg_catalog.=) t.tgconstrindid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
    )) AND (
      pg_catalog.int8gt(pg_catalog.pg_stat_get_xact_tuples_inserted(t.tgrelid), 0)
      OR pg_catalog.int8gt(pg_catalog.pg_stat_get_xact_tuples_updated(t.tgrelid), 0)
      OR pg_catalog.int8gt(pg_catalog.pg_stat_get_xact_tuples_deleted(t.tgrelid), 0)
      OR NOT pg_catalog.current_setting('track_counts')::pg_catalog.bool
    )
  )";
const TEXT: u32 = 25;
const OIDS: u32 = 1028;

/// Such code, of one transaction.
#[derive(Debug, Default)]
pub(super) struct Woken {
    /// OIDs of functions.
    functions: Vec<u32>,
    /// The last of them by this transaction's own change.
    own: bool,
    /// The portal of the last change of the schema, which has run, as long as nothing else was bound.
    done: Option<Vec<u8>>,
}

impl Woken {
    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The transaction is over.
    pub(super) fn clear(&mut self) {
        self.functions.clear();
        self.done = None;
    }

    /// A portal is executed that changes the schema.
    pub(super) fn done(&mut self, portal: &[u8]) {
        self.done = Some(portal.to_vec());
    }

    /// A portal was bound, maybe in its place.
    pub(super) fn bound(&mut self) {
        self.done = None;
    }

    fn params(&self) -> [HiddenParam; 2] {
        let mut oids = String::from("{");
        for oid in &self.functions {
            let _ = write!(oids, "{}{oid}", if oids.len() > 1 { "," } else { "" });
        }
        oids.push('}');
        let param = |oid, value| HiddenParam { oid, format: Format::Text, value };
        [param(TEXT, self.done.clone()), param(OIDS, Some(oids.into_bytes()))]
    }
}

impl Session {
    /// The session goes on with this catalog. `own`: since it changed the schema itself.
    pub(super) fn wakes(&mut self, newer: &Catalog, own: bool) {
        if !self.is_in_transaction() && self.expects.is_empty() {
            return;
        }
        for function in self.snapshot.catalog.woken_in(newer) {
            if !self.woken.functions.contains(&function) {
                self.woken.functions.push(function);
                self.woken.own = own;
            }
        }
    }

    /// Fails the transaction if anything in it may run such code still; with it that is gone.
    ///
    /// # Errors
    /// It may, or the server could not be asked.
    pub(super) async fn check_woken(&mut self) -> Result<(), HiddenError> {
        if self.woken.is_empty() || self.skipping || self.status == Status::Failed {
            return Ok(());
        }
        let params = self.woken.params();
        let rows = self.ask(OPEN, &params).await?;
        if rows.first().and_then(|row| row.first()?.as_deref()) != Some("f") {
            self.shared.metrics.refused("woken-code");
            return Err(Failure::woken_code(self.woken.own).into());
        }
        self.woken.clear();
        Ok(())
    }
}
