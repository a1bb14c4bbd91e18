//! What a sweep puts where it took something away: known to ledger and keystore before it is stored anywhere.

use super::{Rights, RightsError, What};
use crate::ids::{KeyId, Subject};
use crate::protect::places::{Adopted, Answer, DomainToken, Evidence, Fence};

impl Fence for Rights {
    fn fence(&self, keys: Vec<KeyId>, tokens: Vec<DomainToken>) -> Answer<'_, Result<(), String>> {
        Box::pin(async move { self.stand_ins(keys, tokens).await.map_err(|error| error.to_string()) })
    }

    fn adopt<'a>(
        &'a self,
        key: KeyId,
        subject: &'a Subject,
        evidence: Evidence,
    ) -> Answer<'a, Result<Adopted, String>> {
        let (rights, subject) = (self.clone(), subject.clone());
        // Goes on when the reader hangs up: what has begun in the ledger is carried out.
        let task = tokio::spawn(async move { Self::adopt(&rights, key, &subject, evidence).await });
        Box::pin(async move {
            let done = task.await.unwrap_or(Err(RightsError::Interrupted));
            done.map_err(|error| error.to_string())
        })
    }
}

impl Rights {
    /// Destroys a token that its holders no longer have: in the ledger first, as every destruction.
    ///
    /// # Errors
    /// [`RightsError`].
    pub async fn retire(&self, domain: &str, old: &str) -> Result<(), RightsError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let what = What::Standins { keys: Vec::new(), tokens: vec![(domain.to_owned(), old.to_owned())] };
        let head = inner.append(inner.now(), what).await?;
        Ok(inner.keyring.retire(domain, old, head).await?)
    }

    async fn stand_ins(&self, keys: Vec<KeyId>, tokens: Vec<DomainToken>) -> Result<(), RightsError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let what = What::Standins {
            keys: keys.iter().map(|key| hex::encode(key.0)).collect(),
            tokens: tokens.iter().map(|(domain, token)| (domain.to_string(), token.to_string())).collect(),
        };
        let head = inner.append(inner.now(), what).await?;
        Ok(inner.keyring.store().fence(keys, tokens, Some(head)).await?)
    }
}
