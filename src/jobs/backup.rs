//! Backups of the keystore: made while it serves, verified before they count, and put back.

use super::JobError;
use crate::clock::rfc3339;
use crate::keyring::Keyring;
use crate::keystore::embedded::Embedded;
use std::path::{Path, PathBuf};

/// A backup that was made and verified.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Backup {
    /// Its file.
    pub file: PathBuf,
    /// Secrets in it, each of which was opened.
    pub secrets: u64,
    /// The generation that was active.
    pub generation: u32,
    /// Whether nothing in it depends on an earlier generation.
    pub complete: bool,
}

/// Makes a backup in a folder, or under the name of a file that isn't there yet; opens it, and every secret in it, before
/// it gets its name. Blocks; takes no notice of who writes meanwhile.
///
/// # Errors
/// [`JobError::Backup`], [`JobError::Keys`]: there is no backup then.
pub async fn back_up(keyring: &Keyring, to: &Path) -> Result<Backup, JobError> {
    let file = if to.is_dir() { to.join(name(keyring)) } else { to.to_owned() };
    if file.exists() {
        return Err(JobError::Backup(format!("{} is there already", file.display())));
    }
    let draft = beside(&file, ".unverified");
    let made = verified(keyring, &draft).await;
    let lock = beside(&draft, ".lock");
    let _ = std::fs::remove_file(&lock);
    let (secrets, complete) = match made {
        Ok(found) => found,
        Err(error) => {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
    };
    put(&draft, &file).map_err(|e| JobError::Backup(format!("{}: {e}", file.display())))?;
    let generation = keyring.active_generation();
    if complete {
        keyring.store().note_backup(generation).await?;
    }
    tracing::info!(target: "audit", event = "keystore.backup", file = %file.display(), secrets, "a backup was verified");
    Ok(Backup { file, secrets, generation: generation.0, complete })
}

async fn verified(keyring: &Keyring, draft: &Path) -> Result<(u64, bool), JobError> {
    let _ = std::fs::remove_file(draft);
    keyring.store().backup(draft).await?;
    let copy = Embedded::open(draft)?;
    let verified = keyring.verify(&copy).await?;
    drop(copy);
    Ok((verified.secrets, verified.complete))
}

/// Under its own name: durable when this returns.
fn put(draft: &Path, file: &Path) -> std::io::Result<()> {
    std::fs::File::open(draft)?.sync_all()?;
    std::fs::rename(draft, file)?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn name(keyring: &Keyring) -> String {
    let time: String = rfc3339(keyring.wall()).chars().filter(char::is_ascii_alphanumeric).collect();
    format!("paravent-{time}-g{}.keystore", keyring.active_generation().0)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts a backup in the keystore's place, while no gateway runs. What was there is kept beside it, under the name that this
/// returns. The next start applies the ledger before it serves.
///
/// # Errors
/// [`JobError::Backup`]; [`JobError::Keys`] when the backup can't be opened, or a gateway runs. Nothing has changed then.
pub fn restore(backup: &Path, store: &Path) -> Result<Option<PathBuf>, JobError> {
    let io = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| JobError::Backup(format!("{path}: {e}"))
    };
    let draft = beside(store, ".restored");
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(beside(&draft, suffix));
    }
    std::fs::copy(backup, &draft).map_err(io(backup))?;
    // Whoever has it open keeps it: this fails then.
    let checked = Embedded::open(&draft).map(drop);
    let _ = std::fs::remove_file(beside(&draft, ".lock"));
    if let Err(error) = checked {
        let _ = std::fs::remove_file(&draft);
        return Err(error.into());
    }
    let mut kept = None;
    if store.exists() {
        // Opening it brings its write-ahead log home; closing it leaves one whole file. A damaged one is kept as it is.
        match Embedded::open(store) {
            Ok(open) => drop(open),
            Err(error @ crate::keystore::StoreError::Locked(_)) => {
                let _ = std::fs::remove_file(&draft);
                return Err(error.into());
            }
            Err(_) => {}
        }
        let aside = beside(store, &format!(".before-{}", hex::encode(crate::crypto::random::<4>())));
        for suffix in ["", "-wal", "-shm"] {
            let from = beside(store, suffix);
            if from.exists() {
                std::fs::rename(&from, beside(&aside, suffix)).map_err(io(&from))?;
            }
        }
        kept = Some(aside);
    }
    put(&draft, store).map_err(io(store))?;
    Ok(kept)
}
