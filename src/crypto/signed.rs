//! Signed documents: canonical JSON (RFC 8785) without its `signature` and `salt`, signed with Ed25519.
//!
//! The salt stands beside the receipt in the answer to an erasure, and nowhere else: it is not signed, so that
//! the receipt that is kept has the same signature.

use super::{PublicKey, SigningKey, sha256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A signature as documents carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// `Ed25519`.
    pub algorithm: String,
    /// The public key, in hex. Check it against the one that you know: a forger brings its own.
    pub key: String,
    /// 64 bytes, in base64.
    pub value: String,
}

const ALGORITHM: &str = "Ed25519";
/// Members that the signature does not cover.
const OUTSIDE: [&str; 2] = ["signature", "salt"];

/// Why a document does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not the JSON that it should be: no object, unknown members, or some that stand there twice.
    #[error("it does not read: {0}")]
    Form(String),
    /// No signature of a form that is known.
    #[error("it carries no Ed25519 signature")]
    Unsigned,
    /// Signed by another key than the one that was given.
    #[error("it was signed with another key than the one given")]
    Key,
    /// The signature is not over this document.
    #[error("it was changed after it was signed, or never signed by this key")]
    Changed,
}

/// The signature of a document, whose own `signature` does not count.
pub fn sign<T: Serialize>(key: &SigningKey, document: &T) -> Option<Signature> {
    let mut document = object(&serde_json::to_vec(document).ok()?)?;
    let message = message(&mut document)?;
    Some(Signature {
        algorithm: ALGORITHM.to_owned(),
        key: key.public().to_hex(),
        value: STANDARD.encode(key.sign(&message)),
    })
}

/// Checks a document against a public key that the caller trusts, and reads it. A form whose types allow no unknown
/// and no repeated members makes sure that two readers can't see two different things.
///
/// # Errors
/// [`VerifyError`].
pub fn verify<T: DeserializeOwned>(key: &PublicKey, document: &[u8]) -> Result<T, VerifyError> {
    let read: T = serde_json::from_slice(document).map_err(|e| VerifyError::Form(e.to_string()))?;
    let mut members = object(document).ok_or_else(|| VerifyError::Form("it is no JSON object".into()))?;
    let signature = members.get("signature").cloned().ok_or(VerifyError::Unsigned)?;
    let signature: Signature = serde_json::from_value(signature).map_err(|_| VerifyError::Unsigned)?;
    let value = STANDARD.decode(&signature.value).map_err(|_| VerifyError::Unsigned)?;
    if signature.algorithm != ALGORITHM {
        return Err(VerifyError::Unsigned);
    }
    if signature.key != key.to_hex() {
        return Err(VerifyError::Key);
    }
    let message = message(&mut members).ok_or(VerifyError::Changed)?;
    if key.verifies(&message, &value) { Ok(read) } else { Err(VerifyError::Changed) }
}

/// SHA-256 of what is signed and the signature: names this very document.
pub fn digest<T: Serialize>(document: &T) -> Option<[u8; 32]> {
    Some(sha256(&[&serde_json_canonicalizer::to_vec(document).ok()?]))
}

/// The bytes that are signed. What is outside is taken off.
fn message(document: &mut Map<String, Value>) -> Option<Vec<u8>> {
    for name in OUTSIDE {
        document.remove(name);
    }
    serde_json_canonicalizer::to_vec(document).ok()
}

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(text).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        b: u32,
        a: String,
        #[serde(default)]
        salt: Option<String>,
        signature: Option<Signature>,
    }

    fn signed(key: &SigningKey) -> String {
        let mut document =
            Document { b: 7, a: "Zoë \"\u{1}\u{7f}€\u{1F600}".into(), salt: None, signature: None };
        document.signature = sign(key, &document);
        document.salt = Some("told once".into());
        serde_json::to_string(&document).unwrap()
    }

    #[test]
    fn verifies_whatever_the_order_and_the_spacing() {
        let key = SigningKey::generate().unwrap();
        let text = signed(&key);
        let read: Document = verify(&key.public(), text.as_bytes()).unwrap();
        assert_eq!((read.b, read.salt.as_deref()), (7, Some("told once")));
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
        assert!(verify::<Document>(&key.public(), pretty.as_bytes()).is_ok());
    }

    #[test]
    fn refuses_what_was_changed_added_repeated_or_signed_by_another() {
        let key = SigningKey::generate().unwrap();
        let text = signed(&key);
        let check = |text: &str| verify::<Document>(&key.public(), text.as_bytes()).err().unwrap();
        assert_eq!(check(&text.replace("7,", "8,")), VerifyError::Changed);
        assert!(matches!(check(&text.replace("{\"b\"", "{\"c\":1,\"b\"")), VerifyError::Form(_)));
        assert!(matches!(check(&text.replace("{\"b\"", "{\"b\":8,\"b\"")), VerifyError::Form(_)));
        assert_eq!(check(r#"{"b":7,"a":"","signature":null}"#), VerifyError::Unsigned);
        let other = SigningKey::generate().unwrap().public();
        assert_eq!(verify::<Document>(&other, text.as_bytes()).err(), Some(VerifyError::Key));
        let forged = text.replace(&key.public().to_hex(), &other.to_hex());
        assert_eq!(verify::<Document>(&other, forged.as_bytes()).err(), Some(VerifyError::Changed));
    }

    #[test]
    fn signs_the_canonical_form_of_rfc_8785() {
        let document = serde_json::json!({ "b": 7, "a": "Zoë \"\u{1}\u{7f}", "salt": "x", "signature": {} });
        let Value::Object(mut members) = document else { panic!() };
        let text = String::from_utf8(message(&mut members).unwrap()).unwrap();
        assert_eq!(text, "{\"a\":\"Zoë \\\"\\u0001\u{7f}\",\"b\":7}");
    }
}
