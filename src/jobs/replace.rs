//! Identifiers that an erased subject shared: those who still hold one get a fresh token, their rows are rewritten, and the
//! old token is destroyed. No receipt about it is final before.

use super::{JobError, Jobs};
use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use crate::keystore::model::TokenFound;
use crate::protect::places::{Places, Replaced};
use crate::rights::{RightsError, Step};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Jobs {
    /// Goes on with every shared token of erasures that are not final.
    ///
    /// # Errors
    /// [`JobError::Waiting`] when a place can't be reached or changed now.
    pub(super) async fn replacements(&self) -> Result<(), JobError> {
        let Some(places) = self.inner.places.read().clone() else { return Ok(()) };
        let sweeps = self.inner.keyring.store().sweeps().await?;
        let shared: BTreeSet<_> = sweeps.into_iter().filter(|s| s.swept).flat_map(|s| s.shared).collect();
        for (domain, old) in shared {
            self.replace(&places, &domain, &old).await?;
        }
        self.reconcile().await
    }

    async fn replace(&self, places: &[Arc<dyn Places>], domain: &str, old: &str) -> Result<(), JobError> {
        let keyring = &self.inner.keyring;
        let store = keyring.store();
        let known = match store.replacement(domain, old).await? {
            Some(known) => known,
            None => {
                let door = self.inner.door.read().clone();
                // Of a domain of no field: nobody is shown it either.
                let Some(new) = door.fresh_token(domain) else { return Ok(()) };
                match keyring.replace(domain, old, &new).await {
                    // A holder's transaction is open, or the last one was erased: at another pass.
                    Err(KeyringError::Store(StoreError::Changed | StoreError::Taken)) => return Ok(()),
                    other => other?,
                }
                let Some(known) = store.replacement(domain, old).await? else { return Ok(()) };
                known
            }
        };
        let holders = match store.token(domain, &known.new).await? {
            TokenFound::Live { holders, .. } => {
                holders.into_iter().filter_map(|holder| holder.subject).collect()
            }
            TokenFound::Fenced | TokenFound::Unknown => Vec::new(),
        };
        let replaced = Replaced {
            domain: domain.into(),
            old: old.into(),
            new: known.new,
            holders,
            databases: known.databases,
        };
        let mut over = true;
        for places in places {
            over &= places.replace(&replaced, &self.inner.rights).await.map_err(JobError::Waiting)?;
        }
        if over {
            self.inner.rights.retire(domain, old).await?;
        }
        Ok(())
    }

    /// Tells each receipt how many of its tokens still live on.
    async fn reconcile(&self) -> Result<(), JobError> {
        for sweep in self.inner.keyring.store().sweeps().await? {
            let receipts = self.inner.rights.issuer();
            let receipt = match receipts.get(&sweep.receipt).await {
                Err(RightsError::NotFound) => continue,
                other => other?,
            };
            let tokens = receipt.tokens_living_on.saturating_sub(sweep.shared.len());
            if tokens > 0 {
                receipts.advance(&sweep.receipt, Step::Replaced { tokens }).await?;
            }
        }
        Ok(())
    }
}
