//! A request's head: its protected segments, parameters and headers, and what else must change with its body.

use super::coding::ACCEPTED;
use super::exchange::{Body, BodyError, is_untrue};
use super::json_body::Owners;
use super::plan::Plan;
use super::problem::Problem;
use super::query::Query;
use super::range::Wanted;
use super::shield::{Shield, Whose, Write, stored_text};
use super::target::{self, encode_segment};
use super::value;
use crate::policy::model::RouteSubject;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A body's type, as far as routes know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Types {
    Json,
    /// One JSON document a line.
    Lines,
    Form,
    /// With its boundary.
    Multipart(String),
    Other,
}

/// The type is written so that readers may differ about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl Types {
    /// The type of a body (RFC 9110 §8.3).
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Ambiguous> {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Ok(Self::Other) };
        if values.next().is_some() {
            return Err(Ambiguous);
        }
        if value == "application/json" {
            return Ok(Self::Json);
        }
        let text = value.to_str().map_err(|_| Ambiguous)?;
        let (essence, params) = text.split_once(';').unwrap_or((text, ""));
        let essence = lower(essence);
        let json = essence.ends_with("json");
        let mut boundary = None;
        for param in params.split(';') {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            let value = value.trim();
            let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let value = quoted.unwrap_or(value);
            match &*lower(name) {
                "charset"
                    if !matches!(value.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii") =>
                {
                    return Err(Ambiguous);
                }
                "boundary" if !is_boundary(value, quoted.is_some()) => return Err(Ambiguous),
                "boundary" if boundary.replace(value.to_owned()).is_some() => return Err(Ambiguous),
                "charset" | "boundary" | "" => {}
                // In pieces, or in another charset (RFC 2231).
                name if name.starts_with("charset") || name.starts_with("boundary") => return Err(Ambiguous),
                _ if json && !is_misleading(param) => {}
                _ if matches!(&*essence, "multipart/form-data" | "application/x-www-form-urlencoded") => {
                    return Err(Ambiguous);
                }
                _ if is_misleading(param) => return Err(Ambiguous),
                _ => {}
            }
        }
        Ok(match &*essence {
            "application/json" | "text/json" => Self::Json,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines" => Self::Lines,
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => Self::Multipart(boundary.filter(|b| !b.is_empty()).ok_or(Ambiguous)?),
            // Its values lie under names of its own (RFC 6902).
            "application/json-patch+json" => Self::Other,
            other if other.ends_with("+json") && !is_misleading(other) => Self::Json,
            other if is_lines(other) && !is_misleading(other) => Self::Lines,
            _ => Self::Other,
        })
    }
}

/// A type of somebody's own whose bodies are JSON, a document a line.
fn is_lines(essence: &str) -> bool {
    ["+x-ndjson", "+ndjson", "+jsonl"].iter().any(|kind| essence.ends_with(kind))
}

/// Whether some readers, who look for words in the whole header, take a body for one of another type, or a boundary from it
/// (formidable, PHP).
fn is_misleading(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["urlencoded", "multipart", "octet-stream", "boundary"].iter().any(|word| text.contains(word))
}

/// A name in lower case, as nearly all are written.
fn lower(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// Refuses headers that a service behind CGI or WSGI takes for declared ones: it knows no hyphens.
pub(super) fn spelled(plan: &Plan, headers: &HeaderMap) -> Result<(), Problem> {
    let told = plan.owners.iter().flat_map(|owner| &owner.sources).filter_map(|source| match source {
        RouteSubject::Header(name) => Some(name),
        _ => None,
    });
    let mut declared = plan.headers.iter().map(|(name, _)| name).chain(told).peekable();
    if declared.peek().is_none() {
        return Ok(());
    }
    let odd = headers.keys().map(HeaderName::as_str).filter(|name| !name.bytes().all(is_usual));
    let odd: Vec<&str> = odd.collect();
    let alike = |known: &str| odd.iter().any(|name| *name != known && hyphenated(name) == hyphenated(known));
    if declared.any(|known| alike(known)) { Err(Problem::spelling()) } else { Ok(()) }
}

/// A header's name as one behind CGI reads it, to whom hyphens, underscores, dots and other signs may be one.
pub(super) fn hyphenated(name: &str) -> Cow<'_, str> {
    match name.bytes().all(is_usual) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
    }
}

/// Whether a byte of a header's name stands for itself everywhere.
fn is_usual(byte: u8) -> bool {
    byte == b'-' || byte.is_ascii_alphanumeric()
}

/// A body whose trailers hold no declared header: some services take them for headers.
pub(super) fn trailers(plan: &Plan, body: Body) -> Body {
    if plan.headers.is_empty() || body.is_end_stream() {
        return body;
    }
    let names = plan.headers.iter().map(|(name, _)| Arc::clone(name)).collect();
    Trailing { body, names }.boxed_unsync()
}

/// See [`trailers`].
struct Trailing {
    body: Body,
    names: Vec<Arc<str>>,
}

impl hyper::body::Body for Trailing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            let declared = |name: &str| this.names.iter().any(|own| hyphenated(own) == hyphenated(name));
            without(trailers, declared);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether every reader takes that boundary for the same (RFC 2046 §5.1.1).
fn is_boundary(text: &str, quoted: bool) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b);
    // Not a comma, which ends it for some.
    let special = |b: u8| quoted && b"()/:=? ".contains(&b);
    (1..=70).contains(&text.len()) && !text.ends_with(' ') && text.bytes().all(|b| plain(b) || special(b))
}

/// A value of the head that is replaced.
enum Spot {
    /// A parameter of the path.
    Segment(usize),
    /// A header's value of that number.
    Header(HeaderName, usize),
}

/// Replaces the head's protected values.
pub(super) async fn seal(
    plan: &Plan,
    params: &[&str],
    head: &mut request::Parts,
    shield: &Shield,
    owners: &Owners,
) -> Result<(), Problem> {
    let query = head.uri.query().filter(|_| plan.reads_query());
    if plan.segments.is_empty() && query.is_none() && plan.headers.is_empty() {
        return Ok(());
    }
    let mut spots = Vec::new();
    let mut writes = Vec::new();
    let mut add = |spot: Spot, place: u16, text: &str, compared: bool| -> Result<(), Problem> {
        let known = plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
        let field = shield.field(known.field);
        let token = matches!(field.protect, crate::policy::model::Protect::Pseudonym { .. });
        let value = match value::from_text(text, field) {
            Ok(value) => value,
            Err(e) => return Err(Problem::value(&field.name, e)),
        };
        let find = known.find || (compared && token);
        let whose =
            if find { Whose::Nobody } else { owners.get(known.owner).map_or(Whose::Nobody, |o| o.1.clone()) };
        spots.push(spot);
        writes.push(Write { field: known.field, whose, find, value });
        Ok(())
    };
    for (position, place) in &plan.segments {
        let raw = params.get(*position).ok_or_else(Problem::internal)?;
        let text = percent_decode_str(raw).decode_utf8().map_err(|_| Problem::path())?;
        add(Spot::Segment(*position), *place, &text, true)?;
    }
    // A request that stores nothing compares.
    let compared = matches!(head.method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
    for (name, place) in &plan.headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return Err(Problem::internal()) };
        for (number, value) in head.headers.get_all(&name).iter().enumerate() {
            let text =
                std::str::from_utf8(value.as_bytes()).map_err(|_| Problem::form("a header is not UTF-8"))?;
            if !text.is_empty() {
                add(Spot::Header(name.clone(), number), *place, text, compared)?;
            }
        }
    }
    let query = query.map(|raw| Query::read(plan, raw, shield, owners, &mut writes)).transpose()?;
    let mut stored = shield.seal(&writes).await?.into_iter();
    let mut path = head.uri.path().to_owned();
    for spot in spots {
        let stored = stored_text(stored.next().ok_or_else(Problem::internal)?);
        match spot {
            Spot::Segment(position) => {
                path = target::with_segment(plan, &path, position, &encode_segment(&stored));
            }
            Spot::Header(name, number) => {
                let mut values: Vec<HeaderValue> = head.headers.get_all(&name).iter().cloned().collect();
                if let Some(value) = values.get_mut(number) {
                    *value = HeaderValue::from_str(&stored).map_err(|_| Problem::internal())?;
                }
                head.headers.remove(&name);
                for value in values {
                    head.headers.append(name.clone(), value);
                }
            }
        }
    }
    let query = match query {
        Some(query) => Some(query.rewrite(&mut stored)?),
        None => head.uri.query().map(str::to_owned),
    };
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    retarget(&mut head.uri, &target)
}

fn retarget(uri: &mut Uri, target: &str) -> Result<(), Problem> {
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| Problem::internal())?);
    *uri = Uri::from_parts(parts).map_err(|_| Problem::internal())?;
    Ok(())
}

/// A body was rewritten: its length, and what was computed over it.
pub(super) fn rewritten(headers: &mut HeaderMap, length: Option<u64>) {
    match length {
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            headers.remove(header::CONTENT_LENGTH);
        }
    }
    without(headers, is_untrue);
}

/// Takes out every field of an unwanted name. Most messages have none: one look over the names costs less than asking
/// for each.
pub(super) fn without(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// Wishes about an answer that its rewriting could not meet.
fn is_wish(name: &str) -> bool {
    matches!(name, "want-digest" | "want-content-digest" | "want-repr-digest" | "a-im")
}

/// Wishes for a part of what is read, or for nothing where it is known already.
fn is_condition(name: &str) -> bool {
    matches!(name, "if-none-match" | "if-modified-since" | "range" | "if-range")
}

/// Takes out of a request what its answer could not keep: codings that can't be undone, parts of a body, and "not
/// modified" for what an erasure may have changed. Of a sealed body the chunks are asked for that hold what is wanted.
/// `media`: what is read is a sealed body, which stands in no coding.
pub(super) fn forget(head: &mut request::Parts, wanted: Wanted, media: bool) {
    let read = matches!(head.method, Method::GET | Method::HEAD);
    let headers = &mut head.headers;
    let range = wanted.sealed().filter(|_| read).and_then(|range| HeaderValue::try_from(range).ok());
    let kept = if range.is_some() { headers.remove(header::IF_RANGE) } else { None };
    without(headers, |name| is_wish(name) || (read && is_condition(name)));
    if let Some(range) = range {
        headers.insert(header::RANGE, range);
    }
    if let Some(condition) = kept {
        headers.insert(header::IF_RANGE, condition);
    }
    if read && media {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    } else if let Some(value) = understood(headers) {
        headers.insert(header::ACCEPT_ENCODING, value);
    }
}

/// What is left of `Accept-Encoding`; none where it is not sent, or all of it is left.
fn understood(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = || headers.get_all(header::ACCEPT_ENCODING).iter();
    let parts = || values().flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim);
    let known = |part: &&str| {
        let name = part.split(';').next().unwrap_or_default().trim();
        ACCEPTED.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    if parts().all(|part| known(&part)) {
        return None;
    }
    let kept: Vec<&str> = parts().filter(known).collect();
    let kept = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    HeaderValue::from_str(&kept).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Types, Ambiguous> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(text).unwrap());
        Types::of(&headers)
    }

    #[test]
    fn a_type_is_known_in_every_spelling() {
        assert_eq!(of("Application/JSON; charset=UTF-8"), Ok(Types::Json));
        assert_eq!(of("application/problem+json"), Ok(Types::Json));
        for lines in [
            "application/x-ndjson",
            "application/vnd.elasticsearch+x-ndjson;compatible-with=8",
            "application/vnd.oai+ndjson",
            "application/x+jsonl",
        ] {
            assert_eq!(of(lines), Ok(Types::Lines), "{lines}");
        }
        assert_eq!(of("multipart/form-data; boundary=\"a b\""), Ok(Types::Multipart("a b".into())));
        assert_eq!(of("text/html"), Ok(Types::Other));
        assert_eq!(of("application/json; charset=utf-16"), Err(Ambiguous));
        assert_eq!(of("multipart/form-data"), Err(Ambiguous));
        for boundary in [
            "a b",
            "\"a\\b\"",
            "\"a;b\"",
            "\"a \"",
            "a\"",
            "",
            "a; boundary=b",
            "a; boundary*=b",
            "a; boundary*0=b",
        ] {
            assert_eq!(
                of(&format!("multipart/form-data; boundary={boundary}")),
                Err(Ambiguous),
                "{boundary}"
            );
        }
        assert_eq!(of("application/json; charset*=utf-16''x"), Err(Ambiguous));
        let mut twice = HeaderMap::new();
        twice.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        twice.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert_eq!(Types::of(&twice), Err(Ambiguous));
    }
}
