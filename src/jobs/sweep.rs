//! The sweep after an erasure: once every place has been gone through, the receipt says where and how many rows. Places that
//! refused are named in it, and tried again later: a newer revision says when it worked.

use super::backoff::Backoff;
use super::{JobError, Jobs};
use crate::keystore::sweep::SweepRow;
use crate::protect::places::{Erased, Places, Swept};
use crate::rights::{NotCovered, RightsError, Step, Swept as SweptPlace};
use std::sync::Arc;
use std::time::Duration;

/// Erasures that are swept at once: a table is read once for all of them.
const TOGETHER: usize = 500;

/// When sweeps that did not work are tried again.
pub(super) struct Sweeping {
    /// Something was in the way: a lock, a server that is down.
    later: Backoff,
    /// A place refused: rights are missing, or a trigger holds on to its rows.
    refused: Backoff,
}

impl Default for Sweeping {
    fn default() -> Self {
        Self {
            later: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            refused: Backoff::new(Duration::from_secs(60), Duration::from_secs(3600)),
        }
    }
}

impl Sweeping {
    /// Somebody says that it may work by now.
    pub(super) fn reset(&mut self) {
        self.later.reset();
        self.refused.reset();
    }

    /// Somebody was erased.
    pub(super) fn erased(&mut self) {
        self.later.reset();
    }

    /// How long until the next try.
    pub(super) fn left(&self) -> Option<Duration> {
        self.later.left().into_iter().chain(self.refused.left()).min()
    }
}

/// One erasure that is being swept.
struct Pending {
    row: SweepRow,
    erased: Erased,
}

impl Jobs {
    /// The places that sweeps go through: at the start, and when another policy is in force.
    pub fn set_places(&self, places: Vec<Arc<dyn Places>>) {
        *self.inner.places.write() = Some(places);
        self.inner.sweeping.lock().reset();
        self.inner.wake.notify_one();
    }

    /// Sweeps whatever was erased and is not swept yet, and what a place refused before.
    ///
    /// # Errors
    /// [`JobError::Waiting`] when a place can't be reached now.
    pub(super) async fn sweeps(&self) -> Result<(), JobError> {
        let Some(places) = self.inner.places.read().clone() else { return Ok(()) };
        if self.inner.sweeping.lock().later.is_due() {
            let swept = self.new_sweeps(&places).await;
            let mut sweeping = self.inner.sweeping.lock();
            match &swept {
                Ok(()) => sweeping.later.reset(),
                Err(_) => sweeping.later.failed(),
            }
            drop(sweeping);
            swept?;
        }
        if self.inner.sweeping.lock().refused.is_due() {
            self.refused_sweeps(&places).await?;
        }
        Ok(())
    }

    async fn new_sweeps(&self, places: &[Arc<dyn Places>]) -> Result<(), JobError> {
        loop {
            let rows = self.inner.keyring.store().sweeps().await?;
            let pending = self.pending(rows.into_iter().filter(|sweep| !sweep.swept)).await?;
            if pending.is_empty() {
                return Ok(());
            }
            let swept = self.overwritten(places, &pending).await?;
            self.swept(&pending, swept, |places, missed| Step::Swept { places, missed }).await?;
        }
    }

    /// What was refused before, once more.
    async fn refused_sweeps(&self, places: &[Arc<dyn Places>]) -> Result<(), JobError> {
        let rows = self.inner.keyring.store().sweeps().await?;
        let pending = self.pending(rows.into_iter().filter(|sweep| sweep.refused)).await?;
        if pending.is_empty() {
            return Ok(());
        }
        // Whatever comes of it, not again at once.
        self.inner.sweeping.lock().refused.failed();
        let swept = self.overwritten(places, &pending).await?;
        self.swept(&pending, swept, |places, missed| Step::SweptAgain { places, missed }).await
    }

    /// Some of them, with whom they are about where that is still known; without those whose receipt is just being closed.
    async fn pending(&self, rows: impl Iterator<Item = SweepRow>) -> Result<Vec<Pending>, JobError> {
        let inner = &self.inner;
        let mut pending = Vec::new();
        for row in rows.take(TOGETHER) {
            let class = match inner.rights.receipt(&row.receipt).await {
                Err(RightsError::NotFound) => continue,
                other => other?.class,
            };
            let subject = row.subject.as_ref();
            let subject = subject.map(|s| inner.keyring.open_subject(&row.receipt, s)).transpose()?;
            let erased = Erased {
                subject: subject.filter(|subject| inner.rights.refuses(&subject.class)),
                class: class.into(),
                keys: row.keys.clone(),
                tokens: row.tokens.clone(),
                databases: row.databases.clone(),
            };
            pending.push(Pending { row, erased });
        }
        Ok(pending)
    }

    async fn overwritten(
        &self,
        places: &[Arc<dyn Places>],
        pending: &[Pending],
    ) -> Result<Vec<Swept>, JobError> {
        let erased: Vec<Erased> = pending.iter().map(|pending| pending.erased.clone()).collect();
        let mut swept = vec![Swept::default(); erased.len()];
        let mut later = None;
        for places in places {
            match places.overwrite(&erased, &self.inner.rights).await {
                Ok(found) => {
                    for (all, one) in swept.iter_mut().zip(found) {
                        all.places.extend(one.places);
                        all.missed.extend(one.missed);
                    }
                }
                // The others are gone through all the same.
                Err(why) => later = later.or(Some(why)),
            }
        }
        later.map_or(Ok(swept), |why| Err(JobError::Waiting(why)))
    }

    /// Tells the receipts, then forgets whom those were about that are over.
    async fn swept(
        &self,
        pending: &[Pending],
        swept: Vec<Swept>,
        step: impl Fn(Vec<SweptPlace>, Vec<NotCovered>) -> Step,
    ) -> Result<(), JobError> {
        let places = self.inner.places.read().clone().unwrap_or_default();
        let store = self.inner.keyring.store();
        let mut told = Vec::new();
        for (Pending { row, erased }, swept) in pending.iter().zip(swept) {
            let refused = !swept.missed.is_empty();
            let place = |(place, rows)| SweptPlace { place, rows };
            let beyond = places.iter().flat_map(|places| places.keeps(&erased.class));
            let beyond = beyond.map(|(place, why)| NotCovered::new("place-behind-service", place, why));
            let late = (row.refused && row.subject.is_none() && !refused).then(|| {
                NotCovered::new(
                    "clear-in-late-places",
                    "values in clear in the person's rows of places that refused the sweep at first",
                    "whose rows they are was forgotten when the receipt became final; what was sealed is gone",
                )
            });
            let missed = swept.missed.into_iter();
            let missed = missed.map(|(place, why)| NotCovered::new("place-out-of-reach", place, why));
            let step = step(
                swept.places.into_iter().map(place).collect(),
                missed.chain(beyond).chain(late).collect(),
            );
            self.inner.rights.issuer().advance(&row.receipt, step).await?;
            // Queued now, awaited together: they share a commit.
            told.push(if refused {
                store.refuse_sweep(&row.receipt)
            } else {
                store.set_sweep(&row.receipt, None)
            });
        }
        for told in told {
            told.await?;
        }
        Ok(())
    }
}
