//! `paravent keys generate|list`.

use super::args::KeysCommand;
use super::{Stop, load};
use crate::fault::Exit;

pub(super) fn run(command: &KeysCommand) -> Result<Exit, Stop> {
    let (KeysCommand::Generate(file) | KeysCommand::List(file)) = command;
    let config = load(&file.path)?;
    Err(Stop::failed(format!("{}: root keys are not wired yet", config.keys.root.display())))
}
