//! An answer on a declared route: what it shows is opened, and what it tells is bound first.

use super::coding::{self, Coding, Encoder, Input};
use super::exchange::{Answered, Body, Came, is_untrue, taken};
use super::head::{self, Types};
use super::links::{self, Turner};
use super::media::MediaOpening;
use super::opening::Opening;
use super::person;
use super::plan::Plan;
use super::problem::Problem;
use super::pump::{Pump, Stage, all_of, refusal, with_trailers};
use super::range::{Wanted, content_range};
use super::shield::{Ended, Read, Shield, Whose, shown_text};
use super::sources::Sources;
use super::target;
use crate::ids::{FieldId, Subject};
use crate::protect::body_len;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, response};
use std::sync::Arc;

/// What an answer needs of its request.
pub(super) struct Answering {
    pub(super) plan: Arc<Plan>,
    pub(super) shield: Shield,
    pub(super) sources: Sources,
    pub(super) turner: Option<Arc<Turner>>,
    /// What of a sealed body is wanted,
    pub(super) wanted: Wanted,
    /// unless it is another one by now: then the service answers with the whole (RFC 9110 §13.1.5).
    pub(super) conditional: bool,
    pub(super) method: Method,
    /// The path as the service knows it, where `Location` may tell whom a creation made.
    pub(super) path: Option<Box<str>>,
}

impl Answering {
    pub(super) async fn response<B: Came>(
        mut self: Box<Self>,
        head: &mut response::Parts,
        body: &mut Option<B>,
    ) -> Result<Answered, Problem> {
        let (creates, located) = (self.shield.rows() > 0, self.created_at(head));
        let ended = match ended(head.status) {
            // A session that is over, another address: it tells nothing about what was made.
            Ended::Kept if creates && located.is_none() && head.status.is_redirection() => Ended::Unclear,
            ended => ended,
        };
        let unbound = ended == Ended::Kept && creates;
        let done = self.rewrite(head, body, unbound, located).await;
        // Whatever can't be shown was stored all the same; what can't be bound is left for recovery.
        let unclear = matches!(&done, Err(problem) if problem.code == "no-subject-returned" || unbound);
        self.shield.outcome(if unclear { Ended::Unclear } else { ended });
        done
    }

    async fn rewrite<B: Came>(
        &mut self,
        head: &mut response::Parts,
        body: &mut Option<B>,
        unbound: bool,
        located: Option<String>,
    ) -> Result<Answered, Problem> {
        let bound = match located {
            Some(id) => Box::pin(self.located(&id, unbound)).await?,
            None => false,
        };
        let unbound = unbound && !bound;
        let owners = self.sources.owners(&self.plan, true);
        if self.plan.reads_answer_head() {
            Box::pin(self.headers(head, &owners)).await?;
        }
        let none = self.method == Method::HEAD
            || body.as_ref().is_none_or(|body| body.is_end_stream())
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT
            );
        let read = self.method == Method::GET || self.method == Method::HEAD;
        if let Some((field, owner)) = self.plan.body.filter(|_| read) {
            let whose = owners.get(owner).map_or(Whose::Nobody, |(_, whose)| whose.clone());
            let body = Box::pin(self.media(head, taken(body)?, field, whose)).await?;
            return Ok(Answered::Streamed(body));
        }
        let types = Types::of(&head.headers).unwrap_or(Types::Other);
        let json = matches!(types, Types::Json | Types::Lines) && !self.plan.answer.tree.is_empty();
        if none || !json {
            if unbound {
                return Err(Problem::unbound());
            }
            if json {
                // A HEAD tells the length of what isn't sent: it is not known.
                head.headers.remove(header::CONTENT_LENGTH);
                truthful(&mut head.headers);
            }
            return Answered::streamed(body);
        }
        if head.status == StatusCode::PARTIAL_CONTENT {
            return Err(Problem::answer("it is a part of a document"));
        }
        let coding =
            coding::of(&head.headers).map_err(|_| Problem::answer("its Content-Encoding is not known"))?;
        let lines = types == Types::Lines;
        let opening = Opening::new(
            Arc::clone(&self.plan),
            self.shield.clone(),
            owners,
            self.turner.clone().filter(|_| self.plan.links),
            lines,
            unbound,
            is_error(head.status),
        );
        match body {
            Some(body) if coding.is_none() && !lines && is_short(body) => {
                short_answer(head, body, opening).await
            }
            body => Box::pin(long_answer(head, taken(body)?, coding, lines, opening)).await,
        }
    }

    /// The id that `Location` tells. What was created is named by that of 201; others lead anywhere, and count where they
    /// lead below the route's own path.
    fn created_at(&self, head: &response::Parts) -> Option<String> {
        let own = self.path.as_deref()?;
        let address = head.headers.get(header::LOCATION)?.to_str().ok()?;
        let counts = match head.status {
            StatusCode::CREATED => true,
            status => (status.is_success() || status.is_redirection()) && is_below(own, address),
        };
        last_segment(address).filter(|_| counts)
    }

    /// `Location` told the id of whom a creation made: all that was made for the request is bound with it. Whether
    /// anything was.
    async fn located(&mut self, id: &str, unbound: bool) -> Result<bool, Problem> {
        self.sources.located(&self.plan, id);
        if unbound {
            let class = self.plan.owners.iter().find(|o| o.returned()).map(|o| o.class.clone());
            let subject = Subject::new(class.ok_or_else(Problem::internal)?, id);
            self.shield.bind(&[(0, subject)]).await?;
        }
        Ok(unbound)
    }

    /// A whole body, opened.
    async fn media(
        &self,
        head: &mut response::Parts,
        body: Body,
        field: FieldId,
        whose: Whose,
    ) -> Result<Body, Problem> {
        let headers = &head.headers;
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let (sealed, boundary) = match head.status {
            StatusCode::OK => (length, None),
            StatusCode::PARTIAL_CONTENT => match text(header::CONTENT_TYPE).and_then(byteranges) {
                Some(boundary) => (None, Some(boundary)),
                None => match text(header::CONTENT_RANGE).and_then(content_range) {
                    Some((0, _, length)) => (Some(length), None),
                    _ => return Err(Problem::answer("it is not the part that was asked for")),
                },
            },
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(Problem::range()),
            // What the service says about it, and no body of ours.
            _ => return Ok(body),
        };
        if !matches!(coding::of(headers), Ok(None)) {
            return Err(Problem::answer("a sealed body has no Content-Encoding"));
        }
        if self.method == Method::HEAD {
            // The clear length is told where the sealed one is.
            head::rewritten(&mut head.headers, sealed.and_then(body_len));
            kept(&mut head.headers);
            return Ok(body);
        }
        // Without its length no range can be told: the whole is given.
        let told = sealed.is_some() || boundary.is_some();
        let another = self.conditional && head.status == StatusCode::OK;
        let wanted = if told && !another { self.wanted } else { Wanted::All };
        let stage = MediaOpening::new(field, whose, self.shield.clone(), wanted, boundary.as_deref(), sealed);
        let (kind, told) = (stage.kind(), stage.told());
        let pump = Pump::new(Input::new(body, None), Stage::Opened(Box::new(stage)), Encoder::Plain, None);
        let pumped = Box::pin(pump.start()).await?;
        let total = told.lock().and_then(body_len);
        let span = total.and_then(|total| wanted.span(total));
        let length = match (wanted, total, span) {
            (Wanted::All, total, _) => total,
            (_, Some(total), Some((first, last))) => {
                let range = format!("bytes {first}-{last}/{total}");
                let range = HeaderValue::try_from(range).map_err(|_| Problem::internal())?;
                head.status = StatusCode::PARTIAL_CONTENT;
                head.headers.insert(header::CONTENT_RANGE, range);
                Some(last - first + 1)
            }
            _ => return Err(Problem::range()),
        };
        if wanted == Wanted::All {
            head.status = StatusCode::OK;
            head.headers.remove(header::CONTENT_RANGE);
        }
        if boundary.is_some() {
            head.headers.remove(header::CONTENT_TYPE);
            let kind = kind.lock().take().and_then(|kind| HeaderValue::try_from(kind).ok());
            if let Some(kind) = kind {
                head.headers.insert(header::CONTENT_TYPE, kind);
            }
        }
        head::rewritten(&mut head.headers, pumped.length.map(|n| n as u64).or(length));
        kept(&mut head.headers);
        Ok(pumped.body)
    }

    /// Opens protected headers and turns `Location` around.
    async fn headers(
        &self,
        head: &mut response::Parts,
        owners: &super::json_body::Owners,
    ) -> Result<(), Problem> {
        for (name, place) in &self.plan.headers {
            let known = self.plan.places.get(usize::from(*place)).ok_or_else(Problem::internal)?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Problem::internal())?;
            let values: Vec<HeaderValue> = head.headers.get_all(&name).iter().cloned().collect();
            if known.find || values.is_empty() {
                continue;
            }
            head.headers.remove(&name);
            for value in values {
                let stored = value.to_str().map_err(|_| Problem::answer("a protected header is no text"))?;
                let own = is_error(head.status) && !self.shield.door().is_stored(known.field, stored);
                let shown = if stored.is_empty() || own {
                    value.clone()
                } else {
                    let whose = owners.get(known.owner).map_or(Whose::Nobody, |(_, whose)| whose.clone());
                    let read = Read { field: known.field, row: whose.row(), stored: stored.as_bytes() };
                    let shown = Box::pin(self.shield.open(&[read])).await?;
                    let field = self.shield.field(known.field);
                    let text = shown.first().map(|shown| shown_text(shown, field)).transpose();
                    let text =
                        text.map_err(|e| Problem::answer(e.to_string()))?.ok_or_else(Problem::internal)?;
                    // Not every text can stand in a header.
                    HeaderValue::from_bytes(text.as_bytes())
                        .map_err(|_| Problem::answer("a protected header's value can't stand in a header"))?
                };
                head.headers.append(name.clone(), shown);
            }
        }
        match &self.turner {
            Some(turner) if self.plan.location => self.addresses(turner, head).await,
            _ => Ok(()),
        }
    }

    /// Turns the addresses in `Location` and `Link` around.
    async fn addresses(&self, turner: &Turner, head: &mut response::Parts) -> Result<(), Problem> {
        let headers = &mut head.headers;
        if let Some(value) = headers.get(header::LOCATION) {
            let address = value.to_str().map_err(|_| Problem::answer("its Location is no text"))?;
            if let Some(address) = Box::pin(turner.turn(&self.shield, address)).await? {
                headers.insert(header::LOCATION, header_value(&address)?);
            }
        }
        if !headers.contains_key(header::LINK) {
            return Ok(());
        }
        let links: Vec<HeaderValue> = headers.get_all(header::LINK).iter().cloned().collect();
        headers.remove(header::LINK);
        for value in links {
            let text = value.to_str().map_err(|_| Problem::answer("its Link is no text"))?;
            let shown = Box::pin(links::turn_header(turner, &self.shield, text)).await?;
            let value = shown.map(|shown| header_value(&shown)).transpose()?.unwrap_or(value);
            headers.append(header::LINK, value);
        }
        Ok(())
    }
}

fn header_value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::internal())
}

/// JSON of a known length that is read, opened and sent as a whole.
const SHORT: u64 = 64 << 10;

fn is_short(body: &impl Came) -> bool {
    body.size_hint().exact().is_some_and(|length| length <= SHORT)
}

async fn short_answer(
    head: &mut response::Parts,
    body: &mut impl Came,
    opening: Opening,
) -> Result<Answered, Problem> {
    let (body, trailers) = all_of(body).await.map_err(|error| refusal(error, true))?;
    let opened = Bytes::from(opening.whole(&body).await?);
    // hyper tells the length of what it has as a whole.
    head.headers.remove(header::CONTENT_LENGTH);
    truthful(&mut head.headers);
    Ok(match trailers {
        None => Answered::Whole(opened),
        Some(trailers) => {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(opened.len()));
            Answered::Streamed(with_trailers(opened, Some(trailers)))
        }
    })
}

async fn long_answer(
    head: &mut response::Parts,
    body: Body,
    coding: Option<Coding>,
    lines: bool,
    opening: Opening,
) -> Result<Answered, Problem> {
    let stage = Stage::Opening(Box::new(opening));
    let pump = Pump::new(Input::new(body, coding), stage, Encoder::new(coding), None);
    let pump = if lines { pump.at_once() } else { pump };
    let pumped = pump.start().await?;
    head::rewritten(&mut head.headers, pumped.length.map(|n| n as u64));
    truthful(&mut head.headers);
    Ok(Answered::Streamed(pumped.body))
}

/// What a status says about what was stored.
fn ended(status: StatusCode) -> Ended {
    match status.as_u16() {
        ..400 => Ended::Kept,
        // The service refused it.
        400..500 => Ended::Undone,
        // It may have failed after it had stored everything.
        _ => Ended::Unclear,
    }
}

/// Whether an answer tells that something went wrong.
fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Scheme and query taken off an address.
fn path_of(address: &str) -> &str {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    path.split_once("://").map_or(path, |(_, rest)| rest)
}

/// Whether an address is that of one thing right below a path.
fn is_below(own: &str, address: &str) -> bool {
    let path = path_of(address);
    let path = path.find('/').map_or("", |at| &path[at..]);
    let below = path.strip_prefix(own.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    below.map(|rest| rest.trim_end_matches('/')).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// The id that a creation's address ends with.
fn last_segment(address: &str) -> Option<String> {
    let last = path_of(address).trim_end_matches('/').rsplit_once('/')?.1;
    person::of_segment(last).ok().map(|id| id.into_owned()).or_else(|| {
        // Services escape more than they must.
        let decoded = target::decode(last);
        person::canonical(&decoded).ok().map(str::to_owned)
    })
}

/// The boundary of a `multipart/byteranges`.
fn byteranges(kind: &str) -> Option<String> {
    let (essence, params) = kind.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/byteranges") {
        return None;
    }
    let boundary = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    (!boundary.is_empty()).then_some(boundary)
}

/// A sealed body opens at any offset.
fn kept(headers: &mut HeaderMap) {
    truthful(headers);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// An answer that was opened holds personal data in clear, and changes when a person is erased: nobody keeps it.
fn truthful(headers: &mut HeaderMap) {
    head::without(headers, |name| is_untrue(name) || matches!(name, "accept-ranges" | "expires" | "age"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_a_path_is_one_segment_longer() {
        for (address, below) in [
            ("/people/43", true),
            ("/people/43/?x=1", true),
            ("https://h:1/people/43", true),
            ("/people", false),
            ("/people/", false),
            ("/people/43/edit", false),
            ("/login?next=/people/43", false),
            ("https://login/people43/1", false),
            ("people/43", false),
        ] {
            assert_eq!(is_below("/people", address), below, "{address}");
        }
    }

    #[test]
    fn a_creation_is_named_by_the_end_of_its_address() {
        for (address, id) in [
            ("/people/43", Some("43")),
            ("http://h:1/people/43/?x=1", Some("43")),
            ("/people/%34%33", Some("43")),
            ("/people/043", None),
            ("43", None),
        ] {
            assert_eq!(last_segment(address).as_deref(), id, "{address}");
        }
    }
}
