//! `paravent audit verify|report`.

use super::args::AuditCommand;
use super::receipt::public_key;
use super::subject::{ask, with};
use super::{Stop, load, say};
use crate::audit::{self, Expected, Filter};
use crate::clock::rfc3339;
use crate::fault::Exit;
use hyper::Method;
use jiff::Timestamp;
use std::path::Path;

pub(super) fn run(command: AuditCommand) -> Result<Exit, Stop> {
    match command {
        AuditCommand::Verify { dir, config, key, head } => {
            let path = match dir {
                Some(path) => path,
                None => load(&config.path)?.audit.path,
            };
            let key = key.as_deref().map(public_key).transpose()?;
            let heads = head.iter().map(|text| read_head(text)).collect::<Result<_, _>>()?;
            verify(&path, &Expected { heads, key })
        }
        AuditCommand::Report { from, to, principal, field, path: None, api } => {
            let (from, to) = (time(from)?, time(to)?);
            let parameters = [("from", &from), ("to", &to), ("principal", &principal), ("field", &field)];
            let path = with("/v1/audit".into(), &parameters.map(|(name, value)| (name, value.as_deref())));
            ask(api, Method::GET, &path)
        }
        AuditCommand::Report { from, to, principal, field, path: Some(path), .. } => {
            let filter = Filter { from: time(from)?, to: time(to)?, principal, field };
            let report = audit::report(&path, &filter).map_err(Stop::failed)?;
            say(&serde_json::to_string(&report).map_err(Stop::failed)?)?;
            Ok(Exit::Done)
        }
    }
}

fn verify(path: &Path, expected: &Expected) -> Result<Exit, Stop> {
    let found =
        audit::verify(path, expected).map_err(|broken| Stop::failed(format!("not valid: {broken}")))?;
    say(&format!("valid: entries {} to {}, head {}:{}", found.first, found.last, found.last, found.hash))?;
    if found.first > 1 {
        say(&format!("entries before {} were deleted, as the log itself says", found.first))?;
    }
    if found.cut {
        say("the last line was cut short by a crash")?;
    }
    if expected.heads.is_empty() {
        say("no head was given: what may have been cut off behind the log's own heads can't be told")?;
    }
    Ok(Exit::Done)
}

fn read_head(text: &str) -> Result<(u64, String), Stop> {
    let wrong = || Stop::usage("--head is NUMBER:HASH, as `GET /v1/audit/head` and `audit verify` tell them");
    let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
    if hash.len() != 64 || hex::decode(hash).is_err() {
        return Err(wrong());
    }
    Ok((number.parse().map_err(|_| wrong())?, hash.to_owned()))
}

/// A time as the log writes it.
fn time(text: Option<String>) -> Result<Option<String>, Stop> {
    let read = |text: String| {
        let time: Timestamp =
            text.parse().map_err(|_| Stop::usage(format!("\"{text}\" is no time in RFC 3339")))?;
        Ok(rfc3339(time))
    };
    text.map(read).transpose()
}
