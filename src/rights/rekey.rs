//! Re-keying a subject: when it may begin, and the end of the secrets that it leaves.

use super::{Rights, RightsError, What};
use crate::audit::{Entry, event, stand_in};
use crate::ids::{KeyId, Subject};
use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use crate::keystore::rekey::RekeyRow;

impl Rights {
    /// Gives a subject new secrets. Of one that is being re-keyed already, that re-keying. One erasure or re-keying at a time.
    /// A restricted subject may be re-keyed, and stays restricted: nothing is shown to anybody.
    ///
    /// # Errors
    /// [`RightsError::Erased`], [`RightsError::NotFound`]; [`RightsError::Unsettled`] while nothing about it is committed.
    pub async fn begin_rekey(&self, subject: &Subject, job: &str) -> Result<RekeyRow, RightsError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let store = inner.keyring.store();
        if store.footprint(subject).await?.keys.is_empty() {
            let marked = store.marked(&inner.keyring.mark(subject)).await?.is_some();
            return Err(if marked { RightsError::Erased } else { RightsError::NotFound });
        }
        let begun = inner.keyring.rekey(subject, job, None).await?;
        begun.ok_or(RightsError::Unsettled)
    }

    /// Writes to the audit log which stand-in goes on as which: may be repeated.
    ///
    /// # Errors
    /// [`RightsError::Keys`].
    pub async fn link(&self, row: &RekeyRow) -> Result<(), RightsError> {
        for (before, after) in self.inner.keyring.links(row).await? {
            self.inner.receipts.note(Entry {
                before: Some(stand_in(before)),
                after: Some(stand_in(after)),
                ..Entry::new(event::LINKED)
            });
        }
        Ok(())
    }

    /// Destroys the secrets that a re-keying leaves: in the ledger first, then fenced in the keystore, then out of every
    /// cache. False where it is over already: its subject was erased.
    ///
    /// # Errors
    /// [`RightsError::Busy`] while an identifier is still held under one of them.
    pub async fn end_rekey(&self, row: &RekeyRow) -> Result<bool, RightsError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let store = inner.keyring.store();
        if !store.rekeys().await?.iter().any(|known| known.job == row.job) {
            return Ok(false);
        }
        let all = store.footprint(&row.subject).await?.keys;
        let (old, new): (Vec<_>, Vec<_>) = all.into_iter().partition(|key| row.old.contains(key));
        let names = |keys: &[KeyId]| keys.iter().map(|key| hex::encode(key.0)).collect();
        let what = What::Rekey { job: row.job.to_string(), keys: names(&old), by: names(&new) };
        let head = inner.append(inner.now(), what).await?;
        let ended = match inner.keyring.end_rekey(row, Some(head)).await {
            Err(KeyringError::Store(StoreError::Changed)) => return Err(RightsError::Busy),
            other => other?,
        };
        inner.append(inner.now(), What::Done { receipt: row.job.to_string() }).await?;
        tracing::info!(target: "audit", event = "subject.rekeyed", job = %row.job, keys = row.old.len(), "secrets were replaced");
        Ok(ended)
    }

    /// Ends a re-keying whose old secrets have to stay: they open what lies where nobody can seal it again.
    ///
    /// # Errors
    /// [`RightsError::Keys`].
    pub async fn keep_rekeyed(&self, row: &RekeyRow) -> Result<bool, RightsError> {
        let _turn = self.inner.turn.lock().await;
        Ok(self.inner.keyring.end_rekey(row, None).await?)
    }
}
