//! Opening a keyring: the generations, unwrapped by their root keys.

use super::cache::Cache;
use super::lease::Lease;
use super::{Caches, Inner, Keyring, KeyringError, Options};
use crate::fault::Fault;
use crate::ids::Generation;
use crate::keys::{DomainSecret, GenerationKey, MARK_DOMAIN, MarkKey, Wrapped};
use crate::keystore::model::{DomainRow, GenerationRow};
use crate::keystore::{Keystore, StoreError};
use crate::roots::{RootError, RootProvider, RootWrapped};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const FIRST: Generation = Generation(1);

impl Keyring {
    /// Opens the store's generations with the root keys. In a new store it makes generation 1.
    ///
    /// # Errors
    /// [`KeyringError::Root`] when the root keys are not those of this store; [`KeyringError::Store`];
    /// [`KeyringError::Row`] when the store was tampered with.
    pub async fn open(
        store: Arc<dyn Keystore>,
        roots: &dyn RootProvider,
        options: Options,
    ) -> Result<Self, KeyringError> {
        let lease = Lease::new(options.clock.clone(), options.lease);
        let asked = lease.now();
        let mut rows = store.generations().await?;
        if rows.is_empty() {
            rows.push(found(&*store, roots).await?);
        }
        let mut generations = HashMap::new();
        for row in &rows {
            generations.insert(row.number.0, unwrap(roots, row)?);
        }
        let active = rows.iter().rfind(|row| row.active).ok_or(KeyringError::Generation(0))?.number;
        let marks = marks(&*store, &generations, active).await?;
        lease.renew(asked);
        let capacity = options.capacity;
        let caches = Caches {
            keys: Cache::new(capacity),
            tokens: Cache::new(capacity),
            lookups: Cache::new(capacity),
            sealing: Cache::new(capacity),
            live: Mutex::new(HashSet::new()),
            erasures: AtomicU64::new(0),
        };
        let inner = Inner {
            store,
            generations,
            active: active.0,
            domains: RwLock::new(HashMap::new()),
            marks,
            caches: Arc::new(caches),
            lease,
            clock: options.clock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn root_error(generation: Generation) -> impl FnOnce(RootError) -> KeyringError {
    move |e| KeyringError::Root {
        generation: generation.0,
        why: e.to_string(),
        advice: e.advice().into_owned(),
    }
}

/// The first generation of a new store.
async fn found(store: &dyn Keystore, roots: &dyn RootProvider) -> Result<GenerationRow, KeyringError> {
    if store.ledger_head().await?.is_some() {
        let why = "it has seen erasures, and has no generation".to_owned();
        return Err(StoreError::Damaged("the keystore".into(), why).into());
    }
    let wrapped = roots.wrap(&GenerationKey::generate(FIRST)).map_err(root_error(FIRST))?;
    let row = GenerationRow { number: FIRST, wrapped: wrapped.as_bytes().to_vec(), active: true };
    Ok(store.add_generation(row).await?)
}

fn unwrap(roots: &dyn RootProvider, row: &GenerationRow) -> Result<GenerationKey, KeyringError> {
    let wrapped = RootWrapped::from_bytes(&row.wrapped).map_err(root_error(row.number))?;
    roots.unwrap(row.number, &wrapped).map_err(root_error(row.number))
}

/// The key that makes marks.
async fn marks(
    store: &dyn Keystore,
    generations: &HashMap<u32, GenerationKey>,
    active: Generation,
) -> Result<MarkKey, KeyringError> {
    let generation = generations.get(&active.0).ok_or(KeyringError::Generation(active.0))?;
    let row = match store.domain(MARK_DOMAIN, active).await? {
        Some(row) => row,
        None => {
            let wrapped = DomainSecret::generate().wrap(generation, MARK_DOMAIN)?.to_bytes().to_vec();
            store.add_domain(DomainRow { domain: MARK_DOMAIN.into(), generation: active, wrapped }).await?
        }
    };
    Ok(DomainSecret::unwrap(&Wrapped::from_bytes(&row.wrapped)?, generation, MARK_DOMAIN)?.mark_key())
}
