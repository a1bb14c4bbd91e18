//! Subjects from verified tokens (RFC 7519): signed by a key of the JWKS file, in time, for this audience.

use crate::config::Jwt;
use http::HeaderMap;
use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use std::io;

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 30;

/// What verifies a listener's tokens.
pub(super) struct Verifier {
    keys: Vec<Key>,
    header: String,
    audience: Option<String>,
    issuer: Option<String>,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The claims of a token that holds.
pub(super) struct Claims(Map<String, Value>);

impl Verifier {
    /// Reads the key set.
    ///
    /// # Errors
    /// The file can't be read, or holds no key that signs by RS256, ES256 or EdDSA.
    pub(super) fn new(config: &Jwt) -> io::Result<Self> {
        let wrong = |why: String| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("jwks {}: {why}", config.jwks.display()))
        };
        let text = std::fs::read(&config.jwks).map_err(|e| wrong(e.to_string()))?;
        let set: JwkSet = serde_json::from_slice(&text).map_err(|e| wrong(format!("no key set: {e}")))?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            let signs =
                jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
            let Ok(key) = DecodingKey::from_jwk(jwk) else { continue };
            let own = jwk.common.key_algorithm.map(|own| own.to_string());
            let algorithms: Vec<Algorithm> = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
                .into_iter()
                .filter(|algorithm| algorithm.family() == key.family())
                .filter(|algorithm| own.as_ref().is_none_or(|own| *own == format!("{algorithm:?}")))
                .collect();
            if signs && !algorithms.is_empty() {
                keys.push(Key { id: jwk.common.key_id.clone(), algorithms, key });
            }
        }
        if keys.is_empty() {
            return Err(wrong("it holds no public key for RS256, ES256 or EdDSA".into()));
        }
        Ok(Self {
            keys,
            header: config.header.clone(),
            audience: config.audience.clone(),
            issuer: config.issuer.clone(),
        })
    }

    /// The claims of the request's token; none where it brings none.
    ///
    /// # Errors
    /// It brings one that doesn't hold.
    pub(super) fn verify(&self, headers: &HeaderMap) -> Result<Option<Claims>, &'static str> {
        let mut values = headers.get_all(&self.header).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err("the request brings several tokens");
        }
        let value = value.to_str().map_err(|_| "the token is no text")?.trim();
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            // Another scheme is no token.
            Some(_) if self.header == "authorization" => return Ok(None),
            None if self.header != "authorization" => value,
            _ => return Ok(None),
        };
        // What the service hands out itself may be of another kind.
        if token.split('.').count() != 3 {
            return Ok(None);
        }
        let header = decode_header(token).map_err(|_| "the token can't be read")?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".into());
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        let fits = |key: &&Key| {
            key.algorithms.contains(&header.alg)
                && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        for key in self.keys.iter().filter(fits) {
            if let Ok(token) = decode::<Map<String, Value>>(token, &key.key, &validation) {
                return Ok(Some(Claims(token.claims)));
            }
        }
        Err("no key of the JWKS verifies the token, or it is out of time, or for another audience or issuer")
    }
}

impl Claims {
    /// A claim's raw JSON.
    pub(super) fn raw(&self, claim: &str) -> Option<String> {
        match self.0.get(claim)? {
            Value::Null => None,
            value => Some(value.to_string()),
        }
    }
}
