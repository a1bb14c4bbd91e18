//! A request's query: parameters that are sealed or compared with, filters, and those that may pass.

use super::compare::{self, Piece};
use super::graphql;
use super::json::scan::Settings;
use super::json::splice::{Layout, Splicer, Stop};
use super::json::tree::Leaf;
use super::json_body::{Owners, compared, comparison};
use super::names;
use super::plan::Plan;
use super::problem::Problem;
use super::shield::{Shield, Whose, Write, stored_json, stored_text};
use super::target::{decode_form_exact, encode_query};
use super::value;
use crate::policy::model::Protect;
use crate::protect::Stored;
use bytes::Bytes;
use std::sync::Arc;

/// A query whose protected values are being looked up.
pub(super) struct Query {
    pairs: Vec<String>,
    changes: Vec<Change>,
}

/// What becomes of a pair.
enum Change {
    /// Its value is replaced, but for what it begins with.
    Value { pair: usize, before: String },
    /// It holds JSON, whose identifiers are replaced.
    Json { pair: usize, text: String, pieces: Vec<Piece> },
}

impl Query {
    /// Reads a query; what must be looked up or sealed is added to `writes`.
    ///
    /// # Errors
    /// It holds something that can't be protected.
    pub(super) fn read(
        plan: &Plan,
        raw: &str,
        shield: &Shield,
        owners: &Owners,
        writes: &mut Vec<Write>,
    ) -> Result<Self, Problem> {
        let mut query = Self { pairs: raw.split('&').map(str::to_owned).collect(), changes: Vec::new() };
        for (number, pair) in raw.split('&').enumerate().filter(|(_, pair)| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            // Some services take `;` for `&`.
            for hidden in pair.split(';').skip(1) {
                let hidden = decoded(hidden.split('=').next().unwrap_or_default())?;
                if knows(plan, &hidden)? {
                    return Err(Problem::spelling());
                }
                if !plan.lets_pass(&hidden) {
                    return Err(Problem::parameter());
                }
            }
            if let Some(change) = query.pair(plan, number, &name, value, shield, owners, writes)? {
                query.changes.push(change);
            }
        }
        Ok(query)
    }

    #[allow(clippy::too_many_arguments, reason = "one pair, and all that it is judged by")]
    fn pair(
        &self,
        plan: &Plan,
        pair: usize,
        name: &str,
        value: &str,
        shield: &Shield,
        owners: &Owners,
        writes: &mut Vec<Write>,
    ) -> Result<Option<Change>, Problem> {
        if let Some(place) = names::place(&plan.query, name)? {
            return seal(plan, pair, place, &decoded(value)?, shield, owners, writes);
        }
        // Some services take a parameter for the control of a form.
        if names::disordered(name) || plan.is_control(name)? {
            return Err(Problem::spelling());
        }
        let parts = names::brackets(name);
        let base = parts.as_ref().map_or(name, |(base, _)| base);
        let exact = plan.filters.iter().find(|(known, _)| **known == *base);
        if let (Some((_, layout)), Some((_, keys))) = (exact, &parts) {
            let text = decoded(value)?;
            return match keys.as_slice() {
                [] if text.is_empty() => Ok(None),
                [] => filter(plan, pair, text, layout, shield, writes).map(Some),
                keys => bracketed(plan, pair, keys, &text, layout, shield, writes),
            };
        }
        if plan.filters.iter().any(|(known, _)| names::alike(name, known)) {
            return Err(Problem::spelling());
        }
        if plan.graphql && names::alike(name, "query") {
            if name != "query" {
                return Err(Problem::spelling());
            }
            let free = graphql::is_free_of_values(&decoded(value)?);
            return if free { Ok(None) } else { Err(Problem::operation()) };
        }
        // Nothing in them is declared: they pass where the policy says so by name.
        if plan.graphql && plan.parameters.is_none() && names::alike(name, "variables") {
            return Err(Problem::parameter());
        }
        if plan.lets_pass(name) { Ok(None) } else { Err(Problem::parameter()) }
    }

    /// The query with what is stored in place of the clear values, in the order in which they were read.
    ///
    /// # Errors
    /// There are fewer than were asked for.
    pub(super) fn rewrite(mut self, stored: &mut impl Iterator<Item = Stored>) -> Result<String, Problem> {
        for change in self.changes {
            let (pair, value) = match change {
                Change::Value { pair, before } => {
                    let stored = stored.next().ok_or_else(Problem::internal)?;
                    (pair, format!("{before}{}", stored_text(stored)))
                }
                Change::Json { pair, text, pieces } => {
                    let mut raw = Vec::with_capacity(text.len() + 32 * pieces.len());
                    compared(text.as_bytes(), &pieces, &mut raw, |number, out| {
                        stored_json(&stored.next().ok_or_else(Problem::internal)?, number, out);
                        Ok(())
                    })?;
                    (pair, String::from_utf8(raw).map_err(|_| Problem::internal())?)
                }
            };
            if let Some(known) = self.pairs.get_mut(pair) {
                let name = known.split_once('=').map_or(known.as_str(), |(name, _)| name);
                *known = format!("{name}={}", encode_query(&value));
            }
        }
        Ok(self.pairs.join("&"))
    }
}

/// Whether a name is declared.
fn knows(plan: &Plan, name: &str) -> Result<bool, Problem> {
    let place = names::place(&plan.query, name)?;
    if plan.is_control(name)? {
        return Ok(true);
    }
    let operation = plan.graphql && (names::alike(name, "query") || names::alike(name, "variables"));
    Ok(place.is_some() || operation || plan.filters.iter().any(|(known, _)| names::alike(name, known)))
}

fn decoded(raw: &str) -> Result<String, Problem> {
    decode_form_exact(raw).ok_or_else(|| Problem::form("an escape in the query names no character"))
}

/// A declared parameter.
fn seal(
    plan: &Plan,
    pair: usize,
    place: u16,
    text: &str,
    shield: &Shield,
    owners: &Owners,
    writes: &mut Vec<Write>,
) -> Result<Option<Change>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let known = plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
    let field = shield.field(known.field);
    let (before, text) = compare::prefixed(text, &known.operators)?;
    let value = value::from_text(text, field).map_err(|e| Problem::value(&field.name, e))?;
    let find = known.find || matches!(field.protect, Protect::Pseudonym { .. });
    let whose =
        if find { Whose::Nobody } else { owners.get(known.owner).map_or(Whose::Nobody, |o| o.1.clone()) };
    writes.push(Write { field: known.field, whose, find, value });
    Ok(Some(Change::Value { pair, before: before.to_owned() }))
}

/// A parameter that holds JSON.
fn filter(
    plan: &Plan,
    pair: usize,
    text: String,
    layout: &Arc<Layout>,
    shield: &Shield,
    writes: &mut Vec<Write>,
) -> Result<Change, Problem> {
    let settings = Settings { depth: plan.depth, lines: false, exact: true };
    let none = vec![0; layout.slots.len()];
    let mut splicer = Splicer::new(Arc::clone(layout), none, settings, text.len(), true);
    let stop = |stop| match stop {
        Stop::Wrong(wrong) => Problem::json(wrong),
        Stop::TooLong => Problem::internal(),
        Stop::TooMany(most) => Problem::too_many(most),
    };
    splicer.feed(&Bytes::copy_from_slice(text.as_bytes())).map_err(stop)?;
    splicer.finish().map_err(stop)?;
    let mut pieces = Vec::new();
    for (edit, raw) in splicer.edits() {
        let place = edit.place.ok_or_else(Problem::internal)?;
        let own = comparison(raw, place, plan, shield, writes)?;
        pieces.extend(
            own.into_iter().map(|(range, number)| (edit.start + range.start..edit.start + range.end, number)),
        );
    }
    Ok(Change::Json { pair, text, pieces })
}

/// A member of such JSON, spelled with brackets.
fn bracketed(
    plan: &Plan,
    pair: usize,
    keys: &[&str],
    text: &str,
    layout: &Arc<Layout>,
    shield: &Shield,
    writes: &mut Vec<Write>,
) -> Result<Option<Change>, Problem> {
    let Some((Leaf::Place(place), taken)) = layout.tree.walk(keys) else {
        // In other case it may still be meant.
        let lower: Vec<String> = keys.iter().map(|key| key.trim().to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        return if layout.tree.walk(&lower).is_some() { Err(Problem::spelling()) } else { Ok(None) };
    };
    let known = plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
    let field = shield.field(known.field);
    let item = |key: &str| key.bytes().all(|b| b.is_ascii_digit());
    let declared = |key: &str| known.operators.iter().any(|operator| **operator == *key);
    match keys.get(taken..).unwrap_or_default() {
        [] => {}
        [operator] if declared(operator) => {}
        [operator, number] if declared(operator) && item(number) => {}
        // It only switches something on: `filter[email][_null]=true`.
        [_] if !known.operators.is_empty() && matches!(text, "true" | "false" | "null" | "") => {
            return Ok(None);
        }
        _ => return Err(Problem::comparison()),
    }
    if text.is_empty() {
        return Ok(None);
    }
    let value = value::from_text(text, field).map_err(|e| Problem::value(&field.name, e))?;
    writes.push(Write { field: known.field, whose: Whose::Nobody, find: true, value });
    Ok(Some(Change::Value { pair, before: String::new() }))
}
