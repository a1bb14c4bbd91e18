//! Writing: fresh secrets, holders, bindings, outcomes, erasures.

use super::entry::{KeyEntry, LookupRef, TokenRef};
use super::{Caches, Keyring, KeyringError};
use crate::ids::{KeyId, Subject};
use crate::keys::{Binding, Purpose, SubjectSecret, UserKey};
use crate::keystore::model::{
    Bind, Bound, Erase, Erased, Held, Hold, HolderName, LedgerHead, NewSecret, Scope, Settle, UnitId,
    UnsettledRow, Write,
};
use crate::keystore::{Keystore, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So often bindings start over because the keys were rotated meanwhile.
const ATTEMPTS: usize = 8;

/// A fresh secret that isn't in the store yet.
#[derive(Debug)]
pub struct Fresh {
    /// The secret itself: kept until it is bound.
    pub secret: SubjectSecret,
    /// What seals under it.
    pub user: UserKey,
    /// Its row.
    pub row: NewSecret,
}

/// What a unit made, by name: what an outcome settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A secret, with all holders under it.
    Secret(KeyId),
    /// A holder under a secret that was there before.
    Holder(HolderName),
}

impl Keyring {
    /// A fresh secret for a subject, or for a row whose subject isn't known yet. With `refuse`, the store
    /// refuses it when the subject is marked as erased.
    pub fn fresh(
        &self,
        purpose: &Purpose,
        subject: Option<&Subject>,
        refuse: bool,
    ) -> Result<Fresh, KeyringError> {
        let secret = SubjectSecret::generate(purpose.clone());
        let generation = self.inner.active()?;
        let wrapped = secret.wrap(&generation, subject.map_or(Binding::Unbound, Binding::To))?;
        let row = NewSecret {
            key_id: secret.key_id(),
            subject: subject.cloned(),
            mark: subject.filter(|_| refuse).map(|subject| self.mark(subject)),
            purpose: purpose.as_str().into(),
            generation: generation.number(),
            wrapped: wrapped.to_bytes().to_vec(),
        };
        Ok(Fresh { user: secret.user_key(), secret, row })
    }

    /// Adds secrets and holders for a unit: durable when it returns.
    pub async fn write(
        &self,
        unit: UnitId,
        database: &Arc<str>,
        secrets: Vec<NewSecret>,
        holds: Vec<Hold>,
    ) -> Result<Vec<Held>, KeyringError> {
        let caches = &self.inner.caches;
        caches.live.lock().insert(unit);
        let domains: Vec<Arc<str>> = holds.iter().map(|hold| hold.domain.clone()).collect();
        let made_at = self.inner.clock.wall().as_millisecond();
        let write = Write { unit, database: database.clone(), made_at, secrets, holds };
        let written = self.inner.store.write(write).await;
        if matches!(written, Err(StoreError::Stale)) {
            self.inner.lookups.forget();
            self.switched().await;
        }
        let held = written?;
        for (domain, held) in domains.iter().zip(&held) {
            caches.tokens.purge(&TokenRef { domain, token: &held.token });
        }
        Ok(held)
    }

    /// Binds secrets to their subjects and destroys others: durable when it returns.
    pub async fn bind(
        &self,
        unit: UnitId,
        bound: &[(SubjectSecret, Subject, bool)],
        destroyed: Vec<KeyId>,
        tokens: &[(Arc<str>, Box<str>)],
    ) -> Result<(), KeyringError> {
        let mut done = Err(StoreError::Stale);
        for _ in 0..ATTEMPTS {
            let bind = Bind { unit, bound: self.bound(bound)?, destroyed: destroyed.clone() };
            done = self.inner.store.bind(bind).await;
            if !matches!(done, Err(StoreError::Stale)) {
                break;
            }
            self.switched().await;
        }
        let mut changed = destroyed.clone();
        changed.extend(bound.iter().map(|(secret, ..)| secret.key_id()));
        // Whatever happened, what the cache knows of them is no longer certain.
        self.inner.caches.forget(&changed, tokens.iter().map(|(domain, token)| (&**domain, &**token)));
        Ok(done?)
    }

    /// The rows of secrets that get their subject, wrapped under the active generation.
    fn bound(&self, bound: &[(SubjectSecret, Subject, bool)]) -> Result<Vec<Bound>, KeyringError> {
        let generation = self.inner.active()?;
        let row = |(secret, subject, refuse): &(SubjectSecret, Subject, bool)| {
            let wrapped = secret.wrap(&generation, Binding::To(subject))?;
            Ok(Bound {
                key_id: secret.key_id(),
                subject: subject.clone(),
                mark: refuse.then(|| self.mark(subject)),
                generation: generation.number(),
                wrapped: wrapped.to_bytes().to_vec(),
            })
        };
        bound.iter().map(row).collect()
    }

    /// Queues the outcome of a unit, or of parts of it. `last` says that nothing more will come of it.
    pub fn settle(
        &self,
        unit: UnitId,
        made: &[Made],
        tokens: Vec<(Arc<str>, Box<str>)>,
        committed: bool,
        last: bool,
    ) {
        let mut keys = Vec::new();
        let mut holders = Vec::new();
        for made in made {
            match made {
                Made::Secret(key) => keys.push(*key),
                Made::Holder(holder) => holders.push(holder.clone()),
            }
        }
        let changed = keys.clone();
        let scope = if last { Scope::All } else { Scope::Parts(keys, holders) };
        let caches = self.inner.caches.clone();
        let done = move |outcome: Result<(), _>| {
            if let Err(error) = outcome {
                tracing::error!(%error, "the outcome of a transaction waits for recovery");
            }
            let gone: &[KeyId] = if committed { &[] } else { &changed };
            caches.forget(gone, tokens.iter().map(|(domain, token)| (&**domain, &**token)));
            if last {
                caches.live.lock().remove(&unit);
            }
        };
        self.inner.store.settle(Settle { unit, scope, committed }, Box::new(done));
    }

    /// A unit was lost without an outcome: recovery may take it.
    pub fn abandon(&self, unit: UnitId) {
        self.inner.caches.live.lock().remove(&unit);
    }

    /// What is provisional and of no unit that still lives in this process.
    pub async fn unsettled(&self) -> Result<Vec<UnsettledRow>, KeyringError> {
        let mut rows = self.inner.store.unsettled().await?;
        let live = self.inner.caches.live.lock();
        rows.retain(|row| !live.contains(&row.unit));
        Ok(rows)
    }

    /// Settles one key of a lost unit: durable when it returns.
    pub async fn recover(&self, row: &UnsettledRow, committed: bool) -> Result<(), KeyringError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let settle = Settle { unit: row.unit, scope: Scope::Keys(vec![row.key_id]), committed };
        self.inner.store.settle(settle, Box::new(move |outcome| drop(sender.send(outcome))));
        let lost = || StoreError::Unavailable("the keystore gave no answer".into());
        let outcome = receiver.await.unwrap_or_else(|_| Err(lost()));
        self.inner
            .caches
            .forget(&[row.key_id], row.tokens.iter().map(|(domain, token)| (&**domain, &**token)));
        Ok(outcome?)
    }

    /// Erases, durably, and makes every cache forget before it returns.
    pub async fn erase(&self, erase: Erase) -> Result<Erased, KeyringError> {
        let (keys, subject) = (erase.keys.clone(), erase.subject.clone());
        let erased = self.inner.store.erase(erase).await?;
        subject.iter().for_each(|subject| self.forget_restriction(subject));
        let caches = &self.inner.caches;
        caches.erasures.fetch_add(1, Ordering::AcqRel);
        for key in keys {
            caches.keys.overwrite(key, KeyEntry::Fenced);
        }
        for (domain, token) in erased.destroyed.iter().chain(&erased.surviving) {
            caches.tokens.purge(&TokenRef { domain, token });
        }
        for (domain, hmac) in &erased.lookups {
            caches.lookups.purge(&LookupRef { domain, hmac });
        }
        Ok(erased)
    }

    /// Gives those who shared a token with somebody erased a fresh one, durably, and makes every cache forget what led to
    /// the old one.
    ///
    /// # Errors
    /// As [`Keystore::replace`].
    pub async fn replace(&self, domain: &str, old: &str, new: &str) -> Result<(), KeyringError> {
        let hmacs = self.inner.store.replace(domain, old, new).await?;
        let caches = &self.inner.caches;
        for hmac in &hmacs {
            caches.lookups.purge(&LookupRef { domain, hmac });
        }
        for token in [old, new] {
            caches.tokens.purge(&TokenRef { domain, token });
        }
        Ok(())
    }

    /// Destroys a token that was replaced.
    ///
    /// # Errors
    /// As [`Keystore::retire`].
    pub async fn retire(&self, domain: &str, old: &str, ledger: LedgerHead) -> Result<(), KeyringError> {
        self.inner.store.retire(domain, old, ledger).await?;
        self.inner.caches.tokens.purge(&TokenRef { domain, token: old });
        Ok(())
    }

    /// The store, for what needs no key.
    pub fn store(&self) -> &dyn Keystore {
        &*self.inner.store
    }

    /// Where the time comes from.
    pub fn wall(&self) -> jiff::Timestamp {
        self.inner.clock.wall()
    }
}

impl Caches {
    pub(super) fn forget<'a>(&self, keys: &[KeyId], tokens: impl Iterator<Item = (&'a str, &'a str)>) {
        for key in keys {
            self.keys.purge(key);
        }
        for (domain, token) in tokens {
            self.tokens.purge(&TokenRef { domain, token });
        }
    }
}
