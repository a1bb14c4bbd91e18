//! The test vectors of `src/envelope/SPEC.md`, made by a second implementation (`tests/vectors/envelope.py`).

// Helpers of a test binary are not inside #[test], where clippy.toml allows it.
#![allow(clippy::unwrap_used)]

use paravent::clear::Kind;
use paravent::crypto::expand;
use paravent::envelope::{EnvelopeRef, FieldName, OpenError, dearmour, field_tag, open};
use paravent::ids::KeyId;
use paravent::keys::{UserKey, labels};
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
