//! `paravent admin token|certificate`.

use super::args::Token;
use super::{Stop, load, say};
use crate::admin::client::certificate as read_certificate;
use crate::admin::tokens::{TokenFile, TokensError};
use crate::fault::Exit;
use std::path::{Path, PathBuf};

fn file(args: &Token) -> Result<PathBuf, Stop> {
    if let Some(path) = &args.file {
        return Ok(path.clone());
    }
    let config = load(&args.config.path)?;
    let none = || format!("{}: no [admin] section, so no token file; or say --file", config.path.display());
    Ok(config.admin.as_ref().ok_or_else(|| Stop::usage(none()))?.tokens.clone())
}

fn stop(error: TokensError) -> Stop {
    match error {
        TokensError::Io(..) => Stop::failed(error),
        TokensError::Line(..) | TokensError::Writable(_) | TokensError::Name(..) => Stop::usage(error),
    }
}

pub(super) fn token(args: &Token) -> Result<Exit, Stop> {
    let token = TokenFile::new(file(args)?).add(&args.name, args.role).map_err(stop)?;
    say(&token)?;
    Ok(Exit::Done)
}

pub(super) fn certificate(args: &Token, pem: &Path) -> Result<Exit, Stop> {
    let der = read_certificate(pem).map_err(Stop::usage)?;
    let path = file(args)?;
    TokenFile::new(path.clone()).add_certificate(&args.name, args.role, &der).map_err(stop)?;
    say(&format!("{} may use the admin API as {} ({})", args.name, args.role, path.display()))?;
    Ok(Exit::Done)
}
