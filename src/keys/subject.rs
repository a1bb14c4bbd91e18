//! Subject secrets: one per subject and purpose, random, and what is derived from them.

use super::generation::GenerationKey;
use super::labels;
use super::wrapped::{Aad, UnwrapError, WrapError, Wrapped};
use crate::crypto::{expand, random_secret};
use crate::ids::{Generation, KeyId, Subject};
use crate::secret::Secret;
use std::fmt;
use std::sync::Arc;

/// Why data is held: `default` unless declared. 1 to 64 bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Purpose(Arc<str>);

/// A purpose must have 1 to 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a purpose must have between 1 and 64 bytes")]
pub struct PurposeError;

impl Purpose {
    /// Longest name, in bytes.
    pub const MAX: u16 = 64;

    /// Checks the length.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, PurposeError> {
        let name = name.into();
        if name.is_empty() || name.len() > usize::from(Self::MAX) {
            Err(PurposeError)
        } else {
            Ok(Self(name))
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `u16 length ‖ purpose`, as derivations take it.
    fn length(&self) -> [u8; 2] {
        // Fits: `new` allows 64 bytes.
        u16::try_from(self.0.len()).unwrap_or(u16::MAX).to_be_bytes()
    }
}

/// The purpose `default`.
impl Default for Purpose {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// To whom a wrapped secret belongs: part of its associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding<'a> {
    /// Made for a row whose subject the database has not told yet.
    Unbound,
    /// Bound to its subject: the row opens as that subject's only.
    To(&'a Subject),
}

impl Binding<'_> {
    /// AAD of [`SubjectSecret::wrap`]: realm, class, id (or `unbound` alone), purpose, key id, generation.
    /// Six parts or four, so the two forms can't be mistaken for each other.
    fn aad(&self, purpose: &Purpose, key_id: KeyId, generation: Generation) -> Aad {
        let generation = generation.0.to_be_bytes();
        let tail: [&[u8]; 3] = [purpose.as_str().as_bytes(), &key_id.0, &generation];
        let [p, k, g] = tail;
        match self {
            Self::Unbound => Aad::of(&[b"unbound", p, k, g]),
            Self::To(s) => Aad::of(&[s.realm.as_bytes(), s.class.as_bytes(), s.id.as_bytes(), p, k, g]),
        }
    }
}

/// 32 random bytes, S. Everything that seals one subject's data for one purpose derives from it.
#[derive(Debug)]
pub struct SubjectSecret {
    secret: Secret<32>,
    purpose: Purpose,
    key_id: KeyId,
}

impl SubjectSecret {
    /// A new secret.
    pub fn generate(purpose: Purpose) -> Self {
        Self::of(random_secret(), purpose)
    }

    /// A secret with known bytes, for known answers. The caller answers for their being random.
    pub fn from_bytes(secret: Secret<32>, purpose: Purpose) -> Self {
        Self::of(secret, purpose)
    }

    fn of(secret: Secret<32>, purpose: Purpose) -> Self {
        // A key id is no secret: it stands in every envelope.
        let id = expand::<16>(&secret, &[labels::KEY_ID, &purpose.length(), purpose.as_str().as_bytes()]);
        Self { key_id: KeyId(*id.expose()), secret, purpose }
    }

    /// Names this secret and commits to it: Expand(S, "paravent/v1/key-id" ‖ u16 length ‖ purpose, 16).
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The purpose that it serves.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// The key that seals and opens: Expand(S, "paravent/v1/user-key" ‖ u16 length ‖ purpose, 32).
    pub fn user_key(&self) -> UserKey {
        let parts = [labels::USER_KEY, &self.purpose.length(), self.purpose.as_str().as_bytes()];
        UserKey { id: self.key_id, key: expand(&self.secret, &parts) }
    }

    /// What the audit log calls the subject: Expand(S, "paravent/v1/stand-in", 12). Whoever lacks S can't tell whose it
    /// is, and S dies with the subject.
    pub fn stand_in(&self) -> StandIn {
        StandIn(*expand::<12>(&self.secret, &[labels::STAND_IN]).expose())
    }

    /// The key of one sealed body: Expand(S, "paravent/v1/body" ‖ u16 length ‖ purpose ‖ salt, 32).
    pub fn body_key(&self, salt: &[u8; 16]) -> BodyKey {
        let parts = [labels::BODY_KEY, &self.purpose.length(), self.purpose.as_str().as_bytes(), salt];
        BodyKey { key: expand(&self.secret, &parts) }
    }

    /// Wraps it for the keystore. Binding an unbound secret, or moving to a new generation, is wrapping again.
    pub fn wrap(&self, generation: &GenerationKey, binding: Binding<'_>) -> Result<Wrapped, WrapError> {
        let number = generation.number();
        let aad = binding.aad(&self.purpose, self.key_id, number);
        Wrapped::seal(number, &wrapping_key(generation, self.key_id), &aad, &self.secret)
    }

    /// Opens a keystore row, and checks that the secret is the one that `key_id` names.
    pub fn unwrap(
        wrapped: &Wrapped,
        generation: &GenerationKey,
        binding: Binding<'_>,
        purpose: Purpose,
        key_id: KeyId,
    ) -> Result<Self, UnwrapError> {
        let number = generation.number();
        let aad = binding.aad(&purpose, key_id, number);
        let secret = wrapped.open(number, &wrapping_key(generation, key_id), &aad)?;
        let own = Self::of(secret, purpose);
        if own.key_id == key_id { Ok(own) } else { Err(UnwrapError::KeyId) }
    }
}

/// Expand(G, "paravent/v1/wrap" ‖ key id, 32): one wrapping key per secret.
fn wrapping_key(generation: &GenerationKey, key_id: KeyId) -> Secret<32> {
    generation.wrapping_key(&[labels::WRAP, &key_id.0])
}

/// A pseudonym of a subject in the audit log: 12 bytes, of which 96 bits are enough that no two subjects ever share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StandIn(pub [u8; 12]);

/// An AES-256-GCM key that seals and opens the chunks of one body. Never stored, never used for another.
#[derive(Debug)]
pub struct BodyKey {
    key: Secret<32>,
}

impl BodyKey {
    /// The key, for `envelope` only.
    pub fn secret(&self) -> &Secret<32> {
        &self.key
    }
}

/// An AES-256-GCM key that seals and opens fields; goes with the id that envelopes carry, so that the two
/// can't be mixed up. Never stored.
#[derive(Debug)]
pub struct UserKey {
    id: KeyId,
    key: Secret<32>,
}

impl UserKey {
    /// Puts a cached key and its id together again.
    pub fn from_parts(id: KeyId, key: Secret<32>) -> Self {
        Self { id, key }
    }

    /// The key id that its envelopes carry.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key, for `envelope` only.
    pub fn secret(&self) -> &Secret<32> {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn g(number: u32) -> GenerationKey {
        GenerationKey::from_parts(Generation(number), Secret::new([7; 32]))
    }

    fn purpose(name: &str) -> Purpose {
        Purpose::new(name).unwrap()
    }

    /// Computed independently, from RFC 5869 with Python's hmac:
    /// HMAC(S, label ‖ 00 07 ‖ "default" ‖ 01), S = 00 01 … 1f.
    #[test]
    fn derives_what_the_design_says() {
        let s = Secret::filled(|bytes| (0..32).zip(bytes).for_each(|(n, byte)| *byte = n));
        let secret = SubjectSecret::of(s, Purpose::default());
        assert_eq!(hex::encode(secret.key_id().0), "e13e3f9df0da25bd24bef0c28f429e06");
        assert_eq!(
            hex::encode(secret.user_key().secret().expose()),
            "fd98d46b2be91c11727e368c58b8ce7966f13a77645619e676c5ce06dd910439"
        );
        assert_eq!(secret.user_key().id(), secret.key_id());
    }

    #[test]
    fn purposes_give_other_ids_and_keys_from_the_same_bytes() {
        let of = |name| SubjectSecret::of(Secret::new([1; 32]), purpose(name));
        assert_ne!(of("default").key_id(), of("marketing").key_id());
        assert_ne!(of("default").user_key().secret(), of("marketing").user_key().secret());
    }

    #[test]
    fn a_purpose_has_one_to_sixty_four_bytes() {
        assert_eq!(Purpose::new(""), Err(PurposeError));
        assert_eq!(Purpose::new("x".repeat(65)), Err(PurposeError));
        assert_eq!(Purpose::new("x".repeat(64)).unwrap().length(), [0, 64]);
    }

    #[test]
    fn wraps_and_unwraps_for_its_subject() {
        let subject = Subject::new("person", "42");
        let secret = SubjectSecret::generate(Purpose::default());
        for binding in [Binding::To(&subject), Binding::Unbound] {
            let wrapped = secret.wrap(&g(1), binding).unwrap();
            let back =
                SubjectSecret::unwrap(&wrapped, &g(1), binding, Purpose::default(), secret.key_id()).unwrap();
            assert_eq!(back.user_key().secret(), secret.user_key().secret());
            assert_eq!(back.purpose(), &Purpose::default());
        }
    }

    #[test]
    fn refuses_a_row_moved_to_another_subject() {
        let secret = SubjectSecret::generate(Purpose::default());
        let owner = Subject::new("person", "42");
        let wrapped = secret.wrap(&g(1), Binding::To(&owner)).unwrap();
        let mut others = vec![Subject::new("person", "43"), Subject::new("perso", "n42")];
        others.push(Subject::new("client_admin", "42"));
        others.push(Subject { realm: Arc::from("other"), ..owner });
        for other in &others {
            let moved = Binding::To(other);
            let opened = SubjectSecret::unwrap(&wrapped, &g(1), moved, Purpose::default(), secret.key_id());
            assert_eq!(opened.unwrap_err(), UnwrapError::NotAuthentic);
        }
        let unbound = Binding::Unbound;
        let opened = SubjectSecret::unwrap(&wrapped, &g(1), unbound, Purpose::default(), secret.key_id());
        assert_eq!(opened.unwrap_err(), UnwrapError::NotAuthentic);
    }

    #[test]
    fn refuses_another_purpose_key_id_or_generation() {
        let secret = SubjectSecret::generate(Purpose::default());
        let wrapped = secret.wrap(&g(1), Binding::Unbound).unwrap();
        let open = |wrapped: &Wrapped, key: &GenerationKey, name, id| {
            SubjectSecret::unwrap(wrapped, key, Binding::Unbound, purpose(name), id).unwrap_err()
        };
        let not = UnwrapError::NotAuthentic;
        assert_eq!(open(&wrapped, &g(1), "marketing", secret.key_id()), not);
        assert_eq!(open(&wrapped, &g(1), "default", KeyId([0; 16])), not);
        assert!(matches!(open(&wrapped, &g(2), "default", secret.key_id()), UnwrapError::Generation { .. }));
        let relabelled = Wrapped { generation: Generation(2), ..wrapped };
        assert_eq!(open(&relabelled, &g(2), "default", secret.key_id()), not);
        let other = GenerationKey::from_parts(Generation(1), Secret::new([8; 32]));
        assert_eq!(open(&wrapped, &other, "default", secret.key_id()), not);
    }

    /// Whoever holds G could seal other bytes under a known key id: the id gives it away.
    #[test]
    fn refuses_a_secret_that_its_key_id_does_not_name() {
        let named = SubjectSecret::generate(Purpose::default()).key_id();
        let aad = Binding::Unbound.aad(&Purpose::default(), named, Generation(1));
        let planted =
            Wrapped::seal(Generation(1), &wrapping_key(&g(1), named), &aad, &Secret::new([3; 32])).unwrap();
        let opened = SubjectSecret::unwrap(&planted, &g(1), Binding::Unbound, Purpose::default(), named);
        assert_eq!(opened.unwrap_err(), UnwrapError::KeyId);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = SubjectSecret::of(Secret::new([0xEE; 32]), Purpose::default());
        let shown = format!("{secret:?} {:?} {:?}", secret.user_key(), g(1));
        assert!(!shown.to_lowercase().contains("eeee") && !shown.contains("238"), "{shown}");
        assert_eq!(shown.matches("[secret]").count(), 4);
    }
}
