//! What goes on by itself, for as long as it takes: rotations, sweeps, backups. Every step is durable and may be
//! repeated, so that a kill at any point is resumed at the next start.
//!
//! One thread does all of it, apart from the threads that serve traffic: long reads of the keystore block nobody else.

mod backoff;
mod backup;
mod error;
mod finals;
mod job;
mod rekey;
mod replace;
mod rotate;
mod schedule;
mod sweep;

#[cfg(test)]
mod tests;

pub use backup::{Backup, back_up, restore};
pub use error::JobError;
pub use job::{Job, JobState, Kept, Kind};

use crate::ids::Generation;
use crate::keyring::Keyring;
use crate::keystore::model::GenerationState;
use crate::protect::Door;
use crate::protect::places::Places;
use crate::rights::Rights;
use crate::roots::RootProvider;
use parking_lot::{Mutex, RwLock};
use rekey::Rekeying;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use sweep::Sweeping;
use tokio::sync::Notify;

/// How jobs behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// How old the active generation may get; none: it is rotated only when somebody asks.
    pub rotate_every: Option<Duration>,
    /// Where backups of the keystore go; none: a rotation waits for a backup that somebody else makes.
    pub backups: Option<PathBuf>,
    /// Pause after each batch of a rotation, in parts of the time that the batch took: 0 for none.
    pub pause: u32,
    /// How often everything is looked at again.
    pub tick: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rotate_every: Some(Duration::from_secs(30 * 24 * 3600)),
            backups: None,
            pause: 0,
            tick: Duration::from_secs(10),
        }
    }
}

/// A generation as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyInfo {
    /// Its number.
    pub generation: u32,
    /// `active`, `closing`, `empty`, `destroyed`, or `unused` (a root key that this keystore doesn't know).
    pub state: &'static str,
    /// When its root key was made; RFC 3339, UTC. None once it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Secrets, domains and sweeps that depend on it.
    pub dependents: u64,
}

/// The jobs. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    keyring: Keyring,
    door: RwLock<Door>,
    rights: Rights,
    roots: Arc<dyn RootProvider>,
    options: Options,
    /// The rotation that is asked for, under way or waiting.
    rotation: Mutex<Option<Job>>,
    /// Held by whoever takes a step of a rotation, or destroys a generation.
    turn: tokio::sync::Mutex<()>,
    /// Re-keyings that this process knows, by their jobs.
    rekeys: Mutex<HashMap<Box<str>, Rekeying>>,
    /// Held from before a re-keying's secrets are in force until it is counted what was at work then.
    beginning: tokio::sync::Mutex<()>,
    sweeping: Mutex<Sweeping>,
    /// What to tell of root keys that belong to no generation.
    strange: Mutex<Option<String>>,
    /// None until they are known: nothing is called swept before.
    places: RwLock<Option<Vec<Arc<dyn Places>>>>,
    wake: Notify,
}

impl Jobs {
    /// Takes up what an earlier process left.
    ///
    /// # Errors
    /// [`JobError::Keys`].
    pub async fn open(
        keyring: Keyring,
        door: Door,
        rights: Rights,
        roots: Arc<dyn RootProvider>,
        options: Options,
    ) -> Result<Self, JobError> {
        let jobs = Self {
            inner: Arc::new(Inner {
                keyring,
                door: RwLock::new(door),
                rights,
                roots,
                options,
                rotation: Mutex::default(),
                turn: tokio::sync::Mutex::default(),
                rekeys: Mutex::default(),
                beginning: tokio::sync::Mutex::default(),
                sweeping: Mutex::default(),
                strange: Mutex::default(),
                places: RwLock::default(),
                wake: Notify::new(),
            }),
        };
        jobs.take_up().await?;
        jobs.left_over().await?;
        Ok(jobs)
    }

    /// Another policy is in force.
    pub fn set_door(&self, door: Door) {
        *self.inner.door.write() = door;
        self.inner.wake.notify_one();
    }

    /// A job, by its id.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Keys`].
    pub async fn job(&self, id: &str) -> Result<Job, JobError> {
        if let Some(job) = self.inner.rotation.lock().as_ref().filter(|job| job.id == id) {
            return Ok(job.clone());
        }
        if let Some(job) = self.rekeying(id) {
            return Ok(job);
        }
        let document = self.inner.keyring.store().job(id).await?.ok_or(JobError::NotFound)?;
        serde_json::from_str(&document).map_err(|_| JobError::Document)
    }

    /// Every generation, and root keys that belong to none.
    ///
    /// # Errors
    /// [`JobError::Keys`], [`JobError::Roots`].
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, JobError> {
        let inner = &self.inner;
        let store = inner.keyring.store();
        let roots = inner.roots.list()?;
        let made = |number| roots.iter().find(|root| root.generation == number);
        let mut keys = Vec::new();
        for row in store.generations().await? {
            let dependents = store.dependents(row.number).await?;
            keys.push(KeyInfo {
                generation: row.number.0,
                state: row.state.name(),
                created: made(row.number).map(|root| crate::clock::rfc3339(root.created)),
                dependents: dependents.secrets + dependents.domains + dependents.sweeps,
            });
        }
        for root in &roots {
            if !keys.iter().any(|key| key.generation == root.generation.0) {
                keys.push(KeyInfo {
                    generation: root.generation.0,
                    state: "unused",
                    created: Some(crate::clock::rfc3339(root.created)),
                    dependents: 0,
                });
            }
        }
        keys.sort_by_key(|key| key.generation);
        Ok(keys)
    }

    /// What an operator should know: a rotation that can't go on by itself, root keys that keep receipts from being final.
    pub fn waiting(&self) -> Option<String> {
        let rotation = self.inner.rotation.lock();
        let waiting = rotation.as_ref().filter(|job| job.state == JobState::Waiting);
        let told =
            |job: &Job| format!("the rotation {} waits: {}", job.id, job.detail.as_deref().unwrap_or(""));
        waiting.map(told).or_else(|| self.inner.strange.lock().clone())
    }

    /// Goes on with everything, for as long as it is polled.
    pub async fn run(&self) {
        loop {
            self.pass().await;
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = self.inner.rights.erased() => self.inner.sweeping.lock().erased(),
                () = tokio::time::sleep(self.until_next()) => {}
            }
        }
    }

    /// Tries at once whatever waits for its next try.
    pub fn resume(&self) {
        for of in self.inner.rekeys.lock().values_mut() {
            of.waits.reset();
            of.refused.reset();
        }
        self.inner.sweeping.lock().reset();
        self.inner.wake.notify_one();
    }

    /// How long until something is due.
    fn until_next(&self) -> Duration {
        let rekeys = self.inner.rekeys.lock();
        let due = rekeys.values().filter_map(|of| of.waits.left().max(of.refused.left()));
        due.chain(self.inner.sweeping.lock().left())
            .chain([self.inner.options.tick])
            .min()
            .unwrap_or(self.inner.options.tick)
            .max(Duration::from_millis(10))
    }

    /// Looks at everything once.
    pub async fn pass(&self) {
        self.on_schedule().await;
        if let Err(error) = self.sweeps().await {
            tracing::warn!(%error, "sweeps wait");
        }
        if let Err(error) = self.replacements().await {
            tracing::warn!(%error, "shared identifiers wait to be replaced");
        }
        if let Err(error) = self.rekeys().await {
            tracing::warn!(%error, "re-keyings wait");
        }
        self.go_on().await;
        if let Err(error) = self.finals().await {
            tracing::warn!(%error, "receipts wait to be moved on");
        }
        self.measure().await;
    }

    /// Tells how things stand, for those who watch.
    async fn measure(&self) {
        metrics::gauge!("paravent_key_generation").set(self.inner.keyring.active_generation().0);
        metrics::gauge!("paravent_rotation_waiting").set(u32::from(self.waiting().is_some()));
        if let Ok(sweeps) = self.inner.keyring.store().sweeps().await {
            let swept = u32::try_from(sweeps.iter().filter(|sweep| sweep.swept).count()).unwrap_or(u32::MAX);
            let all = u32::try_from(sweeps.len()).unwrap_or(u32::MAX);
            metrics::gauge!("paravent_receipts_pending", "stage" => "live").set(all - swept);
            metrics::gauge!("paravent_receipts_pending", "stage" => "swept").set(swept);
        }
    }

    /// Root keys that belong to no generation. One that a rotation of this keystore was about to use is used by the next one,
    /// or destroyed where that went past it: receipts would wait for it for ever. Any other may be another keystore's.
    pub(super) async fn left_over(&self) -> Result<(), JobError> {
        let inner = &self.inner;
        let rows = inner.keyring.store().generations().await?;
        let active = inner.keyring.active_generation();
        let known = |number: &Generation| rows.iter().any(|row| row.number == *number);
        if let Err(error) = inner.rights.root_is_used(active).await {
            tracing::warn!(%error, "the ledger could not be told which root key is in use");
        }
        let mut strange = Vec::new();
        for number in inner.roots.list()?.into_iter().map(|root| root.generation).filter(|n| !known(n)) {
            match inner.rights.is_unused(number) {
                true if number < active => match inner.roots.destroy(number) {
                    Ok(()) => {
                        tracing::info!(target: "audit", event = "keys.destroyed", generation = number.0, "an unused root key was destroyed");
                    }
                    Err(error) => tracing::warn!(%error, generation = number.0, "an unused root key stays"),
                },
                true => {}
                false => strange.push(number.0.to_string()),
            }
        }
        if !strange.is_empty() {
            let strange = strange.join(", ");
            tracing::warn!(generations = strange, "root keys belong to no generation of this keystore");
            *inner.strange.lock() = Some(format!(
                "the root keys {strange} belong to no generation of this keystore: receipts of later erasures can't be final while \
                 they are there; `paravent keys destroy` ends them, if no other keystore needs them"
            ));
        }
        Ok(())
    }

    /// The unfinished rotation of an earlier process, if there is one; and the end of re-keyings that it saw no more.
    async fn take_up(&self) -> Result<(), JobError> {
        let store = self.inner.keyring.store();
        let unfinished = |state| matches!(state, GenerationState::Closing | GenerationState::Empty);
        let begun = store.generations().await?.iter().any(|row| unfinished(row.state));
        let rekeys = store.rekeys().await?;
        let mut known = None;
        for document in store.jobs(100).await? {
            // What is true of a rotation stands in the generations; the document only tells of it.
            let Ok(job) = serde_json::from_str::<Job>(&document) else { continue };
            if job.state.is_over() {
                continue;
            }
            match job.kind {
                Kind::Rotate => drop(known.get_or_insert(job)),
                Kind::Rekey if rekeys.iter().any(|row| *row.job == *job.id) => {}
                Kind::Rekey => self.end_unseen(job).await?,
            }
        }
        if known.is_none() && begun {
            known = Some(self.new_rotation().await?);
        }
        *self.inner.rotation.lock() = known;
        Ok(())
    }
}
