//! What every provider must do. A provider's own tests call [`conforms`] with an empty one.

use super::{RootError, RootProvider, RootWrapped};
use crate::ids::Generation;
use crate::keys::GenerationKey;

/// Runs the whole suite against a provider that holds no root key yet.
pub(super) fn conforms(provider: &dyn RootProvider) {
    starts_empty(provider);
    creates_once(provider);
    brings_back_what_it_wrapped(provider);
    keeps_generations_apart(provider);
    finds_damage_out(provider);
    destroys_for_good(provider);
}

fn starts_empty(provider: &dyn RootProvider) {
    assert!(provider.list().unwrap().is_empty());
    let key = GenerationKey::generate(Generation(1));
    assert!(matches!(provider.wrap(&key), Err(RootError::Missing(Generation(1)))));
    assert!(matches!(provider.destroy(Generation(1)), Err(RootError::Missing(Generation(1)))));
}

fn creates_once(provider: &dyn RootProvider) {
    provider.create(Generation(1)).unwrap();
    provider.create(Generation(2)).unwrap();
    assert!(matches!(provider.create(Generation(1)), Err(RootError::Exists(Generation(1)))));
    let listed: Vec<u32> = provider.list().unwrap().iter().map(|root| root.generation.0).collect();
    assert_eq!(listed, [1, 2]);
}

fn brings_back_what_it_wrapped(provider: &dyn RootProvider) {
    let key = GenerationKey::generate(Generation(1));
    let wrapped = RootWrapped::from_bytes(provider.wrap(&key).unwrap().as_bytes()).unwrap();
    let back = provider.unwrap(Generation(1), &wrapped).unwrap();
    assert_eq!(back.secret(), key.secret());
    assert_eq!(back.number(), Generation(1));
    let shown = wrapped.as_bytes().windows(32).any(|part| part == key.secret().expose());
    assert!(!shown, "the key stands in clear in its wrapping");
}

fn keeps_generations_apart(provider: &dyn RootProvider) {
    let wrapped = provider.wrap(&GenerationKey::generate(Generation(1))).unwrap();
    assert!(provider.unwrap(Generation(2), &wrapped).is_err());
    assert!(matches!(provider.unwrap(Generation(3), &wrapped), Err(RootError::Missing(Generation(3)))));
}

fn finds_damage_out(provider: &dyn RootProvider) {
    let wrapped = provider.wrap(&GenerationKey::generate(Generation(1))).unwrap();
    for at in 0..wrapped.as_bytes().len() {
        let mut bytes = wrapped.as_bytes().to_vec();
        bytes[at] ^= 0x40;
        let damaged = RootWrapped::from_bytes(&bytes).unwrap();
        assert!(provider.unwrap(Generation(1), &damaged).is_err(), "byte {at}");
    }
}

fn destroys_for_good(provider: &dyn RootProvider) {
    let wrapped = provider.wrap(&GenerationKey::generate(Generation(1))).unwrap();
    let other = provider.wrap(&GenerationKey::generate(Generation(2))).unwrap();
    provider.destroy(Generation(1)).unwrap();
    assert!(matches!(provider.unwrap(Generation(1), &wrapped), Err(RootError::Missing(Generation(1)))));
    assert!(provider.unwrap(Generation(2), &other).is_ok(), "the other generation lives on");
    let scheduled = provider.list().unwrap().iter().any(|root| root.generation == Generation(1));
    if scheduled {
        // Not gone yet: its number is taken, and to destroy it again changes nothing.
        assert!(matches!(provider.create(Generation(1)), Err(RootError::Exists(_))));
        provider.destroy(Generation(1)).unwrap();
    } else {
        // The number alone does not bring the key back.
        provider.create(Generation(1)).unwrap();
    }
    assert!(provider.unwrap(Generation(1), &wrapped).is_err());
}
