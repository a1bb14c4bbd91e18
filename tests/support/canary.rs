//! Finds a clear value in any of the encodings in which it could leak.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The byte strings by which a value would be recognised, each with the name of its encoding.
pub fn traces(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut found = vec![
        ("raw", value.to_vec()),
        ("hex", hex::encode(value).into_bytes()),
        ("HEX", hex::encode_upper(value).into_bytes()),
    ];
    // The same bytes at each of the three alignments within a longer base64 text.
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend(value);
        for (name, text) in
            [("base64", STANDARD_NO_PAD.encode(&shifted)), ("base64url", URL_SAFE_NO_PAD.encode(&shifted))]
        {
            let inner = &text.as_bytes()[usize::from(shift > 0) * (shift + 1)..text.len() - 2];
            found.push((name, inner.to_vec()));
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        found.push(("UTF-16LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        found.push(("UTF-16BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        let json: String = text
            .encode_utf16()
            .map(|unit| match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
                _ => format!("\\u{unit:04x}"),
            })
            .collect();
        found.push(("JSON", json.into_bytes()));
        found.push(("upper case", text.to_uppercase().into_bytes()));
        found.push(("lower case", text.to_lowercase().into_bytes()));
        found.push(("octal", octal(value).into_bytes()));
    }
    found
}

/// `bytea_output = escape`.
fn octal(value: &[u8]) -> String {
    let one = |b: &u8| if b.is_ascii() { char::from(*b).to_string() } else { format!("\\{b:03o}") };
    value.iter().map(one).collect()
}

/// Asserts that no canary lies in `bytes`, in whatever encoding.
pub fn assert_absent(place: &str, bytes: &[u8], canaries: &[&[u8]]) {
    for canary in canaries {
        assert!(canary.len() >= 6, "a canary of fewer bytes would be found by chance");
        for (encoding, trace) in traces(canary) {
            assert!(
                memchr::memmem::find(bytes, &trace).is_none(),
                "{place} holds {:?} as {encoding}",
                String::from_utf8_lossy(canary)
            );
        }
    }
}

#[test]
fn finds_a_value_in_every_encoding() {
    let value = "Éloïse canari";
    let seen = |bytes: Vec<u8>| {
        std::panic::catch_unwind(|| assert_absent("here", &bytes, &[value.as_bytes()])).is_err()
    };
    let within = |text: String| format!("xx{text}yy").into_bytes();
    assert!(seen(within(value.to_owned())));
    assert!(seen(within(hex::encode(value))));
    for lead in ["", "a", "ab"] {
        assert!(seen(within(STANDARD_NO_PAD.encode(format!("{lead}{value} and more")))));
    }
    assert!(seen(value.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    assert!(seen(value.encode_utf16().flat_map(u16::to_be_bytes).collect()));
    assert!(seen(within("\\u00c9lo\\u00efse canari".to_owned())));
    assert!(!seen(within("Éloïse can ari".to_owned())));
}
