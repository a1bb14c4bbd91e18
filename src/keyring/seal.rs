//! Erased subjects whose places must still be found: sealed under the active generation.

use super::{Keyring, KeyringError};
use crate::ids::Subject;
use crate::keys::{open_pending, seal_pending};
use crate::keystore::sweep::SealedSubject;

impl Keyring {
    /// Seals the subject of an erasure until its sweep is over.
    ///
    /// # Errors
    /// [`KeyringError::Wrap`].
    pub fn seal_subject(&self, receipt: &str, subject: &Subject) -> Result<SealedSubject, KeyringError> {
        let key = self.inner.active()?;
        Ok(SealedSubject { generation: key.number(), sealed: seal_pending(&key, receipt, subject)? })
    }

    /// Opens what [`Keyring::seal_subject`] sealed.
    ///
    /// # Errors
    /// [`KeyringError::Generation`], [`KeyringError::Row`].
    pub fn open_subject(&self, receipt: &str, sealed: &SealedSubject) -> Result<Subject, KeyringError> {
        let key = self.inner.generation(sealed.generation)?;
        Ok(open_pending(&key, receipt, &sealed.sealed)?)
    }
}
