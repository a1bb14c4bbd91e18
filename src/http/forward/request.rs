//! A request's head: judged strictly, then made one that this gateway sends.
//!
//! hyper already refuses what can't be parsed (whitespace before a colon, folded lines, control characters,
//! contradicting lengths) and closes a connection whose request had both framings. Here is what remains: what two
//! parties could still read in two ways.

use super::fault;
use super::forwarded::{self, Origin};
use super::hop::{self, Present};
use crate::config::HttpHost;
use crate::http::problem::Problem;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version};

/// What the listener adds to every request.
pub(super) struct Manner {
    pub(super) host: HttpHost,
    /// The service's own `Host`.
    pub(super) authority: HeaderValue,
    /// `1.1` and this listener's pseudonym.
    pub(super) via: HeaderValue,
    /// The same of a request that came by HTTP/2.
    pub(super) via_two: HeaderValue,
    /// The pseudonym alone.
    pub(super) pseudonym: String,
    /// So many fields a head may have.
    pub(super) headers: usize,
    /// The longest body.
    pub(super) body_bytes: Option<u64>,
}

/// What the head asked for that concerns this connection only.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// To go on in another protocol.
    pub(super) upgrade: bool,
    /// To say first whether the body is welcome.
    pub(super) expects: bool,
}

/// Judges the head, and rewrites it in place: origin form, one `Host`, nothing that is of this connection only.
///
/// # Errors
/// The answer to the client; nothing is forwarded.
pub(super) fn admit(head: &mut Parts, manner: &Manner, origin: &Origin) -> Result<Asked, Problem> {
    if head.method == Method::CONNECT {
        return Err(fault::connect());
    }
    let two = head.version == Version::HTTP_2;
    // Of HTTP/1.1 hyper counts them.
    if two && head.headers.len() > manner.headers {
        return Err(fault::fields());
    }
    if two {
        crumbs(&mut head.headers);
    }
    let present = Present::of(&head.headers);
    framing(head, manner, present)?;
    let host = host(head)?;
    target(head)?;
    let asked = Asked {
        upgrade: present.upgrade && upgrade(head),
        expects: present.expect && expects(&head.headers)?,
    };
    let trailers = present.te && hop::has_token(&head.headers, &header::TE, "trailers");
    let protocol = if asked.upgrade { head.headers.remove(header::UPGRADE) } else { None };
    if !hop::strip(&mut head.headers, present) {
        return Err(fault::connection());
    }
    if present.via && forwarded::came_through(&head.headers, &manner.pseudonym) {
        return Err(fault::circle());
    }
    origin.tell(&mut head.headers, host.as_ref());
    let via = if two { &manner.via_two } else { &manner.via };
    forwarded::append(&mut head.headers, header::VIA, via);
    match (manner.host, host) {
        (HttpHost::Client, Some(host)) => drop(head.headers.insert(header::HOST, host)),
        _ => drop(head.headers.insert(header::HOST, manner.authority.clone())),
    }
    if let Some(protocol) = protocol {
        head.headers.insert(header::UPGRADE, protocol);
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else if trailers {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    head.version = Version::HTTP_11;
    Ok(asked)
}

/// Makes one of several `Cookie` fields, as HTTP/2 lets clients send them (RFC 9113 §8.2.3): HTTP/1.1 knows one only.
fn crumbs(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::COOKIE).iter();
    if let (Some(_), Some(_)) = (values.next(), values.next()) {
        let values: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // Values joined like this are a value.
        if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(values.join(&b"; "[..]))) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

/// The client stays with HTTP: a server may ignore the wish (RFC 9110 §7.8).
pub(super) fn withdraw_upgrade(head: &mut Parts, asked: &mut Asked) {
    asked.upgrade = false;
    head.headers.remove(header::UPGRADE);
    head.headers.remove(header::CONNECTION);
}

/// Transfer codings other than chunks are not taken apart here, and lengths beyond the limit not at all.
fn framing(head: &Parts, manner: &Manner, present: Present) -> Result<(), Problem> {
    if present.coding {
        let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
        let chunks = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunks || codings.next().is_some() {
            return Err(fault::framing("a transfer coding other than `chunked`, or more than one"));
        }
        if present.length {
            return Err(fault::framing("Content-Length and Transfer-Encoding in one request"));
        }
    }
    if !present.length {
        return Ok(());
    }
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let length = digits(length).filter(|_| lengths.next().is_none());
        let Some(length) = length else {
            return Err(fault::framing("Content-Length is not one whole number"));
        };
        if manner.body_bytes.is_some_and(|limit| length > limit) {
            return Err(fault::too_large());
        }
    }
    Ok(())
}

/// A `Content-Length`: digits, nothing else (RFC 9110 §8.6), and none that another reader could take for octal.
pub(super) fn digits(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let octal = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || octal || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The one authority that the request is for: its target's, and `Host`'s where there is one.
fn host(head: &mut Parts) -> Result<Option<HeaderValue>, Problem> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(fault::host("several Host fields"));
    }
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    match (authority, field) {
        (None, None) if head.version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(fault::host("no Host")),
        (None, Some(field)) => match is_authority(field.as_bytes()) {
            true => Ok(Some(field.clone())),
            false => Err(fault::host("Host is not a name or an address, with a port or without")),
        },
        (Some(authority), field) => {
            if !is_authority(authority.as_bytes()) {
                return Err(fault::host("the target's authority is not a name or an address"));
            }
            if field.is_some_and(|field| !field.as_bytes().eq_ignore_ascii_case(authority.as_bytes())) {
                return Err(fault::host("Host and the request's target name different authorities"));
            }
            HeaderValue::from_str(authority).map(Some).map_err(|_| fault::host("the target's authority"))
        }
    }
}

/// A registered name or an address, and perhaps a port (RFC 3986 §3.2.2), without anything that another
/// reader could take for a user, a path or a list.
fn is_authority(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'~')
        })
}

/// Origin form (RFC 9112 §3.2.1), or `*` for OPTIONS.
fn target(head: &mut Parts) -> Result<(), Problem> {
    let uri = &head.uri;
    match (uri.scheme_str(), uri.authority().is_some()) {
        (None, false) => {
            return match uri.path() {
                path if path.starts_with('/') => Ok(()),
                "*" if head.method == Method::OPTIONS => Ok(()),
                _ => Err(fault::target("the target is not a path")),
            };
        }
        (Some("http" | "https"), true) => {}
        _ => return Err(fault::target("the target is neither a path nor an http URL")),
    }
    let path = match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        // `OPTIONS http://host` means the service as a whole (RFC 9112 §3.2.4).
        Some(path) if path.as_str() == "*" && head.method == Method::OPTIONS => path.clone(),
        Some(path) if !path.as_str().starts_with('*') => {
            PathAndQuery::try_from(format!("/{}", path.as_str()))
                .map_err(|_| fault::target("the target's path can't be read"))?
        }
        None => PathAndQuery::from_static("/"),
        Some(_) => return Err(fault::target("the target is not a path")),
    };
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path);
    head.uri = Uri::from_parts(parts).map_err(|_| fault::target("the target's path can't be read"))?;
    Ok(())
}

/// Whether the client wants to go on in another protocol. HTTP itself is none: in a tunnel of HTTP/2
/// requests would pass that nobody judged.
fn upgrade(head: &Parts) -> bool {
    let Some(protocol) = head.headers.get(header::UPGRADE) else { return false };
    let mut all = head.headers.get_all(header::UPGRADE).iter();
    let http = |item: &[u8]| {
        let name = item.trim_ascii();
        let name = name.split(|byte| *byte == b'/').next().unwrap_or(name);
        [b"h2c".as_slice(), b"h2", b"h3", b"http", b"tls", b""].iter().any(|n| name.eq_ignore_ascii_case(n))
    };
    head.version == Version::HTTP_11
        && all.by_ref().count() == 1
        && !protocol.as_bytes().split(|byte| *byte == b',').any(http)
        && hop::has_token(&head.headers, &header::CONNECTION, "upgrade")
}

fn expects(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut values = headers.get_all(header::EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(fault::expectation()),
    }
}
