//! JSON on its way through: requests sealed, answers opened.

use super::compare::{self, Piece};
use super::graphql;
use super::json::scan::{Settings, Wrong};
use super::json::splice::{Edit, Replacements, Splicer, Stop, Told};
use super::json::text;
use super::links::Turner;
use super::person;
use super::plan::Plan;
use super::problem::Problem;
use super::shield::{Batch, LOADS, Next, Read, Shield, Whose, Write, erased_json, stored_json};
use super::value;
use crate::ids::Subject;
use crate::policy::model::{Field, Protect, TokenKind};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use zeroize::Zeroizing;

/// By owner: how many of its sources come before the one that is known, and who that is.
pub(super) type Owners = Arc<[(usize, Whose)]>;

/// A request's body, sealed.
pub(super) struct Sealing {
    splicer: Splicer,
    plan: Arc<Plan>,
    shield: Shield,
    owners: Owners,
    /// All of a GraphQL request.
    operation: Option<Zeroizing<Vec<u8>>>,
}

/// An answer's body, opened.
pub(super) struct Opening {
    splicer: Splicer,
    plan: Arc<Plan>,
    shield: Shield,
    owners: Owners,
    links: Option<Arc<Turner>>,
    /// The subjects of a creation are still to be bound.
    unbound: bool,
}

fn settings(plan: &Plan, lines: bool, exact: bool) -> Settings {
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
fn counts(plan: &Plan, owners: &Owners, answer: bool) -> Vec<u8> {
    let count = |place: &super::plan::Place| match (plan.owners.get(place.owner), owners.get(place.owner)) {
        (Some(owner), Some((before, _))) => super::plan::within(owner, *before, answer),
        _ => 0,
    };
    plan.places.iter().map(count).collect()
}

impl Sealing {
    pub(super) fn new(plan: Arc<Plan>, shield: Shield, owners: Owners, lines: bool) -> Self {
        // Rows of one statement are made together, and an operation is judged with its variables.
        let whole = plan.graphql || owners.iter().any(|(_, whose)| matches!(whose, Whose::Returned(_)));
        let splicer = Splicer::new(
            Arc::clone(&plan.request),
            counts(&plan, &owners, false),
            settings(&plan, lines, true),
            plan.item_bytes,
            whole,
        );
        let operation = plan.graphql.then(Zeroizing::default);
        Self { splicer, plan, shield, owners, operation }
    }

    pub(super) async fn feed(&mut self, chunk: &Bytes, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.splicer.feed(chunk).map_err(|stop| self.stop(stop))?;
        if let Some(operation) = &mut self.operation {
            operation.extend_from_slice(chunk);
        }
        self.go(out).await
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
        }
    }

    async fn go(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let mut writes = Vec::new();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut last = None;
        for (edit, raw) in self.splicer.edits() {
            let Some(place) = edit.place else {
                operation(raw)?;
                kinds.push(Kind::Kept);
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
}

/// Checks a member that holds a GraphQL operation.
fn operation(raw: &[u8]) -> Result<(), Problem> {
    match raw.first() {
        Some(b'n') => Ok(()),
        Some(b'"') => {
            let text = text::decode(raw).ok_or_else(Problem::operation)?;
            if graphql::is_free_of_values(&text) { Ok(()) } else { Err(Problem::operation()) }
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

impl Opening {
    /// `unbound`: the answer tells whose the request's values are, and nothing of it goes on before they are bound.
    pub(super) fn new(
        plan: Arc<Plan>,
        shield: Shield,
        owners: Owners,
        links: Option<Arc<Turner>>,
        lines: bool,
        unbound: bool,
    ) -> Self {
        let mut splicer = Splicer::new(
            Arc::clone(&plan.answer),
            counts(&plan, &owners, true),
            settings(&plan, lines, false),
            plan.item_bytes,
            unbound,
        );
        if let (true, Some(slot)) = (unbound, plan.created) {
            splicer.watch(slot);
        }
        Self { splicer, plan, shield, owners, links, unbound }
    }

    pub(super) async fn feed(&mut self, chunk: &Bytes, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.splicer.feed(chunk).map_err(|stop| self.stop(stop))?;
        self.go(out).await
    }

    pub(super) async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.splicer.finish().map_err(|stop| self.stop(stop))?;
        if std::mem::take(&mut self.unbound) {
            Box::pin(self.bind()).await?;
        }
        self.go(out).await
    }

    fn stop(&self, stop: Stop) -> Problem {
        match stop {
            Stop::Wrong(Wrong::Syntax) => Problem::answer("it is not valid JSON"),
            Stop::Wrong(wrong) => Problem::answer(wrong.to_string()),
            Stop::TooLong => Problem::answer(format!(
                "more than {} bytes of it would have to be held until it is known whose they are",
                self.plan.item_bytes
            )),
        }
    }

    /// Binds what was made for the request to the people that the answer tells.
    async fn bind(&mut self) -> Result<(), Problem> {
        let class = self.plan.owners.iter().find(|owner| owner.returned()).map(|owner| owner.class.clone());
        let class = class.ok_or_else(Problem::internal)?;
        let ids = self.splicer.watched().to_vec();
        let mut rows = Vec::with_capacity(ids.len());
        for (number, raw) in ids.iter().enumerate() {
            let id = person::of_json(raw).map_err(|_| Problem::unbound())?;
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let row = if self.plan.created_many { self.echoed(number)?.unwrap_or(number) } else { 0 };
            rows.push((row, Subject::new(class.clone(), &*id)));
        }
        let made = self.shield.rows();
        let all = (0..made).all(|row| rows.iter().filter(|(known, _)| *known == row).count() == 1);
        if rows.is_empty() || !all {
            return Err(Problem::unbound());
        }
        self.shield.bind(&rows).await
    }

    /// The row of the request that the answer's item of that number shows a value of.
    fn echoed(&self, item: u32) -> Result<Option<u32>, Problem> {
        for (edit, raw) in self.splicer.edits().filter(|(edit, _)| edit.item == item) {
            if edit.place.is_none() || raw.first() != Some(&b'"') {
                continue;
            }
            let stored = text::decode(raw).ok_or_else(|| Problem::answer("it holds half a character"))?;
            if let Some(row) = self.shield.row(&stored) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    async fn go(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let mut replacements = Replacements::default();
        self.turn(&mut replacements).await?;
        let mut open = None;
        for _ in 0..LOADS {
            let mut batch = self.shield.batch();
            open = Some(self.show(&mut batch, open.as_deref(), &mut replacements)?);
            if self.shield.complete(&mut batch).await? {
                self.splicer.splice(&replacements, out);
                return Ok(());
            }
        }
        Err(Problem::internal())
    }

    /// Turns addresses around.
    async fn turn(&self, replacements: &mut Replacements) -> Result<(), Problem> {
        let Some(links) = &self.links else { return Ok(()) };
        for (number, (_, raw)) in
            self.splicer.edits().enumerate().filter(|(_, (edit, _))| edit.place.is_none())
        {
            if let Some(address) = text::decode(raw)
                && let Some(address) = Box::pin(links.turn(&self.shield, &address)).await?
            {
                replacements.write(number, |out| text::encode(&address, out));
            }
        }
        Ok(())
    }

    /// Opens the values whose numbers are `open`, or all; gives the numbers of those that are not at hand.
    fn show(
        &self,
        batch: &mut Batch<'_>,
        open: Option<&[usize]>,
        replacements: &mut Replacements,
    ) -> Result<Vec<usize>, Problem> {
        let mut missing = Vec::new();
        let mut last = None;
        for (number, (edit, raw)) in self.splicer.edits().enumerate() {
            if open.is_some_and(|open| open.binary_search(&number).is_err()) {
                continue;
            }
            replacements.keep(number);
            let Some(place) = edit.place else { continue };
            let known = self.plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
            let field = self.shield.field(known.field);
            let Some((stored, digits)) = stored(raw, field)? else { continue };
            let whose = whose(&self.splicer, edit, place, &self.plan, &self.owners, &mut last)
                .map_err(|_| Problem::answer("a subject's id in it is not in its canonical spelling"))?;
            match batch.next(&Read { field: known.field, whose, stored: &stored })? {
                Next::Clear(_, bytes) if digits => replacements.put(number, bytes),
                Next::Clear(kind, bytes) => replacements
                    .replace(number, |out| value::to_json(kind, bytes, out))
                    .map_err(|e| Problem::answer(e.to_string()))?,
                Next::Erased => replacements.write(number, |out| erased_json(field, out)),
                Next::Missing => missing.push(number),
            }
        }
        Ok(missing)
    }
}

/// What is stored at a declared place, and whether it is a number; none where nothing is.
fn stored<'r>(raw: &'r [u8], field: &Field) -> Result<Option<(Cow<'r, str>, bool)>, Problem> {
    match raw.first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text = text::decode(raw).ok_or_else(|| Problem::answer("it holds half a character"))?;
            // Nothing stands in an empty one that could have been planted.
            Ok((!text.is_empty()).then_some((text, false)))
        }
        _ if matches!(field.protect, Protect::Pseudonym { kind: TokenKind::Integer, .. }) => {
            Ok(Some((String::from_utf8_lossy(raw), true)))
        }
        _ => Err(Problem::open(crate::protect::OpenFault::InClear, &field.name)),
    }
}
