//! Keys, opened: root keys, keystore, ledger, keyring; then the door and the rights that stand on them.

use super::AppError;
use crate::admin::{self, State, Subjects, SubjectsError};
use crate::config::{Config, Keys};
use crate::fault::Fault;
use crate::ids::Subject;
use crate::jobs::{self, Jobs};
use crate::keyring::{Keyring, KeyringError, Options};
use crate::keystore::embedded::Embedded;
use crate::policy;
use crate::policy::model::Policy;
use crate::protect::Door;
use crate::rights::{self, Ledger, Rights, RightsError, SubjectState};
use crate::roots::{FileRoots, RootProvider};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the gateway runs on.
pub(super) struct Opened {
    pub(super) keyring: Keyring,
    pub(super) door: Door,
    pub(super) rights: Rights,
    pub(super) jobs: Jobs,
}

/// Opens everything, and brings the keystore up to the ledger. Nothing is served before that.
pub(super) async fn open(config: &Config) -> Result<Opened, AppError> {
    let Keys { root, store, ledger, receipt_key, cache, lease, rotate_every, backup } = &config.keys;
    let roots: Arc<dyn RootProvider> = Arc::new(FileRoots::open(root).map_err(|error| fault(&error))?);
    if let Some(folder) = backup {
        make_folder(folder)?;
    }
    if !store.exists() && std::fs::metadata(ledger).is_ok_and(|ledger| ledger.len() > 0) {
        // A new keystore would open nothing that was sealed, and hide that the old one is lost.
        return Err(AppError::failed(format!(
            "the keystore {} is missing, and the ledger {} says that there was one; restore it from its backup, \
             or move the ledger away to begin anew",
            store.display(),
            ledger.display()
        )));
    }
    let key = rights::key::open(receipt_key).map_err(|error| fault(&error))?;
    // Both block, once, at start.
    let store = Embedded::open(store).map_err(|error| fault(&KeyringError::from(error)))?;
    let ledger = Ledger::open(ledger).map_err(|error| fault(&error))?;
    let options = Options { capacity: *cache, lease: *lease, ..Options::default() };
    let keyring = Keyring::open(Arc::new(store), &*roots, options).await.map_err(|error| fault(&error))?;
    let rights = Rights::open(keyring.clone(), ledger, key).await.map_err(|error| fault(&error))?;
    set_policy(&rights, &config.policy);
    let door = Door::new(keyring.clone(), config.policy.clone()).map_err(AppError::failed)?;
    let options =
        jobs::Options { rotate_every: *rotate_every, backups: backup.clone(), ..jobs::Options::default() };
    let jobs = Jobs::open(keyring.clone(), door.clone(), rights.clone(), roots, options).await;
    let jobs = jobs.map_err(AppError::failed)?;
    Ok(Opened { keyring, door, rights, jobs })
}

/// The folder for backups, for its owner only.
fn make_folder(folder: &Path) -> Result<(), AppError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| AppError::usage(format!("[keys]: backup: {}: {error}", folder.display())))
}

/// The policy in force, for erasures and their receipts.
pub(super) fn set_policy(rights: &Rights, policy: &Arc<Policy>) {
    rights.set_policy(policy.clone(), Some(hex::encode(policy::hash(policy)).into()));
}

/// Renews the lease while the gateway runs, so that reading goes on without anybody asking.
pub(super) async fn keep_lease(keyring: Keyring, lease: Duration) {
    let mut answered = true;
    loop {
        tokio::time::sleep(lease / 4).await;
        match keyring.renew().await {
            Ok(()) if answered => {}
            Ok(()) => tracing::info!("the keystore answers again"),
            Err(error) if answered => tracing::error!(%error, "the keystore does not answer"),
            Err(_) => {}
        }
        answered = keyring.lease().is_ok();
    }
}

/// What went wrong, and what to do.
fn fault(error: &dyn Fault) -> AppError {
    let message = match error.advice() {
        advice if advice.is_empty() => error.to_string(),
        advice => format!("{error}; {advice}"),
    };
    AppError { exit: error.exit(), message }
}

/// The admin API's side of [`Rights`].
pub(super) struct People {
    pub(super) rights: Rights,
    pub(super) keyring: Keyring,
}

fn unavailable(error: &RightsError) -> SubjectsError {
    SubjectsError::Unavailable(error.to_string())
}

impl Subjects for People {
    async fn state(&self, subject: &Subject) -> Result<Option<State>, SubjectsError> {
        match self.rights.state(subject).await.map_err(|error| unavailable(&error))? {
            SubjectState::Live => Ok(Some(State::Live)),
            SubjectState::Erased => Ok(Some(State::Erased)),
            SubjectState::Unknown => Ok(None),
        }
    }

    async fn erase(&self, request: admin::Erasure) -> Result<Option<serde_json::Value>, SubjectsError> {
        let ground = request.ground.as_deref().unwrap_or("not stated");
        match self.rights.erase(&request.subject, ground).await {
            Ok(erasure) => answer(erasure).map(Some),
            Err(RightsError::NotFound) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn ready(&self) -> Result<(), SubjectsError> {
        self.keyring.renew().await.map_err(|error| SubjectsError::Unavailable(error.to_string()))
    }
}

/// The receipt, with the salt of its commitment in it.
fn answer(erasure: rights::Erasure) -> Result<serde_json::Value, SubjectsError> {
    let told = rights::Receipt { salt: erasure.salt, ..erasure.receipt };
    serde_json::to_value(&told).map_err(|_| SubjectsError::Unavailable("the receipt can't be written".into()))
}
