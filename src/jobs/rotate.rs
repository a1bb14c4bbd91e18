//! A rotation, step by step. What is true is read from the keystore and the provider each time; the job's document only
//! tells how far it is.

use super::{Job, JobError, JobState, Jobs, Kind, backup};
use crate::clock::rfc3339;
use crate::ids::Generation;
use crate::keystore::StoreError;
use crate::keystore::model::GenerationState;
use crate::roots::RootError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens whose lookups are computed before they are written, in the order of the table.
const TOKENS: u32 = 2000;

impl Jobs {
    /// Asks for a rotation. While one is under way, or waits, this is that one: two at once are the same.
    ///
    /// # Errors
    /// [`JobError::Keys`] when it can't be kept.
    pub async fn rotate(&self) -> Result<Job, JobError> {
        let _turn = self.inner.turn.lock().await;
        let known = self.inner.rotation.lock().clone();
        if let Some(job) = known {
            self.inner.wake.notify_one();
            return Ok(job);
        }
        let job = self.new_rotation().await?;
        *self.inner.rotation.lock() = Some(job.clone());
        self.inner.wake.notify_one();
        Ok(job)
    }

    pub(super) async fn new_rotation(&self) -> Result<Job, JobError> {
        let job = Job::new(Kind::Rotate, self.now());
        self.keep(&job).await?;
        Ok(job)
    }

    /// Goes on with the rotation that is asked for, if there is one, as far as it gets.
    pub(super) async fn go_on(&self) {
        // Who asks for a rotation waits for a step's end at most, not for a whole one.
        let Some(before) = self.inner.rotation.lock().clone() else { return };
        match self.steps().await {
            Ok(()) => {
                self.change(|job| {
                    job.state = JobState::Done;
                    job.detail = None;
                });
                let now = self.now();
                self.change(|job| job.ended = Some(now));
                let over = self.inner.rotation.lock().clone();
                if let Some(job) = over {
                    match self.keep(&job).await {
                        Ok(()) => *self.inner.rotation.lock() = None,
                        Err(error) => tracing::warn!(%error, "the end of a rotation could not be kept"),
                    }
                }
                tracing::info!(target: "audit", event = "keys.rotated", job = before.id, "the rotation is over");
            }
            Err(error) => {
                let text = error.to_string();
                if before.detail.as_deref() != Some(&text) {
                    tracing::warn!(job = before.id, error = text, "the rotation waits");
                }
                self.change(|job| {
                    job.state = JobState::Waiting;
                    job.detail = Some(text);
                });
                self.keep_current().await;
            }
        }
    }

    async fn steps(&self) -> Result<(), JobError> {
        let (from, to) = self.begin().await?;
        self.change(|job| {
            job.state = JobState::Running;
            (job.from, job.to, job.detail) = (Some(from.0), Some(to.0), None);
        });
        if self.state(from).await? == Some(GenerationState::Closing) {
            self.empty(from).await?;
        }
        let _turn = self.inner.turn.lock().await;
        if self.state(from).await? == Some(GenerationState::Empty) {
            self.secured(from, to).await?;
            self.stage("destroy", 0).await;
            self.end(from).await?;
        }
        Ok(())
    }

    /// The generation that is left and the active one: made now, unless it was before.
    async fn begin(&self) -> Result<(Generation, Generation), JobError> {
        let _turn = self.inner.turn.lock().await;
        let keyring = &self.inner.keyring;
        let rows = keyring.store().generations().await?;
        let left = rows.iter().find(|r| matches!(r.state, GenerationState::Closing | GenerationState::Empty));
        if let Some(row) = left {
            // Said again where a crash came before it was: the root key is not free to be used by a rotation.
            self.inner.rights.root_is_used(keyring.active_generation()).await?;
            return Ok((row.number, keyring.active_generation()));
        }
        // Killed after the end of the rotation, and before its document said so.
        let before = self.inner.rotation.lock().as_ref().and_then(|job| job.from);
        if let Some(from) = before.map(Generation)
            && rows.iter().any(|row| row.number == from && row.state == GenerationState::Destroyed)
        {
            return Ok((from, keyring.active_generation()));
        }
        self.stage("begin", 0).await;
        let from = keyring.active_generation();
        let rights = &self.inner.rights;
        let to = keyring.next_generation(&*self.inner.roots, |number| rights.is_unused(number)).await?;
        rights.root_is_made(to).await?;
        keyring.begin_rotation(&*self.inner.roots, to).await?;
        rights.root_is_used(to).await?;
        tracing::info!(target: "audit", event = "keys.rotate", from = from.0, to = to.0, "a generation was made");
        Ok((from, to))
    }

    async fn state(&self, generation: Generation) -> Result<Option<GenerationState>, JobError> {
        let rows = self.inner.keyring.store().generations().await?;
        Ok(rows.iter().find(|row| row.number == generation).map(|row| row.state))
    }

    /// Moves on everything that depends on the generation.
    async fn empty(&self, from: Generation) -> Result<(), JobError> {
        let keyring = &self.inner.keyring;
        let store = keyring.store();
        self.lookups(from).await?;
        loop {
            let left = store.dependents(from).await?.secrets;
            if left == 0 {
                break;
            }
            self.stage("secrets", left).await;
            let mut begun = Instant::now();
            let pause = self.inner.options.pause;
            keyring
                .rewrap(from, |so_far| {
                    self.change(|job| job.done = so_far.wrapped);
                    let took = begun.elapsed();
                    begun = Instant::now() + took * pause;
                    took * pause
                })
                .await?;
        }
        keyring.reseal_subjects(from).await?;
        store.advance(from, GenerationState::Empty).await?;
        Ok(())
    }

    /// New domain secrets, every token's lookups under them, and the old ones away.
    async fn lookups(&self, from: Generation) -> Result<(), JobError> {
        let keyring = &self.inner.keyring;
        let domains = keyring.open_domains(from).await?;
        self.stage("lookups", 0).await;
        for domain in &domains {
            self.relook(domain).await?;
        }
        keyring.close_domains(from).await?;
        Ok(())
    }

    /// Over and over, until every token of the domain has its lookups: what is written meanwhile brings its own.
    async fn relook(&self, domain: &Arc<str>) -> Result<(), JobError> {
        loop {
            let (mut after, mut done, mut unreadable) = (Box::<str>::from(""), 0, 0);
            let mut any = false;
            loop {
                let door = self.inner.door.read().clone();
                let batch = door.relook(domain, &after, TOKENS).await?;
                let Some(last) = batch.last else { break };
                any = true;
                done += batch.done;
                unreadable += batch.unreadable;
                self.change(|job| job.done += batch.done);
                after = last;
            }
            if !any {
                return Ok(());
            }
            if unreadable > 0 && done == 0 {
                return Err(JobError::Waiting(format!(
                    "{unreadable} identifiers of the domain \"{domain}\" don't open under the policy in force; declare their \
                     field again until the rotation is over"
                )));
            }
        }
    }

    /// A backup in which nothing depends on the generation any more: made here where there is a place for it.
    async fn secured(&self, from: Generation, to: Generation) -> Result<(), JobError> {
        let store = self.inner.keyring.store();
        if store.noted_backup().await?.is_some_and(|noted| noted >= to) {
            return Ok(());
        }
        self.stage("backup", 0).await;
        let Some(folder) = &self.inner.options.backups else {
            return Err(JobError::Waiting(format!(
                "generation {} is destroyed once a backup of the keystore was verified: run `paravent keystore backup`, or \
                 set `backup` in [keys]",
                from.0
            )));
        };
        let made = backup::back_up(&self.inner.keyring, folder).await?;
        if made.complete { Ok(()) } else { Err(JobError::Backup("the backup is not complete".into())) }
    }

    /// Destroys the root key of a generation on which nothing depends, and says so in every receipt that waited for it.
    async fn end(&self, generation: Generation) -> Result<(), JobError> {
        let inner = &self.inner;
        if !inner.keyring.store().dependents(generation).await?.none() {
            return Err(StoreError::InUse(generation.0).into());
        }
        match inner.roots.destroy(generation) {
            Ok(()) | Err(RootError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if inner.roots.list()?.iter().any(|root| root.generation == generation) {
            return Err(JobError::Waiting(format!(
                "the provider has scheduled the destruction of generation {}, and has not carried it out yet",
                generation.0
            )));
        }
        inner.keyring.drop_generation(generation);
        inner.keyring.store().advance(generation, GenerationState::Destroyed).await?;
        tracing::info!(target: "audit", event = "keys.destroyed", generation = generation.0, "a generation was destroyed");
        Ok(())
    }

    /// Destroys a generation at an operator's word: `DELETE /v1/keys/{generation}`. One that is destroyed already is.
    ///
    /// # Errors
    /// [`JobError::InUse`] for the active one, for one on which something depends, and before a backup without it was
    /// verified; [`JobError::NotFound`].
    pub async fn destroy(&self, generation: Generation) -> Result<(), JobError> {
        let _turn = self.inner.turn.lock().await;
        let refused = |why: &str| JobError::InUse { generation: generation.0, why: why.to_owned() };
        let store = self.inner.keyring.store();
        match self.state(generation).await? {
            Some(GenerationState::Destroyed) => return Ok(()),
            Some(GenerationState::Active) => return Err(refused("it is the active one; rotate first")),
            Some(GenerationState::Closing) => {
                return Err(refused("secrets still depend on it; the rotation is moving them on"));
            }
            Some(GenerationState::Empty) => {}
            None => {
                // A root key that no row of this keystore depends on, and maybe another keystore does.
                if !self.inner.roots.list()?.iter().any(|root| root.generation == generation) {
                    return Err(JobError::NotFound);
                }
                self.inner.roots.destroy(generation)?;
                *self.inner.strange.lock() = None;
                self.left_over().await?;
                return Ok(());
            }
        }
        let active = self.inner.keyring.active_generation();
        if store.noted_backup().await?.is_none_or(|noted| noted < active) {
            return Err(refused(
                "no backup of the keystore without it was verified; run `paravent keystore backup`",
            ));
        }
        self.end(generation).await?;
        self.inner.wake.notify_one();
        Ok(())
    }

    pub(super) fn now(&self) -> String {
        rfc3339(self.inner.keyring.wall())
    }

    fn change(&self, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.inner.rotation.lock().as_mut() {
            change(job);
        }
    }

    async fn stage(&self, stage: &str, total: u64) {
        self.change(|job| {
            job.stage = stage.to_owned();
            (job.done, job.total) = (0, total);
        });
        self.keep_current().await;
    }

    async fn keep_current(&self) {
        let job = self.inner.rotation.lock().clone();
        if let Some(job) = job
            && let Err(error) = self.keep(&job).await
        {
            tracing::warn!(%error, "a job's progress could not be kept");
        }
    }

    pub(super) async fn keep(&self, job: &Job) -> Result<(), JobError> {
        let document = serde_json::to_string(job).map_err(|_| JobError::Document)?;
        Ok(self.inner.keyring.store().keep_job(&job.id, &document).await?)
    }

    /// How long a request should wait before it looks at a job again.
    pub const LOOK_AGAIN: Duration = Duration::from_millis(200);
}
