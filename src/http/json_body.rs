//! JSON of requests on its way through, sealed.

use super::budget::Held;
use super::compare::{self, Piece};
use super::graphql;
use super::json::replacements::Replacements;
use super::json::scan::Settings;
use super::json::splice::{Edit, Splicer, Stop, Told};
use super::json::text;
use super::links::Turner;
use super::person;
use super::plan::{Place, Plan, within};
use super::problem::Problem;
use super::shield::{Shield, Whose, Write, stored_json};
use super::value;
use super::written::Written;
use crate::ids::Subject;
use bytes::Bytes;
use std::sync::Arc;
use zeroize::Zeroizing;

/// After so many values the worker's other tasks have their turn.
const PAUSE: usize = 1024;

/// By owner: how many of its sources come before the one that is known, and who that is.
pub(super) type Owners = Arc<[(usize, Whose)]>;

/// A request's body, sealed.
pub(super) struct Sealing {
    splicer: Splicer,
    plan: Arc<Plan>,
    shield: Shield,
    owners: Owners,
    turner: Arc<Turner>,
    /// All of a GraphQL request.
    operation: Option<Zeroizing<Vec<u8>>>,
    held: Held,
}

/// How strictly a route's bodies are read.
pub(super) fn settings(plan: &Plan, lines: bool, exact: bool) -> Settings {
    Settings { depth: plan.depth, lines, exact }
}

/// Whose a value is: as its body tells, or else as its owner's other sources do.
fn whose(
    splicer: &Splicer,
    edit: &Edit,
    place: u16,
    plan: &Plan,
    owners: &Owners,
    last: &mut Option<(u32, Arc<Subject>)>,
) -> Result<Whose, Problem> {
    let Some(known) = plan.places.get(usize::from(place)) else { return Err(Problem::internal()) };
    match edit.told {
        Told::Here(number) => {
            if let Some((same, subject)) = last
                && *same == number
                && plan.owners.get(known.owner).is_some_and(|owner| owner.class == subject.class)
            {
                return Ok(Whose::Known(Arc::clone(subject)));
            }
            let id = person::of_json(splicer.id(number)).map_err(|_| Problem::subject_id())?;
            let owner = plan.owners.get(known.owner).ok_or_else(Problem::internal)?;
            let subject = Arc::new(Subject::new(owner.class.clone(), &*id));
            *last = Some((number, Arc::clone(&subject)));
            Ok(Whose::Known(subject))
        }
        Told::Nothing | Told::Open => Ok(match owners.get(known.owner).map(|(_, whose)| whose) {
            Some(Whose::Returned(_)) if plan.created_many => Whose::Returned(edit.item),
            Some(whose) => whose.clone(),
            None => Whose::Nobody,
        }),
    }
}

/// How many subjects of the body count for each place.
pub(super) fn counts(plan: &Plan, owners: &Owners, answer: bool) -> impl Iterator<Item = u8> {
    let count = move |place: &Place| match (plan.owners.get(place.owner), owners.get(place.owner)) {
        (Some(owner), Some((before, _))) => within(owner, *before, answer),
        _ => 0,
    };
    plan.places.iter().map(count)
}

impl Sealing {
    pub(super) fn new(
        plan: Arc<Plan>,
        shield: Shield,
        owners: Owners,
        turner: Arc<Turner>,
        lines: bool,
        held: Held,
    ) -> Self {
        // Rows of one statement are made together, and an operation is judged with its variables.
        let whole = plan.graphql || owners.iter().any(|(_, whose)| matches!(whose, Whose::Returned(_)));
        let splicer = Splicer::new(
            Arc::clone(&plan.request),
            counts(&plan, &owners, false).collect(),
            // What is only looked at for addresses may have any shape.
            settings(&plan, lines, !plan.only_written()),
            plan.item_bytes,
            whole,
        );
        let operation = plan.graphql.then(Zeroizing::default);
        Self { splicer, plan, shield, owners, turner, operation, held }
    }

    pub(super) async fn feed(&mut self, chunk: &Bytes, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.splicer.feed(chunk).map_err(|stop| self.stop(stop))?;
        if let Some(operation) = &mut self.operation {
            operation.extend_from_slice(chunk);
        }
        self.go(out).await?;
        self.held.now(self.splicer.holds() + self.operation.as_ref().map_or(0, |operation| operation.len()))
    }

    pub(super) async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.splicer.finish().map_err(|stop| self.stop(stop))?;
        if self.operation.as_ref().is_some_and(|operation| !graphql::has_plain_variables(operation)) {
            return Err(Problem::variables());
        }
        self.go(out).await
    }

    fn stop(&self, stop: Stop) -> Problem {
        match stop {
            Stop::Wrong(wrong) => Problem::json(wrong),
            Stop::TooLong => Problem::too_large(self.plan.item_bytes),
            Stop::TooMany(most) => Problem::too_many(most),
        }
    }

    /// A member that holds an address.
    async fn written(&self, raw: &[u8], writes: &mut Vec<Write>) -> Result<Kind, Problem> {
        let address = if raw.first() == Some(&b'"') { text::decode(raw) } else { None };
        let Some(address) = address else { return Ok(Kind::Kept) };
        let written = Written::read(&self.turner, &self.shield, address.into_owned(), writes).await?;
        Ok(written.map_or(Kind::Kept, Kind::Written))
    }

    async fn go(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let mut writes = Vec::new();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut last = None;
        for (number, (edit, raw)) in self.splicer.edits().enumerate() {
            // Others are served meanwhile.
            if number % PAUSE == PAUSE - 1 {
                tokio::task::yield_now().await;
            }
            let Some(place) = edit.place else {
                kinds.push(match self.plan.graphql {
                    true => operation(raw)?,
                    false => Box::pin(self.written(raw, &mut writes)).await?,
                });
                continue;
            };
            let known = self.plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
            let field = self.shield.field(known.field);
            if !known.operators.is_empty() && raw.first() == Some(&b'{') {
                kinds.push(Kind::Compared(comparison(raw, place, &self.plan, &self.shield, &mut writes)?));
                continue;
            }
            let Some(value) = value::from_json(raw, field).map_err(|e| Problem::value(&field.name, e))?
            else {
                kinds.push(Kind::Kept);
                continue;
            };
            let whose = match known.find {
                true => Whose::Nobody,
                false => whose(&self.splicer, edit, place, &self.plan, &self.owners, &mut last)?,
            };
            kinds.push(Kind::Replaced { digits: raw.first() != Some(&b'"') });
            writes.push(Write { field: known.field, whose, find: known.find, value });
        }
        let mut stored = self.shield.seal(&writes).await?.into_iter();
        let mut replacements = Replacements::default();
        for (number, (kind, (_, raw))) in kinds.into_iter().zip(self.splicer.edits()).enumerate() {
            let mut next = |digits, out: &mut Vec<u8>| {
                stored_json(&stored.next().ok_or_else(Problem::internal)?, digits, out);
                Ok(())
            };
            match kind {
                Kind::Kept => replacements.keep(number),
                Kind::Replaced { digits } => replacements.replace(number, |out| next(digits, out))?,
                Kind::Compared(pieces) => {
                    replacements.replace(number, |out| compared(raw, &pieces, out, next))?;
                }
                Kind::Written(written) => {
                    let address = written.rewrite(&mut stored)?;
                    replacements.write(number, |out| text::encode(&address, out));
                }
            }
        }
        self.splicer.splice(&replacements, out);
        Ok(())
    }
}

/// What becomes of a value.
enum Kind {
    Kept,
    Replaced {
        digits: bool,
    },
    /// It is a comparison, whose identifiers are replaced.
    Compared(Vec<Piece>),
    /// An address of this listener, whose identifiers are replaced.
    Written(Written),
}

/// Checks a member that holds a GraphQL operation.
fn operation(raw: &[u8]) -> Result<Kind, Problem> {
    match raw.first() {
        Some(b'n') => Ok(Kind::Kept),
        Some(b'"') => {
            let text = text::decode(raw).ok_or_else(Problem::operation)?;
            if graphql::is_free_of_values(&text) { Ok(Kind::Kept) } else { Err(Problem::operation()) }
        }
        _ => Err(Problem::operation()),
    }
}

/// Adds the identifiers of a comparison to what is looked up; gives where they stand.
pub(super) fn comparison(
    raw: &[u8],
    place: u16,
    plan: &Plan,
    shield: &Shield,
    writes: &mut Vec<Write>,
) -> Result<Vec<Piece>, Problem> {
    let known = plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
    let field = shield.field(known.field);
    let mut pieces = compare::pieces(raw, &known.operators)?;
    let mut kept = Vec::with_capacity(pieces.len());
    for (range, number) in pieces.drain(..) {
        let own = raw.get(range.clone()).ok_or_else(Problem::internal)?;
        let value = value::from_json(own, field).map_err(|e| Problem::value(&field.name, e))?;
        if let Some(value) = value {
            writes.push(Write { field: known.field, whose: Whose::Nobody, find: true, value });
            kept.push((range, number));
        }
    }
    Ok(kept)
}

/// Appends a comparison with its identifiers replaced, each by the next one.
pub(super) fn compared(
    raw: &[u8],
    pieces: &[Piece],
    out: &mut Vec<u8>,
    mut next: impl FnMut(bool, &mut Vec<u8>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut from = 0;
    for (range, number) in pieces {
        out.extend_from_slice(raw.get(from..range.start).ok_or_else(Problem::internal)?);
        next(*number, out)?;
        from = range.end;
    }
    out.extend_from_slice(raw.get(from..).ok_or_else(Problem::internal)?);
    Ok(())
}
