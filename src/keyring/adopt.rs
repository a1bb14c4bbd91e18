//! Lost creations: secrets that were made for somebody whose id the answer was to tell, and didn't.

use super::{Keyring, KeyringError};
use crate::ids::{KeyId, Subject};
use crate::keystore::StoreError;
use crate::keystore::model::{Found, SecretRow, UnsettledRow};

/// So often it is tried again because the keys were rotated meanwhile.
const ATTEMPTS: usize = 4;

impl Keyring {
    /// What is provisional under a key, whoever made it, in this process or another.
    ///
    /// # Errors
    /// [`KeyringError::Store`].
    pub async fn unsettled_of(&self, key: KeyId) -> Result<Option<UnsettledRow>, KeyringError> {
        let rows = self.inner.store.unsettled().await?;
        Ok(rows.into_iter().find(|row| row.key_id == key))
    }

    /// Binds an unbound secret to its subject, and settles it with all that is held under it: durable when it returns. False
    /// where it is bound already, or gone. With `refuse` it is neither where the subject left a mark
    /// ([`StoreError::Marked`]).
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn adopt(
        &self,
        lost: &UnsettledRow,
        subject: &Subject,
        refuse: bool,
    ) -> Result<bool, KeyringError> {
        let Some(secret) = self.unbound(lost.key_id).await? else { return Ok(false) };
        let tokens: Vec<_> =
            lost.tokens.iter().map(|(domain, token)| ((&**domain).into(), token.clone())).collect();
        let bound = [(secret, subject.clone(), refuse)];
        match self.bind(lost.unit, &bound, Vec::new(), &tokens).await {
            Err(KeyringError::Store(StoreError::Gone(_))) => return Ok(false),
            other => other?,
        }
        // Whatever its own exchange says later: a value of it was seen where it was stored.
        self.recover(lost, true).await?;
        Ok(true)
    }

    /// What the cache holds of a key, and of a token that was held under it, is no longer certain.
    pub fn uncertain(&self, key: KeyId, token: Option<(&str, &str)>) {
        self.inner.caches.forget(&[key], token.into_iter());
    }

    /// The secret itself, if it is nobody's yet.
    async fn unbound(&self, key: KeyId) -> Result<Option<crate::keys::SubjectSecret>, KeyringError> {
        let mut attempts = 0;
        loop {
            let found = self.inner.store.secrets(&[key]).await?.into_iter().next();
            let Some(Found::Live(row @ SecretRow { subject: None, .. })) = found else { return Ok(None) };
            match self.unwrap(&row) {
                // A rotation ended between the two reads.
                Err(KeyringError::Generation(_)) if attempts < ATTEMPTS => attempts += 1,
                secret => return secret.map(Some),
            }
        }
    }

    /// The mark that an erasure leaves against creations that were lost before it.
    pub fn lost_mark(&self, subject: &Subject) -> [u8; 32] {
        self.inner.marks.lost(subject).0
    }
}
