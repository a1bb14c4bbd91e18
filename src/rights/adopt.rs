//! Lost creations: people that a service made, and the gateway was never told whom. Found later, their secrets are bound to
//! them; or destroyed, where they were erased meanwhile.

use super::erase::intent;
use super::receipt::NotCovered;
use super::{Receipt, Rights, RightsError};
use crate::crypto::random;
use crate::ids::{KeyId, Subject};
use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use crate::keystore::model::{Erase, Footprint, NewSweep, UnsettledRow};
use crate::protect::Creation;
use crate::protect::places::{Adopted, Evidence};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// [`NotCovered::code`]: creations through HTTP of which nobody knows whom they made.
const UNSETTLED: &str = "unsettled-creations";
/// Why an erasure goes on after its receipt.
const GROUND: &str = "found later: written before the erasure, by a creation whose outcome was unknown";

/// A creation whose outcome is unknown: the service may have stored it, and nothing told yet whom it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Names it: random.
    pub id: String,
    /// The listener that it went through.
    pub listener: String,
    /// The class of whom it made, where that was kept.
    pub class: Option<String>,
    /// When the request left.
    pub made_at: Timestamp,
    /// Its secrets, by key id: one a person and purpose.
    pub keys: Vec<KeyId>,
}

impl Rights {
    /// Creations whose outcome is unknown, those on their way among them, oldest first.
    ///
    /// # Errors
    /// [`RightsError::Keys`].
    pub async fn unsettled(&self) -> Result<Vec<Unsettled>, RightsError> {
        let rows = self.inner.keyring.store().unsettled().await?;
        let mut units: BTreeMap<(i64, [u8; 16]), Unsettled> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.subject.is_none()) {
            let Some(creation) = Creation::read(&row.database) else { continue };
            let unit = units.entry((row.made_at, row.unit.0)).or_insert_with(|| Unsettled {
                id: hex::encode(row.unit.0),
                listener: creation.listener.to_owned(),
                class: creation.class.map(str::to_owned),
                made_at: Timestamp::from_millisecond(row.made_at).unwrap_or(Timestamp::UNIX_EPOCH),
                keys: Vec::new(),
            });
            unit.keys.push(row.key_id);
        }
        Ok(units.into_values().collect())
    }

    /// How many of them may have made somebody of that class.
    pub(super) async fn unsettled_of(&self, class: &str) -> Result<usize, RightsError> {
        let all = self.unsettled().await?;
        let may = |unsettled: &&Unsettled| unsettled.class.as_deref().is_none_or(|own| own == class);
        Ok(all.iter().filter(may).count())
    }

    /// Binds a secret that is nobody's yet to the subject in whose row a value of it was found; or destroys it, where the
    /// subject was erased after it was made. One erasure or adoption at a time.
    ///
    /// # Errors
    /// [`RightsError`]; nothing is bound then.
    pub async fn adopt(
        &self,
        key: KeyId,
        subject: &Subject,
        evidence: Evidence,
    ) -> Result<Adopted, RightsError> {
        let _turn = self.inner.turn.lock().await;
        let Some(row) = self.inner.keyring.unsettled_of(key).await? else {
            // Settled by somebody else since it was seen: the caches say as what.
            return Ok(Adopted::Theirs);
        };
        let creation = Creation::read(&row.database).filter(|creation| creation.may_be(&subject.class));
        let (Some(creation), None) = (creation, &row.subject) else { return Ok(Adopted::No) };
        // A token stands with everybody who has the identifier; an envelope with one person.
        let sure = match evidence {
            Evidence::Envelope => true,
            Evidence::Token { sole } => sole && creation.tokens,
        };
        if let Some(before) = self.erased_since(subject, &row).await? {
            if sure {
                self.erase_lost(subject, &row, before).await?;
            }
            return Ok(Adopted::Erased);
        }
        if !sure {
            return Ok(Adopted::Elsewhere);
        }
        let refuse = self.refuses(&subject.class);
        match self.inner.keyring.adopt(&row, subject, refuse).await {
            Ok(_) => {
                tracing::info!(target: "audit", event = "creation.adopted", listener = creation.listener, "a lost creation was found");
                Ok(Adopted::Theirs)
            }
            // Erased by another gateway just now.
            Err(KeyringError::Store(StoreError::Marked)) => Err(RightsError::Busy),
            Err(error) => Err(error.into()),
        }
    }

    /// The receipt of the subject's erasure, if that came after the secret was made.
    async fn erased_since(
        &self,
        subject: &Subject,
        row: &UnsettledRow,
    ) -> Result<Option<Box<str>>, RightsError> {
        let keyring = &self.inner.keyring;
        let refuses = self.refuses(&subject.class);
        for mark in [keyring.mark(subject), keyring.lost_mark(subject)] {
            let Some(receipt) = keyring.store().marked(&mark).await? else { continue };
            if refuses {
                return Ok(Some(receipt));
            }
            // New data about the erased is taken: what was made later is theirs again.
            let at = match self.receipt(&receipt).await {
                Ok(known) => known.times.live.parse::<Timestamp>().ok(),
                Err(RightsError::NotFound) => None,
                Err(error) => return Err(error),
            };
            if at.is_none_or(|at| row.made_at <= at.as_millisecond()) {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    /// The erasure of `before` goes on: a secret of the subject's that nobody knew of then is destroyed, in the ledger
    /// first. It has a receipt of its own.
    async fn erase_lost(
        &self,
        subject: &Subject,
        row: &UnsettledRow,
        before: Box<str>,
    ) -> Result<(), RightsError> {
        let inner = &self.inner;
        let id = format!("rcp_{}", hex::encode(random::<16>()));
        let intent_at = inner.now();
        let highest = inner.keyring.active_generation();
        let footprint = Footprint { keys: vec![row.key_id], tokens: row.tokens.clone(), shared: 0 };
        let what = intent(&id, subject, GROUND, &footprint, None, highest);
        let ledger = inner.append(intent_at.clone(), what).await?;
        let erase = Erase {
            subject: None,
            keys: footprint.keys,
            tokens: footprint.tokens,
            mark: None,
            receipt: id.as_str().into(),
            ledger: Some(ledger),
            sweep: Some(NewSweep { highest, subject: Some(inner.keyring.seal_subject(&id, subject)?) }),
        };
        let erased = inner.keyring.erase(erase).await?;
        let receipt = Receipt {
            keys: vec![hex::encode(row.key_id.0)],
            tokens_destroyed: erased.destroyed.len(),
            tokens_living_on: erased.surviving.len(),
            generation: highest.0,
            repeats: Some(before.into()),
            ..self.blank(id, &subject.class, GROUND, intent_at)
        };
        let receipt = inner.close(self.with_unsettled(receipt).await?).await?;
        inner.erased.notify_one();
        tracing::info!(target: "audit", receipt = %receipt.id, "a lost creation of somebody erased was destroyed");
        Ok(())
    }
}

/// What a receipt says of them: how many, never whom.
pub(super) fn not_covered(count: usize) -> Option<NotCovered> {
    (count > 0).then(|| {
        NotCovered::new(
            UNSETTLED,
            format!("{count} creations through HTTP whose outcome was unknown when this erasure was made"),
            "the service never told whom it made: one of them may be this subject. Its key is destroyed once a value of it is \
             read as this subject's",
        )
    })
}
