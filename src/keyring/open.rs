//! Opening a keyring: the generations, unwrapped by their root keys.

use super::cache::Cache;
use super::lease::Lease;
use super::lookup::Lookups;
use super::uses::Uses;
use super::{Caches, Inner, Keyring, KeyringError, Options, Ring};
use crate::fault::Fault;
use crate::ids::Generation;
use crate::keys::{DomainSecret, GenerationKey, MARK_DOMAIN, MarkKey, Wrapped};
use crate::keystore::model::{DomainRow, GenerationRow, GenerationState};
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
        let mut keys = HashMap::new();
        for row in &rows {
            if let Some(key) = at_hand(&*store, roots, row).await? {
                keys.insert(row.number, Arc::new(key));
            }
        }
        let active = rows.iter().rfind(|row| row.state == GenerationState::Active);
        let active = active.ok_or(KeyringError::Generation(0))?.number;
        let ring = Ring { keys, active };
        let marks = marks(&*store, &ring).await?;
        let restricted = store.restricted().await?;
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
            ring: RwLock::new(ring),
            switching: tokio::sync::RwLock::default(),
            lookups: Lookups::default(),
            marks,
            caches: Arc::new(caches),
            lease,
            clock: options.clock,
            uses: Uses::default(),
            suspended: RwLock::new(None),
            restricted: RwLock::new(restricted.into_iter().collect()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

pub(super) fn root_error(generation: Generation) -> impl FnOnce(RootError) -> KeyringError {
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
    let row =
        GenerationRow { number: FIRST, wrapped: wrapped.as_bytes().to_vec(), state: GenerationState::Active };
    Ok(store.add_generation(row).await?)
}

/// A generation's key; none for one that is destroyed. A root key may be gone although the store doesn't say so yet,
/// where a kill came between the two; but never while something depends on it.
async fn at_hand(
    store: &dyn Keystore,
    roots: &dyn RootProvider,
    row: &GenerationRow,
) -> Result<Option<GenerationKey>, KeyringError> {
    if row.state == GenerationState::Destroyed {
        return Ok(None);
    }
    let wrapped = RootWrapped::from_bytes(&row.wrapped).map_err(root_error(row.number))?;
    match roots.unwrap(row.number, &wrapped) {
        Ok(key) => Ok(Some(key)),
        Err(RootError::Missing(_))
            if row.state != GenerationState::Active && store.dependents(row.number).await?.none() =>
        {
            store.advance(row.number, GenerationState::Empty).await?;
            store.advance(row.number, GenerationState::Destroyed).await?;
            Ok(None)
        }
        Err(error) => Err(root_error(row.number)(error)),
    }
}

/// The key that makes marks. During a rotation it is there twice, the same.
async fn marks(store: &dyn Keystore, ring: &Ring) -> Result<MarkKey, KeyringError> {
    let generation = |number: Generation| ring.keys.get(&number).ok_or(KeyringError::Generation(number.0));
    let row = match store.domain(MARK_DOMAIN).await?.into_iter().next() {
        Some(row) => row,
        None => {
            let active = generation(ring.active)?;
            let wrapped = DomainSecret::generate().wrap(active, MARK_DOMAIN)?.to_bytes().to_vec();
            store
                .add_domain(DomainRow { domain: MARK_DOMAIN.into(), generation: ring.active, wrapped })
                .await?
        }
    };
    let wrapped = Wrapped::from_bytes(&row.wrapped)?;
    Ok(DomainSecret::unwrap(&wrapped, generation(row.generation)?, MARK_DOMAIN)?.mark_key())
}
