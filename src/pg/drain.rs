//! Ending sessions when the gateway stops: each is woken once, and looks at one flag when it is idle.
//!
//! A session costs nothing for it in between; a channel that every statement polls would.

use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

/// Shared by the sessions of a listener.
#[derive(Default)]
pub(super) struct Drain {
    begun: AtomicBool,
    next: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
}

/// A session's place among those that are woken; leaves it when dropped.
pub(super) struct Place {
    drain: Arc<Drain>,
    id: u64,
}

impl Drain {
    /// Sessions end from now on, as soon as they are idle.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wakers.lock().values().for_each(Waker::wake_by_ref);
    }

    /// Whether sessions are to end.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Has the task of this waker woken when draining begins.
    pub(super) fn join(self: &Arc<Self>, waker: Waker) -> Place {
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
