//! A verifier, as `pg_authid.rolpassword` holds it: what a server knows of a password.

use crate::crypto::random_secret;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
#[derive(Debug)]
pub struct Verifier {
    iterations: u32,
    /// In base64, as it stands.
    salt: String,
    pub(super) stored: Secret<32>,
    pub(super) server: Secret<32>,
}

impl Verifier {
    /// Reads the form of `pg_authid`; `None` for any other (md5, none).
    pub fn parse(text: &str) -> Option<Self> {
        let (setting, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = setting.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|n| *n > 0)?;
        STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        Some(Self { iterations, salt: salt.to_owned(), stored: key(stored)?, server: key(server)? })
    }

    /// Of nobody: what is compared with where there is no verifier, at the same cost.
    pub(super) fn of_nobody() -> Self {
        Self { iterations: 0, salt: String::new(), stored: random_secret(), server: random_secret() }
    }

    /// Whether it is of the password that a server asks for with these.
    pub fn is_asked_for(&self, salt: &str, iterations: u32) -> bool {
        self.salt == salt && self.iterations == iterations
    }
}

fn key(text: &str) -> Option<Secret<32>> {
    let bytes = zeroize::Zeroizing::new(STANDARD.decode(text).ok()?);
    Secret::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn reads_the_form_of_pg_authid_and_no_other() {
        let verifier =
            Verifier::parse(&format!("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${KEY}:{KEY}")).unwrap();
        assert!(verifier.is_asked_for("W22ZaJ0SNY7soEsUEjb6gQ==", 4096));
        assert!(!verifier.is_asked_for("W22ZaJ0SNY7soEsUEjb6gQ==", 4097));
        for text in [
            "md53175bce1d3201d16594cebf9d7eb3f9d".to_owned(),
            String::new(),
            format!("SCRAM-SHA-256$0:c2FsdA==${KEY}:{KEY}"),
            format!("SCRAM-SHA-256$x:c2FsdA==${KEY}:{KEY}"),
            format!("SCRAM-SHA-256$4096:${KEY}:{KEY}"),
            format!("SCRAM-SHA-256$4096:c2FsdA==${KEY}:AAAA"),
            format!("SCRAM-SHA-512$4096:c2FsdA==${KEY}:{KEY}"),
        ] {
            assert!(Verifier::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown =
            format!("{:?}", Verifier::parse(&format!("SCRAM-SHA-256$1:c2FsdA==${KEY}:{KEY}")).unwrap());
        assert!(!shown.contains("AAAA") && !shown.contains("[0"), "{shown}");
    }
}
