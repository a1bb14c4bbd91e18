//! Re-keying a subject: fresh secrets, what opens under the old ones and seals under the new, and their end.

use super::entry::{KeyEntry, SealingRef, TokenRef};
use super::uses::{Earlier, Use};
use super::{Keyring, KeyringError};
use crate::ids::{KeyId, Subject};
use crate::keys::{Purpose, StandIn, UserKey};
use crate::keystore::StoreError;
use crate::keystore::model::{Found, LedgerHead, SecretRow, State};
use crate::keystore::rekey::{BeginRekey, RekeyRow, ResealedHolder};
use std::collections::{HashMap, HashSet};

/// So often a re-keying starts over because the subject gained secrets, or the keys were rotated, meanwhile.
const ATTEMPTS: usize = 8;

/// The key that a value lies under, and the one that takes its place.
pub type Pair = (UserKey, UserKey);

impl Keyring {
    /// Somebody works with keys, for as long as this is held.
    pub fn begin_use(&self) -> Use {
        self.inner.uses.begin()
    }

    /// Everything that works with keys now.
    pub fn turn(&self) -> Earlier {
        self.inner.uses.turn()
    }

    /// Gives a subject a new secret for each purpose: durable, and what begins from now on seals under it. None where no
    /// secret of the subject is settled. Of one that is being re-keyed already, that re-keying.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn rekey(
        &self,
        subject: &Subject,
        job: &str,
        ledger: Option<LedgerHead>,
    ) -> Result<Option<RekeyRow>, KeyringError> {
        for _ in 0..ATTEMPTS {
            let purposes = self.purposes(subject).await?;
            if purposes.is_empty() {
                return Ok(None);
            }
            let fresh = purposes.iter().map(|purpose| self.fresh(purpose, Some(subject), false));
            let secrets = fresh.map(|fresh| Ok(fresh?.row)).collect::<Result<Vec<_>, KeyringError>>()?;
            let made_at = self.inner.clock.wall().as_millisecond();
            let begin = BeginRekey { job: job.into(), subject: subject.clone(), secrets, made_at, ledger };
            let begun = self.inner.store.begin_rekey(begin).await;
            // Whatever happened, which secret seals is no longer certain.
            for purpose in &purposes {
                self.inner.caches.sealing.purge(&SealingRef { subject, purpose: purpose.as_str() });
            }
            match begun {
                Err(StoreError::Changed) => {}
                Err(StoreError::Stale) => self.switched().await,
                other => return Ok(Some(other?)),
            }
        }
        Err(KeyringError::Busy)
    }

    /// The purposes for which the subject has a settled secret.
    async fn purposes(&self, subject: &Subject) -> Result<Vec<Purpose>, KeyringError> {
        let rows = self.settled(subject).await?;
        let names: HashSet<_> = rows.into_iter().map(|row| row.purpose).collect();
        names.into_iter().map(|name| Purpose::new(name).map_err(|_| KeyringError::Purpose)).collect()
    }

    async fn settled(&self, subject: &Subject) -> Result<Vec<SecretRow>, KeyringError> {
        let store = &self.inner.store;
        let keys = store.footprint(subject).await?.keys;
        let rows = store.secrets(&keys).await?.into_iter().filter_map(|found| match found {
            Found::Live(row) if row.state != State::Provisional => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// For each of these keys that has left its place to another: both. Past the cache.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn successors(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, Pair>, KeyringError> {
        let store = &self.inner.store;
        let mut pairs = HashMap::with_capacity(keys.len());
        for found in store.secrets(keys).await? {
            let Found::Live(old) = found else { continue };
            let Some(subject) = &old.subject else { continue };
            let Some(new) = store.sealing(subject, &old.purpose).await? else { continue };
            if new.key_id != old.key_id {
                pairs.insert(old.key_id, (self.unwrap(&old)?.user_key(), self.unwrap(&new)?.user_key()));
            }
        }
        Ok(pairs)
    }

    /// What the audit log calls the subject under the secrets that it leaves, and under those that took their place.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn links(&self, row: &RekeyRow) -> Result<Vec<(StandIn, StandIn)>, KeyringError> {
        let store = &self.inner.store;
        let mut links = Vec::new();
        for found in store.secrets(&row.old).await? {
            let Found::Live(old) = found else { continue };
            let Some(new) = store.sealing(&row.subject, &old.purpose).await? else { continue };
            links.push((self.unwrap(&old)?.stand_in(), self.unwrap(&new)?.stand_in()));
        }
        Ok(links)
    }

    /// Moves identifiers to other secrets, durably, and makes the cache forget them as they were.
    ///
    /// # Errors
    /// [`KeyringError::Store`].
    pub async fn reseal_holders(&self, resealed: Vec<ResealedHolder>) -> Result<u64, KeyringError> {
        let tokens: Vec<_> =
            resealed.iter().map(|r| (r.before.domain.clone(), r.before.token.clone())).collect();
        let moved = self.inner.store.reseal_holders(resealed).await?;
        for (domain, token) in &tokens {
            self.inner.caches.tokens.purge(&TokenRef { domain, token });
        }
        Ok(moved)
    }

    /// Ends a re-keying: with the ledger's entry its old secrets are destroyed, and no cache opens with them when this
    /// returns; without it they stay. False where it is over already.
    ///
    /// # Errors
    /// As [`crate::keystore::Keystore::end_rekey`].
    pub async fn end_rekey(&self, row: &RekeyRow, ledger: Option<LedgerHead>) -> Result<bool, KeyringError> {
        let ended = self.inner.store.end_rekey(&row.job, ledger).await?;
        if ended && ledger.is_some() {
            for key in &row.old {
                self.inner.caches.keys.overwrite(*key, KeyEntry::Replaced);
            }
        }
        Ok(ended)
    }
}
