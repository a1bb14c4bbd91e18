//! Addresses of this listener that a client writes back: the identifiers in them become the tokens that the service gave.

use super::links::{Turner, split};
use super::problem::Problem;
use super::shield::{Shield, Whose, Write, stored_text};
use super::target::{decode, decode_form, encode_query, encode_segment};
use super::value;
use crate::protect::Stored;
use std::ops::Range;

/// An address whose identifiers are being looked up.
pub(super) struct Written {
    address: String,
    spots: Vec<Spot>,
}

/// An identifier in it.
struct Spot {
    range: Range<usize>,
    /// It stands in the query.
    query: bool,
}

impl Written {
    /// Reads an address; the identifiers that it holds are added to `writes`. None where it is another's, or holds none.
    ///
    /// # Errors
    /// An identifier in it can't be protected.
    pub(super) fn read(
        turner: &Turner,
        shield: &Shield,
        address: String,
        writes: &mut Vec<Write>,
    ) -> Result<Option<Self>, Problem> {
        let (before, rest) = split(&address);
        if !shield.home().is_some_and(|home| home.holds(before)) {
            return Ok(None);
        }
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let query = rest.get(path.len()..).and_then(|rest| rest.strip_prefix('?')).unwrap_or_default();
        let query = query.split('#').next().unwrap_or_default();
        let from = before.len();
        let mut found: Vec<(Spot, Write)> = Vec::new();
        for plan in turner.plans_of(path) {
            let mut add = |place: u16, range: Range<usize>, text: &str, query: bool| {
                let known = plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
                let field = shield.field(known.field);
                let value = value::from_text(text, field).map_err(|e| Problem::value(&field.name, e))?;
                // Several routes of one path may declare the same.
                if found.iter().all(|(spot, _)| spot.range != range) {
                    let write = Write { field: known.field, whose: Whose::Nobody, find: true, value };
                    found.push((Spot { range, query }, write));
                }
                Ok::<_, Problem>(())
            };
            for (position, place) in &plan.segments {
                let Some(at) = plan.positions.get(*position) else { continue };
                let Some(range) = piece(path, '/', at + 1).filter(|range| !range.is_empty()) else {
                    continue;
                };
                let text = decode(path.get(range.clone()).unwrap_or_default());
                add(*place, from + range.start..from + range.end, &text, false)?;
            }
            let start = from + path.len() + 1;
            for number in 0..query.split('&').count() {
                let Some(range) = piece(query, '&', number) else { continue };
                let Some((name, raw)) = query.get(range.clone()).and_then(|pair| pair.split_once('=')) else {
                    continue;
                };
                let declared = plan.query.iter().find(|(known, _)| **known == *decode_form(name));
                let Some((_, place)) = declared.filter(|_| !raw.is_empty()) else { continue };
                let range = start + range.start + name.len() + 1..start + range.end;
                add(*place, range, &decode_form(raw), true)?;
            }
        }
        found.sort_by_key(|(spot, _)| spot.range.start);
        let (spots, own): (Vec<Spot>, Vec<Write>) = found.into_iter().unzip();
        writes.extend(own);
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
            out.push_str(&if *query { encode_query(&text) } else { encode_segment(&text) });
            from = range.end;
        }
        out.push_str(self.address.get(from..).ok_or_else(Problem::internal)?);
        Ok(out)
    }
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
