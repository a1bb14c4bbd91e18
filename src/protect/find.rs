//! Comparisons: from an identifier to the tokens to compare with. Nothing is ever allocated here.

use super::{Door, ProtectError};
use crate::ids::FieldId;
use crate::pseudonym::{Identifier, IdentifierError, Token};

impl Door {
    /// The token to compare with: the identifier's own, or a fresh unissued one (never allocates). The empty
    /// string compares as itself.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`]; [`ProtectError::Identifier`] when the field is no pseudonym.
    pub async fn find(&self, field: FieldId, identifier: &str) -> Result<Box<str>, ProtectError> {
        let pseudonym = self.pseudonym(field).ok_or(NO_PSEUDONYM)?;
        let unissued = || Token::random(pseudonym.kind).into_boxed_str();
        let identifier = match Identifier::read(identifier, pseudonym.normalise) {
            Ok(Some(identifier)) => identifier,
            Ok(None) => return Ok("".into()),
            // Nobody can hold it: a comparison with it finds nobody.
            Err(IdentifierError::TooLong | IdentifierError::NotText) => return Ok(unissued()),
        };
        let found = self.timed(self.keyring().find(pseudonym.domain, identifier.exact())).await?;
        Ok(found.unwrap_or_else(unissued))
    }

    /// All tokens whose identifier folds as this one does (maybe none).
    ///
    /// # Errors
    /// As [`Door::find`].
    pub async fn find_folded(&self, field: FieldId, identifier: &str) -> Result<Vec<Box<str>>, ProtectError> {
        let pseudonym = self.pseudonym(field).ok_or(NO_PSEUDONYM)?;
        let identifier = match Identifier::read(identifier, pseudonym.normalise) {
            Ok(Some(identifier)) => identifier,
            Ok(None) => return Ok(vec!["".into()]),
            Err(IdentifierError::TooLong | IdentifierError::NotText) => return Ok(Vec::new()),
        };
        Ok(self.timed(self.keyring().folded(pseudonym.domain, &identifier.folded())).await?)
    }
}

const NO_PSEUDONYM: ProtectError = ProtectError::Identifier("the field is encrypted, it has no tokens");
