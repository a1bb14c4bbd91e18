//! Subjects from tokens: only one that a key of the set signed, in time and for this audience, names anybody.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

const ROUTE: &str = "jwt = { jwks = \"file:keys.json\", audience = \"app\", issuer = \"https://id.example\" }\n\
    [[http.routes]]\npath = \"/me\"\nsubject = \"jwt:sub\"\nfields = { \"/note\" = \"note\" }\n\
    [[http.routes]]\npath = \"/people/{id}\"\nsubject = \"path:id\"\nfields = { \"/note\" = \"note\" }\n";

struct Signer {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    rsa: aws_lc_rs::rsa::KeyPair,
}

impl Signer {
    fn new() -> Self {
        let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let ec =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self {
            rsa: aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref()).unwrap(),
        }
    }

    fn set(&self) -> String {
        let point = self.ec.public_key().as_ref();
        let rsa = self.rsa.public_key();
        let (n, e) = (
            rsa.modulus().big_endian_without_leading_zero(),
            rsa.exponent().big_endian_without_leading_zero(),
        );
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig", "n": BASE64.encode(n), "e": BASE64.encode(e)},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": BASE64.encode(self.ed.public_key().as_ref())},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
        ]})
        .to_string()
    }

    fn token(&self, head: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let signature = match head["alg"].as_str() {
            Some("ES256") => self.ec.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec(),
            Some("EdDSA") => self.ed.sign(text.as_bytes()).as_ref().to_vec(),
            Some("RS256") => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let padding = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
                self.rsa.sign(padding, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
                signature
            }
            _ => Vec::new(),
        };
        format!("{text}.{}", BASE64.encode(signature))
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn claims() -> Value {
    json!({"sub": "7", "aud": ["app", "other"], "iss": "https://id.example", "exp": now() + 600, "nbf": now() - 10})
}

async fn write(world: &World, token: &str) -> Result<Sent, Problem> {
    let request = Request::put("/me")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    world.request(request.body(body(r#"{"note":"mine"}"#)).unwrap()).await
}

#[tokio::test]
async fn a_token_that_holds_names_its_subject() {
    let signer = Signer::new();
    let world = World::with(ROUTE, &[("keys.json", &signer.set())]).await;
    for head in [
        json!({"alg": "EdDSA", "kid": "ed"}),
        json!({"alg": "ES256", "kid": "ec"}),
        json!({"alg": "ES256"}),
        json!({"alg": "RS256", "kid": "rsa"}),
        json!({"alg": "RS256"}),
    ] {
        let sent = write(&world, &signer.token(&head, &claims())).await.unwrap();
        let stored = sent.text().to_owned();
        sent.exchange.json(200, "{}").await.unwrap();
        assert_eq!(world.read("/people/7", &stored).await.unwrap(), r#"{"note":"mine"}"#, "{head}");
        assert_eq!(world.read("/people/8", &stored).await.unwrap_err().code, "wrong-subject");
    }
}

#[tokio::test]
async fn a_token_that_does_not_hold_names_nobody() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let world = World::with(ROUTE, &[("keys.json", &signer.set())]).await;
    let head = json!({"alg": "EdDSA", "kid": "ed"});
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        claims[key] = value;
        claims
    };
    let without = |key: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(key);
        claims
    };
    let good = signer.token(&head, &claims());
    let (text, signature) = good.rsplit_once('.').unwrap();
    let moved = signer.token(&head, &with("sub", json!("8")));
    let spliced = format!("{}.{signature}", moved.rsplit_once('.').unwrap().0);
    for (what, token) in [
        ("another's key", stranger.token(&head, &claims())),
        ("expired", signer.token(&head, &with("exp", json!(now() - 60)))),
        ("no end", signer.token(&head, &without("exp"))),
        ("not yet", signer.token(&head, &with("nbf", json!(now() + 60)))),
        ("another audience", signer.token(&head, &with("aud", json!("x")))),
        ("no audience", signer.token(&head, &without("aud"))),
        ("another issuer", signer.token(&head, &with("iss", json!("x")))),
        ("no signature", signer.token(&json!({"alg": "none"}), &claims())),
        ("a shared secret", signer.token(&json!({"alg": "HS256", "kid": "ed"}), &claims())),
        ("another's key, RS256", stranger.token(&json!({"alg": "RS256", "kid": "rsa"}), &claims())),
        ("another algorithm than the key's", signer.token(&json!({"alg": "PS256", "kid": "rsa"}), &claims())),
        ("another's claims", spliced),
        ("cut", format!("{text}.")),
        ("another key's name", signer.token(&json!({"alg": "EdDSA", "kid": "ec"}), &claims())),
    ] {
        assert_eq!(code(write(&world, &token).await), (StatusCode::UNAUTHORIZED, "jwt"), "{what}");
    }
    assert_eq!(code(write(&world, &signer.token(&head, &with("sub", json!("07")))).await).1, "subject-id");
    // Without one, or with one of another kind, nobody is named.
    assert_eq!(code(write(&world, "opaque").await).1, "no-subject");
    assert_eq!(code(write(&world, &signer.token(&head, &without("sub"))).await).1, "no-subject");
}

#[tokio::test]
async fn a_key_set_that_changed_holds_from_a_reload_on_and_a_broken_one_changes_nothing() {
    let (old, new) = (Signer::new(), Signer::new());
    let mut world = World::with(ROUTE, &[("keys.json", &old.set())]).await;
    let head = json!({"alg": "EdDSA", "kid": "ed"});
    let keys = world.house.folder.path().join("keys.json");
    std::fs::write(&keys, "{\"keys\":[").unwrap();
    assert!(world.reload(ROUTE).is_err());
    write(&world, &old.token(&head, &claims())).await.unwrap();
    std::fs::write(&keys, new.set()).unwrap();
    world.reload(ROUTE).unwrap();
    write(&world, &new.token(&head, &claims())).await.unwrap();
    assert_eq!(code(write(&world, &old.token(&head, &claims())).await), (StatusCode::UNAUTHORIZED, "jwt"));
}
