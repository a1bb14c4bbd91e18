//! Reading: from the cache at once, or from the store into the cache.

use super::entry::{KeyAnswer, KeyEntry, LiveKey, SealingKey, SealingRef, TokenEntry, TokenKey, TokenRef};
use super::lease::Standing;
use super::{Keyring, KeyringError};
use crate::ids::{KeyId, Subject};
use crate::keys::{Binding, Purpose, SubjectSecret, UserKey, Wrapped};
use crate::keystore::model::{Found, SecretRow};
use crate::keystore::{Answer, StoreError};
use crate::secret::Secret;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

/// So often a load starts over because something was purged meanwhile.
const ATTEMPTS: usize = 16;
/// So many tokens are read in one look at the store, which must not take long.
const BATCH: usize = 256;

/// The answer of a store that needn't wait; none from one that would.
fn at_once<T>(mut answer: Answer<'_, T>) -> Option<Result<T, StoreError>> {
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

impl Keyring {
    /// Checks the lease; renews it when half of it is gone and the store answers at once.
    pub fn lease(&self) -> Result<(), KeyringError> {
        if let Some(why) = &*self.inner.suspended.read() {
            return Err(KeyringError::Suspended(why.clone()));
        }
        let lease = &self.inner.lease;
        let now = lease.now();
        let standing = lease.standing(now);
        if standing == Standing::Good {
            return Ok(());
        }
        let why = match at_once(self.inner.store.alive()) {
            Some(Ok(())) => {
                lease.renew(now);
                return Ok(());
            }
            Some(Err(why)) => why.to_string(),
            None => "it does not answer".to_owned(),
        };
        if standing == Standing::Due { Ok(()) } else { Err(KeyringError::Lease(why)) }
    }

    /// Renews the lease, waiting for the store as long as it takes: for a task that does so regularly.
    pub async fn renew(&self) -> Result<(), KeyringError> {
        let asked = self.inner.lease.now();
        self.inner.store.alive().await?;
        self.inner.lease.renew(asked);
        Ok(())
    }

    /// The key of that id for a row of `class` and `id`, if it is in the cache.
    pub fn key(&self, key: KeyId, row: Option<(&str, &str)>) -> Option<KeyAnswer> {
        self.inner.caches.keys.get(&key, |entry| match entry {
            KeyEntry::Fenced => KeyAnswer::Erased,
            KeyEntry::Replaced => KeyAnswer::Replaced,
            KeyEntry::Unknown => KeyAnswer::Unknown,
            KeyEntry::Live(live) if fits(live.subject.as_ref(), row) => {
                KeyAnswer::Open(Secret::filled(|own| own.copy_from_slice(live.secret.expose())))
            }
            KeyEntry::Live(live) => misfit(live),
        })
    }

    /// As [`Keyring::key`], for showing what it opens: not where the subject is restricted.
    pub fn reading_key(&self, key: KeyId, row: Option<(&str, &str)>) -> Option<KeyAnswer> {
        self.inner.caches.keys.get(&key, |entry| match entry {
            KeyEntry::Fenced => KeyAnswer::Erased,
            KeyEntry::Replaced => KeyAnswer::Replaced,
            KeyEntry::Unknown => KeyAnswer::Unknown,
            KeyEntry::Live(live) if !fits(live.subject.as_ref(), row) => misfit(live),
            KeyEntry::Live(live) if live.restricted => KeyAnswer::Restricted,
            KeyEntry::Live(live) => {
                KeyAnswer::Open(Secret::filled(|own| own.copy_from_slice(live.secret.expose())))
            }
        })
    }

    /// What `read` makes of a token's entry, if it is in the cache.
    pub fn token<T>(&self, domain: &str, token: &str, read: impl FnOnce(&TokenEntry) -> T) -> Option<T> {
        self.inner.caches.tokens.get(&TokenRef { domain, token }, read)
    }

    /// Fetches keys into the cache.
    pub async fn load_keys(&self, keys: &[KeyId]) -> Result<(), KeyringError> {
        let caches = &self.inner.caches;
        let mut wanted = keys.to_vec();
        for _ in 0..ATTEMPTS {
            let tickets: Vec<_> = wanted.iter().map(|key| caches.keys.ticket(key)).collect();
            let found = self.inner.store.secrets(&wanted).await?;
            let mut again = Vec::new();
            for ((key, ticket), found) in wanted.iter().zip(tickets).zip(found) {
                let filled = match self.entry(found) {
                    // A rotation ended between the two reads: the row is wrapped under the next generation now.
                    Err(KeyringError::Generation(_)) => false,
                    entry => caches.keys.fill(ticket, *key, entry?),
                };
                if !filled {
                    again.push(*key);
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            wanted = again;
        }
        Err(KeyringError::Busy)
    }

    /// Those of the keys that are no longer live.
    pub async fn gone(&self, keys: &[KeyId]) -> Result<Vec<KeyId>, KeyringError> {
        let found = self.inner.store.secrets(keys).await?;
        let gone = keys.iter().zip(found).filter(|(_, found)| !matches!(found, Found::Live(_)));
        Ok(gone.map(|(key, _)| *key).collect())
    }

    fn entry(&self, found: Found) -> Result<KeyEntry, KeyringError> {
        Ok(match found {
            Found::Fenced => KeyEntry::Fenced,
            Found::Replaced => KeyEntry::Replaced,
            Found::Unknown => KeyEntry::Unknown,
            Found::Live(row) => {
                let own = self.unwrap(&row)?;
                let (user, stand_in) = (own.user_key(), own.stand_in());
                let secret = Secret::filled(|own| own.copy_from_slice(user.secret().expose()));
                let restricted = row.subject.as_ref().is_some_and(|subject| self.is_restricted(subject));
                KeyEntry::Live(Box::new(LiveKey { secret, subject: row.subject, restricted, stand_in }))
            }
        })
    }

    pub(super) fn unwrap(&self, row: &SecretRow) -> Result<SubjectSecret, KeyringError> {
        let purpose = Purpose::new(row.purpose.clone()).map_err(|_| KeyringError::Purpose)?;
        let binding = row.subject.as_ref().map_or(Binding::Unbound, Binding::To);
        let generation = self.inner.generation(row.generation)?;
        let wrapped = Wrapped::from_bytes(&row.wrapped)?;
        Ok(SubjectSecret::unwrap(&wrapped, &generation, binding, purpose, row.key_id)?)
    }

    /// Fetches a token into the cache, and the keys of its holders while they are few.
    pub async fn load_token(&self, domain: &Arc<str>, token: &str) -> Result<(), KeyringError> {
        let keys = self.load_tokens(domain, vec![token]).await?;
        self.load_keys(&keys).await
    }

    /// Fetches tokens into the cache; gives the keys of their holders that it lacks, while they are few.
    pub async fn load_tokens(
        &self,
        domain: &Arc<str>,
        mut wanted: Vec<&str>,
    ) -> Result<Vec<KeyId>, KeyringError> {
        let caches = &self.inner.caches;
        let mut keys = Vec::new();
        for _ in 0..ATTEMPTS {
            let mut again = Vec::new();
            for batch in wanted.chunks(BATCH) {
                let ticket = |token: &&str| caches.tokens.ticket(&TokenRef { domain, token });
                let tickets: Vec<_> = batch.iter().map(ticket).collect();
                let found = self.inner.store.tokens(domain, batch).await?;
                for ((token, ticket), found) in batch.iter().zip(tickets).zip(found) {
                    let found = TokenEntry::from(found);
                    if let TokenEntry::Live { holders, .. } = &found {
                        let few = holders.iter().take(4).map(|holder| holder.key_id);
                        keys.extend(few.filter(|key| !self.is_there(*key)));
                    }
                    let key = TokenKey { domain: domain.clone(), token: (*token).into() };
                    if !caches.tokens.fill(ticket, key, found) {
                        again.push(*token);
                    }
                }
            }
            if again.is_empty() {
                return Ok(keys);
            }
            wanted = again;
        }
        Err(KeyringError::Busy)
    }

    /// Whether the cache has a key that can open.
    fn is_there(&self, key: KeyId) -> bool {
        self.inner.caches.keys.get(&key, |entry| matches!(entry, KeyEntry::Live(_))) == Some(true)
    }

    /// The key under which new values of the subject are sealed, if it has one.
    pub async fn sealing(
        &self,
        subject: &Subject,
        purpose: &Purpose,
    ) -> Result<Option<UserKey>, KeyringError> {
        let caches = &self.inner.caches;
        let wanted = SealingRef { subject, purpose: purpose.as_str() };
        if let Some(id) = caches.sealing.get(&wanted, |id| *id)
            && let Some(KeyAnswer::Open(secret)) = self.key(id, None)
        {
            return Ok(Some(UserKey::from_parts(id, secret)));
        }
        for _ in 0..ATTEMPTS {
            let ticket = caches.sealing.ticket(&wanted);
            let Some(row) = self.inner.store.sealing(subject, purpose.as_str()).await? else {
                return Ok(None);
            };
            let id = row.key_id;
            self.load_keys(&[id]).await?;
            // Destroyed between the two reads: ask again.
            let Some(KeyAnswer::Open(secret)) = self.key(id, None) else { continue };
            let key = SealingKey { subject: subject.clone(), purpose: row.purpose };
            if caches.sealing.fill(ticket, key, id) {
                return Ok(Some(UserKey::from_parts(id, secret)));
            }
        }
        Err(KeyringError::Busy)
    }

    /// Whether the subject was erased and left a mark, if the store can say so at once.
    pub fn marked_now(&self, subject: &Subject) -> bool {
        matches!(at_once(self.inner.store.marked(&self.mark(subject))), Some(Ok(Some(_))))
    }

    /// Whether the subject was erased and left a mark.
    ///
    /// # Errors
    /// [`KeyringError::Store`].
    pub async fn marked(&self, subject: &Subject) -> Result<bool, KeyringError> {
        Ok(self.inner.store.marked(&self.mark(subject)).await?.is_some())
    }

    /// The keyed mark of a subject.
    pub fn mark(&self, subject: &Subject) -> [u8; 32] {
        self.inner.marks.mark(subject).0
    }

    /// Erasures so far in this process.
    pub fn erasures(&self) -> u64 {
        self.inner.caches.erasures.load(Ordering::Acquire)
    }
}

/// What a key is that may not open in a row.
fn misfit(live: &LiveKey) -> KeyAnswer {
    if live.subject.is_none() { KeyAnswer::Unbound } else { KeyAnswer::WrongSubject }
}

/// Whether a key of `owner` may open in that row. An unbound key belongs to no row yet.
pub(super) fn fits(owner: Option<&Subject>, row: Option<(&str, &str)>) -> bool {
    match (owner, row) {
        (_, None) => true,
        (Some(owner), Some((class, id))) => &*owner.id == id && &*owner.class == class,
        (None, Some(_)) => false,
    }
}
