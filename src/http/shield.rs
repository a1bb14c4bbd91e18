//! Values through the door, in batches: sealed on their way in, opened on their way out.

use super::json::text;
use super::links::Home;
use super::problem::Problem;
use super::value::{self, ValueError};
use crate::clear::{Clear, Kind};
use crate::ids::{FieldId, Subject};
use crate::policy::model::{Field, Ids, Protect};
use crate::protect::{BodySealer, Door, Item, Memo, Missing, Outcome, Owner, Row, Stored, Unit, armour};
use parking_lot::Mutex;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// So often what is missing is fetched before it is given up.
pub(super) const LOADS: usize = 8;

/// Whose a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    Known(Arc<Subject>),
    /// The answer tells; the number of its item.
    Returned(u32),
    Nobody,
}

impl Whose {
    /// The row that a stored value of theirs stands in.
    pub(super) fn row(&self) -> Row<'_> {
        match self {
            Self::Known(subject) => Row::Of { class: &subject.class, id: &subject.id },
            Self::Returned(_) | Self::Nobody => Row::Unknown,
        }
    }
}

/// A value to be stored or compared.
pub(super) struct Write {
    pub(super) field: FieldId,
    pub(super) whose: Whose,
    pub(super) find: bool,
    pub(super) value: Clear,
}

/// A stored value to be shown.
pub(super) struct Read<'a> {
    pub(super) field: FieldId,
    /// Whose row it stands in.
    pub(super) row: Row<'a>,
    /// An armoured envelope or a token, in UTF-8.
    pub(super) stored: &'a [u8],
}

/// What is shown for a stored value.
pub(super) enum Shown {
    Clear(Clear),
    Erased,
}

/// One value of a [`Batch`].
pub(super) enum Next<'b> {
    /// Its canonical form.
    Clear(Kind, &'b [u8]),
    Erased,
    /// Not at hand: the whole batch is tried again ([`Shield::complete`]).
    Missing,
}

/// Memory that values are opened in, for one batch after another.
#[derive(Default)]
pub(super) struct Space {
    memo: Memo,
    envelope: Vec<u8>,
    clear: Zeroizing<Vec<u8>>,
}

impl Space {
    /// Overwrites the last value and its key.
    pub(super) fn wipe(&mut self) {
        self.memo.forget();
        overwrite(&mut self.clear);
    }

    /// How much memory it keeps, about.
    pub(super) fn size(&self) -> usize {
        self.envelope.capacity() + self.clear.capacity()
    }
}

/// Overwrites what was written; what lies behind it never was, since nothing is ever only cut off.
fn overwrite(clear: &mut Vec<u8>) {
    clear.as_mut_slice().zeroize();
    clear.clear();
}

/// Values that are opened one after another. Neighbours mostly have one key, which is set up once.
pub(super) struct Batch<'s> {
    shield: &'s Shield,
    /// The lease was checked.
    begun: bool,
    space: &'s mut Space,
    missing: Vec<Missing>,
}

impl<'s> Batch<'s> {
    /// A field of the policy.
    pub(super) fn field(&self, id: FieldId) -> &'s Field {
        self.shield.field(id)
    }

    /// Whether a text has the shape of what is stored for a field.
    pub(super) fn is_stored(&self, id: FieldId, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| self.shield.door().is_stored(id, text))
    }

    /// Opens the next one.
    ///
    /// # Errors
    /// It must not be shown.
    pub(super) fn next(&mut self, read: &Read<'_>) -> Result<Next<'_>, Problem> {
        let (door, field) = (self.shield.door(), self.shield.field(read.field));
        if !std::mem::replace(&mut self.begun, true) {
            door.begin_batch().map_err(|e| Problem::protect(&e))?;
        }
        if let Row::Of { class, id } = read.row {
            self.shield.admits(class, id)?;
        }
        let Space { memo, envelope, clear } = &mut *self.space;
        overwrite(clear);
        let outcome = match field.protect {
            Protect::Pseudonym { .. } => {
                let token = std::str::from_utf8(read.stored).map_err(|_| Problem::internal())?;
                door.reveal_next(read.field, token, read.row, memo, clear)
            }
            Protect::Encrypt if armour::read(read.stored, envelope) => {
                door.open_next(read.field, envelope, read.row, memo, clear)
            }
            Protect::Encrypt => Outcome::Fault(door.in_clear(read.field)),
        };
        match outcome {
            Outcome::Opened(kind) => Ok(Next::Clear(kind, &self.space.clear)),
            Outcome::Erased => Ok(Next::Erased),
            Outcome::Missing(what) => {
                if !self.missing.contains(&what) {
                    self.missing.push(what);
                }
                Ok(Next::Missing)
            }
            Outcome::Fault(why) => Err(Problem::open(why, &field.name)),
        }
    }
}

/// What an exchange has written, until its outcome is known.
#[derive(Default)]
struct Work {
    /// Boxed: most exchanges store nothing.
    unit: Option<Box<Unit>>,
    /// The request's body has been sent on whole.
    sent: bool,
    /// What the answer says about it.
    outcome: Option<Ended>,
    /// Rows whose subjects the answer tells.
    rows: u32,
    /// They were made.
    returned: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Kept,
    Undone,
    Unclear,
}

/// The door, for one exchange.
#[derive(Clone)]
pub(super) struct Shield {
    inner: Arc<Inner>,
}

struct Inner {
    /// Its connection's, mostly.
    door: Arc<Door>,
    work: Mutex<Work>,
    /// What the unit is kept under for recovery.
    place: Arc<str>,
    /// The class of whom the request makes, where the answer tells whom.
    creates: Option<Arc<str>>,
    /// Where addresses are turned around.
    home: Option<Box<Home>>,
    /// What the request compares with, as it was sent, by its token: where the answer's addresses may repeat it.
    asked: Option<Mutex<Vec<Asked>>>,
}

/// A token, and the identifier that the client sent.
type Asked = (Box<str>, Zeroizing<String>);

impl Drop for Inner {
    fn drop(&mut self) {
        self.door.put_on_record();
    }
}

impl Shield {
    pub(super) fn new(
        door: Arc<Door>,
        place: Arc<str>,
        creates: Option<Arc<str>>,
        home: Option<Box<Home>>,
    ) -> Self {
        let asked = home.is_some().then(Mutex::default);
        Self { inner: Arc::new(Inner { door, work: Mutex::default(), place, creates, home, asked }) }
    }

    pub(super) fn home(&self) -> Option<&Home> {
        self.inner.home.as_deref()
    }

    pub(super) fn door(&self) -> &Door {
        &self.inner.door
    }

    pub(super) fn field(&self, id: FieldId) -> &Field {
        self.door().policy().field(id)
    }

    /// Protects values; what is stored comes in their order.
    ///
    /// # Errors
    /// Nothing of them must be sent on.
    pub(super) async fn seal(&self, writes: &[Write]) -> Result<Vec<Stored>, Problem> {
        let mut stored: Vec<Option<Stored>> = Vec::with_capacity(writes.len());
        let mut items = Vec::new();
        for write in writes {
            if write.find {
                let identifier = std::str::from_utf8(write.value.bytes()).map_err(|_| Problem::internal())?;
                let token = Box::pin(self.door().find(write.field, identifier))
                    .await
                    .map_err(|e| Problem::protect(&e))?;
                if let Some(asked) = &self.inner.asked {
                    asked.lock().push(((*token).into(), identifier.to_owned().into()));
                }
                stored.push(Some(Stored::Token(token)));
                continue;
            }
            let owner = match &write.whose {
                Whose::Known(subject) => Owner::Known(subject),
                Whose::Returned(row) => Owner::Returned(*row),
                Whose::Nobody => return Err(Problem::nobody(&self.field(write.field).name)),
            };
            match &write.whose {
                Whose::Returned(row) => self.returns(*row)?,
                Whose::Known(subject) => self.admits(&subject.class, &subject.id)?,
                Whose::Nobody => {}
            }
            items.push(Item { field: write.field, owner, value: &write.value });
            stored.push(None);
        }
        if !items.is_empty() {
            let returned = items.iter().any(|item| matches!(item.owner, Owner::Returned(_)));
            self.inner.work.lock().returned |= returned;
            let mut unit = self.take();
            if let (true, Some(class)) = (returned, &self.inner.creates) {
                let seals = |item: &Item<'_>| self.field(item.field).protect == Protect::Encrypt;
                unit.creates(class, !items.iter().any(seals));
            }
            let done = Box::pin(unit.protect(&items)).await;
            self.put(unit);
            let mut done = done.map_err(|e| Problem::protect(&e))?.into_iter();
            for slot in stored.iter_mut().filter(|slot| slot.is_none()) {
                *slot = done.next();
            }
        }
        stored.into_iter().collect::<Option<_>>().ok_or_else(Problem::internal)
    }

    /// What seals a whole body of a field.
    ///
    /// # Errors
    /// Nothing of it must be sent on.
    pub(super) async fn seal_body(&self, field: FieldId, whose: &Whose) -> Result<BodySealer, Problem> {
        let owner = match whose {
            Whose::Known(subject) => {
                self.admits(&subject.class, &subject.id)?;
                Owner::Known(subject)
            }
            Whose::Returned(row) => {
                self.returns(*row)?;
                Owner::Returned(*row)
            }
            Whose::Nobody => return Err(Problem::nobody(&self.field(field).name)),
        };
        let returned = matches!(owner, Owner::Returned(_));
        self.inner.work.lock().returned |= returned;
        let mut unit = self.take();
        if let (true, Some(class)) = (returned, &self.inner.creates) {
            unit.creates(class, false);
        }
        let done = Box::pin(unit.seal_body(field, owner)).await;
        self.put(unit);
        done.map_err(|e| Problem::protect(&e))
    }

    /// The class of a subject says how its ids are written: under another one nothing is stored, shown or bound.
    fn admits(&self, class: &str, id: &str) -> Result<(), Problem> {
        let classes = &self.door().policy().classes;
        // Most take any text.
        let mut exact = classes.iter().filter(|known| known.ids != Ids::Text);
        match exact.any(|known| *known.name == *class && !known.ids.take(id)) {
            true => Err(Problem::subject_id()),
            false => Ok(()),
        }
    }

    /// What this request compared with, by its token.
    pub(super) fn asked(&self, token: &str) -> Option<Zeroizing<String>> {
        let asked = self.inner.asked.as_ref()?.lock();
        asked.iter().find(|(known, _)| **known == *token).map(|(_, identifier)| identifier.clone())
    }

    /// A row whose subject the answer tells. All of a request are made at once: a unit forgets those of its last
    /// statement, and what it forgot could never be bound.
    fn returns(&self, row: u32) -> Result<(), Problem> {
        let mut work = self.inner.work.lock();
        if work.returned {
            return Err(Problem::several());
        }
        work.rows = work.rows.max(row + 1);
        Ok(())
    }

    /// Opens stored values, in their order.
    ///
    /// # Errors
    /// One of them must not be shown.
    pub(super) async fn open(&self, reads: &[Read<'_>]) -> Result<Vec<Shown>, Problem> {
        let mut shown: Vec<Option<Shown>> = Vec::new();
        shown.resize_with(reads.len(), || None);
        let mut space = Space::default();
        for _ in 0..LOADS {
            let mut batch = self.batch(&mut space);
            for (slot, read) in shown.iter_mut().zip(reads).filter(|(slot, _)| slot.is_none()) {
                *slot = match batch.next(read)? {
                    Next::Clear(kind, bytes) => Some(Shown::Clear(Clear::new(kind, bytes.to_vec()))),
                    Next::Erased => Some(Shown::Erased),
                    Next::Missing => None,
                };
            }
            if self.complete(&mut batch).await? {
                return shown.into_iter().collect::<Option<_>>().ok_or_else(Problem::internal);
            }
        }
        Err(Problem::internal())
    }

    /// A batch of values to be opened, without waiting.
    pub(super) fn batch<'s>(&'s self, space: &'s mut Space) -> Batch<'s> {
        // An erasure that came since the last one holds from here.
        space.memo.forget();
        Batch { shield: self, begun: false, space, missing: Vec::new() }
    }

    /// Whether all of a batch was there, and may be released. What was missing has then been fetched, for the next try.
    ///
    /// # Errors
    /// What is missing can't be fetched, or nothing may be released.
    pub(super) async fn complete(&self, batch: &mut Batch<'_>) -> Result<bool, Problem> {
        if !batch.begun {
            return Ok(true);
        }
        let missing = std::mem::take(&mut batch.missing);
        if missing.is_empty() {
            // Released only while the lease runs.
            self.door().lease().map_err(|e| Problem::protect(&e))?;
            return Ok(true);
        }
        // Rare, and large: it would be moved with every exchange.
        Box::pin(self.door().load(&missing)).await.map_err(|e| Problem::protect(&e))?;
        Ok(false)
    }

    fn take(&self) -> Box<Unit> {
        let unit = self.inner.work.lock().unit.take();
        unit.unwrap_or_else(|| Box::new(self.door().unit(&self.inner.place)))
    }

    fn put(&self, unit: Box<Unit>) {
        self.told(|work| work.unit = Some(unit));
    }

    /// How many rows the answer tells the subjects of.
    pub(super) fn rows(&self) -> u32 {
        self.inner.work.lock().rows
    }

    /// Binds rows to their subjects; durable when it returns.
    pub(super) async fn bind(&self, rows: &[(u32, Subject)]) -> Result<(), Problem> {
        // It is still being written to: the service answered before it had it all.
        rows.iter()
            .try_for_each(|(_, subject)| self.admits(&subject.class, &subject.id))
            .map_err(|_| Problem::unbound())?;
        let Some(mut unit) = self.inner.work.lock().unit.take() else { return Err(Problem::unbound()) };
        let done = Box::pin(unit.bind(rows)).await;
        self.put(unit);
        done.map_err(|e| Problem::protect(&e))
    }

    /// The row that a stored value of the answer belongs to, if it was made for this request.
    pub(super) fn row(&self, stored: &str) -> Option<u32> {
        let mut work = self.inner.work.lock();
        let unit = work.unit.as_mut()?;
        let mut envelope = Vec::new();
        if armour::read(stored.as_bytes(), &mut envelope) {
            return unit.row_of_envelope(&envelope);
        }
        unit.take_row_of_token(stored)
    }

    /// The request's body went on whole.
    pub(super) fn sent(&self) {
        self.told(|work| work.sent = true);
    }

    /// The answer has told.
    pub(super) fn outcome(&self, outcome: Ended) {
        self.told(|work| work.outcome = Some(outcome));
    }

    /// Nothing of the request ever left: what was made for it sealed nothing.
    pub(super) fn unsent(&self) {
        self.told(|work| (work.sent, work.outcome) = (true, Some(Ended::Undone)));
    }

    /// Something is known about the unit, which ends once all is.
    fn told(&self, tell: impl FnOnce(&mut Work)) {
        let mut work = self.inner.work.lock();
        tell(&mut work);
        let (true, Some(outcome)) = (work.sent, work.outcome) else { return };
        let Some(unit) = work.unit.take() else { return };
        drop(work);
        match outcome {
            Ended::Kept => (*unit).commit(),
            Ended::Undone => (*unit).rollback(),
            // Its drop leaves it to recovery.
            Ended::Unclear => drop(unit),
        }
    }
}

/// The raw JSON of what is stored. `number`: the value was one, and its token is too.
pub(super) fn stored_json(stored: &Stored, number: bool, out: &mut Vec<u8>) {
    match stored {
        Stored::Token(token) if number => out.extend_from_slice(token.as_bytes()),
        Stored::Token(token) => text::encode(token, out),
        Stored::Envelope(envelope) => text::encode(&armour::write(envelope), out),
    }
}

/// The text of what is stored.
pub(super) fn stored_text(stored: Stored) -> String {
    match stored {
        Stored::Token(token) => token.into(),
        Stored::Envelope(envelope) => armour::write(&envelope),
    }
}

/// Appends the raw JSON of what stands for an erased value: null, or what its field declares.
pub(super) fn erased_json(field: &Field, out: &mut Vec<u8>) {
    use crate::policy::model::Declared::{Bigint, Boolean, Integer, Jsonb, Numeric};
    let Some(text) = field.erased.as_deref().filter(|text| !text.is_empty()) else {
        out.extend_from_slice(b"null");
        return;
    };
    match field.ty {
        // What SQL reads as such is not always JSON: then it is a string.
        Integer | Bigint | Numeric(_) | Boolean | Jsonb
            if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() =>
        {
            out.extend_from_slice(text.as_bytes());
        }
        _ => text::encode(text, out),
    }
}

/// The text of what is shown.
pub(super) fn shown_text(shown: &Shown, field: &Field) -> Result<Zeroizing<String>, ValueError> {
    match shown {
        Shown::Clear(clear) => value::to_text(clear.kind(), clear.bytes()),
        Shown::Erased => Ok(field.erased.as_deref().unwrap_or_default().to_owned().into()),
    }
}
