//! Domain secrets: one per pseudonym domain and generation, random, and what is derived from them.
//!
//! A domain secret is never wrapped again under a later generation: a rotation makes a new one and computes
//! every live lookup again. An old keystore backup and today's roots would otherwise give a dictionary.

use super::generation::GenerationKey;
use super::labels;
use super::wrapped::{Aad, UnwrapError, WrapError, Wrapped};
use crate::crypto::{expand, hmac_sha256, random_secret};
use crate::ids::Subject;
use crate::secret::Secret;

/// The domain whose secret makes the marks of erased subjects ([`MarkKey`]). No policy can declare it: a
/// domain name has no control character.
pub const MARK_DOMAIN: &str = "\u{1}erased";

/// 32 random bytes, D.
#[derive(Debug)]
pub struct DomainSecret(Secret<32>);

impl DomainSecret {
    /// A new secret.
    pub fn generate() -> Self {
        Self(random_secret())
    }

    /// Wraps it for the keystore, under Expand(G, "paravent/v1/domain-wrap" ‖ domain, 32);
    /// AAD: domain, generation.
    pub fn wrap(&self, generation: &GenerationKey, domain: &str) -> Result<Wrapped, WrapError> {
        let aad = aad(generation, domain);
        Wrapped::seal(generation.number(), &wrapping_key(generation, domain), &aad, &self.0)
    }

    /// Opens a keystore row of that domain and generation.
    pub fn unwrap(wrapped: &Wrapped, generation: &GenerationKey, domain: &str) -> Result<Self, UnwrapError> {
        let aad = aad(generation, domain);
        wrapped.open(generation.number(), &wrapping_key(generation, domain), &aad).map(Self)
    }

    /// Expand(D, "paravent/v1/lookup-key", 32).
    pub fn lookup_key(&self) -> LookupKey {
        LookupKey(expand(&self.0, &[labels::LOOKUP_KEY]))
    }

    /// Expand(D, "paravent/v1/mark-key", 32); of the domain [`MARK_DOMAIN`].
    pub fn mark_key(&self) -> MarkKey {
        MarkKey(expand(&self.0, &[labels::MARK_KEY]))
    }
}

fn wrapping_key(generation: &GenerationKey, domain: &str) -> Secret<32> {
    generation.wrapping_key(&[labels::DOMAIN_WRAP, domain.as_bytes()])
}

fn aad(generation: &GenerationKey, domain: &str) -> Aad {
    Aad::of(&[domain.as_bytes(), &generation.number().0.to_be_bytes()])
}

/// Where an identifier's token is found: an HMAC, as stored under UNIQUE(domain, generation, lookup).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup(pub [u8; 32]);

/// Turns identifiers into lookups. The messages of the two forms start with labels of their own, so that no
/// identifier can be chosen whose exact lookup is another's fold.
#[derive(Debug)]
pub struct LookupKey(Secret<32>);

impl LookupKey {
    /// Puts a cached key together again.
    pub fn from_secret(key: Secret<32>) -> Self {
        Self(key)
    }

    /// HMAC(K, "paravent/v1/exact" ‖ identifier), the identifier byte-exact, or normalised where its field says so.
    pub fn exact(&self, identifier: &str) -> Lookup {
        Lookup(hmac_sha256(&self.0, &[labels::EXACT, identifier.as_bytes()]))
    }

    /// HMAC(K, "paravent/v1/fold" ‖ folded), with `folded` from `pseudonym::fold`.
    pub fn fold(&self, folded: &str) -> Lookup {
        Lookup(hmac_sha256(&self.0, &[labels::FOLD, folded.as_bytes()]))
    }
}

/// The mark that a subject was erased and that its class refuses new data: outlives the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub [u8; 32]);

/// Turns subjects into marks.
#[derive(Debug)]
pub struct MarkKey(Secret<32>);

impl MarkKey {
    /// HMAC(K, realm ‖ class ‖ id), each with its length (u64) before it.
    pub fn mark(&self, subject: &Subject) -> Mark {
        self.marked(b"", subject)
    }

    /// The same with a label before it, so that it is no mark of the first kind: what an erasure leaves against creations
    /// whose outcome was unknown then, where the class takes new data about the erased.
    pub fn lost(&self, subject: &Subject) -> Mark {
        self.marked(labels::LOST, subject)
    }

    fn marked(&self, label: &[u8], subject: &Subject) -> Mark {
        let parts = [subject.realm.as_bytes(), subject.class.as_bytes(), subject.id.as_bytes()];
        let [realm, class, id] = parts;
        let [r, c, i] = parts.map(|part| (part.len() as u64).to_be_bytes());
        Mark(hmac_sha256(&self.0, &[label, &r, realm, &c, class, &i, id]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;

    fn g(number: u32) -> GenerationKey {
        GenerationKey::from_parts(Generation(number), Secret::new([7; 32]))
    }

    #[test]
    fn unwraps_in_its_own_domain_and_generation_only() {
        let secret = DomainSecret::generate();
        let wrapped = secret.wrap(&g(1), "email").unwrap();
        let back = DomainSecret::unwrap(&wrapped, &g(1), "email").unwrap();
        assert_eq!(back.lookup_key().exact("a"), secret.lookup_key().exact("a"));
        let opened = DomainSecret::unwrap(&wrapped, &g(1), "username");
        assert_eq!(opened.unwrap_err(), UnwrapError::NotAuthentic);
        let relabelled = Wrapped { generation: Generation(2), ..wrapped };
        let opened = DomainSecret::unwrap(&relabelled, &g(2), "email");
        assert_eq!(opened.unwrap_err(), UnwrapError::NotAuthentic);
    }

    #[test]
    fn a_subject_row_does_not_open_as_a_domain_row() {
        use crate::keys::{Binding, Purpose, SubjectSecret};
        let wrapped = SubjectSecret::generate(Purpose::default()).wrap(&g(1), Binding::Unbound).unwrap();
        let opened = DomainSecret::unwrap(&wrapped, &g(1), "email");
        assert_eq!(opened.unwrap_err(), UnwrapError::NotAuthentic);
    }

    #[test]
    fn no_exact_lookup_meets_a_folded_one() {
        let key = DomainSecret::generate().lookup_key();
        assert_ne!(key.exact("bob"), key.fold("bob"));
        assert_ne!(key.exact("foldbob"), key.fold("bob"));
        assert_eq!(key.fold("bob"), key.fold("bob"));
        assert_ne!(key.exact("Bob"), key.exact("bob"));
    }

    #[test]
    fn domains_are_unlinkable() {
        let (one, other) = (DomainSecret::generate(), DomainSecret::generate());
        assert_ne!(one.lookup_key().exact("bob"), other.lookup_key().exact("bob"));
    }

    /// Python: hmac.new(hmac.new(b"\x05"*32, label + b"\x01").digest(), b"paravent/v1/exactbob").
    #[test]
    fn computes_a_known_lookup() {
        let key = DomainSecret(Secret::new([5; 32])).lookup_key();
        assert_eq!(
            hex::encode(key.exact("bob").0),
            "6a91530a1f489cb8b09ff9b755b6df04da386a649b0b684f285b96c9d07d4e58"
        );
        assert_eq!(
            hex::encode(key.fold("bob").0),
            "e9a8f2aaffaa6d8bbeca70fdbb6071a8a9220d16bed9e9ee26aa1594701bfce8"
        );
    }

    #[test]
    fn marks_differ_for_subjects_whose_parts_run_together_alike() {
        let key = DomainSecret(Secret::new([5; 32])).mark_key();
        assert_eq!(key.mark(&Subject::new("person", "42")), key.mark(&Subject::new("person", "42")));
        assert_ne!(key.mark(&Subject::new("person", "42")), key.mark(&Subject::new("person4", "2")));
        assert_ne!(key.mark(&Subject::new("person", "42")), key.mark(&Subject::new("person", "43")));
        assert_ne!(key.mark(&Subject::new("person", "42")), key.lost(&Subject::new("person", "42")));
    }
}
