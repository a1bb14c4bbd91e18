//! A subject's own identifiers, as the keystore holds them: wherever their tokens lie, behind services too.

use super::door::name;
use super::{Door, ProtectError};
use crate::clear::{Clear, Kind};
use crate::envelope::{EnvelopeRef, open};
use crate::ids::Subject;
use crate::keyring::KeyringError;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

impl Door {
    /// Field and text of every identifier that the subject holds, sorted; and how many don't open under this policy. For the
    /// subject's right of access: put on record, whether it is restricted or not.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn identifiers(&self, subject: &Subject) -> Result<(Vec<(String, String)>, u64), ProtectError> {
        let keyring = self.keyring();
        let keys = keyring.store().footprint(subject).await.map_err(KeyringError::from)?.keys;
        let held = keyring.store().held_under(&keys).await.map_err(KeyringError::from)?;
        let users = keyring.user_keys(&keys).await?;
        let (mut found, mut unreadable) = (BTreeSet::new(), 0);
        for held in held {
            let Some((user, _)) = users.get(&held.key_id) else { continue };
            let opened = EnvelopeRef::parse(&held.sealed).ok().and_then(|envelope| {
                let field = self.policy().fields.iter().find(|field| field.tag == envelope.field_tag())?;
                let mut clear = Zeroizing::new(Vec::with_capacity(held.sealed.len()));
                let kind: Kind = open(user, name(field).ok()?, envelope, &mut clear).ok()?;
                let text = super::identifier::text(&Clear::new(kind, std::mem::take(&mut *clear))).ok()?;
                self.saw(held.key_id, field.id);
                Some((field.name.to_string(), text.to_string()))
            });
            match opened {
                Some(one) => drop(found.insert(one)),
                None => unreadable += 1,
            }
        }
        self.lease()?;
        Ok((found.into_iter().collect(), unreadable))
    }
}
