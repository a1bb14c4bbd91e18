//! Receipts that become final, once the root keys that they wait for are gone.

use super::{JobError, Jobs};
use crate::ids::Generation;
use crate::keystore::model::GenerationState;
use crate::rights::{GenerationGone, RightsError, Stage, Step};
use std::collections::HashSet;

impl Jobs {
    /// Moves every receipt on that is not final by what is known of the generations.
    pub(super) async fn finals(&self) -> Result<(), JobError> {
        let inner = &self.inner;
        let store = inner.keyring.store();
        let sweeps = store.sweeps().await?;
        let Some(highest) = sweeps.iter().map(|sweep| sweep.highest).max() else { return Ok(()) };
        // Both must say so: the provider that the root key is gone, the keystore that nothing is left to it.
        let listed: HashSet<Generation> = inner.roots.list()?.iter().map(|root| root.generation).collect();
        let rows = store.generations().await?;
        let kept = |number: Generation| {
            let row = rows.iter().find(|row| row.number == number);
            listed.contains(&number) || row.is_some_and(|row| row.state != GenerationState::Destroyed)
        };
        let (at, provider) = (self.now(), inner.roots.name());
        let gone = (1..=highest.0).filter(|number| !kept(Generation(*number)));
        let gone: Vec<GenerationGone> = gone
            .map(|generation| GenerationGone {
                generation,
                at: at.clone(),
                provider: provider.to_owned(),
                proven: inner.roots.destruction_is_proven(),
            })
            .collect();
        let mut ended = Vec::new();
        for sweep in sweeps {
            let gone: Vec<_> = gone.iter().filter(|g| g.generation <= sweep.highest.0).cloned().collect();
            // Not before all are gone: a receipt is signed anew for each step.
            if gone.len() != sweep.highest.0 as usize {
                continue;
            }
            match inner.rights.issuer().advance(&sweep.receipt, Step::Destroyed(gone)).await {
                Ok(receipt) if receipt.stage == Stage::Final => {
                    tracing::info!(target: "audit", event = "receipt.final", receipt = receipt.id, "a receipt is final");
                    // Queued now, awaited together: they share a commit.
                    ended.push(store.end_sweep(&sweep.receipt));
                }
                Ok(_) | Err(RightsError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for end in ended {
            end.await?;
        }
        Ok(())
    }
}
