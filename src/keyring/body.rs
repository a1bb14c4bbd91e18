//! Keys of sealed bodies: derived from the subject secret itself, which no cache holds, so that each is read from
//! the store.

use super::entry::KeyAnswer;
use super::{Keyring, KeyringError};
use crate::ids::KeyId;
use crate::keys::BodyKey;
use crate::keystore::model::Found;

/// What the keyring knows of a body's key.
#[derive(Debug)]
pub enum BodyAnswer {
    /// It opens.
    Open {
        /// What opens it.
        key: BodyKey,
        /// Whether its subject may not be read.
        restricted: bool,
    },
    /// Its subject was erased.
    Erased,
    /// Its key was replaced since.
    Replaced,
    /// This keystore never had it.
    Unknown,
    /// It is another subject's than the row's.
    WrongSubject,
    /// It is nobody's yet, and the row is somebody's.
    Unbound,
}

impl Keyring {
    /// The key of a body sealed under the secret `key` with `salt`, for a row of `class` and `id`.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn body_key(
        &self,
        key: KeyId,
        row: Option<(&str, &str)>,
        salt: &[u8; 16],
    ) -> Result<BodyAnswer, KeyringError> {
        let mut attempts = 0;
        loop {
            let found = self.inner.store.secrets(&[key]).await?.into_iter().next();
            let live = match found {
                None | Some(Found::Unknown) => return Ok(BodyAnswer::Unknown),
                Some(Found::Fenced) => return Ok(BodyAnswer::Erased),
                Some(Found::Replaced) => return Ok(BodyAnswer::Replaced),
                Some(Found::Live(live)) => live,
            };
            if !super::read::fits(live.subject.as_ref(), row) {
                let unbound = live.subject.is_none();
                return Ok(if unbound { BodyAnswer::Unbound } else { BodyAnswer::WrongSubject });
            }
            match self.unwrap(&live) {
                // A rotation ended between the two reads.
                Err(KeyringError::Generation(_)) if attempts < 4 => attempts += 1,
                secret => {
                    let restricted = live.subject.as_ref().is_some_and(|subject| self.is_restricted(subject));
                    return Ok(BodyAnswer::Open { key: secret?.body_key(salt), restricted });
                }
            }
        }
    }

    /// What became of a key meanwhile: bodies take long.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn meanwhile(&self, key: KeyId) -> Result<KeyAnswer, KeyringError> {
        if let Some(answer) = self.reading_key(key, None) {
            return Ok(answer);
        }
        self.load_keys(&[key]).await?;
        Ok(self.reading_key(key, None).unwrap_or(KeyAnswer::Unknown))
    }
}
