//! The test vectors of `src/envelope/SPEC.md`, made by a second implementation (`tests/vectors/envelope.py`).

// Helpers of a test binary are not inside #[test], where clippy.toml allows it.
#![allow(clippy::unwrap_used)]

use paravent::clear::Kind;
use paravent::crypto::{expand, sha256};
use paravent::envelope::{
    BodySealer, CHUNK_LEN, EnvelopeRef, FieldName, OpenError, dearmour, field_tag, open, open_body,
};
use paravent::ids::KeyId;
use paravent::keys::{Purpose, SubjectSecret, UserKey, labels};
use paravent::secret::Secret;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};

#[derive(Deserialize)]
struct Vectors {
    derivations: Vec<Derivation>,
    field_tags: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Derivation {
    secret: String,
    purpose: String,
    key_id: String,
    user_key: String,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    outcome: String,
    why: String,
    field: String,
    purpose: String,
    secret: String,
    binary: Option<String>,
    text: Option<String>,
    zeros: Option<usize>,
    kind: Option<String>,
    value: Option<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/envelope.json")).unwrap()
}

fn user_key(secret: &str, purpose: &str) -> UserKey {
    let secret = Secret::from_slice(&hex::decode(secret).unwrap()).unwrap();
    let length = u16::try_from(purpose.len()).unwrap().to_be_bytes();
    let id = expand::<16>(&secret, &[labels::KEY_ID, &length, purpose.as_bytes()]);
    let key = expand(&secret, &[labels::USER_KEY, &length, purpose.as_bytes()]);
    UserKey::from_parts(KeyId(*id.expose()), key)
}

/// The outcome's name, and what was released.
type Outcome = (&'static str, Option<(Kind, Vec<u8>)>);

/// What reading gives.
fn outcome(case: &Case, bytes: &[u8]) -> Outcome {
    let key = user_key(&case.secret, &case.purpose);
    let mut out = b"untouched".to_vec();
    let opened = EnvelopeRef::parse(bytes)
        .map_err(OpenError::from)
        .and_then(|envelope| open(&key, FieldName::new(&case.field).unwrap(), envelope, &mut out));
    let released = out.split_off(9);
    assert_eq!(out, b"untouched", "{}", case.name);
    match opened {
        Ok(kind) => ("opens", Some((kind, released))),
        Err(error) => {
            assert!(released.is_empty(), "{}: {} released {} bytes", case.name, error, released.len());
            (error.name(), None)
        }
    }
}

/// Reads each form that the case has.
fn outcomes(case: &Case) -> Vec<Outcome> {
    let mut found = Vec::new();
    if let Some(binary) = &case.binary {
        found.push(outcome(case, &hex::decode(binary).unwrap()));
    }
    if let Some(zeros) = case.zeros {
        found.push(outcome(case, &vec![0; zeros]));
    }
    if let Some(text) = &case.text {
        found.push(match dearmour(text.as_bytes()) {
            Ok(bytes) => outcome(case, &bytes),
            Err(error) => (OpenError::from(error).name(), None),
        });
    }
    found
}

#[test]
fn every_vector_has_its_stated_outcome() {
    for case in vectors().cases {
        let found = outcomes(&case);
        assert!(!found.is_empty(), "{}: no input", case.name);
        for (outcome, released) in found {
            assert_eq!(outcome, case.outcome, "{} ({})", case.name, case.why);
            if let Some((kind, value)) = released {
                assert_eq!(format!("{kind:?}").to_lowercase(), *case.kind.as_ref().unwrap(), "{}", case.name);
                assert_eq!(hex::encode(value), *case.value.as_ref().unwrap(), "{}", case.name);
            }
        }
    }
}

#[test]
fn keys_and_ids_derive_as_stated() {
    for stated in vectors().derivations {
        let key = user_key(&stated.secret, &stated.purpose);
        assert_eq!(hex::encode(key.id().0), stated.key_id);
        assert_eq!(hex::encode(key.secret().expose()), stated.user_key);
    }
}

#[test]
fn field_tags_are_as_stated() {
    for (name, tag) in vectors().field_tags {
        assert_eq!(hex::encode(field_tag(&name).0), tag, "{name}");
    }
}

#[test]
fn most_vectors_are_rejects_and_every_outcome_occurs() {
    let cases = vectors().cases;
    let opens = cases.iter().filter(|case| case.outcome == "opens").count();
    assert!(opens * 4 < cases.len());
    let outcomes: HashSet<_> = cases.iter().map(|case| case.outcome.as_str()).collect();
    for error in [
        OpenError::Armour,
        OpenError::TooShort,
        OpenError::TooLong,
        OpenError::Version,
        OpenError::WrongKey,
        OpenError::WrongField,
        OpenError::NotAuthentic,
        OpenError::Malformed,
    ] {
        assert!(outcomes.contains(error.name()), "no vector for {}", error.name());
    }
    let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two vectors have one name");
}

/// The specification shows these bytes: they must be the vectors'.
#[test]
fn the_worked_bytes_of_the_specification_are_those_of_the_vectors() {
    let squeezed: String = include_str!("../src/envelope/SPEC.md").split_whitespace().collect();
    let vectors = vectors();
    let case = vectors.cases.iter().find(|case| case.name == "text").unwrap();
    for shown in [case.binary.as_ref(), case.text.as_ref()] {
        assert!(squeezed.contains(shown.unwrap()));
    }
    let derived = &vectors.derivations[0];
    assert!(squeezed.contains(&derived.key_id) && squeezed.contains(&derived.user_key));
    assert!(squeezed.contains(&vectors.field_tags["last_name"]));
}

#[derive(Deserialize)]
struct BodyVectors {
    secret: String,
    purpose: String,
    salt: String,
    body_key: String,
    cases: Vec<BodyCase>,
}

#[derive(Deserialize)]
struct BodyCase {
    name: String,
    outcome: String,
    field: String,
    sealed: Option<String>,
    sha256: Option<String>,
    body: Option<String>,
    length: Option<usize>,
}

/// A subject secret whose bytes are known: a keystore's row, wrapped by hand.
fn subject_secret(secret: &str, purpose: &str) -> SubjectSecret {
    let purpose = Purpose::new(purpose).unwrap();
    let secret = Secret::from_slice(&hex::decode(secret).unwrap()).unwrap();
    SubjectSecret::from_bytes(secret, purpose)
}

#[test]
fn every_sealed_body_has_its_stated_outcome() {
    let vectors: BodyVectors = serde_json::from_str(include_str!("vectors/body.json")).unwrap();
    let secret = subject_secret(&vectors.secret, &vectors.purpose);
    let salt: [u8; 16] = hex::decode(&vectors.salt).unwrap().try_into().unwrap();
    assert_eq!(hex::encode(secret.body_key(&salt).secret().expose()), vectors.body_key);
    for case in &vectors.cases {
        let field = FieldName::new(&case.field).unwrap();
        let clear = match (&case.body, case.length) {
            (Some(hex), _) => hex::decode(hex).unwrap(),
            (None, Some(n)) => (0..n).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect(),
            (None, None) => Vec::new(),
        };
        let sealed = match &case.sealed {
            Some(sealed) => hex::decode(sealed).unwrap(),
            None => {
                // Sealed here with the vector's salt it is the other implementation's, byte for byte.
                let id = secret.key_id();
                let mut sealer = BodySealer::salted(id, field, salt, &secret.body_key(&salt)).unwrap();
                let mut out = sealer.header().to_vec();
                let mut chunks = clear.chunks(CHUNK_LEN).peekable();
                while let Some(chunk) = chunks.next() {
                    sealer.seal(chunk, chunks.peek().is_none(), &mut out).unwrap();
                }
                assert_eq!(hex::encode(sha256(&[&out])), *case.sha256.as_ref().unwrap(), "{}", case.name);
                out
            }
        };
        match open_body(&sealed, field, |header| secret.body_key(&header.salt())) {
            Ok(opened) => assert_eq!((&*case.outcome, &opened), ("opens", &clear), "{}", case.name),
            Err(error) => assert_eq!(error.name(), case.outcome, "{}", case.name),
        }
    }
    assert!(vectors.cases.len() > 12);
}
