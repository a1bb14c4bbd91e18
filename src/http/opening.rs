//! JSON of answers on its way through, opened.

use super::json::replacements::Replacements;
use super::json::scan::Wrong;
use super::json::splice::{Edit, Splicer, Stop, Told};
use super::json::text;
use super::json_body::{Owners, counts, settings};
use super::links::Turner;
use super::person;
use super::plan::{Place, Plan};
use super::problem::Problem;
use super::shield::{Batch, LOADS, Next, Read, Shield, Space, erased_json};
use super::value;
use crate::ids::Subject;
use crate::policy::model::{Field, Protect, TokenKind};
use crate::protect::{OpenFault, Row};
use bytes::Bytes;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// An answer's body, opened.
pub(super) struct Opening {
    kit: Box<Kit>,
    plan: Arc<Plan>,
    shield: Shield,
    owners: Owners,
    links: Option<Arc<Turner>>,
    /// The subjects of a creation are still to be bound.
    unbound: bool,
    /// An error's: what it says in a declared place may be the service's own words.
    error: bool,
}

/// What opening needs and leaves behind: memory that the next answer of its route finds ready.
struct Kit {
    splicer: Splicer,
    replacements: Replacements,
    space: Space,
}

/// Kits of one route that nobody uses now.
#[derive(Default)]
#[allow(clippy::vec_box)] // they are taken out as they are, and large to be moved
pub(super) struct Kits(Mutex<Vec<Box<Kit>>>);

/// So many are kept.
const KITS: usize = 32;
/// One that grew beyond this is not.
const KIT: usize = 64 << 10;

impl Kits {
    fn lend(&self) -> Option<Box<Kit>> {
        self.0.lock().pop()
    }

    /// Takes one back, without anything of the answer that it opened.
    fn keep(&self, mut kit: Box<Kit>) {
        let Kit { splicer, replacements, space } = &mut *kit;
        splicer.forget();
        replacements.wipe();
        space.wipe();
        let mut kits = self.0.lock();
        if kits.len() < KITS && kit.splicer.size() + kit.replacements.size() + kit.space.size() <= KIT {
            kits.push(kit);
        }
    }
}

impl Opening {
    /// `unbound`: the answer tells whose the request's values are, and nothing of it goes on before they are bound.
    /// `error`: it tells why the service did not do what it was asked for.
    pub(super) fn new(
        plan: Arc<Plan>,
        shield: Shield,
        owners: Owners,
        links: Option<Arc<Turner>>,
        lines: bool,
        unbound: bool,
        error: bool,
    ) -> Self {
        let (counts, settings) = (counts(&plan, &owners, true), settings(&plan, lines, false));
        let mut kit = match plan.kits.lend() {
            Some(mut kit) => {
                kit.splicer.renew(counts, settings, plan.item_bytes, unbound);
                kit
            }
            None => {
                let (layout, counts) = (Arc::clone(&plan.answer), counts.collect());
                let splicer = Splicer::new(layout, counts, settings, plan.item_bytes, unbound);
                Box::new(Kit { splicer, replacements: Replacements::default(), space: Space::default() })
            }
        };
        if let (true, Some(slot)) = (unbound, plan.created) {
            kit.splicer.watch(slot);
        }
        Self { kit, plan, shield, owners, links, unbound, error }
    }

    /// A body that is here as a whole. Its kit is kept for the next one only where all went well.
    pub(super) async fn whole(mut self, body: &Bytes) -> Result<Vec<u8>, Problem> {
        self.kit.splicer.feed(body).map_err(|stop| self.stop(stop))?;
        let mut out = Vec::new();
        self.finish(&mut out).await?;
        self.plan.kits.keep(self.kit);
        Ok(out)
    }

    pub(super) async fn feed(&mut self, chunk: &Bytes, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.kit.splicer.feed(chunk).map_err(|stop| self.stop(stop))?;
        self.go(out).await
    }

    pub(super) async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.kit.splicer.finish().map_err(|stop| self.stop(stop))?;
        if std::mem::take(&mut self.unbound) {
            Box::pin(self.bind()).await?;
        }
        self.go(out).await
    }

    fn stop(&self, stop: Stop) -> Problem {
        match stop {
            Stop::Wrong(Wrong::Syntax) => Problem::answer("it is not valid JSON"),
            Stop::Wrong(wrong) => Problem::answer(wrong.to_string()),
            Stop::TooMany(most) => {
                Problem::answer(format!("more than {most} values of it would have to be held"))
            }
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
        let ids = self.kit.splicer.watched().to_vec();
        let shown = self.shown();
        let mut rows = Vec::with_capacity(ids.len());
        for (number, (item, raw)) in ids.iter().enumerate() {
            let id = person::of_json(raw).map_err(|_| Problem::unbound())?;
            let row = match self.plan.created_many {
                // Where nothing of the request is shown, the order of the ids counts.
                true => self.echoed(shown.get(item))?.unwrap_or(u32::try_from(number).unwrap_or(u32::MAX)),
                false => 0,
            };
            rows.push((row, Subject::new(class.clone(), &*id)));
        }
        let mut told = vec![0; self.shield.rows() as usize];
        for (row, _) in &rows {
            if let Some(times) = told.get_mut(*row as usize) {
                *times += 1;
            }
        }
        let all = told.iter().all(|times| *times == 1);
        if rows.is_empty() || !all {
            return Err(Problem::unbound());
        }
        self.shield.bind(&rows).await
    }

    /// The texts in declared places, by the answer's items: there may be many of both.
    fn shown(&self) -> HashMap<u32, Vec<&[u8]>> {
        let mut shown: HashMap<u32, Vec<&[u8]>> = HashMap::new();
        for (edit, raw) in self.kit.splicer.edits() {
            if edit.place.is_some() && raw.first() == Some(&b'"') {
                shown.entry(edit.item).or_default().push(raw);
            }
        }
        shown
    }

    /// The row of the request that an item of the answer shows a value of.
    fn echoed(&self, shown: Option<&Vec<&[u8]>>) -> Result<Option<u32>, Problem> {
        for raw in shown.into_iter().flatten() {
            let stored = text::decode(raw).ok_or_else(|| Problem::answer("it holds half a character"))?;
            if let Some(row) = self.shield.row(&stored) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Opens what may go on now.
    async fn go(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let Self { kit, plan, shield, owners, links, error, .. } = self;
        let Kit { splicer, replacements, space } = &mut **kit;
        replacements.wipe();
        if let Some(links) = links {
            Box::pin(turn(links, shield, splicer, replacements)).await?;
        }
        let mut open = None;
        for _ in 0..LOADS {
            let mut batch = shield.batch(space);
            let missing = show(splicer, plan, owners, *error, &mut batch, open.as_deref(), replacements)?;
            open = Some(missing);
            if shield.complete(&mut batch).await? {
                splicer.splice(replacements, out);
                return Ok(());
            }
        }
        Err(Problem::internal())
    }
}

/// Turns addresses around.
async fn turn(
    links: &Turner,
    shield: &Shield,
    splicer: &Splicer,
    replacements: &mut Replacements,
) -> Result<(), Problem> {
    for (number, (_, raw)) in splicer.edits().enumerate().filter(|(_, (edit, _))| edit.place.is_none()) {
        if let Some(address) = text::decode(raw)
            && let Some(address) = Box::pin(links.turn(shield, &address)).await?
        {
            replacements.write(number, |out| text::encode(&address, out));
        }
    }
    Ok(())
}

/// Opens the values whose numbers are `open`, or all; gives the numbers of those that are not at hand.
fn show(
    splicer: &Splicer,
    plan: &Plan,
    owners: &Owners,
    error: bool,
    batch: &mut Batch<'_>,
    open: Option<&[usize]>,
    replacements: &mut Replacements,
) -> Result<Vec<usize>, Problem> {
    let mut missing = Vec::new();
    // Neighbours mostly are about one person.
    let mut last = None;
    for (number, (edit, raw)) in splicer.edits().enumerate() {
        if open.is_some_and(|open| open.binary_search(&number).is_err()) {
            continue;
        }
        replacements.keep(number);
        let Some(place) = edit.place else { continue };
        let known = plan.places.get(usize::from(place)).ok_or_else(Problem::internal)?;
        let field = batch.field(known.field);
        // A service that refuses a value says so in its place: `{"email": ["is taken"]}`. It never had a clear one that
        // it could repeat there.
        let own = |text: &[u8]| error && !batch.is_stored(known.field, text);
        let Some(Stored { text: stored, number: digits }) = stored(raw, field, own)? else { continue };
        let row = row(splicer, edit, known, plan, owners, &mut last)?;
        match batch.next(&Read { field: known.field, row, stored: &stored })? {
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

/// Whose row a value stands in: as its body tells, or else as its owner's other sources do. `last`: the id that was
/// read last, by its number.
fn row<'r, 's: 'r>(
    splicer: &'s Splicer,
    edit: &Edit,
    place: &Place,
    plan: &'r Plan,
    owners: &'r Owners,
    last: &'r mut Option<(u32, Cow<'s, str>)>,
) -> Result<Row<'r>, Problem> {
    let Told::Here(number) = edit.told else {
        return Ok(owners.get(place.owner).map_or(Row::Unknown, |(_, whose)| whose.row()));
    };
    if last.as_ref().is_none_or(|(same, _)| *same != number) {
        let id = person::of_json(splicer.id(number))
            .map_err(|_| Problem::answer("a subject's id in it is not in its canonical spelling"))?;
        *last = Some((number, id));
    }
    let class = &plan.owners.get(place.owner).ok_or_else(Problem::internal)?.class;
    Ok(last.as_ref().map_or(Row::Unknown, |(_, id)| Row::Of { class, id }))
}

/// What is stored at a declared place.
struct Stored<'r> {
    /// In UTF-8, as its body is.
    text: Cow<'r, [u8]>,
    /// It is a number, and so is what it stands for.
    number: bool,
}

/// What is stored at a declared place; none where nothing is, or a text of the service's `own`.
fn stored<'r>(
    raw: &'r [u8],
    field: &Field,
    own: impl Fn(&[u8]) -> bool,
) -> Result<Option<Stored<'r>>, Problem> {
    match raw.first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text = text::bytes(raw).ok_or_else(|| Problem::answer("it holds half a character"))?;
            // Nothing stands in an empty one that could have been planted.
            Ok((!text.is_empty() && !own(&text)).then_some(Stored { text, number: false }))
        }
        _ if own(raw) => Ok(None),
        _ if matches!(field.protect, Protect::Pseudonym { kind: TokenKind::Integer, .. }) => {
            Ok(Some(Stored { text: Cow::Borrowed(raw), number: true }))
        }
        _ => Err(Problem::open(OpenFault::InClear, &field.name)),
    }
}
