//! Keys, opened: root keys, keystore, ledger, keyring; then the door and the rights that stand on them.

use super::AppError;
use crate::admin::Health;
use crate::audit::{self, Audit, Clients, Resolver};
use crate::config::{ClientAddresses, Config, Keys};
use crate::crypto::SigningKey;
use crate::fault::Fault;
use crate::ids::KeyId;
use crate::jobs::{self, Jobs};
use crate::keyring::{Keyring, KeyringError, Options};
use crate::keys::StandIn;
use crate::keystore::embedded::Embedded;
use crate::policy;
use crate::policy::model::Policy;
use crate::protect::Door;
use crate::rights::{self, Ledger, Rights};
use crate::roots::RootProvider;
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// What is opened within this time is written to the audit log, and made durable, together.
const MOMENT: Duration = Duration::from_millis(100);
/// Values that may wait for the audit log: some seconds of a busy gateway, and some 10 MB.
const MOST_PENDING: usize = 1 << 18;

/// What the gateway runs on.
pub(super) struct Opened {
    pub(super) keyring: Keyring,
    pub(super) door: Door,
    pub(super) rights: Rights,
    pub(super) jobs: Jobs,
    pub(super) roots: Arc<dyn RootProvider>,
    pub(super) audit: Audit,
}

/// What the log calls a subject, from the keyring. The log's thread waits for the runtime.
struct StandIns {
    keyring: Keyring,
    runtime: Handle,
}

impl Resolver for StandIns {
    fn stand_ins(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, StandIn>, String> {
        self.runtime.block_on(self.keyring.stand_ins(keys)).map_err(|error| error.to_string())
    }
}

fn open_audit(config: &Config, keyring: &Keyring, key: &Arc<SigningKey>) -> Result<Audit, AppError> {
    let options = audit::Options {
        path: config.audit.path.clone(),
        keep: config.audit.keep,
        segment: u64::from(config.audit.file_mib) << 20,
        moment: MOMENT,
        most: MOST_PENDING,
        clients: match config.audit.clients {
            ClientAddresses::Full => Clients::Full,
            ClientAddresses::Network => Clients::Network,
            ClientAddresses::None => Clients::None,
        },
    };
    let stand_ins = StandIns { keyring: keyring.clone(), runtime: Handle::current() };
    Audit::open(options, key.clone(), stand_ins).map_err(|error| fault(&error))
}

/// Opens everything, and brings the keystore up to the ledger. Nothing is served before that.
pub(super) async fn open(config: &Config) -> Result<Opened, AppError> {
    let Keys { root, store, ledger, receipt_key, cache, lease, rotate_every, rotate_pause, backup, .. } =
        &config.keys;
    let roots = super::open_roots(root).map_err(|error| fault(&error))?;
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
    let key = Arc::new(rights::key::open(receipt_key).map_err(|error| fault(&error))?);
    // Both block, once, at start.
    let store = Embedded::open(store).map_err(|error| fault(&KeyringError::from(error)))?;
    let ledger = Ledger::open(ledger).map_err(|error| fault(&error))?;
    let options = Options { capacity: *cache, lease: *lease, ..Options::default() };
    let keyring = Keyring::open(Arc::new(store), &*roots, options).await.map_err(|error| fault(&error))?;
    let rights = Rights::open(keyring.clone(), ledger, key.clone()).await.map_err(|error| fault(&error))?;
    set_policy(&rights, &config.policy);
    let audit = open_audit(config, &keyring, &key)?;
    rights.issuer().set_audit(audit.clone());
    let door = Door::new(keyring.clone(), config.policy.clone()).map_err(AppError::failed)?;
    let door = door.audited(audit.clone()).fencing(Arc::new(rights.clone()));
    let options = jobs::Options {
        rotate_every: *rotate_every,
        backups: backup.clone(),
        pause: *rotate_pause,
        ..jobs::Options::default()
    };
    let jobs = Jobs::open(keyring.clone(), door.clone(), rights.clone(), roots.clone(), options).await;
    let jobs = jobs.map_err(AppError::failed)?;
    Ok(Opened { keyring, door, rights, jobs, roots, audit })
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

/// Asks the root keys' provider now and then. While it does not answer the generation in memory goes on serving, for
/// `lease` at most; `/readyz` says so.
pub(super) async fn watch_roots(
    roots: Arc<dyn RootProvider>,
    keyring: Keyring,
    lease: Duration,
    health: Health,
) {
    let mut answered = Instant::now();
    loop {
        tokio::time::sleep((lease / 4).min(Duration::from_secs(60))).await;
        let asked = (Instant::now(), roots.clone());
        let listed = tokio::task::spawn_blocking(move || asked.1.list().map(drop)).await;
        match listed.map_err(|error| error.to_string()).and_then(|l| l.map_err(|e| e.to_string())) {
            Ok(()) => {
                if health.set_roots(None) {
                    tracing::info!("the root keys' provider answers again");
                }
                answered = asked.0;
                keyring.suspend(None);
            }
            Err(why) => {
                if !health.set_roots(Some(why.clone())) {
                    tracing::error!(
                        why,
                        "the root keys can't be reached; the generation in memory goes on serving"
                    );
                }
                if answered.elapsed() > lease {
                    keyring.suspend(Some(format!("the root keys are out of reach: {why}")));
                }
            }
        }
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
