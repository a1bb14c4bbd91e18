//! What a sweep puts where it took something away: known to ledger and keystore before it is stored anywhere.

use super::{Rights, RightsError, What};
use crate::ids::KeyId;
use crate::protect::places::{Answer, DomainToken, Fence};

impl Fence for Rights {
    fn fence(&self, keys: Vec<KeyId>, tokens: Vec<DomainToken>) -> Answer<'_, Result<(), String>> {
        Box::pin(async move { self.stand_ins(keys, tokens).await.map_err(|error| error.to_string()) })
    }
}

impl Rights {
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
