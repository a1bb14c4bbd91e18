//! What the ledger knows of root keys: a rotation says which one it is about to make, and then that it came into use. So a root
//! key that a crash left unused can be told from one that belongs to another keystore.

use super::{Rights, RightsError, What};
use crate::ids::Generation;

impl Rights {
    /// A rotation is about to make the root key of that generation: in the ledger, and known to the keystore, when this returns.
    ///
    /// # Errors
    /// [`RightsError`]: it must not be made.
    pub async fn root_is_made(&self, generation: Generation) -> Result<(), RightsError> {
        if self.is_unused(generation) {
            return Ok(());
        }
        self.root(generation, false).await
    }

    /// A generation of the keystore lies under it.
    ///
    /// # Errors
    /// [`RightsError`]: to be said again.
    pub async fn root_is_used(&self, generation: Generation) -> Result<(), RightsError> {
        if self.is_unused(generation) { self.root(generation, true).await } else { Ok(()) }
    }

    /// Whether a rotation of this keystore was about to make it, and it never came into use.
    pub fn is_unused(&self, generation: Generation) -> bool {
        self.inner.roots.lock().get(&generation.0) == Some(&false)
    }

    async fn root(&self, generation: Generation, used: bool) -> Result<(), RightsError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let head = inner.append(inner.now(), What::Root { generation: generation.0, used }).await?;
        inner.keyring.store().fence(Vec::new(), Vec::new(), Some(head)).await?;
        self.roots_known(generation.0, used);
        Ok(())
    }

    pub(super) fn roots_known(&self, generation: u32, used: bool) {
        *self.inner.roots.lock().entry(generation).or_insert(used) |= used;
    }
}
