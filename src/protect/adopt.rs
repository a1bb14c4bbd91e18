//! Lost creations: a service stored them, and never told the gateway whose they are. Where a value of one is read later, in a
//! row whose subject is known, its secret is bound to that subject before anything of it is shown.

use super::places::{Adopted, Evidence};
use super::{Creation, Door, Item, OpenFault, Owner, ProtectError};
use crate::clear::Clear;
use crate::envelope::{EnvelopeRef, open};
use crate::ids::{FieldId, KeyId, Subject};
use crate::keyring::TokenEntry;
use std::collections::HashSet;
use zeroize::Zeroizing;

use super::door::name;

/// So many judgements are remembered; then it begins anew.
const MOST_JUDGED: usize = 4096;

/// Secrets of lost creations that are not what an erased subject's row shows, and stay: the token in the row reads as
/// erased all the same.
pub(super) type Judged = HashSet<(KeyId, Subject)>;

impl Door {
    /// An envelope under a secret that is nobody's yet stands in a row of `subject`.
    pub(super) async fn adopt(
        &self,
        field: FieldId,
        key: KeyId,
        subject: &Subject,
    ) -> Result<(), ProtectError> {
        let Some(fence) = self.fence() else { return Err(self.stranger(field, key)) };
        match fence.adopt(key, subject, Evidence::Envelope).await.map_err(ProtectError::Unavailable)? {
            // From now on the cache says what became of it, also where somebody else was faster.
            Adopted::Theirs | Adopted::Erased => {
                self.keyring().uncertain(key, None);
                Ok(())
            }
            Adopted::Elsewhere | Adopted::No => Err(self.stranger(field, key)),
        }
    }

    /// A token that is held for nobody yet stands in a row of `subject`, who doesn't hold it.
    pub(super) async fn adopt_token(
        &self,
        field: FieldId,
        token: &str,
        subject: &Subject,
    ) -> Result<(), ProtectError> {
        let pseudonym = self.pseudonym(field).ok_or(ProtectError::Identifier("the field has no tokens"))?;
        let keyring = self.keyring();
        let unbound = keyring.token(pseudonym.domain, token, |entry| match entry {
            TokenEntry::Live { holders, .. } => {
                let lost = holders.iter().filter(|holder| holder.subject.is_none());
                lost.map(|holder| (holder.key_id, holder.sealed.clone())).collect()
            }
            TokenEntry::Fenced | TokenEntry::Unknown => Vec::new(),
        });
        let unbound = unbound.unwrap_or_default();
        let Some(fence) = self.fence() else {
            return Err(unbound.first().map_or(changed(), |(key, _)| self.stranger(field, *key)));
        };
        let sole = unbound.len() == 1;
        let (mut found, mut strange) = (None, None);
        for (key, sealed) in unbound {
            let evidence = Evidence::Token { sole };
            match fence.adopt(key, subject, evidence).await.map_err(ProtectError::Unavailable)? {
                Adopted::Theirs => {
                    keyring.uncertain(key, Some((pseudonym.domain, token)));
                    return Ok(());
                }
                Adopted::Erased => self.judged(key, subject),
                Adopted::Elsewhere => drop(found.get_or_insert((key, sealed))),
                Adopted::No => strange = Some(key),
            }
        }
        // Which of them is the subject's can't be told, or it may have sealed what lies with somebody else: it stays what it
        // is, and the subject holds the identifier itself.
        match found {
            Some((key, sealed)) => self.hold(field, token, key, &sealed, subject).await,
            None => strange.map_or(Ok(()), |key| Err(self.stranger(field, key))),
        }
    }

    /// Holds for `subject` the identifier that `token` stands for, which lies sealed under `key`.
    async fn hold(
        &self,
        field: FieldId,
        token: &str,
        key: KeyId,
        sealed: &[u8],
        subject: &Subject,
    ) -> Result<(), ProtectError> {
        let keyring = self.keyring();
        let users = keyring.user_keys(&[key]).await?;
        let Some((user, _)) = users.get(&key) else { return Ok(()) };
        let domain = self.pseudonym(field).map(|pseudonym| pseudonym.domain.clone()).unwrap_or_default();
        let envelope = EnvelopeRef::parse(sealed).map_err(|_| changed())?;
        let name = match self.sealer(&domain, envelope.field_tag()) {
            Some(name) => name,
            None => name(self.field(field)?)?,
        };
        let mut clear = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let kind = open(user, name, envelope, &mut clear).map_err(|_| changed())?;
        let value = Clear::new(kind, std::mem::take(&mut *clear));
        // It stands behind the same listener as what it was found in.
        let lost = keyring.unsettled_of(key).await?;
        let listener = lost.as_ref().and_then(|row| Creation::read(&row.database)).map(|own| own.listener);
        let mut unit = self.unit(&Self::outside(listener.unwrap_or_default()));
        let held = unit.protect(&[Item { field, owner: Owner::Known(subject), value: &value }]).await;
        match held {
            Ok(stored) if stored.first().is_some_and(|stored| stored.is_token(token)) => {
                unit.commit();
                Ok(())
            }
            // The token was replaced since.
            Ok(_) => {
                unit.rollback();
                Err(self.stranger(field, key))
            }
            Err(ProtectError::ErasedSubject) => {
                self.judged(key, subject);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn judged(&self, key: KeyId, subject: &Subject) {
        let mut judged = self.inner.judged.lock();
        if judged.len() >= MOST_JUDGED {
            judged.clear();
        }
        judged.insert((key, subject.clone()));
    }

    /// Whether that secret was found not to count for an erased subject.
    pub(super) fn is_judged(&self, key: KeyId, subject: &Subject) -> bool {
        self.inner.judged.lock().contains(&(key, subject.clone()))
    }

    /// It is not to be bound: somebody put it where it doesn't belong.
    fn stranger(&self, field: FieldId, key: KeyId) -> ProtectError {
        let fault = OpenFault::WrongSubject;
        self.found(fault, field, Some(key));
        let field = self.field(field).map(|field| field.name.clone()).unwrap_or_default();
        ProtectError::Stored { fault, field }
    }
}

fn changed() -> ProtectError {
    ProtectError::Unavailable("what it said about an identifier has changed; try again".into())
}
