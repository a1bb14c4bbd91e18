//! Addresses of this listener that the service answers with: the tokens in them are turned around.

use super::plan::Plan;
use super::problem::Problem;
use super::route::Routes;
use super::shield::{Read, Shield, Shown, shown_text};
use super::target;
use crate::policy::model::{Field, Protect};
use crate::protect::{OpenFault, Row};
use http::{HeaderMap, HeaderName, header};
use std::sync::Arc;

/// What knows a listener's routes.
pub(super) struct Turner {
    pub(super) routes: Arc<Routes>,
    pub(super) plans: Arc<[Arc<Plan>]>,
    /// The service's own authority.
    pub(super) service: Arc<str>,
}

/// Under which names addresses lead to this listener, as one request and its service know them. A token is revealed in no
/// other: who follows it would tell another what it stands for.
pub(super) struct Home {
    service: Arc<str>,
    asked: Vec<Box<str>>,
}

impl Home {
    /// The names by which a request asks for this listener.
    pub(super) fn new(turner: &Turner, headers: &HeaderMap) -> Self {
        let names = [header::HOST, HeaderName::from_static("x-forwarded-host")];
        let values = names.iter().flat_map(|name| headers.get_all(name));
        let asked = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        Self { service: Arc::clone(&turner.service), asked: asked.map(|host| host.trim().into()).collect() }
    }

    /// Whether an address that begins so, with its scheme and authority or neither, leads here.
    pub(super) fn holds(&self, before: &str) -> bool {
        let Some((_, authority)) = before.split_once("//") else { return before.is_empty() };
        let mut names = self.asked.iter().map(|name| &**name).chain([&*self.service]);
        // Some services name the port that goes without saying.
        let host = |name: &str| {
            let port = name.strip_suffix(":80").or_else(|| name.strip_suffix(":443"));
            port.unwrap_or(name).to_ascii_lowercase()
        };
        names.any(|name| host(name) == host(authority))
    }
}

impl Turner {
    /// The plans of a path's routes.
    pub(super) fn plans_of<'t>(&'t self, path: &'t str) -> impl Iterator<Item = &'t Arc<Plan>> {
        self.routes.address(path).filter_map(|number| self.plans.get(number))
    }

    /// The address with its tokens revealed; none where it holds none, or is no address of ours.
    pub(super) async fn turn(&self, shield: &Shield, address: &str) -> Result<Option<String>, Problem> {
        let (before, rest) = split(address);
        if !shield.home().is_some_and(|home| home.holds(before)) {
            return Ok(None);
        }
        let (path, query) = match rest.split_once(['?', '#']) {
            Some((path, _)) => (path, &rest[path.len()..]),
            None => (rest, ""),
        };
        let mut path = path.to_owned();
        let mut query = query.to_owned();
        let mut changed = false;
        let plans: Vec<_> = self.plans_of(&path).cloned().collect();
        for plan in plans {
            for (position, place) in &plan.segments {
                let Some(raw) = target::segment(&plan, &path, *position) else { continue };
                let Some(shown) = reveal(shield, &plan, *place, &target::decode(raw)).await? else {
                    continue;
                };
                path = target::with_segment(&plan, &path, *position, &target::encode_segment(&shown));
                changed = true;
            }
            let Some((mark, pairs)) = query.split_at_checked(1).filter(|(mark, _)| *mark == "?") else {
                continue;
            };
            let (pairs, fragment) = pairs.split_once('#').map_or((pairs, None), |(q, f)| (q, Some(f)));
            let mut parts: Vec<String> = Vec::new();
            let mut turned = false;
            for pair in pairs.split('&') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let place = plan.query.iter().find(|(known, _)| **known == *target::decode_form(name));
                let shown = match place {
                    Some((_, place)) => reveal(shield, &plan, *place, &target::decode_form(value)).await?,
                    None => None,
                };
                match shown {
                    Some(shown) => {
                        parts.push(format!("{name}={}", target::encode_query(&shown)));
                        turned = true;
                    }
                    None => parts.push(pair.to_owned()),
                }
            }
            if turned {
                let fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
                query = format!("{mark}{}{fragment}", parts.join("&"));
                changed = true;
            }
        }
        Ok(changed.then(|| format!("{before}{path}{query}")))
    }
}

/// Scheme and authority, and what follows them.
pub(super) fn split(address: &str) -> (&str, &str) {
    let start = match address.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
            scheme.len() + 3
        }
        _ if address.starts_with("//") => 2,
        _ => return ("", address),
    };
    let end = address[start..].find(['/', '?', '#']).map_or(address.len(), |at| start + at);
    address.split_at(end)
}

fn is_token(field: &Field) -> bool {
    matches!(field.protect, Protect::Pseudonym { .. })
}

/// A `Link` header (RFC 8288) with the tokens in its addresses revealed; none where it holds none.
pub(super) async fn turn_header(
    turner: &Turner,
    shield: &Shield,
    value: &str,
) -> Result<Option<String>, Problem> {
    let mut out = String::new();
    let (mut rest, mut turned) = (value, false);
    while let Some((before, address, after)) = next_address(rest) {
        let shown = Box::pin(turner.turn(shield, address)).await?;
        turned |= shown.is_some();
        out.extend([before, shown.as_deref().unwrap_or(address)]);
        rest = after;
    }
    out.push_str(rest);
    Ok(turned.then_some(out))
}

/// What stands before the next `<address>`, the address, and what follows: the brackets go with what is around them.
fn next_address(text: &str) -> Option<(&str, &str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let start = text.bytes().position(|byte| {
        let opens = byte == b'<' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && quoted && !escaped;
        opens
    })? + 1;
    let end = start + text.get(start..)?.find('>')?;
    Some((&text[..start], &text[start..end], &text[end..]))
}

/// What a token in an address stands for; none where it is none of ours, or is not shown.
pub(super) async fn reveal(
    shield: &Shield,
    plan: &Plan,
    place: u16,
    stored: &str,
) -> Result<Option<String>, Problem> {
    let Some(known) = plan.places.get(usize::from(place)) else { return Ok(None) };
    if stored.is_empty() {
        return Ok(None);
    }
    // What this request asked for, the client knows, whoever holds it.
    if let Some(asked) = shield.asked(stored) {
        return Ok(Some(asked.to_string()));
    }
    // Addresses hold all sorts of things: what isn't stored by us stays as it is, a token that nobody holds, and an
    // envelope: no two seals are equal, so that nobody could follow an address with another one.
    let (door, token) = (shield.door(), is_token(shield.field(known.field)));
    if !token || !door.is_stored(known.field, stored) {
        return Ok(None);
    }
    if !door.is_held(known.field, stored).await.map_err(|e| Problem::protect(&e))? {
        return Ok(None);
    }
    let read = Read { field: known.field, row: Row::Unknown, stored: stored.as_bytes() };
    let shown = match shield.open(&[read]).await {
        Ok(shown) => shown,
        Err(problem) if problem.code == "shared-token" => return Ok(None),
        Err(problem) => return Err(problem),
    };
    match shown.first() {
        Some(Shown::Clear(clear)) => {
            let field = shield.field(known.field);
            let text = shown_text(
                &Shown::Clear(crate::clear::Clear::new(clear.kind(), clear.bytes().to_vec())),
                field,
            );
            text.map(|text| Some(text.to_string()))
                .map_err(|_| Problem::open(OpenFault::NotAuthentic, &field.name))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_link_header_is_found() {
        let mut rest = r#"</a?x=1>; rel="next"; title="a \"<b>\"", <//h/c>, <d"#;
        let mut all = Vec::new();
        while let Some((_, address, after)) = next_address(rest) {
            all.push(address);
            rest = after;
        }
        assert_eq!(all, ["/a?x=1", "//h/c"]);
    }

    #[test]
    fn an_address_begins_with_its_authority_or_its_path() {
        for (address, before, rest) in [
            ("/people/x", "", "/people/x"),
            ("http://h:1/people", "http://h:1", "/people"),
            ("https://h", "https://h", ""),
            ("//h/p?q", "//h", "/p?q"),
            ("mailto:a@b", "", "mailto:a@b"),
        ] {
            assert_eq!(split(address), (before, rest), "{address}");
        }
    }
}
