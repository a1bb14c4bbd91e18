//! What the service learns about where a request came from: `Via`, `Forwarded`, `X-Forwarded-*`, `Host`.

use crate::config::HttpForwarded;
use crate::http::head::without;
use crate::protect::Door;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a field claims where a request came from.
fn is_claim(name: &str) -> bool {
    matches!(
        name,
        "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-server"
            | "x-forwarded-prefix"
            | "x-forwarded-ssl"
            | "x-real-ip"
    )
}

/// A connection's client, as the record knows it.
pub(in crate::http) struct Caller {
    /// Where it connects from; none of a Unix socket.
    address: Option<IpAddr>,
    /// The door of its exchanges without a token, of the policy that the last one was decided by.
    nameless: Mutex<Option<Arc<Door>>>,
}

impl Caller {
    /// Where it connects from.
    pub(in crate::http) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The door of exchanges without a token: made once for a connection and a policy, which is `policy`'s.
    pub(in crate::http) fn nameless(&self, policy: &Door, make: impl FnOnce() -> Door) -> Arc<Door> {
        let mut nameless = self.nameless.lock();
        match &*nameless {
            Some(door) if door.is_of(policy) => Arc::clone(door),
            _ => Arc::clone(nameless.insert(Arc::new(make()))),
        }
    }
}

/// A client's connection, as the service is told of it. Made once for each connection.
pub(in crate::http) struct Origin {
    mode: HttpForwarded,
    caller: Caller,
    address: HeaderValue,
    proto: HeaderValue,
    /// An element of `Forwarded` (RFC 7239 §4), without `host`.
    element: HeaderValue,
}

impl Origin {
    /// Of a connection from that address (`None`: a Unix socket), with TLS or without.
    pub(in crate::http) fn new(mode: HttpForwarded, peer: Option<SocketAddr>, secure: bool) -> Self {
        let proto = if secure { "https" } else { "http" };
        let (address, node) = match peer.map(|peer| peer.ip().to_canonical()) {
            None => ("unix:".to_owned(), "\"_unix\"".to_owned()),
            Some(IpAddr::V4(ip)) => (ip.to_string(), ip.to_string()),
            Some(IpAddr::V6(ip)) => (ip.to_string(), format!("\"[{ip}]\"")),
        };
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            mode,
            caller: Caller { address: peer.map(|peer| peer.ip().to_canonical()), nameless: Mutex::default() },
            address: value(address),
            proto: HeaderValue::from_static(proto),
            element: value(format!("for={node};proto={proto}")),
        }
    }

    /// The client, for the record.
    pub(in crate::http) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Writes it into a request's head. `host` is what the client asked for.
    pub(super) fn tell(&self, headers: &mut HeaderMap, host: Option<&HeaderValue>) {
        if self.mode != HttpForwarded::Append {
            without(headers, is_claim);
        }
        if self.mode == HttpForwarded::None {
            return;
        }
        append(headers, FOR, &self.address);
        append(headers, header::FORWARDED, &self.element);
        // The proxy in front knows better, where there is one.
        headers.entry(PROTO).or_insert_with(|| self.proto.clone());
        if let Some(host) = host {
            headers.entry(HOST).or_insert_with(|| host.clone());
        }
    }
}

/// Adds an element to a list field, in the one value that it then has.
pub(super) fn append(headers: &mut HeaderMap, name: HeaderName, element: &HeaderValue) {
    match headers.entry(name) {
        header::Entry::Vacant(entry) => drop(entry.insert(element.clone())),
        header::Entry::Occupied(mut entry) => {
            let mut all = Vec::with_capacity(128);
            for value in entry.iter() {
                all.extend_from_slice(value.as_bytes());
                all.extend_from_slice(b", ");
            }
            all.extend_from_slice(element.as_bytes());
            // Values joined by commas are a value.
            if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(all)) {
                entry.insert(joined);
            }
        }
    }
}

/// Whether a `Via` holds that pseudonym (RFC 9110 §7.6.3).
pub(super) fn came_through(headers: &HeaderMap, pseudonym: &str) -> bool {
    headers.get_all(header::VIA).iter().any(|value| {
        let mut items = value.as_bytes().split(|byte| *byte == b',');
        items.any(|item| {
            item.trim_ascii().split(|byte| *byte == b' ').nth(1).is_some_and(|by| by == pseudonym.as_bytes())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(mode: HttpForwarded, before: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in before {
            map.append(*name, HeaderValue::from_static(value));
        }
        let origin = Origin::new(mode, Some("10.1.2.3:40000".parse().unwrap()), false);
        origin.tell(&mut map, Some(&HeaderValue::from_static("app.example")));
        map
    }

    #[test]
    fn the_service_learns_where_a_request_came_from() {
        let map = told(HttpForwarded::Append, &[]);
        assert_eq!(map["x-forwarded-for"], "10.1.2.3");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert_eq!(map["x-forwarded-host"], "app.example");
        assert_eq!(map["forwarded"], "for=10.1.2.3;proto=http");
    }

    #[test]
    fn what_proxies_in_front_said_is_kept_and_added_to() {
        let before =
            [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), ("x-forwarded-proto", "https")];
        let map = told(HttpForwarded::Append, &before);
        assert_eq!(map["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.1.2.3");
        assert_eq!(map.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(map["x-forwarded-proto"], "https");
    }

    #[test]
    fn what_the_client_claims_is_dropped_where_it_does_not_count() {
        let before = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1"), ("x-real-ip", "1.1.1.1")];
        let map = told(HttpForwarded::Replace, &before);
        assert_eq!(map["x-forwarded-for"], "10.1.2.3");
        assert_eq!(map["forwarded"], "for=10.1.2.3;proto=http");
        assert!(!map.contains_key("x-real-ip"));
        assert!(told(HttpForwarded::None, &before).is_empty(), "a partner learns nothing");
    }

    #[test]
    fn addresses_of_version_6_are_quoted_and_sockets_have_a_word() {
        let of =
            |peer: Option<&str>| Origin::new(HttpForwarded::Append, peer.map(|p| p.parse().unwrap()), true);
        assert_eq!(of(Some("[2001:db8::1]:1")).element, "for=\"[2001:db8::1]\";proto=https");
        assert_eq!(of(Some("[::ffff:10.0.0.1]:1")).element, "for=10.0.0.1;proto=https");
        assert_eq!(of(None).element, "for=\"_unix\";proto=https");
    }

    #[test]
    fn a_request_that_came_through_before_is_known() {
        let mut map = HeaderMap::new();
        map.append(header::VIA, HeaderValue::from_static("1.0 fred, 1.1 paravent-ab (x)"));
        assert!(came_through(&map, "paravent-ab"));
        assert!(!came_through(&map, "paravent-a"));
        assert!(!came_through(&map, "fred,"));
    }
}
