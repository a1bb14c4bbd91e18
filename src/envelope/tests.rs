//! Sealing and opening together. Known answers from outside stand in `tests/vectors.rs`.

use super::*;
use crate::clear::Kind;
use crate::crypto::expand;
use crate::ids::{FieldTag, KeyId};
use crate::keys::{UserKey, labels};
use crate::secret::Secret;
use proptest::prelude::*;

fn key() -> UserKey {
    UserKey::from_parts(KeyId([0xAB; 16]), Secret::new([3; 32]))
}

fn field(name: &str) -> FieldName<'_> {
    FieldName::new(name).unwrap()
}

fn sealed(value: &[u8], padding: Padding) -> Vec<u8> {
    seal(&key(), field("last_name"), Kind::Bytes, value, padding).unwrap()
}

fn try_open(key: &UserKey, field: FieldName<'_>, bytes: &[u8]) -> Result<(Kind, Vec<u8>), OpenError> {
    let mut out = b"before".to_vec();
    let kind = EnvelopeRef::parse(bytes).map_err(OpenError::from).and_then(|e| open(key, field, e, &mut out));
    assert!(out.starts_with(b"before"));
    if kind.is_err() {
        assert_eq!(out.len(), 6, "nothing is released on an error");
    }
    kind.map(|kind| (kind, out.split_off(6)))
}

#[test]
fn every_kind_comes_back() {
    let numeric = [0, 0, 0, 0, 0, 0, 0, 7];
    let cases: [(Kind, &[u8]); 9] = [
        (Kind::Text, "Lefèvre".as_bytes()),
        (Kind::Bytes, b"\0\xff"),
        (Kind::Bool, &[1]),
        (Kind::Int, &numeric),
        (Kind::Numeric, b"-12.50"),
        (Kind::Date, &numeric[4..]),
        (Kind::Timestamptz, &numeric),
        (Kind::Uuid, &[9; 16]),
        (Kind::Jsonb, br#"{"a": 1}"#),
    ];
    for (kind, value) in cases {
        for padding in [Padding::None, Padding::DEFAULT_BLOCK] {
            let bytes = seal(&key(), field("x"), kind, value, padding).unwrap();
            assert_eq!(bytes.len(), sealed_len(value.len(), padding).unwrap());
            assert_eq!(try_open(&key(), field("x"), &bytes), Ok((kind, value.to_vec())));
        }
    }
}

/// The second implementation's bytes, given its nonces.
#[test]
fn seals_what_the_vectors_say() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/envelope.json")).unwrap();
    let mut sealed = 0;
    for case in vectors["cases"].as_array().unwrap().iter().filter(|case| case["outcome"] == "opens") {
        let text = |name: &str| case[name].as_str().unwrap();
        let secret = Secret::from_slice(&hex::decode(text("secret")).unwrap()).unwrap();
        let purpose = text("purpose");
        let length = u16::try_from(purpose.len()).unwrap().to_be_bytes();
        let id = expand::<16>(&secret, &[labels::KEY_ID, &length, purpose.as_bytes()]);
        let key = expand(&secret, &[labels::USER_KEY, &length, purpose.as_bytes()]);
        let key = UserKey::from_parts(KeyId(*id.expose()), key);
        let stated = hex::decode(text("binary")).unwrap();
        let nonce = stated[21..33].try_into().unwrap();
        let kind = Kind::from_byte((1..=9).find(|n| kind_name(*n) == text("kind")).unwrap()).unwrap();
        let padding = match case["block"].as_u64().unwrap() {
            0 => Padding::None,
            block => Padding::Block(u16::try_from(block).unwrap()),
        };
        let value = hex::decode(text("value")).unwrap();
        let ours = seal::seal_with(&key, field(text("field")), kind, &value, padding, &nonce).unwrap();
        assert_eq!(hex::encode(&ours), text("binary"), "{}", text("name"));
        assert_eq!(armour(&ours), text("text"));
        sealed += 1;
    }
    assert!(sealed >= 18);
}

fn kind_name(byte: u8) -> String {
    format!("{:?}", Kind::from_byte(byte).unwrap()).to_lowercase()
}

#[test]
fn the_empty_text_is_a_value() {
    let bytes = seal(&key(), field("x"), Kind::Text, b"", Padding::None).unwrap();
    assert_eq!(bytes.len(), MIN_LEN);
    assert_eq!(try_open(&key(), field("x"), &bytes), Ok((Kind::Text, vec![])));
}

#[test]
fn sealing_twice_gives_two_envelopes() {
    assert_ne!(sealed(b"a", Padding::None), sealed(b"a", Padding::None));
}

#[test]
fn seals_in_one_allocation_of_the_exact_size() {
    let bytes = sealed(&[1; 100], Padding::DEFAULT_BLOCK);
    assert_eq!(bytes.capacity(), bytes.len());
}

#[test]
fn refuses_to_seal_what_is_not_canonical() {
    let error = seal(&key(), field("x"), Kind::Bool, &[2], Padding::None).unwrap_err();
    assert_eq!(error, SealError::NotCanonical);
    let error = seal(&key(), field("x"), Kind::Text, &[0xFF], Padding::None).unwrap_err();
    assert_eq!(error, SealError::NotCanonical);
}

#[test]
fn refuses_a_value_that_is_too_long() {
    let value = vec![0; MAX_PLAINTEXT];
    let error = seal(&key(), field("x"), Kind::Bytes, &value, Padding::None).unwrap_err();
    assert_eq!(error, SealError::TooLong);
}

#[test]
fn refuses_an_envelope_copied_to_another_field() {
    let bytes = sealed(b"a", Padding::None);
    assert_eq!(try_open(&key(), field("first_name"), &bytes), Err(OpenError::WrongField));
}

/// Two names whose four-byte tags collide: the full name is associated data.
#[test]
fn refuses_another_field_even_where_the_tags_collide() {
    let bytes = sealed(b"a", Padding::None);
    let colliding = FieldName::tagged("first_name", field_tag("last_name")).unwrap();
    assert_eq!(try_open(&key(), colliding, &bytes), Err(OpenError::NotAuthentic));
}

#[test]
fn refuses_another_key_by_its_id_and_a_swapped_key_by_its_bytes() {
    let bytes = sealed(b"a", Padding::None);
    let other = UserKey::from_parts(KeyId([0xAC; 16]), Secret::new([3; 32]));
    assert_eq!(try_open(&other, field("last_name"), &bytes), Err(OpenError::WrongKey));
    let swapped = UserKey::from_parts(KeyId([0xAB; 16]), Secret::new([4; 32]));
    assert_eq!(try_open(&swapped, field("last_name"), &bytes), Err(OpenError::NotAuthentic));
}

#[test]
fn refuses_an_envelope_whose_key_id_was_changed_to_fit() {
    let mut bytes = sealed(b"a", Padding::None);
    bytes[1..17].fill(0xCD);
    let other = UserKey::from_parts(KeyId([0xCD; 16]), Secret::new([3; 32]));
    assert_eq!(try_open(&other, field("last_name"), &bytes), Err(OpenError::NotAuthentic));
}

#[test]
fn a_planted_tag_does_not_turn_one_field_into_another() {
    let mut bytes = sealed(b"a", Padding::None);
    let FieldTag(tag) = field_tag("first_name");
    bytes[17..21].copy_from_slice(&tag);
    assert_eq!(try_open(&key(), field("first_name"), &bytes), Err(OpenError::NotAuthentic));
}

#[test]
fn padding_hides_the_length_within_a_block() {
    let lens: Vec<_> = (0..=27).map(|n| sealed(&vec![7; n], Padding::DEFAULT_BLOCK).len()).collect();
    assert!(lens.iter().all(|len| *len == OVERHEAD + 32), "{lens:?}");
}

#[test]
fn two_envelopes_can_not_be_spliced() {
    let (one, two) = (sealed(b"aaaa", Padding::None), sealed(b"bbbb", Padding::None));
    for cut in 1..one.len() {
        let spliced = [&one[..cut], &two[cut..]].concat();
        if spliced != one && spliced != two {
            assert!(try_open(&key(), field("last_name"), &spliced).is_err(), "spliced at {cut}");
        }
    }
}

#[test]
fn errors_show_no_bytes_of_the_value() {
    let error = seal(&key(), field("x"), Kind::Text, b"Lovelace\xff", Padding::None).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("Lovelace"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_truncation_opens(value: Vec<u8>, padded: bool) {
        let padding = if padded { Padding::DEFAULT_BLOCK } else { Padding::None };
        let bytes = sealed(&value, padding);
        for n in 0..bytes.len() {
            prop_assert!(try_open(&key(), field("last_name"), &bytes[..n]).is_err());
        }
    }

    #[test]
    fn no_extension_opens(value: Vec<u8>, more in proptest::collection::vec(any::<u8>(), 1..40)) {
        let bytes = [sealed(&value, Padding::None), more].concat();
        prop_assert!(try_open(&key(), field("last_name"), &bytes).is_err());
    }

    #[test]
    fn no_flipped_bit_opens(value in proptest::collection::vec(any::<u8>(), 0..40), padded: bool) {
        let padding = if padded { Padding::DEFAULT_BLOCK } else { Padding::None };
        let mut bytes = sealed(&value, padding);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(try_open(&key(), field("last_name"), &bytes).is_err(), "bit {}", bit);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assert!(try_open(&key(), field("last_name"), &bytes).is_ok());
    }

    #[test]
    fn no_flipped_bit_of_the_armour_opens(value in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut text = armour(&sealed(&value, Padding::None)).into_bytes();
        for bit in 0..text.len() * 8 {
            text[bit / 8] ^= 1 << (bit % 8);
            if let Ok(bytes) = dearmour(&text) {
                prop_assert!(try_open(&key(), field("last_name"), &bytes).is_err(), "bit {}", bit);
            }
            text[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn arbitrary_bytes_neither_open_nor_panic(mut bytes: Vec<u8>) {
        prop_assert!(try_open(&key(), field("last_name"), &bytes).is_err());
        bytes.insert(0, VERSION);
        prop_assert!(try_open(&key(), field("last_name"), &bytes).is_err());
    }

    #[test]
    fn everything_sealed_opens(value: Vec<u8>, block: Option<u16>) {
        let padding = block.map_or(Padding::None, Padding::Block);
        prop_assert_eq!(
            try_open(&key(), field("last_name"), &sealed(&value, padding)),
            Ok((Kind::Bytes, value))
        );
    }
}
