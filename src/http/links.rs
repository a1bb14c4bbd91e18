//! Addresses of this listener that the service answers with: the tokens in them are turned around.

use super::plan::Plan;
use super::problem::Problem;
use super::route::Routes;
use super::shield::{Read, Shield, Shown, shown_text};
use super::target;
use crate::protect::{OpenFault, Row};
use std::sync::Arc;

/// What knows a listener's routes.
pub(super) struct Turner {
    pub(super) routes: Arc<Routes>,
    pub(super) plans: Arc<[Arc<Plan>]>,
}

impl Turner {
    /// The address with its tokens revealed; none where it holds none, or is no address of ours.
    pub(super) async fn turn(&self, shield: &Shield, address: &str) -> Result<Option<String>, Problem> {
        let (before, rest) = split(address);
        let (path, query) = match rest.split_once(['?', '#']) {
            Some((path, _)) => (path, &rest[path.len()..]),
            None => (rest, ""),
        };
        let mut path = path.to_owned();
        let mut query = query.to_owned();
        let mut changed = false;
        let plans: Vec<_> =
            self.routes.address(&path.clone()).filter_map(|n| self.plans.get(n).cloned()).collect();
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
fn split(address: &str) -> (&str, &str) {
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

/// What a token in an address stands for; none where it is none of ours.
async fn reveal(shield: &Shield, plan: &Plan, place: u16, stored: &str) -> Result<Option<String>, Problem> {
    let Some(known) = plan.places.get(usize::from(place)) else { return Ok(None) };
    if stored.is_empty() {
        return Ok(None);
    }
    let read = Read { field: known.field, row: Row::Unknown, stored: stored.as_bytes() };
    let shown = match shield.open(&[read]).await {
        Ok(shown) => shown,
        // Addresses hold all sorts of things: a clear one stays as it is.
        Err(problem) if problem.code == "in-clear" || problem.code == "shared-token" => return Ok(None),
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
