//! `paravent keys generate|list`: the file of root keys.

use super::args::KeysCommand;
use super::{Stop, load, say};
use crate::fault::{Exit, Fault};
use crate::roots::{FileRoots, RootError, RootProvider};

pub(super) fn run(command: &KeysCommand) -> Result<Exit, Stop> {
    match command {
        KeysCommand::Generate(file) => {
            let path = load(&file.path)?.keys.root;
            FileRoots::generate(&path).map_err(|error| stop(&error))?;
            say(&format!("made {}: keep a copy where the database's backups are not", path.display()))?;
        }
        KeysCommand::List(file) => {
            let roots = FileRoots::open(load(&file.path)?.keys.root).map_err(|error| stop(&error))?;
            for root in roots.list().map_err(|error| stop(&error))? {
                say(&format!("generation {}, made {}", root.generation.0, root.created))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// What went wrong with the key file, and what to do.
fn stop(error: &RootError) -> Stop {
    let message = match error.advice() {
        advice if advice.is_empty() => error.to_string(),
        advice => format!("{error}; {advice}"),
    };
    Stop { exit: error.exit(), message }
}
