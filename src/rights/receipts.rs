//! Receipts: issued, kept, and moved on as an erasure comes further. Never ahead of the fact: whoever calls
//! [`Receipts::advance`] did what the step says, durably, before.

use super::receipt::{AuditHead, Finality, GenerationGone, KEYSTORE_COPIES, NOT_SWEPT};
use super::{NotCovered, Receipt, Replicas, RightsError, Stage, Swept, signed};
use crate::audit::{Audit, Entry};
use crate::clock::rfc3339;
use crate::crypto::{PublicKey, SigningKey};
use crate::keyring::Keyring;
use parking_lot::RwLock;
use std::sync::Arc;

/// Codes of what a later sweep may still reach, and so says anew.
const SWEPT_LATER: [&str; 3] = ["place-out-of-reach", "place-behind-service", "clear-in-late-places"];

/// One more thing that happened after an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Replicas forgot the keys.
    Heard(Replicas),
    /// So many of the tokens that lived on were replaced by fresh ones, in their holders' rows too.
    Replaced {
        /// How many.
        tokens: usize,
    },
    /// The sweep ended.
    Swept {
        /// Where, and how many rows.
        places: Vec<Swept>,
        /// Declared places that it could not go through, and why.
        missed: Vec<NotCovered>,
    },
    /// A sweep of which some places refused was tried again: where it overwrote rows now, and what still refuses.
    SweptAgain {
        /// Where, and how many rows.
        places: Vec<Swept>,
        /// Declared places that it still can't go through, and why.
        missed: Vec<NotCovered>,
    },
    /// Generations whose root keys are gone: destroyed at the provider, and dropped by every replica. The receipt
    /// becomes final with the last one that it waits for.
    Destroyed(Vec<GenerationGone>),
}

/// Issues receipts. Cheap to clone.
#[derive(Clone)]
pub struct Receipts {
    inner: Arc<Inner>,
}

struct Inner {
    keyring: Keyring,
    key: Arc<SigningKey>,
    audit: RwLock<Option<Audit>>,
    /// One change at a time: a step reads what the one before wrote.
    turn: tokio::sync::Mutex<()>,
}

impl Receipts {
    pub(super) fn new(keyring: Keyring, key: Arc<SigningKey>) -> Self {
        Self {
            inner: Arc::new(Inner {
                keyring,
                key,
                audit: RwLock::default(),
                turn: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// The key that receipts verify with.
    pub fn key(&self) -> PublicKey {
        self.inner.key.public()
    }

    /// Signs a document that carries its own `signature`.
    pub fn sign<T: serde::Serialize>(&self, document: &T) -> Option<signed::Signature> {
        signed::sign(&self.inner.key, document)
    }

    /// From now on receipts name the audit log's newest entry.
    pub fn set_audit(&self, audit: Audit) {
        *self.inner.audit.write() = Some(audit);
    }

    /// Writes an entry to the audit log, where there is one.
    pub(super) fn note(&self, entry: Entry) {
        if let Some(audit) = &*self.inner.audit.read() {
            audit.note(entry);
        }
    }

    fn audit(&self) -> Option<AuditHead> {
        let head = self.inner.audit.read().as_ref().map(Audit::head)?;
        Some(AuditHead { sequence: head.sequence, hash: head.hash })
    }

    /// The receipt, dated and signed. Not kept.
    pub(super) fn signed(&self, mut receipt: Receipt) -> Result<Receipt, RightsError> {
        receipt.issued = rfc3339(self.inner.keyring.wall());
        receipt.revision += 1;
        receipt.audit = self.audit();
        (receipt.signature, receipt.salt) = (None, None);
        receipt.signature = Some(self.sign(&receipt).ok_or(RightsError::Receipt)?);
        Ok(receipt)
    }

    /// Signs the receipt and keeps it: durable when this returns.
    pub(super) async fn issue(&self, receipt: Receipt) -> Result<Receipt, RightsError> {
        let _turn = self.inner.turn.lock().await;
        self.keep(receipt).await
    }

    async fn keep(&self, receipt: Receipt) -> Result<Receipt, RightsError> {
        let receipt = self.signed(receipt)?;
        let document = serde_json::to_string(&receipt).map_err(|_| RightsError::Receipt)?;
        self.inner.keyring.store().keep_receipt(&receipt.id, &document).await?;
        Ok(receipt)
    }

    /// A receipt, by its id.
    ///
    /// # Errors
    /// [`RightsError::NotFound`], [`RightsError::Keys`], [`RightsError::Receipt`].
    pub async fn get(&self, id: &str) -> Result<Receipt, RightsError> {
        let document = self.inner.keyring.store().receipt(id).await?.ok_or(RightsError::NotFound)?;
        serde_json::from_str(&document).map_err(|_| RightsError::Receipt)
    }

    /// Moves a receipt on by what has happened, signs it anew and keeps it. A step that says nothing new changes
    /// nothing, so that a job may repeat it.
    ///
    /// # Errors
    /// [`RightsError::Premature`] for a step that claims more than what is known to have happened; as for
    /// [`Receipts::get`].
    pub async fn advance(&self, id: &str, step: Step) -> Result<Receipt, RightsError> {
        let _turn = self.inner.turn.lock().await;
        let before = self.get(id).await?;
        let now = rfc3339(self.inner.keyring.wall());
        let after = applied(before.clone(), step, &now)?;
        if after == before { Ok(before) } else { self.keep(after).await }
    }
}

/// The receipt after that step.
fn applied(mut receipt: Receipt, step: Step, now: &str) -> Result<Receipt, RightsError> {
    match step {
        Step::Heard(replicas) => receipt.replicas = replicas,
        Step::Replaced { tokens } => {
            receipt.tokens_living_on = receipt
                .tokens_living_on
                .checked_sub(tokens)
                .ok_or(RightsError::Premature("more tokens were replaced than lived on"))?;
            receipt.tokens_destroyed += tokens;
        }
        Step::Swept { .. } if receipt.stage >= Stage::Swept => {}
        Step::Swept { places, missed } => {
            receipt.stage = Stage::Swept;
            receipt.times.swept = Some(now.to_owned());
            receipt.swept = places;
            receipt.not_covered.retain(|entry| entry.code != NOT_SWEPT);
            receipt.not_covered.extend(missed);
        }
        Step::SweptAgain { places, missed } => {
            for place in places {
                match receipt.swept.iter_mut().find(|known| known.place == place.place) {
                    Some(known) => known.rows += place.rows,
                    None => receipt.swept.push(place),
                }
            }
            receipt.not_covered.retain(|entry| !SWEPT_LATER.contains(&entry.code.as_str()));
            receipt.not_covered.extend(missed);
        }
        Step::Destroyed(generations) => {
            for gone in generations {
                let known = |other: &GenerationGone| other.generation == gone.generation;
                // Generations that came after the erasure never wrapped what it destroyed.
                if gone.generation <= receipt.generation && !receipt.generations_destroyed.iter().any(known) {
                    receipt.generations_destroyed.push(gone);
                }
            }
            receipt.generations_destroyed.sort_by_key(|gone| gone.generation);
        }
    }
    Ok(finished(receipt, now))
}

/// Final once the sweep is over, no token lives on, and every generation up to the erasure's is destroyed.
fn finished(mut receipt: Receipt, now: &str) -> Receipt {
    let gone = |generation| receipt.generations_destroyed.iter().any(|g| g.generation == generation);
    let destroyed = receipt.generation > 0 && (1..=receipt.generation).all(gone);
    if receipt.stage != Stage::Swept || receipt.tokens_living_on > 0 || !destroyed {
        return receipt;
    }
    receipt.stage = Stage::Final;
    receipt.times.fin = Some(now.to_owned());
    let proven = receipt.generations_destroyed.iter().all(|gone| gone.proven);
    receipt.finality = Some(if proven { Finality::ProviderConfirmed } else { Finality::OperatorAttested });
    receipt.not_covered.retain(|entry| entry.code != KEYSTORE_COPIES);
    receipt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::tests::{EMAIL, House, LAST_NAME, person};
    use crate::rights::signed::verify;

    fn gone(generation: u32, proven: bool) -> GenerationGone {
        let provider = if proven { "pkcs11" } else { "file" };
        GenerationGone {
            generation,
            at: "2026-01-02T03:04:05.678Z".into(),
            provider: provider.into(),
            proven,
        }
    }

    fn codes(receipt: &Receipt) -> Vec<&str> {
        receipt.not_covered.iter().map(|entry| entry.code.as_str()).collect()
    }

    async fn erased(house: &House) -> Receipt {
        house.put(LAST_NAME, &person("1"), "x").await;
        house.rights.erase(&person("1"), "request").await.unwrap().receipt
    }

    fn swept(missed: Vec<NotCovered>) -> Step {
        Step::Swept { places: vec![Swept { place: "app public.people.last_name".into(), rows: 3 }], missed }
    }

    #[tokio::test]
    async fn a_receipt_is_final_only_when_it_is_swept_and_its_generations_are_gone() {
        let house = House::new().await;
        let id = erased(&house).await.id;
        let receipts = house.rights.issuer();
        let early = receipts.advance(&id, Step::Destroyed(vec![gone(1, true)])).await.unwrap();
        assert_eq!((early.stage, early.revision), (Stage::Live, 2));
        assert!(codes(&early).contains(&KEYSTORE_COPIES));
        let last = receipts.advance(&id, swept(Vec::new())).await.unwrap();
        assert_eq!((last.stage, last.finality), (Stage::Final, Some(Finality::ProviderConfirmed)));
        assert!(last.times.fin.is_some() && last.times.swept.is_some());
        assert_eq!(codes(&last), ["clear-before-protection", "root-key-copies", "handed-out"]);
    }

    #[tokio::test]
    async fn a_key_file_makes_it_final_on_the_operators_word_only() {
        let house = House::new().await;
        let id = erased(&house).await.id;
        let receipts = house.rights.issuer();
        assert_eq!(receipts.advance(&id, swept(Vec::new())).await.unwrap().stage, Stage::Swept);
        let last = receipts.advance(&id, Step::Destroyed(vec![gone(1, false)])).await.unwrap();
        assert_eq!((last.stage, last.finality), (Stage::Final, Some(Finality::OperatorAttested)));
    }

    #[tokio::test]
    async fn a_later_generation_says_nothing_about_an_earlier_one() {
        let house = House::new().await;
        let id = erased(&house).await.id;
        let receipts = house.rights.issuer();
        receipts.advance(&id, swept(Vec::new())).await.unwrap();
        let receipt = receipts.advance(&id, Step::Destroyed(vec![gone(2, true)])).await.unwrap();
        assert_eq!((receipt.stage, receipt.generations_destroyed.len()), (Stage::Swept, 0));
    }

    #[tokio::test]
    async fn a_token_that_lives_on_keeps_it_from_being_final() {
        let house = House::new().await;
        house.put(EMAIL, &person("1"), "shared@example.org").await;
        house.put(EMAIL, &person("2"), "shared@example.org").await;
        let receipt = house.rights.erase(&person("1"), "request").await.unwrap().receipt;
        assert_eq!(receipt.tokens_living_on, 1);
        let receipts = house.rights.issuer();
        receipts.advance(&receipt.id, swept(Vec::new())).await.unwrap();
        let waiting = receipts.advance(&receipt.id, Step::Destroyed(vec![gone(1, true)])).await.unwrap();
        assert_eq!(waiting.stage, Stage::Swept);
        let last = receipts.advance(&receipt.id, Step::Replaced { tokens: 1 }).await.unwrap();
        assert_eq!((last.stage, last.tokens_living_on), (Stage::Final, 0));
        let more = receipts.advance(&receipt.id, Step::Replaced { tokens: 1 }).await;
        assert!(matches!(more, Err(RightsError::Premature(_))));
    }

    #[tokio::test]
    async fn places_that_were_missed_are_told() {
        let house = House::new().await;
        let id = erased(&house).await.id;
        let missed = NotCovered::new("place-out-of-reach", "app public.old_people.name", "permission denied");
        let receipt = house.rights.issuer().advance(&id, swept(vec![missed])).await.unwrap();
        assert!(codes(&receipt).contains(&"place-out-of-reach") && !codes(&receipt).contains(&NOT_SWEPT));
    }

    #[tokio::test]
    async fn a_repeated_step_changes_nothing_and_each_revision_verifies() {
        let house = House::new().await;
        let id = erased(&house).await.id;
        let receipts = house.rights.issuer();
        let once = receipts.advance(&id, swept(Vec::new())).await.unwrap();
        assert_eq!(receipts.advance(&id, swept(Vec::new())).await.unwrap(), once);
        for receipt in [&once, &receipts.get(&id).await.unwrap()] {
            let text = serde_json::to_vec(receipt).unwrap();
            assert_eq!(verify::<Receipt>(&receipts.key(), &text).unwrap(), *receipt);
        }
        assert!(matches!(receipts.advance("rcp_none", swept(Vec::new())).await, Err(RightsError::NotFound)));
    }
}
