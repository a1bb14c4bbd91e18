//! A bounded, sharded cache whose purges can't be overtaken.
//!
//! A load takes a [`Ticket`] *before* it reads the store, and may fill the cache only while nothing was
//! purged from that shard since: what it read may be older than the purge.

use hashbrown::hash_table::{Entry, HashTable};
use hashbrown::{DefaultHashBuilder, Equivalent};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

const SHARDS: usize = 32;

/// Proof of when a load began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

struct Slot<K, V> {
    key: K,
    value: V,
    /// Asked for since the hand last passed.
    used: bool,
}

struct Shard<K, V> {
    table: HashTable<Slot<K, V>>,
    /// Keys in the order in which the hand meets them ("second chance" replacement).
    ring: VecDeque<K>,
    purges: u64,
}

/// A cache of at most a given number of entries. Values are dropped (secrets zeroised) when they leave.
pub(super) struct Cache<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: DefaultHashBuilder,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    /// Room for about `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        let shard = || Mutex::new(Shard { table: HashTable::new(), ring: VecDeque::new(), purges: 0 });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: DefaultHashBuilder::default(),
            capacity: capacity.div_ceil(SHARDS).max(1),
        }
    }

    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The table uses the low and the topmost bits of the hash; these are others.
    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    /// What `read` makes of the entry; it runs under the shard's lock, so it should be short.
    pub(super) fn get<Q, T>(&self, key: &Q, read: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        let slot = shard.table.find_mut(hash, |slot| key.equivalent(&slot.key))?;
        slot.used = true;
        Some(read(&slot.value))
    }

    /// To be taken before the store is read.
    pub(super) fn ticket<Q: Hash + ?Sized>(&self, key: &Q) -> Ticket {
        Ticket(self.shard(self.hash(key)).lock().purges)
    }

    /// Fills in what was read, unless something was purged meanwhile; says whether it did.
    pub(super) fn fill(&self, ticket: Ticket, key: K, value: V) -> bool {
        let hash = self.hash(&key);
        let mut shard = self.shard(hash).lock();
        if shard.purges != ticket.0 {
            return false;
        }
        self.put(&mut shard, hash, key, value);
        true
    }

    /// Forgets an entry, and what loads under way may have read of it.
    pub(super) fn purge<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        shard.purges += 1;
        if let Ok(entry) = shard.table.find_entry(hash, |slot| key.equivalent(&slot.key)) {
            entry.remove();
        }
    }

    /// Replaces an entry by what is known from now on.
    pub(super) fn overwrite(&self, key: K, value: V) {
        let hash = self.hash(&key);
        let mut shard = self.shard(hash).lock();
        shard.purges += 1;
        self.put(&mut shard, hash, key, value);
    }

    fn put(&self, shard: &mut Shard<K, V>, hash: u64, key: K, value: V) {
        let hasher = &self.hasher;
        match shard.table.entry(hash, |slot| slot.key == key, |slot| hasher.hash_one(&slot.key)) {
            Entry::Occupied(mut entry) => entry.get_mut().value = value,
            Entry::Vacant(entry) => {
                shard.ring.push_back(key.clone());
                entry.insert(Slot { key, value, used: false });
            }
        }
        while shard.ring.len() > self.capacity {
            let Some(oldest) = shard.ring.pop_front() else { break };
            let hash = self.hasher.hash_one(&oldest);
            let Ok(mut entry) = shard.table.find_entry(hash, |slot| slot.key == oldest) else { continue };
            if std::mem::take(&mut entry.get_mut().used) {
                shard.ring.push_back(oldest);
            } else {
                entry.remove();
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_filled_in() {
        let cache = Cache::new(100);
        assert!(cache.fill(cache.ticket("a"), "a", 1));
        assert_eq!(cache.get("a", |v| *v), Some(1));
        assert_eq!(cache.get("b", |v: &i32| *v), None);
    }

    #[test]
    fn a_load_that_began_before_a_purge_fills_nothing() {
        let cache = Cache::new(100);
        let before = cache.ticket("a");
        cache.purge("a");
        assert!(!cache.fill(before, "a", 1));
        assert_eq!(cache.get("a", |v| *v), None);
        assert!(cache.fill(cache.ticket("a"), "a", 2));
    }

    #[test]
    fn what_is_overwritten_stays_whatever_a_load_read_before() {
        let cache = Cache::new(100);
        let before = cache.ticket("a");
        cache.overwrite("a", "fenced");
        assert!(!cache.fill(before, "a", "live"));
        assert_eq!(cache.get("a", |v| *v), Some("fenced"));
    }

    #[test]
    fn never_holds_more_than_its_capacity() {
        let cache = Cache::new(64);
        for n in 0..10_000_u32 {
            cache.fill(cache.ticket(&n), n, n);
            cache.purge(&(n / 2));
        }
        for n in 0..10_000_u32 {
            cache.fill(cache.ticket(&n), n, n);
        }
        assert!(cache.len() <= 64, "{}", cache.len());
    }

    #[test]
    fn keeps_what_is_asked_for_and_lets_the_rest_go() {
        let cache = Cache::new(64 * SHARDS);
        cache.fill(cache.ticket(&0), 0, 0);
        for n in 1..20_000_u32 {
            cache.fill(cache.ticket(&n), n, n);
            cache.get(&0, |_| ());
        }
        assert_eq!(cache.get(&0, |v| *v), Some(0));
        assert_eq!(cache.get(&1, |v| *v), None);
    }

    #[test]
    fn threads_that_load_and_purge_never_leave_an_old_value() {
        let cache = std::sync::Arc::new(Cache::new(1000));
        let truth = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let ticket = cache.ticket("x");
                        let read = truth.load(std::sync::atomic::Ordering::SeqCst);
                        cache.fill(ticket, "x", read);
                    }
                });
            }
            scope.spawn(|| {
                for n in 1..=20_000 {
                    truth.store(n, std::sync::atomic::Ordering::SeqCst);
                    cache.purge("x");
                    let seen = cache.get("x", |v| *v);
                    assert!(seen.is_none_or(|seen| seen >= n), "{seen:?} after {n}");
                }
            });
        });
    }
}
