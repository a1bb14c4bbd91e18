//! `paravent admin token`.

use super::args::Token;
use super::{Stop, load, say};
use crate::admin::tokens::{TokenFile, TokensError};
use crate::fault::Exit;

pub(super) fn token(args: &Token) -> Result<Exit, Stop> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => {
            let config = load(&args.config.path)?;
            let admin = config.admin.ok_or_else(|| {
                Stop::usage(format!(
                    "{}: no [admin] section, so no token file; or say --file",
                    config.path.display()
                ))
            })?;
            admin.tokens
        }
    };
    let token = TokenFile::new(path).add(&args.name, args.role).map_err(|error| match error {
        TokensError::Io(..) => Stop::failed(error),
        TokensError::Line(..) | TokensError::Writable(_) | TokensError::Name(..) => Stop::usage(error),
    })?;
    say(&token)?;
    Ok(Exit::Done)
}
