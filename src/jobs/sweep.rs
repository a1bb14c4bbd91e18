//! The sweep after an erasure: once every place has been gone through, the receipt says where and how many rows.

use super::{JobError, Jobs};
use crate::protect::places::{Erased, Places, Swept};
use crate::rights::{NotCovered, RightsError, Step, Swept as SweptPlace};
use std::sync::Arc;

/// Erasures that are swept at once: a table is read once for all of them.
const TOGETHER: usize = 500;

impl Jobs {
    /// The places that sweeps go through: at the start, and when another policy is in force.
    pub fn set_places(&self, places: Vec<Arc<dyn Places>>) {
        *self.inner.places.write() = Some(places);
        self.inner.wake.notify_one();
    }

    /// Sweeps whatever was erased and is not swept yet.
    ///
    /// # Errors
    /// [`JobError::Waiting`] when a place can't be reached now.
    pub(super) async fn sweeps(&self) -> Result<(), JobError> {
        let Some(places) = self.inner.places.read().clone() else { return Ok(()) };
        let store = self.inner.keyring.store();
        loop {
            let pending: Vec<_> =
                store.sweeps().await?.into_iter().filter(|sweep| !sweep.swept).take(TOGETHER).collect();
            if pending.is_empty() {
                return Ok(());
            }
            let mut erased = Vec::with_capacity(pending.len());
            for sweep in &pending {
                let subject = sweep.subject.as_ref();
                let subject =
                    subject.map(|s| self.inner.keyring.open_subject(&sweep.receipt, s)).transpose()?;
                erased.push(Erased {
                    subject: subject.filter(|subject| self.inner.rights.refuses(&subject.class)),
                    keys: sweep.keys.clone(),
                    tokens: sweep.tokens.clone(),
                    databases: sweep.databases.clone(),
                });
            }
            let mut swept = vec![Swept::default(); erased.len()];
            for places in &places {
                let found = places.overwrite(&erased, &self.inner.rights).await.map_err(JobError::Waiting)?;
                for (all, one) in swept.iter_mut().zip(found) {
                    all.places.extend(one.places);
                    all.missed.extend(one.missed);
                }
            }
            let mut over = Vec::new();
            for (sweep, swept) in pending.iter().zip(swept) {
                let place = |(place, rows)| SweptPlace { place, rows };
                let missed =
                    |(place, why): (String, String)| NotCovered::new("place-out-of-reach", place, why);
                let step = Step::Swept {
                    places: swept.places.into_iter().map(place).collect(),
                    missed: swept.missed.into_iter().map(missed).collect(),
                };
                match self.inner.rights.issuer().advance(&sweep.receipt, step).await {
                    // Its erasure is just being closed: at the next pass.
                    Err(RightsError::NotFound) => return Ok(()),
                    other => drop(other?),
                }
                // Queued now, awaited together: they share a commit.
                over.push(store.set_sweep(&sweep.receipt, None));
            }
            for over in over {
                over.await?;
            }
        }
    }
}
