//! Ed25519 signatures (RFC 8032), and their keys as PEM files that other tools read (RFC 8410).
//!
//! aws-lc-rs does the arithmetic. The two DER forms have a fixed length, so that reading them is a comparison.

use crate::secret::Secret;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// `PrivateKeyInfo` up to the 32-byte seed (RFC 8410 §7).
const PRIVATE: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// `SubjectPublicKeyInfo` up to the 32-byte key (RFC 8410 §4).
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads a PEM `PUBLIC KEY`, or 64 hexadecimal digits.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(bytes) = hex::decode(text) {
            return bytes.try_into().ok().map(Self);
        }
        let der = unarmour(text, "PUBLIC KEY")?;
        der.strip_prefix(&PUBLIC)?.try_into().ok().map(Self)
    }

    /// As PEM, one line of base64 between its borders.
    pub fn to_pem(&self) -> String {
        armour("PUBLIC KEY", &[PUBLIC.as_slice(), &self.0].concat()).to_string()
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// A key that signs.
pub struct SigningKey {
    seed: Secret<32>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// A new key. None where the library refuses, which it does for no 32 bytes that are known.
    pub fn generate() -> Option<Self> {
        Self::from_seed(super::random_secret())
    }

    fn from_seed(seed: Secret<32>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).ok()?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { seed, pair, public })
    }

    /// Reads a PEM `PRIVATE KEY` (PKCS#8, Ed25519, without attributes).
    pub fn read(text: &str) -> Option<Self> {
        let der = unarmour(text.trim(), "PRIVATE KEY")?;
        Self::from_seed(Secret::from_slice(der.strip_prefix(&PRIVATE)?)?)
    }

    /// As PEM (PKCS#8).
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new(Vec::with_capacity(PRIVATE.len() + 32));
        der.extend_from_slice(&PRIVATE);
        der.extend_from_slice(self.seed.expose());
        armour("PRIVATE KEY", &der)
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The 64 bytes of a signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.to_hex())
    }
}

fn armour(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(body.len() + 64));
    for part in ["-----BEGIN ", label, "-----\n", &body, "\n-----END ", label, "-----\n"] {
        pem.push_str(part);
    }
    pem
}

/// The DER of a PEM file that holds nothing but one block of that label. Lines may be broken anywhere.
fn unarmour(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let body = text.strip_prefix("-----BEGIN ")?.strip_prefix(label)?.strip_prefix("-----")?;
    let body = body.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    let mut lines = Zeroizing::new(String::with_capacity(body.len()));
    lines.extend(body.lines().map(str::trim));
    STANDARD.decode(lines.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn rfc() -> SigningKey {
        SigningKey::from_seed(Secret::from_slice(&hex::decode(SEED).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn signs_as_the_rfc_shows() {
        assert_eq!(rfc().public().to_hex(), KEY);
        assert_eq!(hex::encode(rfc().sign(&[0x72])), SIGNATURE);
        assert!(rfc().public().verifies(&[0x72], &hex::decode(SIGNATURE).unwrap()));
    }

    #[test]
    fn another_message_signature_or_key_does_not_verify() {
        let mut signature = rfc().sign(b"message");
        let other = SigningKey::generate().unwrap().public();
        assert!(!rfc().public().verifies(b"Message", &signature) && !other.verifies(b"message", &signature));
        signature[5] ^= 1;
        assert!(!rfc().public().verifies(b"message", &signature));
        assert!(!rfc().public().verifies(b"message", &signature[..63]));
    }

    #[test]
    fn reads_back_its_pem_and_takes_only_ed25519() {
        let key = rfc();
        assert_eq!(SigningKey::read(&key.to_pem()).unwrap().public(), key.public());
        assert_eq!(PublicKey::read(&key.public().to_pem()), Some(key.public()));
        assert_eq!(PublicKey::read(KEY), Some(key.public()));
        // The example of RFC 8410 §10.1, signed by no one here: its form is what counts.
        let rfc = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----";
        assert!(PublicKey::read(rfc).is_some());
        for wrong in ["", KEY.get(1..).unwrap(), &key.to_pem(), &rfc.replace("VwAy", "VuAy")] {
            assert_eq!(PublicKey::read(wrong), None, "{wrong}");
        }
        assert!(SigningKey::read(&key.public().to_pem()).is_none());
    }

    #[test]
    fn debug_shows_the_public_key_only() {
        assert_eq!(format!("{:?}", rfc()), format!("SigningKey({KEY})"));
    }
}
