//! `paravent keystore backup|restore`.

use super::args::KeystoreCommand;
use super::remote::Remote;
use super::{Stop, block_on, load, say};
use crate::admin::client::segment;
use crate::app;
use crate::fault::Exit;
use hyper::Method;
use std::path::{Path, PathBuf};

pub(super) fn run(command: KeystoreCommand) -> Result<Exit, Stop> {
    let failed = |error: app::AppError| Stop { exit: error.exit(), message: error.to_string() };
    match command {
        KeystoreCommand::Backup { to, config, admin } => match admin.admin {
            Some(url) => online(&Remote::new(&url, admin.tls)?, to.as_deref())?,
            None => {
                let config = load(&config.path)?;
                let to = to
                    .or_else(|| config.keys.backup.clone())
                    .ok_or_else(|| Stop::usage("say where the backup goes, or set `backup` in [keys]"))?;
                let made = block_on(async { app::back_up(&config, &to).await.map_err(failed) })?;
                say(&format!("{}: {} secrets verified", made.file.display(), made.secrets))?;
            }
        },
        KeystoreCommand::Restore { file, config } => {
            let config = load(&config.path)?;
            let kept = block_on(async { app::restore(&config, &file).await.map_err(failed) })?;
            say(&format!("{} is in place; the ledger was applied", config.keys.store.display()))?;
            if let Some(kept) = kept {
                say(&format!("what was there before is {}", kept.display()))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The running gateway writes the file, where it runs.
fn online(remote: &Remote, to: Option<&Path>) -> Result<(), Stop> {
    let to = to.map(absolute).transpose()?;
    let path = match to.as_ref().map(|to| to.to_str()) {
        Some(Some(to)) => format!("/v1/keystore/backup?to={}", segment(to)),
        Some(None) => return Err(Stop::usage("the path is not UTF-8")),
        None => "/v1/keystore/backup".to_owned(),
    };
    let made = remote.ask(Method::POST, &path)?;
    say(&format!("{}: {} secrets verified", made["file"].as_str().unwrap_or_default(), made["secrets"]))
}

fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path).map_err(Stop::failed)
}
