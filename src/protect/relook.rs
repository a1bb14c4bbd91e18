//! Lookups, computed anew from the identifiers themselves: what a rotation does to every token.

use super::{Door, ProtectError};
use crate::clear::Clear;
use crate::envelope::{EnvelopeRef, open};
use crate::ids::KeyId;
use crate::keyring::KeyringError;
use crate::keys::UserKey;
use crate::keystore::rotation::{TokenLookups, Unlooked};
use crate::policy::model::Protect;
use crate::pseudonym::Identifier;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What one batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relooked {
    /// Where to go on; none when there was nothing after the place given.
    pub last: Option<Box<str>>,
    /// Tokens that have lookups now.
    pub done: u64,
    /// Tokens whose identifier does not open under this policy: their field is declared no more, or is damaged.
    pub unreadable: u64,
}

impl Door {
    /// Gives the tokens of a domain after `after` that lack lookups in the active generation theirs, `limit` at most.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn relook(&self, domain: &Arc<str>, after: &str, limit: u32) -> Result<Relooked, ProtectError> {
        let keyring = self.keyring();
        let active = keyring.active_generation();
        let found = keyring.store().unlooked(domain, active, after, limit).await;
        let found = found.map_err(KeyringError::from)?;
        let last = found.last().map(|unlooked| unlooked.token.clone());
        let keys: Vec<KeyId> = found.iter().map(|unlooked| unlooked.holder.key_id).collect();
        let users = keyring.user_keys(&keys).await?;
        let mut lookups = Vec::with_capacity(found.len());
        let mut unreadable = 0;
        for unlooked in found {
            // Erased or undone since it was read: another holder, if there is one, comes at the next pass.
            let Some((user, _)) = users.get(&unlooked.holder.key_id) else { continue };
            let Some((exact, folded)) = self.forms(domain, user, &unlooked) else {
                unreadable += 1;
                continue;
            };
            let pairs = keyring.pairs(domain, &exact, &folded).await?;
            let pair = pairs.into_iter().find(|pair| pair.generation == active);
            lookups.extend(pair.map(|pair| TokenLookups { token: unlooked.token, pair }));
        }
        // In the order of the table that they go into: neighbours share its pages.
        lookups.sort_unstable_by_key(|lookup| lookup.pair.exact);
        let added = keyring.store().add_lookups(domain, lookups).await;
        Ok(Relooked { last, done: added.map_err(KeyringError::from)?, unreadable })
    }

    /// The identifier behind a token, in its exact and its folded form.
    fn forms(
        &self,
        domain: &str,
        user: &UserKey,
        unlooked: &Unlooked,
    ) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
        let envelope = EnvelopeRef::parse(&unlooked.holder.sealed).ok()?;
        let name = self.sealer(domain, envelope.field_tag())?;
        let mut clear = Zeroizing::new(Vec::with_capacity(unlooked.holder.sealed.len()));
        let kind = open(user, name, envelope, &mut clear).ok()?;
        let written = super::identifier::text(&Clear::new(kind, std::mem::take(&mut *clear))).ok()?;
        let identifier = Identifier::read(&written, self.normalises(domain)?).ok()??;
        Some((Zeroizing::new(identifier.exact().to_owned()), identifier.folded()))
    }

    /// Whether the domain's identifiers are compared in their normal form; none for a domain of no field.
    fn normalises(&self, domain: &str) -> Option<bool> {
        self.policy().fields.iter().find_map(|field| match &field.protect {
            Protect::Pseudonym { domain: own, normalise, .. } if **own == *domain => Some(*normalise),
            _ => None,
        })
    }

    /// Whether a field of the policy belongs to that domain.
    pub fn declares(&self, domain: &str) -> bool {
        self.normalises(domain).is_some()
    }
}
