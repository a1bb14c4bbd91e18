//! The keyring: root provider + keystore + cache → keys. The sole issuer of keys.
//!
//! Nothing enters a cache before it is durable, and no load that read before a purge fills a cache after
//! it. A user key answers for as long as the lease runs.

mod adopt;
mod body;
mod cache;
mod entry;
mod error;
mod lease;
mod lookup;
mod open;
mod read;
mod rekey;
mod restrict;
mod rotate;
mod seal;
mod uses;
mod write;

pub use body::BodyAnswer;
pub use entry::{Holder, KeyAnswer, TokenEntry};
pub use error::KeyringError;
pub use rekey::Pair;
pub use rotate::{Rewrapped, Verified};
pub use uses::{Earlier, Use};
pub use write::{Fresh, Made};

use crate::clock::{Clock, SystemClock};
use crate::ids::{Generation, KeyId, Subject};
use crate::keys::{GenerationKey, MarkKey};
use crate::keystore::Keystore;
use crate::keystore::model::UnitId;
use cache::Cache;
use entry::{KeyEntry, LookupEntry, SealingKey, TokenKey};
use lease::Lease;
use lookup::Lookups;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use uses::Uses;

/// How a keyring behaves.
#[derive(Clone)]
pub struct Options {
    /// User keys, tokens, lookups and subjects kept in memory: so many of each.
    pub capacity: usize,
    /// For how long the cache answers without the keystore.
    pub lease: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self { capacity: 100_000, lease: Duration::from_secs(30), clock: Arc::new(SystemClock) }
    }
}

/// The keyring. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Keystore>,
    ring: RwLock<Ring>,
    /// Held while the active generation changes: who wrapped under the old one waits for the new one.
    switching: tokio::sync::RwLock<()>,
    lookups: Lookups,
    marks: MarkKey,
    caches: Arc<Caches>,
    lease: Lease,
    clock: Arc<dyn Clock>,
    uses: Uses,
    /// Why nothing may be opened, if so: the root keys were out of reach for too long.
    suspended: RwLock<Option<String>>,
    /// Subjects that may not be read.
    restricted: RwLock<HashSet<Subject>>,
}

/// What settlements reach too, from the store's own thread.
struct Caches {
    keys: Cache<KeyId, KeyEntry>,
    tokens: Cache<TokenKey, TokenEntry>,
    lookups: Cache<LookupEntry, Box<str>>,
    sealing: Cache<SealingKey, KeyId>,
    /// Units of this process whose outcome isn't known yet: recovery leaves them alone.
    live: Mutex<HashSet<UnitId>>,
    /// Erasures so far: a unit that sees a new number checks its own keys again.
    erasures: AtomicU64,
}

/// The generation keys at hand.
struct Ring {
    keys: HashMap<Generation, Arc<GenerationKey>>,
    active: Generation,
}

impl Inner {
    fn generation(&self, number: Generation) -> Result<Arc<GenerationKey>, KeyringError> {
        self.ring.read().keys.get(&number).cloned().ok_or(KeyringError::Generation(number.0))
    }

    /// What new secrets are wrapped under.
    fn active(&self) -> Result<Arc<GenerationKey>, KeyringError> {
        let number = self.ring.read().active;
        self.generation(number)
    }
}
