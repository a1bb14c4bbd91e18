//! GraphQL operations (spec of October 2021, §2): their text must hold no values, which come as variables.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A request, as GraphQL over HTTP has it.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    variables: Option<&'a RawValue>,
}

/// Whether a request's variables are an object, or none: some services take a text that holds one as well, into which
/// nobody looked.
pub(super) fn has_plain_variables(request: &[u8]) -> bool {
    let request = request.strip_prefix(b"\xef\xbb\xbf").unwrap_or(request).trim_ascii();
    request.first() == Some(&b'{')
        && serde_json::from_slice::<Request<'_>>(request)
            .is_ok_and(|request| request.variables.is_none_or(|raw| raw.get().starts_with('{')))
}

/// Whether a document's text holds no strings and no numbers. Just enough is read: names, comments and punctuators.
pub(super) fn is_free_of_values(text: &str) -> bool {
    // In a comment too: what ends a comment was another matter once.
    if text.contains('"') {
        return false;
    }
    text.trim_start_matches('\u{feff}').split(['\n', '\r']).all(|line| {
        let code = line.split('#').next().unwrap_or_default();
        let mut within = false;
        code.bytes().all(|byte| {
            let digit = byte.is_ascii_digit() && !within;
            within = byte.is_ascii_alphanumeric() || byte == b'_';
            byte.is_ascii() && !digit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_whose_values_are_variables_passes() {
        for text in [
            "query($e: String!, $n: Int) { people(filter: {email: {_eq: $e}}, limit: $n) { id email v2 address1 } }",
            "{ people { id ...on person { name } } } # 3 of them\n",
            "\u{feff}mutation M($data: [create!]!) @live(if: true) {\r\n create(data: $data, state: open, x: null) { id }\n}",
        ] {
            assert!(is_free_of_values(text), "{text}");
        }
    }

    #[test]
    fn variables_are_an_object() {
        for text in [r#"{}"#, r#"{"variables":null}"#, r#"{"variables": {"a":1}}"#, "\u{feff}{\"x\":[]}"] {
            assert!(has_plain_variables(text.as_bytes()), "{text}");
        }
        for text in
            [r#"{"variables":"{}"}"#, r#"{"v\u0061riables":"{}"}"#, r#"{"variables":[]}"#, "[]", "{}{}", ""]
        {
            assert!(!has_plain_variables(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_operation_with_values_in_its_text_does_not() {
        for text in [
            r#"{ people(email: "a@b") { id } }"#,
            r#"{ people(email: """a@b""") { id } }"#,
            "query($e: String = \"a\") { x }",
            "{ people(phone: 33612345678) { id } }",
            "{ people(x: -1.5e3) { id } }",
            "{ a } # \u{2028} { people(email: \"a\") }",
            "# a comment\r{ people(badge:7) { id } }",
            "{ people(name: Zo\u{eb}) { id } }",
        ] {
            assert!(!is_free_of_values(text), "{text}");
        }
    }
}
