//! `paravent check`.

use super::args::Check;
use super::{Stop, load, say};
use crate::fault::Exit;

pub(super) fn run(args: &Check) -> Result<Exit, Stop> {
    let config = load(&args.config.path)?;
    let policy = &config.policy;
    let tables: usize = policy.postgres.iter().map(Vec::len).sum();
    say(&format!("{}: {} fields in {tables} tables", config.path.display(), policy.fields.len()))?;
    Ok(Exit::Done)
}
