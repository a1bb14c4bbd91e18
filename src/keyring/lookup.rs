//! From identifiers to tokens: the domains' lookup keys, one for each generation that a domain has a secret in.
//!
//! Outside of a rotation there is one. During a rotation there are two, and a token may be found under either; once
//! every token is known under the new one, the old one goes.

use super::entry::{LookupEntry, LookupRef};
use super::{Keyring, KeyringError};
use crate::ids::Generation;
use crate::keys::{DomainSecret, LookupKey, Wrapped};
use crate::keystore::StoreError;
use crate::keystore::model::{DomainRow, LookupPair};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// So often a search starts over because a rotation changed the keys meanwhile.
const ATTEMPTS: usize = 16;

/// One domain's lookup keys, newest generation first.
type KeySet = Arc<[(Generation, LookupKey)]>;

/// The lookup keys at hand.
#[derive(Default)]
pub(super) struct Lookups(RwLock<State>);

#[derive(Default)]
struct State {
    sets: HashMap<Arc<str>, KeySet>,
    /// Counts what was forgotten: a load that began before fills nothing in.
    version: u64,
}

impl Lookups {
    /// What is known of the domains is no longer certain.
    pub(super) fn forget(&self) {
        let mut state = self.0.write();
        state.sets.clear();
        state.version += 1;
    }

    fn get(&self, domain: &str) -> (Option<KeySet>, u64) {
        let state = self.0.read();
        (state.sets.get(domain).cloned(), state.version)
    }

    fn fill(&self, domain: &Arc<str>, set: KeySet, version: u64) {
        let mut state = self.0.write();
        if state.version == version {
            state.sets.insert(domain.clone(), set);
        }
    }
}

impl Keyring {
    /// The domain's keys; its secret is made when the domain is first used. With them, what tells whether they
    /// are still in force.
    async fn lookup_keys(&self, domain: &Arc<str>) -> Result<(KeySet, u64), KeyringError> {
        for _ in 0..ATTEMPTS {
            let (known, version) = self.inner.lookups.get(domain);
            if let Some(known) = known {
                return Ok((known, version));
            }
            let mut rows = self.inner.store.domain(domain).await?;
            if rows.is_empty() {
                match self.first_secret(domain).await {
                    Ok(row) => rows.push(row),
                    Err(KeyringError::Store(StoreError::Stale)) => {
                        self.switched().await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            let mut set = Vec::with_capacity(rows.len());
            for row in &rows {
                // Gone between the two reads: the rotation has ended.
                let Ok(generation) = self.inner.generation(row.generation) else { break };
                let secret = DomainSecret::unwrap(&Wrapped::from_bytes(&row.wrapped)?, &generation, domain)?;
                set.push((row.generation, secret.lookup_key()));
            }
            if set.len() == rows.len() {
                let set: KeySet = set.into();
                self.inner.lookups.fill(domain, set.clone(), version);
                return Ok((set, version));
            }
        }
        Err(KeyringError::Busy)
    }

    async fn first_secret(&self, domain: &Arc<str>) -> Result<DomainRow, KeyringError> {
        let generation = self.inner.active()?;
        let wrapped = DomainSecret::generate().wrap(&generation, domain)?.to_bytes().to_vec();
        let row = DomainRow { domain: domain.clone(), generation: generation.number(), wrapped };
        Ok(self.inner.store.add_domain(row).await?)
    }

    /// An identifier's HMACs under every key of its domain: what a hold carries.
    pub async fn pairs(
        &self,
        domain: &Arc<str>,
        exact: &str,
        folded: &str,
    ) -> Result<Vec<LookupPair>, KeyringError> {
        let (keys, _) = self.lookup_keys(domain).await?;
        let pair = |(generation, key): &(Generation, LookupKey)| LookupPair {
            generation: *generation,
            exact: key.exact(exact).0,
            folded: key.fold(folded).0,
        };
        Ok(keys.iter().map(pair).collect())
    }

    /// The token of an identifier (in its exact form), if it has one. Only settled ones are cached: others may
    /// yet be undone.
    pub async fn find(&self, domain: &Arc<str>, exact: &str) -> Result<Option<Box<str>>, KeyringError> {
        for _ in 0..ATTEMPTS {
            let (keys, version) = self.lookup_keys(domain).await?;
            for (generation, key) in keys.iter() {
                let found = self.find_under(domain, *generation, &key.exact(exact).0).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            // Not there under keys that are still in force: not there.
            if self.inner.lookups.get(domain).1 == version {
                return Ok(None);
            }
        }
        Err(KeyringError::Busy)
    }

    async fn find_under(
        &self,
        domain: &Arc<str>,
        generation: Generation,
        hmac: &[u8; 32],
    ) -> Result<Option<Box<str>>, KeyringError> {
        let caches = &self.inner.caches;
        let wanted = LookupRef { domain, hmac };
        if let Some(token) = caches.lookups.get(&wanted, Clone::clone) {
            return Ok(Some(token));
        }
        let ticket = caches.lookups.ticket(&wanted);
        let found = self.inner.store.lookup(domain, generation, hmac).await?;
        let Some(looked) = found else { return Ok(None) };
        if looked.settled {
            let key = LookupEntry { domain: domain.clone(), hmac: *hmac };
            caches.lookups.fill(ticket, key, looked.token.clone());
        }
        Ok(Some(looked.token))
    }

    /// The tokens of every identifier with that folded form.
    pub async fn folded(&self, domain: &Arc<str>, folded: &str) -> Result<Vec<Box<str>>, KeyringError> {
        for _ in 0..ATTEMPTS {
            let (keys, version) = self.lookup_keys(domain).await?;
            let mut tokens = Vec::new();
            for (generation, key) in keys.iter() {
                tokens.extend(self.inner.store.folded(domain, *generation, &key.fold(folded).0).await?);
            }
            tokens.sort_unstable();
            tokens.dedup();
            if self.inner.lookups.get(domain).1 == version {
                return Ok(tokens);
            }
        }
        Err(KeyringError::Busy)
    }
}
