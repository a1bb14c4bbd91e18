//! Whose identifier a token stands for in a row.

use super::door::{Pseudonym, known, name};
use super::tally::Event;
use super::{Door, Memo, Missing, OpenFault, Outcome, ProtectError, Row, armour};
use crate::clear::Kind;
use crate::envelope::{EnvelopeRef, FieldName};
use crate::ids::{FieldId, FieldTag, KeyId, Subject};
use crate::keyring::{Holder, TokenEntry};
use crate::policy::model::Protect;
use crate::pseudonym::Token;
use std::sync::Arc;

/// Which holder's identifier may be shown.
enum Pick {
    Holder(Arc<[u8]>),
    Erased,
    /// Not this row's: unless the row's own subject was erased.
    Other,
    /// Held for nobody yet, under these keys, and not for the row's subject.
    Lost(Vec<KeyId>),
    Fault(OpenFault),
}

impl Door {
    /// Reveals the identifier behind a token (column text form) that stood in `row`, appending its canonical
    /// bytes to `out`. The empty string is no token and reveals as itself.
    pub fn reveal(&self, field: FieldId, token: &str, row: Row<'_>, out: &mut Vec<u8>) -> Outcome {
        self.reveal_next(field, token, row, &mut Memo::default(), out)
    }

    /// [`Door::reveal`] for one of a batch of values, of which neighbours often have one key.
    pub fn reveal_next(
        &self,
        field: FieldId,
        token: &str,
        row: Row<'_>,
        memo: &mut Memo,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let outcome = self.revealed(field, token, row, memo, out);
        self.seen(outcome, field, None)
    }

    /// Whether a text has the shape of what is stored for a field: an envelope, or a token of the field's kind. Nothing
    /// goes on record.
    pub fn is_stored(&self, field: FieldId, text: &str) -> bool {
        let token = |pseudonym: Pseudonym<'_>| Token::parse(pseudonym.kind, text).is_ok();
        self.pseudonym(field).is_some_and(token) || armour::read(text.as_bytes(), &mut Vec::new())
    }

    /// Whether a text is a token that somebody holds. Nothing goes on record.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn is_held(&self, field: FieldId, text: &str) -> Result<bool, ProtectError> {
        let Some(pseudonym) = self.pseudonym(field).filter(|own| Token::parse(own.kind, text).is_ok()) else {
            return Ok(false);
        };
        let live = |entry: &TokenEntry| matches!(entry, TokenEntry::Live { .. });
        if let Some(held) = self.keyring().token(pseudonym.domain, text, live) {
            return Ok(held);
        }
        self.load(&[Missing::Token(field, text.into())]).await?;
        Ok(self.keyring().token(pseudonym.domain, text, live).unwrap_or(false))
    }

    fn revealed(
        &self,
        field: FieldId,
        token: &str,
        row: Row<'_>,
        memo: &mut Memo,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if token.is_empty() {
            return Outcome::Opened(Kind::Text);
        }
        let Some(pseudonym) = self.pseudonym(field) else { return Outcome::Fault(OpenFault::WrongField) };
        if Token::parse(pseudonym.kind, token).is_err() {
            return Outcome::Fault(OpenFault::InClear);
        }
        let pick = self.keyring().token(pseudonym.domain, token, |entry| pick(entry, row));
        self.inner.tally.count(if pick.is_some() { Event::Hit } else { Event::Miss });
        match pick {
            None => Outcome::Missing(Missing::Token(field, token.into())),
            Some(Pick::Erased) => Outcome::Erased,
            Some(Pick::Fault(fault)) => Outcome::Fault(fault),
            Some(Pick::Lost(keys)) => self.lost(field, token, row, &keys),
            Some(Pick::Other) if self.is_marked(row) => Outcome::Erased,
            Some(Pick::Other) => Outcome::Fault(OpenFault::WrongSubject),
            Some(Pick::Holder(sealed)) => self.show((field, pseudonym.domain), &sealed, row, memo, out),
        }
    }

    /// Somebody's creation was lost, and the token stands in a row of somebody who doesn't hold it.
    fn lost(&self, field: FieldId, token: &str, row: Row<'_>, keys: &[KeyId]) -> Outcome {
        let Some((class, id)) = known(row) else { return Outcome::Fault(OpenFault::WrongSubject) };
        let subject = Subject::new(class, id);
        if keys.iter().all(|key| self.is_judged(*key, &subject)) {
            return Outcome::Erased;
        }
        Outcome::Missing(Missing::Holder(field, token.into(), subject))
    }

    fn show(
        &self,
        (field, domain): (FieldId, &str),
        sealed: &[u8],
        row: Row<'_>,
        memo: &mut Memo,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Ok(parsed) = EnvelopeRef::parse(sealed) else { return Outcome::Fault(OpenFault::NotAuthentic) };
        let Some(name) = self.sealer(domain, parsed.field_tag()) else {
            return Outcome::Fault(OpenFault::WrongField);
        };
        let outcome = self.open_as(parsed, name, field, row, memo, out);
        if matches!(outcome, Outcome::Opened(_)) {
            self.inner.tally.count(Event::Revealed);
            self.saw(parsed.key_id(), field);
        }
        outcome
    }

    /// The field of the domain that has this tag: fields may share a domain, and any of them may have brought
    /// the identifier in.
    pub(super) fn sealer(&self, domain: &str, tag: FieldTag) -> Option<FieldName<'_>> {
        let fields = self.policy().fields.iter();
        let found = fields.filter(|field| field.tag == tag).find(
            |field| matches!(&field.protect, Protect::Pseudonym { domain: own, .. } if **own == *domain),
        )?;
        name(found).ok()
    }

    /// Whether the row's subject was erased, and left a mark.
    pub(super) fn is_marked(&self, row: Row<'_>) -> bool {
        known(row).is_some_and(|(class, id)| self.keyring().marked_now(&Subject::new(class, id)))
    }
}

fn pick(entry: &TokenEntry, row: Row<'_>) -> Pick {
    let (ever_shared, holders) = match entry {
        TokenEntry::Fenced => return Pick::Erased,
        TokenEntry::Unknown => return Pick::Fault(OpenFault::NotAuthentic),
        TokenEntry::Live { ever_shared, holders } => (*ever_shared, holders),
    };
    let bound = || holders.iter().filter_map(|holder| Some((holder, holder.subject.as_ref()?)));
    let first = bound().next();
    let shared = ever_shared || bound().any(|(_, subject)| first.is_some_and(|(_, one)| one != subject));
    let own = |holder: &Holder| Pick::Holder(holder.sealed.clone());
    match known(row) {
        Some((class, id)) => {
            let holder = bound().find(|(_, subject)| &*subject.id == id && &*subject.class == class);
            let lost = || holders.iter().filter(|holder| holder.subject.is_none()).map(|h| h.key_id);
            match holder {
                Some((holder, _)) => own(holder),
                None if lost().next().is_some() => Pick::Lost(lost().collect()),
                None if shared => Pick::Erased,
                None => Pick::Other,
            }
        }
        None if shared && !matches!(row, Row::Sent) => Pick::Fault(OpenFault::Shared),
        None => match first.map(|(holder, _)| holder).or_else(|| holders.first()) {
            Some(holder) => own(holder),
            None => Pick::Fault(OpenFault::NotAuthentic),
        },
    }
}
