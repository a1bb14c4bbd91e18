//! Rotation by itself, once the active generation is old enough.

use super::Jobs;

impl Jobs {
    /// Asks for a rotation when it is due.
    pub(super) async fn on_schedule(&self) {
        let Some(every) = self.inner.options.rotate_every else { return };
        if self.inner.rotation.lock().is_some() {
            return;
        }
        let active = self.inner.keyring.active_generation();
        let roots = match self.inner.roots.list() {
            Ok(roots) => roots,
            Err(error) => {
                tracing::warn!(%error, "the age of the active generation could not be read");
                return;
            }
        };
        let Some(root) = roots.iter().find(|root| root.generation == active) else { return };
        let age = self.inner.keyring.wall().duration_since(root.created);
        if age.unsigned_abs() < every || age.is_negative() {
            return;
        }
        if let Err(error) = self.rotate().await {
            tracing::warn!(%error, "a rotation is due, and can't begin");
        }
    }
}
