//! For rows of the erased that stay as they are: who is erased, and what stands in a value's place meanwhile.

use super::door::name;
use super::{Door, ProtectError, Stored};
use crate::clear::Kind;
use crate::crypto::{random, random_secret};
use crate::envelope::{Padding, seal};
use crate::ids::{FieldId, KeyId, Subject};
use crate::keys::UserKey;
use crate::pseudonym::Token;

impl Door {
    /// Whether the subject was erased, and its class refuses new data about it.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn is_erased(&self, subject: &Subject) -> Result<bool, ProtectError> {
        if !self.refuses(&subject.class) {
            return Ok(false);
        }
        Ok(self.timed(self.keyring().marked(subject)).await?)
    }

    /// Stand-ins for values of somebody erased, one for each field: known to ledger and keystore when this
    /// returns, and read as erased.
    ///
    /// # Errors
    /// [`ProtectError::ErasedSubject`] for a door that makes none, [`ProtectError::Unavailable`].
    pub async fn stand_ins(&self, fields: &[FieldId]) -> Result<Vec<Stored>, ProtectError> {
        let fence = self.fence().ok_or(ProtectError::ErasedSubject)?;
        let key = Self::dead_key();
        let (mut keys, mut tokens) = (Vec::new(), Vec::new());
        let mut stored = Vec::with_capacity(fields.len());
        for field in fields {
            stored.push(if self.pseudonym(*field).is_some() {
                let (domain, token) = self.dead_token(*field)?;
                tokens.push((domain, token.clone()));
                Stored::Token(token)
            } else {
                keys = vec![key];
                Stored::Envelope(self.dead_envelope(*field, key)?)
            });
        }
        fence.fence(keys, tokens).await.map_err(ProtectError::Unavailable)?;
        Ok(stored)
    }

    /// What has the form of a stored value and is nobody's: an envelope of nothing under a key that is
    /// forgotten here, or an unissued token. It must not be stored.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`] for a field of another policy.
    pub fn blank(&self, field: FieldId) -> Result<Stored, ProtectError> {
        if let Some(pseudonym) = self.pseudonym(field) {
            return Ok(Stored::Token(Token::random(pseudonym.kind).into_boxed_str()));
        }
        let key = UserKey::from_parts(KeyId(random()), random_secret());
        Ok(Stored::Envelope(seal(&key, name(self.field(field)?)?, Kind::Text, b"", Padding::None)?))
    }
}
