//! What in this process still works with keys that it was given: units (transactions), and sessions with statements on their
//! way. After [`Uses::turn`] nothing new counts among the earlier ones; [`Earlier::are_over`] tells when the last has ended.

use parking_lot::RwLock;
use std::sync::{Arc, Weak};

/// Held for as long as somebody works with keys.
#[derive(Debug, Clone)]
pub struct Use {
    _turn: Arc<()>,
}

/// What began before a turn.
#[derive(Debug, Clone, Default)]
pub struct Earlier(Vec<Weak<()>>);

impl Earlier {
    /// Whether all of it has ended.
    pub fn are_over(&self) -> bool {
        self.0.iter().all(|turn| turn.strong_count() == 0)
    }
}

/// Counts uses by the turn in which they began.
#[derive(Default)]
pub(super) struct Uses(RwLock<Turns>);

#[derive(Default)]
struct Turns {
    now: Arc<()>,
    before: Vec<Weak<()>>,
}

impl Uses {
    pub(super) fn begin(&self) -> Use {
        Use { _turn: Arc::clone(&self.0.read().now) }
    }

    pub(super) fn turn(&self) -> Earlier {
        let mut turns = self.0.write();
        turns.before.retain(|turn| turn.strong_count() > 0);
        let last = std::mem::take(&mut turns.now);
        turns.before.push(Arc::downgrade(&last));
        drop(last);
        Earlier(turns.before.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_before_a_turn_keeps_it_waiting_and_what_began_after_does_not() {
        let uses = Uses::default();
        let (first, second) = (uses.begin(), uses.begin());
        let earlier = uses.turn();
        let later = uses.begin();
        assert!(!earlier.are_over());
        drop(first);
        assert!(!earlier.are_over());
        drop(second);
        assert!(earlier.are_over());
        let next = uses.turn();
        assert!(!next.are_over());
        drop(later);
        assert!(next.are_over());
    }

    #[test]
    fn a_second_turn_waits_for_what_the_first_waits_for() {
        let uses = Uses::default();
        let old = uses.begin();
        uses.turn();
        let second = uses.turn();
        assert!(!second.are_over());
        drop(old);
        assert!(second.are_over());
        assert!(uses.turn().are_over());
    }
}
