//! A generation key: random, numbered, in memory under a lease; wrapped by its root key only.

use crate::crypto::{Expander, random_secret};
use crate::ids::Generation;
use crate::secret::Secret;

/// Wraps the secrets of one generation. From a root provider, or fresh.
#[derive(Debug)]
pub struct GenerationKey {
    number: Generation,
    key: Secret<32>,
    /// The same key, made ready: every secret that is wrapped or unwrapped expands it.
    ready: Expander,
}

impl GenerationKey {
    /// A new key for the generation `number`.
    pub fn generate(number: Generation) -> Self {
        Self::from_parts(number, random_secret())
    }

    /// What a root provider unwrapped.
    pub fn from_parts(number: Generation, key: Secret<32>) -> Self {
        let ready = Expander::new(&key);
        Self { number, key, ready }
    }

    /// Which generation it is.
    pub fn number(&self) -> Generation {
        self.number
    }

    /// The key, for `roots`, which wraps it.
    pub fn secret(&self) -> &Secret<32> {
        &self.key
    }

    /// A key that wraps one thing: Expand(G, `parts`, 32).
    pub(super) fn wrapping_key(&self, parts: &[&[u8]]) -> Secret<32> {
        self.ready.expand(parts)
    }
}
