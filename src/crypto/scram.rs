//! SCRAM-SHA-256 (RFC 5802 §3, RFC 7677): what is computed with its keys. The salted password itself is never known here.

use super::kdf::{hmac_sha256, sha256};
use crate::secret::Secret;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// The ClientKey that a proof was made with, where it is the one of that StoredKey and `known` holds. Everything is
/// computed either way, so that how long it takes tells nothing.
pub fn recover(
    stored: &Secret<32>,
    auth_message: &[&[u8]],
    proof: &[u8; 32],
    known: Choice,
) -> Option<Secret<32>> {
    let mut signature = hmac_sha256(stored, auth_message);
    let key = Secret::filled(|key: &mut [u8; 32]| xor(key, proof, &signature));
    signature.zeroize();
    let fits = Secret::new(sha256(&[key.expose()])).ct_eq(stored) & known;
    bool::from(fits).then_some(key)
}

/// ClientProof: shows that one has the ClientKey, without telling it.
pub fn proof(client: &Secret<32>, stored: &Secret<32>, auth_message: &[&[u8]]) -> [u8; 32] {
    let mut signature = hmac_sha256(stored, auth_message);
    let mut proof = [0; 32];
    xor(&mut proof, client.expose(), &signature);
    signature.zeroize();
    proof
}

/// ServerSignature: shows that one has the ServerKey.
pub fn server_signature(server: &Secret<32>, auth_message: &[&[u8]]) -> [u8; 32] {
    hmac_sha256(server, auth_message)
}

/// Whether a ServerSignature is that of this ServerKey; in constant time.
pub fn is_server_signature(server: &Secret<32>, auth_message: &[&[u8]], told: &[u8; 32]) -> bool {
    hmac_sha256(server, auth_message).ct_eq(told).into()
}

fn xor(out: &mut [u8; 32], a: &[u8; 32], b: &[u8; 32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a ^ b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn bytes(text: &str) -> [u8; 32] {
        STANDARD.decode(text).unwrap().try_into().unwrap()
    }

    /// The exchange of RFC 7677 §3: user "user", password "pencil". StoredKey and ServerKey follow from its salt and count.
    #[test]
    fn recovers_the_key_of_rfc_7677_and_proves_it_again() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut salted = [0; 32];
        aws_lc_rs::pbkdf2::derive(
            aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
            4096.try_into().unwrap(),
            &salt,
            b"pencil",
            &mut salted,
        );
        let salted = Secret::new(salted);
        let client = Secret::new(hmac_sha256(&salted, &[b"Client Key"]));
        let server = Secret::new(hmac_sha256(&salted, &[b"Server Key"]));
        let stored = Secret::new(sha256(&[client.expose()]));
        let message: &[&[u8]] = &[
            b"n=user,r=rOprNGfwEbeRWgbNEkqO,",
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,",
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        ];
        let told = bytes("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(proof(&client, &stored, message), told);
        assert_eq!(recover(&stored, message, &told, 1.into()), Some(client));
        let signature = bytes("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(server_signature(&server, message), signature);
        assert!(is_server_signature(&server, message, &signature));
        assert!(!is_server_signature(&stored, message, &signature));
        assert_eq!(recover(&stored, message, &told, 0.into()), None, "who is not known has no key");
        let mut other = told;
        other[31] ^= 1;
        assert_eq!(recover(&stored, message, &other, 1.into()), None);
    }
}
