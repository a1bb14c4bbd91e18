//! A generation key: random, numbered, in memory under a lease; wrapped by its root key only.

use crate::crypto::random_secret;
use crate::ids::Generation;
use crate::secret::Secret;

/// Wraps the secrets of one generation. From a root provider, or fresh.
#[derive(Debug)]
pub struct GenerationKey {
    number: Generation,
    key: Secret<32>,
}

impl GenerationKey {
    /// A new key for the generation `number`.
    pub fn generate(number: Generation) -> Self {
        Self { number, key: random_secret() }
    }

    /// What a root provider unwrapped.
    pub fn from_parts(number: Generation, key: Secret<32>) -> Self {
        Self { number, key }
    }

    /// Which generation it is.
    pub fn number(&self) -> Generation {
        self.number
    }

    /// The key, for `roots` (to wrap it) and `keys` (to wrap with it).
    pub fn secret(&self) -> &Secret<32> {
        &self.key
    }
}
