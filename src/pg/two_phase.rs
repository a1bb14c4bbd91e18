//! Transactions that were prepared (PREPARE TRANSACTION): nothing of them is on its way any more, so recovery need not wait for
//! what may still arrive, and they have ended once the server has none of that name.

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A unit's number.
pub(crate) type Number = [u8; 16];

/// What such transactions wrote, as far as its outcome is open, and the name of each.
#[derive(Debug, Default)]
pub(crate) struct TwoPhase {
    units: Mutex<HashMap<Number, Box<str>>>,
    ended: Notify,
}

impl TwoPhase {
    /// A transaction with these units was prepared under that name; recovery may take them.
    pub(crate) fn prepared(&self, name: &str, units: impl IntoIterator<Item = Number>) {
        self.units.lock().extend(units.into_iter().map(|unit| (unit, name.into())));
    }

    /// One was committed or rolled back, perhaps one of these: recovery is to look at once.
    pub(crate) fn ended(&self) {
        if !self.units.lock().is_empty() {
            self.ended.notify_one();
        }
    }

    /// Waits until one was.
    pub(super) async fn until_ended(&self) {
        self.ended.notified().await;
    }

    /// All of them.
    pub(super) fn all(&self) -> HashMap<Number, Box<str>> {
        self.units.lock().clone()
    }

    /// These are settled.
    pub(super) fn forget<'u>(&self, units: impl IntoIterator<Item = &'u Number>) {
        let mut known = self.units.lock();
        for unit in units {
            known.remove(unit);
        }
    }
}
