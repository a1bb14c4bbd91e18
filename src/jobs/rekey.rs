//! Re-keying a subject, step by step. What is left to do stands in the keystore; what was waited for is counted anew after a
//! start.
//!
//! The new secrets seal from the first moment on. Then every value is sealed again, the identifiers in the keystore too. The
//! old secrets are destroyed once nothing lies under them, nobody who was given them is still at work, and nobody can still
//! read what lay under them.

use super::backoff::Backoff;
use super::job::{Job, JobState, Kept, Kind};
use super::{JobError, Jobs};
use crate::ids::Subject;
use crate::keyring::Earlier;
use crate::keystore::rekey::RekeyRow;
use crate::protect::Creation;
use crate::protect::places::{Places, Rekeyed};
use crate::rights::RightsError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What ends by itself is looked at again after so long, at first.
const SOON: Duration = Duration::from_millis(50);
/// What somebody must change is tried again after so long at most.
const RARELY: Duration = Duration::from_secs(600);

/// What is told of secrets that have to stay.
const KEPT: &str = "the old secrets stay, and only open, for what `kept` names";

/// A re-keying of this process.
pub(super) struct Rekeying {
    job: Job,
    /// What was at work when the new secrets were there.
    writers: Earlier,
    /// What was at work when nothing lay under the old ones any more.
    readers: Option<Earlier>,
    pub(super) waits: Backoff,
    pub(super) refused: Backoff,
}

impl Rekeying {
    fn new(job: Job, writers: Earlier) -> Self {
        let waits = Backoff::new(SOON, Duration::from_secs(5));
        Self { job, writers, readers: None, waits, refused: Backoff::new(Duration::from_secs(1), RARELY) }
    }
}

/// What a step came to.
enum Step {
    /// The old secrets are gone, or were erased, or stay: as the text says.
    Over(Option<String>),
    /// Something ends by itself.
    Waits(String),
    /// Somebody must do something.
    Refused(String),
}

impl Jobs {
    /// Re-keys a subject. While it is being re-keyed this is that job: two at once are the same. Goes on to the job's
    /// beginning even if the caller stops waiting.
    ///
    /// # Errors
    /// [`JobError::Rights`]: the subject is not known, was erased, or nothing about it is committed.
    pub async fn rekey(&self, subject: &Subject) -> Result<Job, JobError> {
        let (jobs, subject) = (self.clone(), subject.clone());
        let begun = tokio::spawn(async move { jobs.begin_rekey(&subject).await }).await;
        begun.unwrap_or_else(|_| Err(RightsError::Interrupted.into()))
    }

    async fn begin_rekey(&self, subject: &Subject) -> Result<Job, JobError> {
        let _begin = self.inner.beginning.lock().await;
        let id = Job::new(Kind::Rekey, self.now()).id;
        let row = self.inner.rights.begin_rekey(subject, &id).await?;
        let job = self.taken_up(&row).await?;
        self.inner.wake.notify_one();
        Ok(job)
    }

    /// Counts from now on, if nobody did before: `beginning` is held, so that the new secrets are in force.
    async fn taken_up(&self, row: &RekeyRow) -> Result<Job, JobError> {
        if let Some(known) = self.inner.rekeys.lock().get(&row.job) {
            return Ok(known.job.clone());
        }
        let writers = self.inner.keyring.turn();
        let mut job = match self.job(&row.job).await {
            Err(JobError::NotFound) => Job { id: row.job.to_string(), ..Job::new(Kind::Rekey, self.now()) },
            other => other?,
        };
        job.state = JobState::Running;
        job.kept = self.kept(row);
        self.keep(&job).await?;
        self.inner.rights.link(row).await?;
        self.inner.rekeys.lock().insert(row.job.clone(), Rekeying::new(job.clone(), writers));
        Ok(job)
    }

    /// Where values lie that nobody here can seal again.
    fn kept(&self, row: &RekeyRow) -> Vec<Kept> {
        let places = self.inner.places.read().clone().unwrap_or_default();
        let mut kept: Vec<Kept> =
            places.iter().flat_map(|p| p.keeps(&row.subject.class)).map(Kept::from).collect();
        if kept.is_empty() {
            let outside = row.databases.iter().filter_map(|database| Creation::read(database));
            let listeners: BTreeSet<&str> = outside.map(|service| service.listener).collect();
            kept.extend(listeners.into_iter().map(|listener| Kept {
                place: format!("http {listener}"),
                why: "values were sealed for a service that no listener stands before any more".to_owned(),
            }));
        }
        kept
    }

    /// Goes on with every re-keying.
    pub(super) async fn rekeys(&self) -> Result<(), JobError> {
        let Some(places) = self.inner.places.read().clone() else { return Ok(()) };
        let rows = self.inner.keyring.store().rekeys().await?;
        self.erased_meanwhile(&rows).await?;
        for row in rows {
            {
                let _begin = self.inner.beginning.lock().await;
                self.taken_up(&row).await?;
            }
            let due = self.with(&row, |of| of.waits.is_due() && of.refused.is_due());
            if due != Some(true) {
                continue;
            }
            let step = match self.rekey_step(&places, &row).await {
                Ok(step) => step,
                Err(error) => Step::Refused(error.to_string()),
            };
            self.note_step(&row, step).await?;
        }
        Ok(())
    }

    async fn rekey_step(&self, places: &[Arc<dyn Places>], row: &RekeyRow) -> Result<Step, JobError> {
        let units_over = self.with(row, |of| of.writers.are_over()).unwrap_or(false);
        let rekeyed = Rekeyed {
            job: row.job.clone(),
            class: row.subject.class.clone(),
            keys: row.old.clone(),
            databases: row.databases.clone(),
            units_over,
        };
        let kept = self.kept(row);
        let (mut over, mut waits, mut missed) = (units_over, Vec::new(), Vec::new());
        for places in places {
            let found = places.reseal(&rekeyed).await.map_err(JobError::Waiting)?;
            self.with(row, |of| of.job.done += found.rows);
            over &= found.over;
            waits.extend(found.waits);
            missed.extend(found.missed);
        }
        let door = self.inner.door.read().clone();
        let (moved, unreadable) = door.move_identifiers(&row.old).await?;
        self.with(row, |of| {
            of.job.done += moved;
            of.job.kept.clone_from(&kept);
        });
        if unreadable > 0 {
            missed.push((
                "keystore".to_owned(),
                format!(
                    "{unreadable} identifiers don't open; declare their field again until the job is over"
                ),
            ));
        }
        if let Some((place, why)) = missed.first() {
            let more = if missed.len() > 1 {
                format!(" (and {} more places)", missed.len() - 1)
            } else {
                String::new()
            };
            return Ok(Step::Refused(format!("{place}: {why}{more}; the old secrets stay until it can be")));
        }
        if !kept.is_empty() {
            self.inner.rights.keep_rekeyed(row).await?;
            return Ok(Step::Over(Some(KEPT.to_owned())));
        }
        if !over {
            let first = waits.into_iter().next();
            return Ok(Step::Waits(
                first.unwrap_or_else(|| "statements that began before are open".to_owned()),
            ));
        }
        self.end_rekey(row).await
    }

    /// Nothing lies under the old secrets: once nobody can still read what did, they go.
    async fn end_rekey(&self, row: &RekeyRow) -> Result<Step, JobError> {
        let keyring = &self.inner.keyring;
        let over = self.with(row, |of| of.readers.get_or_insert_with(|| keyring.turn()).are_over());
        if over != Some(true) {
            return Ok(Step::Waits("readers that began before are at work".to_owned()));
        }
        self.with(row, |of| of.job.stage = "destroy".to_owned());
        match self.inner.rights.end_rekey(row).await {
            Ok(_) => Ok(Step::Over(None)),
            // A holder came, or waits for its transaction's outcome.
            Err(RightsError::Busy) => {
                self.with(row, |of| of.readers = None);
                Ok(Step::Waits("identifiers of transactions that began before are not settled".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn note_step(&self, row: &RekeyRow, step: Step) -> Result<(), JobError> {
        let now = self.now();
        let job = self.with(row, |of| {
            let before = of.job.clone();
            match step {
                Step::Over(detail) => {
                    (of.job.state, of.job.detail, of.job.ended) = (JobState::Done, detail, Some(now));
                }
                Step::Waits(why) => {
                    of.waits.failed();
                    of.refused.reset();
                    of.job.stage = "wait".to_owned();
                    (of.job.state, of.job.detail) = (JobState::Running, Some(why));
                }
                Step::Refused(why) => {
                    of.refused.failed();
                    of.job.stage = "reseal".to_owned();
                    (of.job.state, of.job.detail) = (JobState::Waiting, Some(why));
                }
            }
            (before != of.job).then(|| of.job.clone())
        });
        let Some(Some(job)) = job else { return Ok(()) };
        if job.state == JobState::Waiting {
            tracing::warn!(job = job.id, detail = job.detail, "a re-keying waits");
        }
        self.keep(&job).await?;
        if job.state.is_over() {
            self.let_go(&row.job);
        }
        Ok(())
    }

    /// Those that the keystore knows no more were erased.
    async fn erased_meanwhile(&self, rows: &[RekeyRow]) -> Result<(), JobError> {
        let here = |id: &str| rows.iter().any(|row| *row.job == *id);
        let gone: Vec<Job> =
            self.inner.rekeys.lock().values().map(|of| of.job.clone()).filter(|job| !here(&job.id)).collect();
        for job in gone {
            self.end_erased(job).await?;
        }
        Ok(())
    }

    async fn end_erased(&self, mut job: Job) -> Result<(), JobError> {
        (job.state, job.ended) = (JobState::Done, Some(self.now()));
        job.detail = Some("the subject was erased meanwhile, with all its secrets".to_owned());
        self.keep(&job).await?;
        self.let_go(&job.id);
        Ok(())
    }

    /// A kill came between the end and its document.
    pub(super) async fn end_unseen(&self, mut job: Job) -> Result<(), JobError> {
        (job.state, job.ended) = (JobState::Done, Some(self.now()));
        job.detail = (!job.kept.is_empty()).then(|| KEPT.to_owned());
        self.keep(&job).await
    }

    fn let_go(&self, job: &str) {
        self.inner.rekeys.lock().remove(job);
        for places in self.inner.places.read().iter().flatten() {
            places.forget(job);
        }
    }

    fn with<T>(&self, row: &RekeyRow, change: impl FnOnce(&mut Rekeying) -> T) -> Option<T> {
        self.inner.rekeys.lock().get_mut(&row.job).map(change)
    }

    /// A re-keying of this process.
    pub(super) fn rekeying(&self, id: &str) -> Option<Job> {
        self.inner.rekeys.lock().get(id).map(|of| of.job.clone())
    }
}
