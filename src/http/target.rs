//! A request's target: segments and query parameters, decoded, and encoded again where they were replaced
//! (RFC 3986 §2, WHATWG URL §5).

use super::plan::Plan;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stands in a segment as it is: unreserved characters, and those that a path lets through.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b'=')
    .remove(b':');

const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b',');

/// A segment's text.
pub(super) fn decode(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

/// A form's or query's text: `+` is a space.
pub(super) fn decode_form(raw: &str) -> String {
    decode(&raw.replace('+', " "))
}

/// The same, where every escape must name a character.
pub(super) fn decode_form_exact(raw: &str) -> Option<String> {
    let spaced = raw.replace('+', " ");
    let mut rest = spaced.as_str();
    while let Some(at) = rest.find('%') {
        let hex = rest.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        hex?;
        rest = &rest[at + 3..];
    }
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

pub(super) fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

pub(super) fn encode_query(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// The raw value of a path's parameter of that position.
pub(super) fn segment<'p>(plan: &Plan, path: &'p str, position: usize) -> Option<&'p str> {
    let at = *plan.positions.get(position)?;
    path.strip_prefix('/')?.split('/').nth(at)
}

/// The raw values of a path's parameters, in order; none where nobody asks for them.
pub(super) fn values<'p>(plan: &Plan, path: &'p str) -> Vec<&'p str> {
    if !plan.reads_path() {
        return Vec::new();
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let value = |(number, at): (usize, &usize)| match plan.rest && number + 1 == plan.positions.len() {
        true => path.splitn(at + 1, '/').nth(*at),
        false => path.split('/').nth(*at),
    };
    plan.positions.iter().enumerate().filter_map(value).collect()
}

/// The path with another raw value there.
pub(super) fn with_segment(plan: &Plan, path: &str, position: usize, raw: &str) -> String {
    let at = plan.positions.get(position).copied();
    let parts = path.strip_prefix('/').unwrap_or(path).split('/').enumerate();
    let parts: Vec<&str> = parts.map(|(n, part)| if Some(n) == at { raw } else { part }).collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::policy_only;

    #[test]
    fn a_parameter_is_what_stands_in_its_place_and_the_last_may_be_all_that_is_left() {
        let text = "[fields]\nemail = \"pseudonym\"\n[[http]]\n\
            [[http.routes]]\npath = \"/people/{id}/mail/{box}\"\nsubject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\
            [[http.routes]]\npath = \"/people/{id}/files/{*rest}\"\nsubject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\
            [[http.routes]]\npath = \"/all/{page}\"\nsubject = \"json:/id\"\nfields = { \"/email\" = \"email\" }\n";
        let policy = policy_only(text).unwrap();
        let plans: Vec<Plan> = policy.http[0].iter().map(Plan::new).collect();
        assert_eq!(values(&plans[0], "/people/4%32/mail/in"), ["4%32", "in"]);
        assert_eq!(values(&plans[1], "/people/42/files/a/b.txt"), ["42", "a/b.txt"]);
        assert_eq!(values(&plans[1], "/people/42/files/A%20b/"), ["42", "A%20b/"]);
        assert!(values(&plans[2], "/all/7").is_empty(), "nobody asks");
    }

    #[test]
    fn an_identifier_is_escaped_as_its_place_wants() {
        assert_eq!(encode_segment("alice@example.org"), "alice@example.org");
        assert_eq!(encode_segment("a/b c?"), "a%2Fb%20c%3F");
        assert_eq!(encode_query("a+b&c=d@e"), "a%2Bb%26c%3Dd@e");
        assert_eq!(decode_form("a+b%2Bc"), "a b+c");
        assert_eq!(decode_form_exact("a%2"), None);
        assert_eq!(decode_form_exact("%ff"), None);
    }
}
