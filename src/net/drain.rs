//! Ending connections when the gateway stops: each is woken once, and looks at one flag when it is idle.
//!
//! A connection costs nothing for it in between; a channel that every statement or request polls would.

use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

/// Shared by the connections of a listener.
#[derive(Default)]
pub(crate) struct Drain {
    begun: AtomicBool,
    next: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
}

/// A connection's place among those that are woken; leaves it when dropped.
pub(crate) struct Place {
    drain: Arc<Drain>,
    id: u64,
}

impl Drain {
    /// Connections end from now on, as soon as they are idle.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wakers.lock().values().for_each(Waker::wake_by_ref);
    }

    /// Whether connections are to end.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Has the task of this waker woken when draining begins.
    pub(crate) fn join(self: &Arc<Self>, waker: Waker) -> Place {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.wakers.lock().insert(id, waker);
        if self.has_begun() {
            self.wakers.lock().values().for_each(Waker::wake_by_ref);
        }
        Place { drain: Arc::clone(self), id }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.drain.wakers.lock().remove(&self.id);
    }
}
