//! The keystore's backups, while no gateway runs on it.

use super::{AppError, open};
use crate::config::Config;
use crate::jobs::{self, Backup};
use std::path::{Path, PathBuf};

/// Makes a backup and verifies it.
///
/// # Errors
/// A gateway runs on the keystore; or what [`super::Gateway::start`] would say.
pub async fn back_up(config: &Config, to: &Path) -> Result<Backup, AppError> {
    let opened = open::open(config).await?;
    jobs::back_up(&opened.keyring, to).await.map_err(AppError::failed)
}

/// Puts a backup in the keystore's place, and brings it up to the ledger: whoever was erased since is erased again. Where
/// what was there before is kept.
///
/// # Errors
/// A gateway runs on the keystore; or the backup can't be opened with the root keys and the ledger of today. Everything is
/// as before then.
pub async fn restore(config: &Config, backup: &Path) -> Result<Option<PathBuf>, AppError> {
    let store = &config.keys.store;
    let kept = jobs::restore(backup, store).map_err(AppError::failed)?;
    match open::open(config).await {
        Ok(opened) => {
            drop(opened);
            Ok(kept)
        }
        Err(error) => {
            let back = kept.as_ref().map_or(std::fs::remove_file(store), |kept| std::fs::rename(kept, store));
            back.map_err(|again| {
                AppError::failed(format!("{error}; and what was there before stays aside: {again}"))
            })?;
            Err(error)
        }
    }
}
