//! Erasing a subject.

use super::receipt::{METHOD, TYPE, not_covered};
use super::{Inner, Receipt, Replicas, Rights, RightsError, Stage, Times, What, commitment};
use crate::clock::rfc3339;
use crate::crypto::random;
use crate::ids::{Generation, Subject};
use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use crate::keystore::model::{Erase, Footprint, LedgerHead, NewSweep};
use serde::Serialize;

/// So often an erasure starts over because the subject gained keys meanwhile.
const ATTEMPTS: usize = 16;

/// What who asked for an erasure gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// The receipt, as it is kept.
    pub receipt: Receipt,
    /// The salt of its commitment, in hex: told once, kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

impl Rights {
    /// Erases a subject: when this returns, nothing of it opens here any more. Goes on to the end even if the
    /// caller stops waiting.
    ///
    /// # Errors
    /// [`RightsError::NotFound`] for a subject of which nothing is known. After any other error the erasure may be
    /// half done: ask again (a restart completes it too).
    pub async fn erase(&self, subject: &Subject, ground: &str) -> Result<Erasure, RightsError> {
        let (rights, subject, ground) = (self.clone(), subject.clone(), ground.to_owned());
        let task = tokio::spawn(async move { rights.erase_whole(&subject, &ground).await });
        task.await.unwrap_or(Err(RightsError::Interrupted))
    }

    async fn erase_whole(&self, subject: &Subject, ground: &str) -> Result<Erasure, RightsError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let store = inner.keyring.store();
        let mark = inner.keyring.mark(subject);
        let id = format!("rcp_{}", hex::encode(random::<16>()));
        for _ in 0..ATTEMPTS {
            let footprint = store.footprint(subject).await?;
            if footprint.keys.is_empty() {
                let before = store.marked(&mark).await?.ok_or(RightsError::NotFound)?;
                return self.repeated(id, subject, ground, before.into()).await;
            }
            let unsettled = self.unsettled_of(&subject.class).await?;
            // Where new data is taken, only what was lost before is not.
            let mark = match self.refuses(&subject.class) {
                true => Some(mark),
                false => (unsettled > 0).then(|| inner.keyring.lost_mark(subject)),
            };
            let intent_at = inner.now();
            let highest = inner.keyring.active_generation();
            let what = intent(&id, subject, ground, &footprint, mark.as_ref(), highest);
            let ledger = inner.append(intent_at.clone(), what).await?;
            let erase = Erase {
                subject: Some(subject.clone()),
                keys: footprint.keys.clone(),
                tokens: footprint.tokens.clone(),
                mark,
                receipt: id.as_str().into(),
                ledger: Some(ledger),
                sweep: Some(NewSweep { highest, subject: Some(inner.keyring.seal_subject(&id, subject)?) }),
            };
            let erased = match inner.keyring.erase(erase).await {
                // Or the keys were rotated: the next intent names the generation that is the highest now.
                Err(KeyringError::Store(StoreError::Changed | StoreError::Stale)) => continue,
                other => other?,
            };
            let salt = random::<32>();
            let receipt = Receipt {
                subject_commitment: Some(commitment(&salt, subject)),
                keys: footprint.keys.iter().map(|key| hex::encode(key.0)).collect(),
                tokens_destroyed: erased.destroyed.len(),
                tokens_living_on: erased.surviving.len(),
                generation: highest.0,
                ..self.blank(id, &subject.class, ground, intent_at)
            };
            let receipt = self.with_unsettled(receipt).await?;
            let receipt = inner.close(receipt).await?;
            inner.erased.notify_one();
            tracing::info!(target: "audit", receipt = %receipt.id, keys = receipt.keys.len(), "subject erased");
            return Ok(Erasure { receipt, salt: Some(hex::encode(salt)) });
        }
        Err(RightsError::Busy)
    }

    /// A receipt with nothing destroyed yet.
    pub(super) fn blank(&self, id: String, class: &str, ground: &str, intent: String) -> Receipt {
        Receipt {
            kind: TYPE.to_owned(),
            id,
            revision: 0,
            issued: String::new(),
            stage: Stage::Live,
            finality: None,
            subject_commitment: None,
            class: class.to_owned(),
            ground: ground.to_owned(),
            times: Times { intent, live: self.inner.now(), swept: None, fin: None },
            keys: Vec::new(),
            generation: self.inner.keyring.active_generation().0,
            generations_destroyed: Vec::new(),
            tokens_destroyed: 0,
            tokens_living_on: 0,
            method: METHOD.to_owned(),
            // The embedded keystore has one replica: this one, whose caches are purged.
            replicas: Replicas { heard: 1, outwaited: 0 },
            swept: Vec::new(),
            not_covered: not_covered(),
            policy: self.inner.policy.read().1.as_deref().map(str::to_owned),
            audit: None,
            repeats: None,
            salt: None,
            signature: None,
        }
    }

    /// The receipt, which says how many creations nobody knows the outcome of: one may be the subject's.
    pub(super) async fn with_unsettled(&self, mut receipt: Receipt) -> Result<Receipt, RightsError> {
        let count = self.unsettled_of(&receipt.class).await?;
        receipt.not_covered.extend(super::adopt::not_covered(count));
        Ok(receipt)
    }

    /// Nothing was left to destroy. Not kept: it is evidence of nothing new.
    async fn repeated(
        &self,
        id: String,
        subject: &Subject,
        ground: &str,
        before: String,
    ) -> Result<Erasure, RightsError> {
        let salt = random::<32>();
        let receipt = Receipt {
            subject_commitment: Some(commitment(&salt, subject)),
            repeats: Some(before),
            ..self.blank(id, &subject.class, ground, self.inner.now())
        };
        let receipt = self.with_unsettled(receipt).await?;
        Ok(Erasure { receipt: self.inner.receipts.signed(receipt)?, salt: Some(hex::encode(salt)) })
    }
}

pub(super) fn intent(
    id: &str,
    subject: &Subject,
    ground: &str,
    footprint: &Footprint,
    mark: Option<&[u8; 32]>,
    highest: Generation,
) -> What {
    let token = |(domain, token): &(Box<str>, Box<str>)| (domain.to_string(), token.to_string());
    What::Intent {
        receipt: id.to_owned(),
        class: subject.class.to_string(),
        ground: ground.to_owned(),
        keys: footprint.keys.iter().map(|key| hex::encode(key.0)).collect(),
        tokens: footprint.tokens.iter().map(token).collect(),
        mark: mark.map(hex::encode),
        generation: highest.0,
    }
}

impl Inner {
    pub(super) fn now(&self) -> String {
        rfc3339(self.keyring.wall())
    }

    /// Appends to the ledger off the runtime's threads: an fsync blocks.
    pub(super) async fn append(&self, time: String, what: What) -> Result<LedgerHead, RightsError> {
        let ledger = self.ledger.clone();
        let done = tokio::task::spawn_blocking(move || ledger.append(time, what)).await;
        Ok(done.map_err(|_| RightsError::Interrupted)??)
    }

    /// Keeps the receipt, then says done.
    pub(super) async fn close(&self, receipt: Receipt) -> Result<Receipt, RightsError> {
        let receipt = self.receipts.issue(receipt).await?;
        self.append(self.now(), What::Done { receipt: receipt.id.clone() }).await?;
        Ok(receipt)
    }
}
