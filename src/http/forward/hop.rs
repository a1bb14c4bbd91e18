//! Fields that concern one connection only (RFC 9110 §7.6.1): they are taken out, never passed on.

use crate::http::head::without;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that `Connection` can't name: they say where a message goes or ends, or what it holds, and
/// taking them out here would leave the service with another message than the one that was judged.
const END_TO_END: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "authorization",
    "cookie",
    "set-cookie",
    "cache-control",
    "expect",
    "range",
];

/// Which fields a head has that are looked at for their connection's or their message's sake. Most have few: one look
/// over the names costs less than asking for each.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Present {
    connection: bool,
    /// One that [`is_hop`].
    hop: bool,
    pub(super) te: bool,
    pub(super) upgrade: bool,
    pub(super) coding: bool,
    pub(super) length: bool,
    pub(super) expect: bool,
    pub(super) via: bool,
}

impl Present {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        for name in headers.keys().map(HeaderName::as_str) {
            match name {
                "connection" => all.connection = true,
                "te" => all.te = true,
                "upgrade" => all.upgrade = true,
                "transfer-encoding" => all.coding = true,
                "content-length" => all.length = true,
                "expect" => all.expect = true,
                "via" => all.via = true,
                _ => {}
            }
            all.hop |= is_hop(name);
        }
        all
    }
}

/// Takes every such field out. `false` where `Connection` is malformed, or names a field that is for everybody.
pub(super) fn strip(headers: &mut HeaderMap, present: Present) -> bool {
    if present.connection {
        join(headers);
        if let Some(options) = headers.remove(header::CONNECTION)
            && !named(headers, &options)
        {
            return false;
        }
    }
    if present.hop {
        without(headers, is_hop);
    }
    true
}

/// Whether a field is of one connection, named or not.
fn is_hop(name: &str) -> bool {
    matches!(
        name,
        "te" | "transfer-encoding"
            | "upgrade"
            // RFC 2068, still sent.
            | "keep-alive"
            // Nobody ever specified it.
            | "proxy-connection"
            // Part of an upgrade that is not passed on (RFC 7540 §3.2.1).
            | "http2-settings"
    )
}

/// Makes one of several `Connection` fields.
fn join(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::CONNECTION).iter();
    let (Some(first), Some(_)) = (values.next(), values.next()) else { return };
    let mut all = first.as_bytes().to_vec();
    for value in headers.get_all(header::CONNECTION).iter().skip(1) {
        all.push(b',');
        all.extend_from_slice(value.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(all)) {
        headers.insert(header::CONNECTION, joined);
    }
}

/// Takes out what `Connection` names.
fn named(headers: &mut HeaderMap, options: &HeaderValue) -> bool {
    for option in options.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if option.is_empty() || is_common(option) {
            continue;
        }
        let Ok(name) = HeaderName::from_bytes(option) else { return false };
        if END_TO_END.contains(&name.as_str()) {
            return false;
        }
        headers.remove(name);
    }
    true
}

/// Options that stand in nearly every `Connection`, and name nothing that isn't taken out anyway.
fn is_common(option: &[u8]) -> bool {
    [b"keep-alive".as_slice(), b"close", b"upgrade", b"te"]
        .iter()
        .any(|known| option.eq_ignore_ascii_case(known))
}

/// Whether a list field holds that token (RFC 9110 §5.6.1), whatever its case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn stripped(map: &mut HeaderMap) -> bool {
        let present = Present::of(map);
        strip(map, present)
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        map.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_of_one_connection_are_taken_out_and_others_stay() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-Private"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("x-private", "1"),
            ("accept", "*/*"),
        ]);
        assert!(stripped(&mut map));
        assert_eq!(names(&map), ["accept"]);
    }

    #[test]
    fn several_connection_fields_count_as_one() {
        let mut map = headers(&[("connection", "close"), ("connection", "x-a"), ("x-a", "1"), ("x-b", "2")]);
        assert!(stripped(&mut map));
        assert_eq!(names(&map), ["x-b"]);
    }

    #[test]
    fn connection_cannot_name_what_is_for_everybody() {
        for name in END_TO_END {
            let mut map = HeaderMap::new();
            map.insert(header::CONNECTION, HeaderValue::from_str(&format!("close, {name}")).unwrap());
            assert!(!stripped(&mut map), "{name}");
        }
        assert!(!stripped(&mut headers(&[("connection", "not a token")])));
    }

    #[test]
    fn a_token_is_found_in_a_list_whatever_its_case() {
        let map = headers(&[("te", "gzip"), ("te", "x , Trailers")]);
        assert!(has_token(&map, &header::TE, "trailers"));
        assert!(!has_token(&map, &header::TE, "trail"));
    }
}
