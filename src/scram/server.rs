//! The server's end: towards a client that proves that it knows the password.

use super::binding::{Binding, Channel};
use super::message::{attribute, encoded, fresh_nonce, key, nonce, text};
use super::verifier::Verifier;
use super::{PLAIN, PLUS, Wrong};
use crate::crypto::scram;
use crate::secret::Secret;

/// The client's first message.
pub struct First {
    channel: Channel,
    bare: String,
    nonce: String,
}

/// What it was answered with, until the proof comes.
pub struct Challenged {
    channel: Channel,
    nonce: String,
    /// The exchange so far, as it is signed.
    said: String,
}

/// The client knows the password. Holds the key that only the password or a proof gives.
pub struct Proven {
    pub(super) client: Secret<32>,
    pub(super) verifier: Verifier,
    message: String,
}

impl First {
    /// Reads it. `own` is what this end's channel is bound to: where there is one, PLUS was offered.
    ///
    /// # Errors
    /// Everything that Postgres refuses, too.
    pub fn read(mechanism: &[u8], message: &[u8], own: Option<&Binding>) -> Result<Self, Wrong> {
        let message = text(message)?;
        let plus = match mechanism {
            m if m == PLAIN.as_bytes() => false,
            m if m == PLUS.as_bytes() && own.is_some() => true,
            _ => return Err(Wrong::Mechanism),
        };
        let (flag, rest) = message.split_once(',').ok_or(Wrong::Malformed)?;
        let channel = match (flag, own) {
            ("n", _) if !plus => Channel::Unbound,
            ("y", None) if !plus => Channel::NotOffered,
            ("y", Some(_)) if !plus => return Err(Wrong::Negotiation),
            ("p=tls-server-end-point", Some(own)) if plus => Channel::Bound(own.clone()),
            (flag, _) if plus && flag.starts_with("p=") => return Err(Wrong::BindingType),
            _ => return Err(Wrong::Malformed),
        };
        let bare = match rest.strip_prefix(',') {
            Some(bare) => bare,
            None if rest.starts_with("a=") => return Err(Wrong::Identity),
            None => return Err(Wrong::Malformed),
        };
        if bare.starts_with("m=") {
            return Err(Wrong::Extension);
        }
        // The name is that of the start-up packet, whatever this says.
        let (_, rest) = attribute(bare, 'n')?;
        let (own_nonce, _) = attribute(rest, 'r')?;
        let nonce = nonce(own_nonce)?.to_owned();
        Ok(Self { channel, bare: bare.to_owned(), nonce })
    }

    /// The answer: a nonce, and the salt and count of the password.
    pub fn challenge(self, salt: &str, iterations: u32) -> (Vec<u8>, Challenged) {
        let Self { channel, bare, nonce } = self;
        let nonce = format!("{nonce}{}", fresh_nonce());
        let answer = format!("r={nonce},s={salt},i={iterations}");
        let said = format!("{bare},{answer},");
        (answer.into_bytes(), Challenged { channel, nonce, said })
    }
}

impl Challenged {
    /// Checks the client's last message against the verifier of its name; nobody's where there is none.
    ///
    /// # Errors
    /// [`Wrong::Proof`] for a wrong password, a role without a verifier, and one whose verifier is another's.
    pub fn check(self, message: &[u8], verifier: Option<Verifier>) -> Result<Proven, Wrong> {
        let message = text(message)?;
        let (unsigned, proof) = message.rsplit_once(",p=").ok_or(Wrong::Malformed)?;
        let (told, rest) = attribute(unsigned, 'c')?;
        let (told_nonce, _) = attribute(rest, 'r')?;
        if told != self.channel.told() {
            return Err(Wrong::Binding);
        }
        if told_nonce != self.nonce {
            return Err(Wrong::Malformed);
        }
        let proof = key(proof)?;
        let known = u8::from(verifier.is_some());
        let verifier = verifier.unwrap_or_else(Verifier::of_nobody);
        let signed = [self.said.as_bytes(), unsigned.as_bytes()];
        let client = scram::recover(&verifier.stored, &signed, &proof, known.into()).ok_or(Wrong::Proof)?;
        let signature = scram::server_signature(&verifier.server, &signed);
        Ok(Proven { client, verifier, message: format!("v={}", encoded(&signature)) })
    }
}

impl Proven {
    /// What proves to the client that this end knows it.
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }
}
