//! `paravent keys generate|list|rotate|destroy`: the file of root keys, and the generations of a running gateway.

use super::args::{KeysCommand, MaybeAdmin};
use super::remote::Remote;
use super::{Stop, load, rotate, say};
use crate::app::open_roots;
use crate::config::Root;
use crate::fault::{Exit, Fault};
use crate::ids::Generation;
use crate::rights;
use crate::roots::{FileRoots, RootError};

pub(super) fn run(command: KeysCommand) -> Result<Exit, Stop> {
    match command {
        KeysCommand::Generate(file) => {
            let keys = load(&file.path)?.keys;
            // Where the root key is there and the other is not, only the other is made.
            let both = keys.receipt_key.exists();
            match &keys.root {
                Root::File(path) if both || !path.exists() => {
                    FileRoots::generate(path).map_err(|error| stop(&error))?;
                    let path = path.display();
                    say(&format!("made {path}: keep a copy where the database's backups are not"))?;
                }
                Root::File(_) => {}
                Root::Pkcs11(_) | Root::AwsKms(_) => first(&keys.root, both)?,
            }
            if !both {
                let key = rights::key::generate(&keys.receipt_key).map_err(|error| stop(&error))?;
                let path = keys.receipt_key.display();
                say(&format!("made {path}: it signs receipts; they verify with {}", key.public().to_hex()))?;
            }
        }
        KeysCommand::List { admin: MaybeAdmin { admin: Some(admin), tls }, .. } => {
            rotate::list(&Remote::new(&admin, tls)?)?;
        }
        KeysCommand::Rotate { admin, no_wait } => {
            rotate::rotate(&Remote::of(admin)?, no_wait)?;
        }
        KeysCommand::Destroy { generation, admin } => {
            rotate::destroy(&Remote::of(admin)?, generation)?;
        }
        KeysCommand::List { config: file, .. } => {
            let roots = open_roots(&load(&file.path)?.keys.root).map_err(|error| stop(&error))?;
            for root in roots.list().map_err(|error| stop(&error))? {
                say(&format!("generation {}, made {}", root.generation.0, root.created))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Makes the first root key at a provider that is no file; one that is there is an error only when nothing else is made.
fn first(root: &Root, only: bool) -> Result<(), Stop> {
    let roots = open_roots(root).map_err(|error| stop(&error))?;
    match roots.create(Generation(1)) {
        Ok(()) => say(&format!("made the root key of generation 1 at the {} provider", roots.name())),
        Err(RootError::Exists(_)) if !only => Ok(()),
        Err(error) => Err(stop(&error)),
    }
}

/// What went wrong with the key file, and what to do.
pub(super) fn stop(error: &dyn Fault) -> Stop {
    let message = match error.advice() {
        advice if advice.is_empty() => error.to_string(),
        advice => format!("{error}; {advice}"),
    };
    Stop { exit: error.exit(), message }
}
