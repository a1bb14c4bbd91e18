//! Values that go on under another key of the same subject: what a re-keying does to each.

use super::door::name;
use super::{Door, ProtectError};
use crate::envelope::{EnvelopeRef, FieldName, OVERHEAD, Padding, open, seal, sealed_len};
use crate::ids::{FieldTag, KeyId};
use crate::keyring::{KeyringError, Pair, Use};
use crate::keystore::rekey::{HeldUnder, ResealedHolder};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// Somebody works with what the door gave: statements are on their way, rows are still to come.
#[derive(Debug)]
pub struct InUse {
    _use: Use,
}

/// Seals values again, under the keys that took the place of theirs.
pub struct Again {
    door: Door,
    pairs: HashMap<KeyId, Pair>,
}

impl Door {
    /// Held by a wire while statements of a connection are on their way, or one of its transactions is open: no key that
    /// these may meet is destroyed by a re-keying meanwhile.
    pub fn in_use(&self) -> InUse {
        InUse { _use: self.keyring().begin_use() }
    }

    /// What seals again the values that lie under these keys.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn again(&self, keys: &[KeyId]) -> Result<Again, ProtectError> {
        let pairs = self.timed(self.keyring().successors(keys)).await?;
        Ok(Again { door: self.clone(), pairs })
    }

    /// Moves the identifiers that are held under these keys; how many, and how many do not open under this policy.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn move_identifiers(&self, keys: &[KeyId]) -> Result<(u64, u64), ProtectError> {
        let keyring = self.keyring();
        let held = keyring.store().held_under(keys).await.map_err(KeyringError::from)?;
        if held.is_empty() {
            return Ok((0, 0));
        }
        let again = self.again(keys).await?;
        let count = held.len();
        let resealed: Vec<ResealedHolder> =
            held.into_iter().filter_map(|held| again.identifier(held)).collect();
        let unreadable = (count - resealed.len()) as u64;
        Ok((keyring.reseal_holders(resealed).await?, unreadable))
    }

    /// The field of this tag, whatever its protection.
    fn tagged(&self, tag: FieldTag) -> Option<FieldName<'_>> {
        name(self.policy().fields.iter().find(|field| field.tag == tag)?).ok()
    }
}

impl Again {
    /// The same value of the same field under the key that took the place of its own. None where there is no such key, or it
    /// doesn't open.
    pub fn envelope(&self, envelope: &[u8]) -> Option<Vec<u8>> {
        self.resealed(envelope).map(|(_, sealed)| sealed)
    }

    fn identifier(&self, held: HeldUnder) -> Option<ResealedHolder> {
        let (key_id, sealed) = self.resealed(&held.sealed)?;
        Some(ResealedHolder { before: held, key_id, sealed })
    }

    fn resealed(&self, envelope: &[u8]) -> Option<(KeyId, Vec<u8>)> {
        let parsed = EnvelopeRef::parse(envelope).ok()?;
        let (old, new) = self.pairs.get(&parsed.key_id())?;
        let field = self.door.tagged(parsed.field_tag())?;
        let mut clear = Zeroizing::new(Vec::with_capacity(envelope.len()));
        let kind = open(old, field, parsed, &mut clear).ok()?;
        // As long as it was, so that a padded one stays so, and fits its column.
        let plain = sealed_len(clear.len(), Padding::None)? == envelope.len();
        let block = u16::try_from(envelope.len() - OVERHEAD).map_or(Padding::DEFAULT_BLOCK, Padding::Block);
        let padding = if plain { Padding::None } else { block };
        Some((new.id(), seal(new, field, kind, &clear, padding).ok()?))
    }
}
