//! `paravent receipt verify|key`: needs no gateway.

use super::args::ReceiptCommand;
use super::{Stop, keys, load, say, say_error};
use crate::crypto::PublicKey;
use crate::fault::Exit;
use crate::ids::Subject;
use crate::rights::signed::{VerifyError, verify};
use crate::rights::{self, Finality, Receipt, Stage, TYPE};
use std::io::Read;
use std::path::Path;

pub(super) fn run(command: &ReceiptCommand) -> Result<Exit, Stop> {
    match command {
        ReceiptCommand::Verify { file, key, subject, salt } => {
            let document = read(file)?;
            let about = subject.as_deref().map(|words| About { words, salt: salt.as_deref() });
            check(&document, &public_key(key)?, about)
        }
        ReceiptCommand::Key { config, pem } => {
            let path = load(&config.path)?.keys.receipt_key;
            let key = rights::key::open(&path).map_err(|error| keys::stop(&error))?.public();
            say(&if *pem { key.to_pem().trim_end().to_owned() } else { key.to_hex() })?;
            Ok(Exit::Done)
        }
    }
}

/// The longest receipt that is read.
const LONGEST: u64 = 16 << 20;

fn read(file: &Path) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let done = if file == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LONGEST).read_to_end(&mut bytes))
    };
    done.map_err(|error| Stop::usage(format!("{}: {error}", file.display())))?;
    Ok(bytes)
}

/// A public key: 64 hexadecimal digits, or the name of a PEM file.
pub(super) fn public_key(text: &str) -> Result<PublicKey, Stop> {
    if let Some(key) = PublicKey::read(text) {
        return Ok(key);
    }
    let file =
        std::fs::read_to_string(text).map_err(|error| Stop::usage(format!("--key {text}: {error}")))?;
    PublicKey::read(&file).ok_or_else(|| {
        Stop::usage(format!("--key {text}: no Ed25519 public key in PEM, and not 64 hexadecimal digits"))
    })
}

/// Whom a receipt should be about.
#[derive(Clone, Copy)]
struct About<'a> {
    words: &'a [String],
    salt: Option<&'a str>,
}

fn check(document: &[u8], key: &PublicKey, about: Option<About<'_>>) -> Result<Exit, Stop> {
    let receipt: Receipt = match verify(key, document) {
        Ok(receipt) => receipt,
        Err(error @ VerifyError::Form(_)) => return Err(Stop::usage(format!("not a receipt: {error}"))),
        Err(error) => return Err(Stop::failed(format!("not valid: {error}"))),
    };
    if receipt.kind != TYPE {
        return Err(Stop::failed(format!(
            "not valid: it is signed, and no receipt but \"{}\"",
            receipt.kind
        )));
    }
    say(&format!("valid: {} (revision {}, {})", receipt.id, receipt.revision, receipt.issued))?;
    say(&told(&receipt))?;
    for entry in &receipt.not_covered {
        say(&format!("not covered: {} ({})", entry.what, entry.why))?;
    }
    match about.map(|about| is_about(&receipt, about)).transpose()? {
        Some(false) => {
            say_error("it is not about this subject, or the salt is another receipt's");
            Ok(Exit::Failed)
        }
        Some(true) => say("it is about this subject").map(|()| Exit::Done),
        None => Ok(Exit::Done),
    }
}

/// What the receipt says in one line.
fn told(receipt: &Receipt) -> String {
    let stage = match (receipt.stage, receipt.finality) {
        (Stage::Live, _) => "live: no replica opens the subject's data",
        (Stage::Swept, _) => "swept: live, and overwritten in the places listed",
        (Stage::Final, Some(Finality::ProviderConfirmed)) => {
            "final: every root key that could bring it back is destroyed, as its provider confirms"
        }
        (Stage::Final, _) => {
            "final (operator-attested): every root key that could bring it back is destroyed, as its operator attests"
        }
    };
    let (keys, tokens) = (receipt.keys.len(), receipt.tokens_destroyed);
    format!(
        "{stage}; {keys} keys and {tokens} tokens destroyed at {}; ground: {}",
        receipt.times.live, receipt.ground
    )
}

fn is_about(receipt: &Receipt, about: About<'_>) -> Result<bool, Stop> {
    let [class, id] = about.words else { return Err(Stop::usage("--subject CLASS ID")) };
    let salt = about.salt.or(receipt.salt.as_deref()).ok_or_else(|| {
        Stop::usage("the receipt holds no salt; give the one that came with the erasure's answer as --salt")
    })?;
    let salt: [u8; 32] = hex::decode(salt)
        .ok()
        .and_then(|salt| salt.try_into().ok())
        .ok_or_else(|| Stop::usage("a salt has 64 hexadecimal digits"))?;
    let subject = Subject::new(class.as_str(), id.as_str());
    Ok(receipt.subject_commitment.as_deref() == Some(rights::commitment(&salt, &subject).as_str()))
}
