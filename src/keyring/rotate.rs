//! Rotation: the steps that need keys. `jobs` puts them in order and resumes them; each may be repeated.

use super::open::root_error;
use super::{Keyring, KeyringError};
use crate::ids::{Generation, KeyId, Subject};
use crate::keys::{Binding, DomainSecret, GenerationKey, MARK_DOMAIN, UserKey, Wrapped};
use crate::keystore::model::{DomainRow, Found, GenerationRow, GenerationState};
use crate::keystore::rotation::{Passed, Rewrap};
use crate::keystore::{Keystore, StoreError};
use crate::roots::RootProvider;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Secrets that are wrapped again in one change: some milliseconds of the writer's time, in steps.
const BATCH: u32 = 2000;

/// How far the wrapping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrapped {
    /// Secrets that were read and wrapped.
    pub wrapped: u64,
    /// Of them, those that had not changed meanwhile (what changed wraps itself under the active generation).
    pub moved: u64,
}

/// What [`Keyring::verify`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// So many secrets, all of which opened.
    pub secrets: u64,
    /// Whether all of it belongs to the active generation: such a copy is good for the time after this rotation.
    pub complete: bool,
}

impl Keyring {
    /// The generation that wraps new secrets.
    pub fn active_generation(&self) -> Generation {
        self.inner.ring.read().active
    }

    /// Waits until a change of the active generation that is under way has happened.
    pub(super) async fn switched(&self) {
        drop(self.inner.switching.read().await);
    }

    /// The number that the next generation gets: that of a root key which `ours` says a rotation of this keystore made and
    /// never came to use; else above every number that either side knows, since a root key may belong to a newer keystore.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn next_generation(
        &self,
        roots: &dyn RootProvider,
        ours: impl Fn(Generation) -> bool,
    ) -> Result<Generation, KeyringError> {
        let rows = self.inner.store.generations().await?;
        let known = roots.list().map_err(root_error(self.active_generation()))?;
        let known: Vec<Generation> = known.into_iter().map(|root| root.generation).collect();
        let stored = rows.iter().map(|row| row.number).max().unwrap_or(Generation(0));
        let left = known.iter().copied().filter(|number| *number > stored && ours(*number)).max();
        let highest = known.into_iter().max().unwrap_or(stored).max(stored);
        Ok(left.filter(|left| *left == highest).unwrap_or(Generation(highest.0 + 1)))
    }

    /// Makes the generation of that number and lets everything new be wrapped under it. Its root key is made first, unless it
    /// is there, then the store is changed at once: a crash between the two leaves a root key that wraps nothing.
    ///
    /// # Errors
    /// [`StoreError::Rotating`] while an earlier rotation has not ended; [`KeyringError::Root`].
    pub async fn begin_rotation(
        &self,
        roots: &dyn RootProvider,
        number: Generation,
    ) -> Result<(), KeyringError> {
        let inner = &self.inner;
        let _switch = inner.switching.write().await;
        let rows = inner.store.generations().await?;
        if rows.iter().any(|row| matches!(row.state, GenerationState::Closing | GenerationState::Empty)) {
            return Err(StoreError::Rotating.into());
        }
        let known = roots.list().map_err(root_error(number))?;
        if !known.iter().any(|root| root.generation == number) {
            roots.create(number).map_err(root_error(number))?;
        }
        let key = GenerationKey::generate(number);
        let wrapped = roots.wrap(&key).map_err(root_error(number))?.as_bytes().to_vec();
        inner.store.rotate(GenerationRow { number, wrapped, state: GenerationState::Active }).await?;
        let mut ring = inner.ring.write();
        ring.keys.insert(number, Arc::new(key));
        ring.active = number;
        Ok(())
    }

    /// Wraps every secret of `from` again under the active generation. `step` hears of each batch and says how long to
    /// pause after it. While one batch is written, the next is read and wrapped.
    ///
    /// # Errors
    /// [`KeyringError::Row`] for a secret that doesn't open: nothing is lost by it, since its row stays as it is.
    pub async fn rewrap(
        &self,
        from: Generation,
        mut step: impl FnMut(Rewrapped) -> Duration,
    ) -> Result<Rewrapped, KeyringError> {
        let store = &self.inner.store;
        let (old, new) = (self.inner.generation(from)?, self.inner.active()?);
        if old.number() == new.number() {
            return Err(StoreError::InUse(from.0).into());
        }
        let mut done = Rewrapped::default();
        let mut after = 0;
        let mut writing = None;
        loop {
            let batch = store.wrapped_by(from, after, BATCH).await?;
            let last = batch.last().map(|passed| passed.place);
            let secrets = batch.iter().map(|d| self.again(d, from, &new)).collect::<Result<Vec<_>, _>>()?;
            done.wrapped += secrets.len() as u64;
            if let Some(written) = writing.take() {
                let written: crate::keystore::Answer<'_, u64> = written;
                done.moved += written.await?;
                let pause = step(done);
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            let Some(last) = last else { return Ok(done) };
            writing = Some(store.rewrap(secrets));
            after = last;
        }
    }

    fn again(&self, d: &Passed, from: Generation, new: &GenerationKey) -> Result<Rewrap, KeyringError> {
        let binding = d.row.subject.as_ref().map_or(Binding::Unbound, Binding::To);
        let wrapped = self.unwrap(&d.row)?.wrap(new, binding)?.to_bytes().to_vec();
        let Passed { place, version, .. } = *d;
        Ok(Rewrap { place, key_id: d.row.key_id, version, from, to: new.number(), wrapped })
    }

    /// Gives every domain of `from` a secret in the active generation; says which domains those are. The secret that
    /// makes the marks of erased subjects is the same again: a mark can't be computed anew, since nobody knows the
    /// subject any more.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn open_domains(&self, from: Generation) -> Result<Vec<Arc<str>>, KeyringError> {
        let inner = &self.inner;
        let (old, new) = (inner.generation(from)?, inner.active()?);
        let rows = inner.store.domains().await?;
        let mut domains = Vec::new();
        for row in rows.iter().filter(|row| row.generation == from) {
            let known = rows.iter().any(|r| r.domain == row.domain && r.generation == new.number());
            if !known {
                let secret = if &*row.domain == MARK_DOMAIN {
                    DomainSecret::unwrap(&Wrapped::from_bytes(&row.wrapped)?, &old, &row.domain)?
                } else {
                    DomainSecret::generate()
                };
                let wrapped = secret.wrap(&new, &row.domain)?.to_bytes().to_vec();
                let domain = row.domain.clone();
                inner.store.add_domain(DomainRow { domain, generation: new.number(), wrapped }).await?;
            }
            if &*row.domain != MARK_DOMAIN {
                domains.push(row.domain.clone());
            }
        }
        inner.lookups.forget();
        Ok(domains)
    }

    /// Forgets the domains' secrets of `from`, once every token has its lookups in the active generation, and deletes
    /// the lookups made with them.
    ///
    /// # Errors
    /// [`KeyringError::Store`].
    pub async fn close_domains(&self, from: Generation) -> Result<(), KeyringError> {
        let inner = &self.inner;
        for row in inner.store.domains().await?.iter().filter(|row| row.generation == from) {
            inner.store.close_domain(&row.domain, from).await?;
        }
        inner.lookups.forget();
        while inner.store.drop_lookups(from, BATCH).await? > 0 {}
        Ok(())
    }

    /// Seals the subjects of sweeps that are not over again under the active generation.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn reseal_subjects(&self, from: Generation) -> Result<(), KeyringError> {
        for sweep in self.inner.store.sweeps().await? {
            let Some(sealed) = sweep.subject.filter(|sealed| sealed.generation == from) else { continue };
            let subject = self.open_subject(&sweep.receipt, &sealed)?;
            let again = self.seal_subject(&sweep.receipt, &subject)?;
            self.inner.store.set_sweep(&sweep.receipt, Some(again)).await?;
        }
        Ok(())
    }

    /// Forgets the key of a generation on which nothing depends any more.
    pub fn drop_generation(&self, generation: Generation) {
        let mut ring = self.inner.ring.write();
        if ring.active != generation {
            ring.keys.remove(&generation);
        }
    }

    /// User keys, past the cache: for jobs that go through everything. What isn't live is left out.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn user_keys(
        &self,
        keys: &[KeyId],
    ) -> Result<HashMap<KeyId, (UserKey, Option<Subject>)>, KeyringError> {
        let found = self.inner.store.secrets(keys).await?;
        let mut users = HashMap::with_capacity(keys.len());
        for found in found {
            let Found::Live(row) = found else { continue };
            users.insert(row.key_id, (self.unwrap(&row)?.user_key(), row.subject));
        }
        Ok(users)
    }

    /// Opens every secret of another store with the keys at hand.
    ///
    /// # Errors
    /// [`KeyringError`]: one doesn't open.
    pub async fn verify(&self, copy: &dyn Keystore) -> Result<Verified, KeyringError> {
        let active = self.active_generation();
        let mut verified = Verified { secrets: 0, complete: true };
        let mut after = 0;
        loop {
            let passed = copy.every_secret(after, BATCH).await?;
            let Some(last) = passed.last() else { break };
            after = last.place;
            verified.secrets += passed.len() as u64;
            for Passed { row, .. } in &passed {
                verified.complete &= row.generation == active;
                self.unwrap(row)?;
            }
        }
        for row in copy.domains().await? {
            verified.complete &= row.generation == active;
            let generation = self.inner.generation(row.generation)?;
            DomainSecret::unwrap(&Wrapped::from_bytes(&row.wrapped)?, &generation, &row.domain)?;
        }
        let mut sealed = copy.sweeps().await?.into_iter().filter_map(|sweep| sweep.subject);
        verified.complete &= sealed.all(|sealed| sealed.generation == active);
        Ok(verified)
    }
}
