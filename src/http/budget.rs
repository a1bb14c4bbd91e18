//! What the requests of a listener hold of their bodies, all together: each of them is bounded, but clients may send many.

use super::problem::Problem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So much of each body counts for nothing: most bodies are smaller, and go on while others have taken all there is.
const FREE: usize = 64 << 10;

/// Bytes that may still be held.
pub(super) struct Budget(AtomicUsize);

/// What one request holds; given back when dropped.
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: u32) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes as usize)))
    }

    /// Nothing so far.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// So many bytes are held now.
    ///
    /// # Errors
    /// Others hold so much that there is no room.
    pub(super) fn now(&mut self, bytes: usize) -> Result<(), Problem> {
        let (left, bytes) = (&self.budget.0, bytes.saturating_sub(FREE));
        match bytes.checked_sub(self.bytes) {
            None | Some(0) => drop(left.fetch_add(self.bytes - bytes, Ordering::Relaxed)),
            Some(more) => {
                let less = |left: usize| left.checked_sub(more);
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map_err(|_| Problem::held())?;
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let budget = Budget::new(1000);
        let (mut one, mut other) = (budget.hold(), budget.hold());
        assert_eq!(one.now(FREE + 600), Ok(()));
        assert_eq!(other.now(FREE), Ok(()), "small ones always have room");
        assert_eq!(other.now(FREE + 401).map_err(|problem| problem.code), Err("too-much-held"));
        assert_eq!(one.now(FREE + 599), Ok(()));
        assert_eq!(other.now(FREE + 401), Ok(()));
        drop(one);
        assert_eq!(other.now(FREE + 1000), Ok(()));
        drop(other);
        assert_eq!(budget.0.load(Ordering::Relaxed), 1000);
    }
}
