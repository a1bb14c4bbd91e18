//! The client's end: towards the server, with the key that a client's proof gave away.

use super::binding::Channel;
use super::message::{attribute, encoded, fresh_nonce, key, nonce, text};
use super::server::Proven;
use super::{PLAIN, PLUS, Wrong};
use crate::crypto::scram;
use crate::secret::Secret;

/// An exchange that begins.
pub struct Login {
    channel: Channel,
    nonce: String,
}

/// What the server asks for.
pub struct Challenge {
    channel: Channel,
    nonce: String,
    said: String,
    salt: String,
    iterations: u32,
}

/// Until the server has proved itself.
pub struct Answered {
    server: Secret<32>,
    signed: String,
}

impl Login {
    /// Bound to the channel or not.
    pub fn new(channel: Channel) -> Self {
        Self { channel, nonce: fresh_nonce() }
    }

    /// The mechanism to choose.
    pub fn mechanism(&self) -> &'static str {
        if matches!(self.channel, Channel::Bound(_)) { PLUS } else { PLAIN }
    }

    /// The first message. It names nobody: the start-up packet did.
    pub fn message(&self) -> Vec<u8> {
        format!("{}n=,r={}", self.channel.header(), self.nonce).into_bytes()
    }

    /// Reads the server's answer.
    ///
    /// # Errors
    /// It is none.
    pub fn challenged(self, message: &[u8]) -> Result<Challenge, Wrong> {
        let message = text(message)?;
        let (told, rest) = attribute(message, 'r')?;
        let (salt, rest) = attribute(rest, 's')?;
        let (iterations, _) = attribute(rest, 'i')?;
        nonce(told)?;
        if told.len() <= self.nonce.len() || !told.starts_with(&self.nonce) {
            return Err(Wrong::Malformed);
        }
        let iterations = iterations.parse().ok().filter(|n| *n > 0).ok_or(Wrong::Malformed)?;
        let said = format!("n=,r={},{message},", self.nonce);
        Ok(Challenge {
            channel: self.channel,
            nonce: told.to_owned(),
            said,
            salt: salt.to_owned(),
            iterations,
        })
    }
}

impl Challenge {
    /// The salt, in base64.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// How often the password is hashed.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The proof, made with the client's key, which ends here.
    pub fn answer(self, proven: Proven) -> (Vec<u8>, Answered) {
        let unsigned = format!("c={},r={}", self.channel.told(), self.nonce);
        let signed = format!("{}{unsigned}", self.said);
        let Proven { client, verifier, .. } = proven;
        let proof = scram::proof(&client, &verifier.stored, &[signed.as_bytes()]);
        drop(client);
        (
            format!("{unsigned},p={}", encoded(&proof)).into_bytes(),
            Answered { server: verifier.server, signed },
        )
    }
}

impl Answered {
    /// Checks the server's last message.
    ///
    /// # Errors
    /// [`Wrong::Server`] where it doesn't have the role's ServerKey.
    pub fn check(self, message: &[u8]) -> Result<(), Wrong> {
        let (told, _) = attribute(text(message)?, 'v')?;
        let told = key(told)?;
        let holds = scram::is_server_signature(&self.server, &[self.signed.as_bytes()], &told);
        if holds { Ok(()) } else { Err(Wrong::Server) }
    }
}
