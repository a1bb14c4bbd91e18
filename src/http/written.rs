//! Addresses of this listener that a client writes back: the identifiers in them become the tokens that the service gave.

use super::compare;
use super::links::{self, Turner, split};
use super::plan::Plan;
use super::problem::Problem;
use super::shield::{Shield, Whose, Write, stored_text};
use super::target::{decode, decode_form, encode_query, encode_segment};
use super::value;
use crate::protect::Stored;
use std::ops::Range;
use std::sync::Arc;

/// An address whose identifiers are being looked up.
pub(super) struct Written {
    address: String,
    spots: Vec<Spot>,
}

/// An identifier in it.
struct Spot {
    range: Range<usize>,
    /// In the query: the operator that stands before it.
    query: Option<String>,
}

/// A declared place of an address, and what stands there.
struct Found {
    plan: Arc<Plan>,
    place: u16,
    range: Range<usize>,
    text: String,
    query: bool,
}

impl Written {
    /// Reads an address; the identifiers that it holds are added to `writes`. None where it is another's, or holds none.
    ///
    /// # Errors
    /// An identifier in it can't be protected.
    pub(super) async fn read(
        turner: &Turner,
        shield: &Shield,
        address: String,
        writes: &mut Vec<Write>,
    ) -> Result<Option<Self>, Problem> {
        let mut spots = Vec::new();
        for found in found(turner, shield, &address) {
            let known = found.plan.places.get(usize::from(found.place)).ok_or_else(Problem::internal)?;
            let (operator, text) = match compare::prefixed(&found.text, &known.operators) {
                Ok(parts) if found.query => parts,
                _ => ("", &*found.text),
            };
            // What is stored and was not shown for an identifier (erased, shared by several, behind an operator) is written as it was read.
            let stored = shield.door().is_stored(known.field, text);
            let shown = || links::reveal(shield, &found.plan, found.place, text);
            if stored && (!operator.is_empty() || Box::pin(shown()).await?.is_none()) {
                continue;
            }
            let field = shield.field(known.field);
            let value = value::from_text(text, field).map_err(|e| Problem::value(&field.name, e))?;
            writes.push(Write { field: known.field, whose: Whose::Nobody, find: true, value });
            spots.push(Spot { range: found.range, query: found.query.then(|| operator.to_owned()) });
        }
        Ok((!spots.is_empty()).then_some(Self { address, spots }))
    }

    /// The address with what is stored in place of its identifiers, in the order in which they were read.
    ///
    /// # Errors
    /// There are fewer than were asked for.
    pub(super) fn rewrite(&self, stored: &mut impl Iterator<Item = Stored>) -> Result<String, Problem> {
        let (mut out, mut from) = (String::new(), 0);
        for Spot { range, query } in &self.spots {
            out.push_str(self.address.get(from..range.start).ok_or_else(Problem::internal)?);
            let text = stored_text(stored.next().ok_or_else(Problem::internal)?);
            out.push_str(&match query {
                Some(operator) => encode_query(&format!("{operator}{text}")),
                None => encode_segment(&text),
            });
            from = range.end;
        }
        out.push_str(self.address.get(from..).ok_or_else(Problem::internal)?);
        Ok(out)
    }
}

/// The declared places of an address of this listener, in the order in which they stand, each once.
fn found(turner: &Turner, shield: &Shield, address: &str) -> Vec<Found> {
    let (before, rest) = split(address);
    if !shield.home().is_some_and(|home| home.holds(before)) {
        return Vec::new();
    }
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let query = rest.get(path.len()..).and_then(|rest| rest.strip_prefix('?')).unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    let (from, start) = (before.len(), before.len() + path.len() + 1);
    let mut all: Vec<Found> = Vec::new();
    // Several routes of one path may declare the same.
    let mut add = |plan: &Arc<Plan>, place: u16, range: Range<usize>, text: String, query: bool| {
        if !range.is_empty() && all.iter().all(|known| known.range != range) {
            all.push(Found { plan: Arc::clone(plan), place, range, text, query });
        }
    };
    for plan in turner.plans_of(path) {
        for (position, place) in &plan.segments {
            let Some(range) = plan.positions.get(*position).and_then(|at| piece(path, '/', at + 1)) else {
                continue;
            };
            let text = decode(path.get(range.clone()).unwrap_or_default());
            add(plan, *place, from + range.start..from + range.end, text, false);
        }
        for number in 0..query.split('&').count() {
            let Some(range) = piece(query, '&', number) else { continue };
            let pair = query.get(range.clone()).unwrap_or_default();
            let Some((name, raw)) = pair.split_once('=') else { continue };
            let declared = plan.query.iter().find(|(known, _)| **known == *decode_form(name));
            let Some((_, place)) = declared else { continue };
            add(
                plan,
                *place,
                start + range.start + name.len() + 1..start + range.end,
                decode_form(raw),
                true,
            );
        }
    }
    all.sort_by_key(|known| known.range.start);
    all
}

/// Where the piece of that number lies.
fn piece(text: &str, separator: char, number: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (at, piece) in text.split(separator).enumerate() {
        if at == number {
            return Some(start..start + piece.len());
        }
        start += piece.len() + separator.len_utf8();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_by_their_number() {
        assert_eq!(piece("/by/x", '/', 2), Some(4..5));
        assert_eq!(piece("a=1&b=22", '&', 1), Some(4..8));
        assert_eq!(piece("", '&', 0), Some(0..0));
        assert_eq!(piece("a", '/', 1), None);
    }
}
