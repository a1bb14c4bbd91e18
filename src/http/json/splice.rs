//! From scanned places to edits, each with the person it is about; and the bytes that may go on meanwhile.

use super::raw::Raw;
use super::replacements::Replacements;
use super::scan::{Scanner, Settings, Sink, Wrong};
use super::tree::{Leaf, Tree};
use bytes::Bytes;
use std::sync::Arc;

/// What a route declares in bodies of one direction.
#[derive(Debug, Default)]
pub(in crate::http) struct Layout {
    pub(in crate::http) tree: Arc<Tree>,
    /// By place: the subjects that may tell whose it is, in the order in which they count.
    pub(in crate::http) slots: Vec<Vec<u16>>,
    /// By subject: how many arrays it lies in.
    pub(in crate::http) depths: Vec<u16>,
}

/// Whose a value is, as far as the body tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Told {
    /// Not yet.
    Open,
    /// By its subject's member: the number of an id, see [`Splicer::id`].
    Here(u32),
    /// The body tells nothing.
    Nothing,
}

/// A value to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Edit {
    pub(in crate::http) start: usize,
    pub(in crate::http) end: usize,
    /// A place; none where a text is looked at.
    pub(in crate::http) place: Option<u16>,
    pub(in crate::http) told: Told,
    /// While it is open: who counts unless an earlier source tells. Its item may have ended meanwhile.
    otherwise: Option<Otherwise>,
    /// The number of the outermost item that it stands in, or of the line.
    pub(in crate::http) item: u32,
}

/// A source that told, while one before it is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Otherwise {
    /// Its place among those that count.
    at: u8,
    id: u32,
}

/// A body on its way: what came in and may not go out yet.
#[derive(Debug)]
pub(in crate::http) struct Splicer {
    scanner: Scanner,
    /// What was not decided when the last chunk ended, and all that came since; or else nothing,
    buf: Vec<u8>,
    /// and the last chunk stands for itself, without a copy.
    chunk: Bytes,
    scanned: usize,
    found: Found,
    started: bool,
    limit: usize,
}

/// What the scanner tells.
#[derive(Debug)]
struct Found {
    layout: Arc<Layout>,
    /// By place: so many of its subjects count, before another source does.
    counts: Vec<u8>,
    edits: Vec<Edit>,
    /// Edits before this one are decided.
    open: usize,
    /// Ids that edits or subjects name by their numbers.
    ids: Vec<Raw>,
    /// So many of them were named when they were last looked through.
    named: usize,
    /// By subject: its id, while its item lasts.
    subjects: Vec<Option<u32>>,
    /// Where the edits of each open item begin.
    items: Vec<usize>,
    /// Where the edits of this document, or line, begin.
    document: usize,
    /// Outermost items so far.
    outer: u32,
    /// A subject whose every value is kept, in order.
    watch: Option<u16>,
    /// Each with the number of the outermost item that it stands in.
    watched: Vec<(u32, Raw)>,
    /// Every value of a document waits for its end.
    whole: bool,
    documents: u32,
}

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Stop {
    Wrong(Wrong),
    /// More than the limit would have to be held.
    TooLong,
    /// So many values would have to be held at most, and there are more.
    TooMany(usize),
}

/// A value costs more than its bytes while it is held: at most one is for so many of the limit's bytes,
const BYTES_OF_A_VALUE: usize = 64;
/// or these.
const FEW: usize = 4096;
/// So few ids are not looked through.
const FEW_IDS: usize = if cfg!(test) { 0 } else { 64 };

impl From<Wrong> for Stop {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// A byte order mark may come first.
const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Splicer {
    /// `whole`: nothing goes on before the body's end.
    /// `counts`: by place, how many of its subjects are asked before a source elsewhere is.
    pub(in crate::http) fn new(
        layout: Arc<Layout>,
        counts: Vec<u8>,
        settings: Settings,
        limit: usize,
        whole: bool,
    ) -> Self {
        let subjects = vec![None; layout.depths.len()];
        Self {
            scanner: Scanner::new(Arc::clone(&layout.tree), settings),
            buf: Vec::new(),
            chunk: Bytes::new(),
            scanned: 0,
            found: Found {
                layout,
                counts,
                edits: Vec::with_capacity(16),
                open: 0,
                ids: Vec::with_capacity(4),
                named: 0,
                subjects,
                items: Vec::new(),
                document: 0,
                outer: 0,
                watch: None,
                watched: Vec::new(),
                whole,
                documents: 0,
            },
            started: false,
            limit,
        }
    }

    /// Begins anew, as a new one for the same layout does, whatever became of the last body. What is left is the memory.
    pub(in crate::http) fn renew(
        &mut self,
        counts: impl Iterator<Item = u8>,
        settings: Settings,
        limit: usize,
        whole: bool,
    ) {
        // Each by its name, so that none is forgotten.
        let Self { scanner, buf, chunk, scanned, found, started, limit: own } = self;
        scanner.renew(settings);
        buf.clear();
        *chunk = Bytes::new();
        (*scanned, *started, *own) = (0, false, limit);
        found.renew(counts, whole);
    }

    /// Lets go of the last body.
    pub(in crate::http) fn forget(&mut self) {
        self.buf.clear();
        self.chunk = Bytes::new();
        self.found.ids.clear();
        self.found.watched.clear();
    }

    /// How much memory it keeps for the next body, about.
    pub(in crate::http) fn size(&self) -> usize {
        self.buf.capacity() + self.found.edits.capacity() * size_of::<Edit>()
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> usize {
        self.found.ids.len()
    }

    /// Takes a chunk in and reads it.
    pub(in crate::http) fn feed(&mut self, chunk: &Bytes) -> Result<(), Stop> {
        if self.buf.is_empty() && self.chunk.is_empty() && (self.started || chunk.len() >= BOM.len()) {
            self.chunk = chunk.clone();
        } else {
            self.gather();
            self.buf.extend_from_slice(chunk);
        }
        if !self.started {
            let held = self.held();
            if held.len() < BOM.len() && BOM.starts_with(held) {
                return Ok(());
            }
            if held.starts_with(BOM) {
                self.scanned = BOM.len();
            }
            self.started = true;
        }
        self.scan()
    }

    /// How many bytes are held, about: those that did not go on yet, and what is known of them.
    pub(in crate::http) fn holds(&self) -> usize {
        self.held().len() + self.found.edits.len() * size_of::<Edit>()
    }

    /// What came in and did not go on yet.
    fn held(&self) -> &[u8] {
        if self.buf.is_empty() { &self.chunk } else { &self.buf }
    }

    /// Puts a chunk that stands for itself where others can follow it.
    fn gather(&mut self) {
        self.buf.extend_from_slice(&std::mem::take(&mut self.chunk));
    }

    fn scan(&mut self) -> Result<(), Stop> {
        let held: &[u8] = if self.buf.is_empty() { &self.chunk } else { &self.buf };
        let end = whole_characters(held, self.scanned)?;
        let mut sink = At { found: &mut self.found, buf: held };
        self.scanner.run(&held[..end], self.scanned, &mut sink)?;
        self.scanned = end;
        if self.held().len() - self.ready() > self.limit {
            return Err(Stop::TooLong);
        }
        let (ready, most) = (self.ready(), FEW.max(self.limit / BYTES_OF_A_VALUE));
        let going = self.found.edits.partition_point(|edit| edit.end <= ready);
        if self.found.edits.len() - going > most {
            return Err(Stop::TooMany(most));
        }
        Ok(())
    }

    /// The body has ended.
    pub(in crate::http) fn finish(&mut self) -> Result<(), Stop> {
        if !self.started && !self.buf.is_empty() {
            return Err(Wrong::Syntax.into());
        }
        let held: &[u8] = if self.buf.is_empty() { &self.chunk } else { &self.buf };
        if self.scanned != held.len() {
            // Half a character.
            return Err(Wrong::Syntax.into());
        }
        let mut sink = At { found: &mut self.found, buf: held };
        self.scanner.finish(held.len(), &mut sink)?;
        self.found.whole = false;
        self.found.decide(0, self.found.document);
        Ok(())
    }

    /// How many bytes may go on, edits in them applied.
    pub(in crate::http) fn ready(&self) -> usize {
        if self.found.whole {
            return 0;
        }
        let open = self.found.edits.get(self.found.open..).unwrap_or_default();
        let open = open.iter().find(|edit| edit.told == Told::Open).map(|edit| edit.start);
        let held = self.scanner.hold();
        [open, held].into_iter().flatten().fold(self.scanned, usize::min)
    }

    /// The edits that may be applied now, with their raw values.
    pub(in crate::http) fn edits(&self) -> impl Iterator<Item = (&Edit, &[u8])> {
        let (ready, held) = (self.ready(), self.held());
        self.found
            .edits
            .iter()
            .take_while(move |edit| edit.end <= ready)
            .map(move |edit| (edit, held.get(edit.start..edit.end).unwrap_or_default()))
    }

    /// The raw id of that number, as long as an edit names it.
    pub(in crate::http) fn id(&self, number: u32) -> &[u8] {
        self.found.ids.get(number as usize).map(|raw| &**raw).unwrap_or_default()
    }

    /// Keeps every value of a subject, in the order of the body.
    pub(in crate::http) fn watch(&mut self, slot: u16) {
        self.found.watch = Some(slot);
    }

    /// Raw values of the subject that is watched, each with the number of the outermost item that it stands in.
    pub(in crate::http) fn watched(&self) -> &[(u32, Raw)] {
        &self.found.watched
    }

    /// Appends what may go on to `out`: for each of [`Splicer::edits`] its replacement, or itself.
    pub(in crate::http) fn splice(&mut self, replacements: &Replacements, out: &mut Vec<u8>) {
        let (ready, held) = (self.ready(), self.held());
        let mut from = 0;
        let replaced = self.found.edits.iter().zip(replacements.each()).filter(|(_, new)| new.is_some());
        let cut: usize = replaced.map(|(edit, _)| edit.end - edit.start).sum();
        // Exactly what comes: bytes without room behind them are shared without another allocation.
        out.reserve((ready + replacements.written()).saturating_sub(cut));
        for (edit, replacement) in self.found.edits.iter().zip(replacements.each()) {
            if let Some(replacement) = replacement {
                out.extend_from_slice(&held[from..edit.start]);
                out.extend_from_slice(replacement);
                from = edit.end;
            }
        }
        out.extend_from_slice(&held[from..ready]);
        self.take(replacements.count(), ready);
    }

    /// Forgets what went on.
    fn take(&mut self, edits: usize, bytes: usize) {
        self.found.edits.drain(..edits);
        if bytes > 0 {
            for edit in &mut self.found.edits {
                edit.start -= bytes;
                edit.end -= bytes;
            }
        }
        self.found.open = self.found.open.saturating_sub(edits);
        self.found.document = self.found.document.saturating_sub(edits);
        for item in &mut self.found.items {
            *item = item.saturating_sub(edits);
        }
        self.scanner.shift(bytes);
        self.scanned -= bytes;
        if self.buf.is_empty() {
            // What is left of a chunk is small, mostly.
            drop(self.chunk.split_to(bytes.min(self.chunk.len())));
            self.gather();
        } else {
            drop(self.buf.drain(..bytes));
        }
        self.found.forget();
    }
}

/// A sink that can read the buffer.
struct At<'a> {
    found: &'a mut Found,
    buf: &'a [u8],
}

impl Sink for At<'_> {
    fn leaf(&mut self, leaf: Leaf, start: usize, end: usize) {
        let found = &mut *self.found;
        match leaf {
            Leaf::Place(place) => {
                let told = found.told(place);
                if told != Told::Open && found.open == found.edits.len() {
                    found.open += 1;
                }
                let item = found.number();
                found.edits.push(Edit { start, end, place: Some(place), told, otherwise: None, item });
            }
            Leaf::Text => {
                if found.open == found.edits.len() {
                    found.open += 1;
                }
                let told = Told::Nothing;
                found.edits.push(Edit { start, end, place: None, told, otherwise: None, item: 0 });
            }
            Leaf::Subject(slot) => found.subject(slot, self.buf.get(start..end).unwrap_or_default()),
        }
    }

    fn begin(&mut self) {
        self.found.items.push(self.found.edits.len());
    }

    fn end(&mut self) {
        let found = &mut *self.found;
        let depth = found.items.len();
        let from = found.items.pop().unwrap_or(0);
        found.decide(depth, from);
        if depth == 1 {
            found.outer = found.outer.saturating_add(1);
        }
    }

    fn done(&mut self) {
        // Lines before this one are decided: looking through them again would cost their square.
        let found = &mut *self.found;
        found.decide(0, found.document);
        found.document = found.edits.len();
        found.documents = found.documents.saturating_add(1);
    }
}

impl Found {
    /// See [`Splicer::renew`].
    fn renew(&mut self, news: impl Iterator<Item = u8>, all: bool) {
        let Self {
            layout,
            counts,
            edits,
            open,
            ids,
            named,
            subjects,
            items,
            document,
            outer,
            watch,
            watched,
            whole,
            documents,
        } = self;
        counts.clear();
        counts.extend(news);
        edits.clear();
        ids.clear();
        subjects.clear();
        subjects.resize(layout.depths.len(), None);
        items.clear();
        watched.clear();
        (*open, *named, *document, *outer, *documents) = (0, 0, 0, 0, 0);
        (*watch, *whole) = (None, all);
    }

    fn number(&self) -> u32 {
        if self.items.is_empty() { self.documents } else { self.outer }
    }

    /// The subjects that count for a place.
    fn slots(&self, place: Option<u16>) -> &[u16] {
        let Some(place) = place.map(usize::from) else { return &[] };
        let slots = self.layout.slots.get(place).map(Vec::as_slice).unwrap_or_default();
        let count = self.counts.get(place).copied().unwrap_or(0);
        slots.get(..usize::from(count)).unwrap_or(slots)
    }

    fn told(&self, place: u16) -> Told {
        match self.slots(Some(place)).first() {
            None => Told::Nothing,
            Some(slot) => match self.subjects.get(usize::from(*slot)) {
                Some(Some(id)) => Told::Here(*id),
                _ => Told::Open,
            },
        }
    }

    /// A subject is told: what waited for it first of all is decided.
    fn subject(&mut self, slot: u16, raw: &[u8]) {
        let depth = usize::from(self.layout.depths.get(usize::from(slot)).copied().unwrap_or(0));
        // null names nobody: the next source counts.
        if raw == b"null" {
            return;
        }
        let id = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.ids.push(raw.into());
        let item = depth.checked_sub(1).and_then(|outer| self.items.get(outer));
        let from = item.copied().unwrap_or(self.document);
        for at in from..self.edits.len() {
            let first = self.slots(self.edits[at].place).first() == Some(&slot);
            if first && self.edits[at].told == Told::Open {
                self.edits[at].told = Told::Here(id);
            }
        }
        if self.watch == Some(slot) {
            self.watched.push((self.number(), raw.into()));
        }
        if let Some(place) = self.subjects.get_mut(usize::from(slot)) {
            *place = Some(id);
        }
        self.advance();
    }

    /// Forgets ids that nothing names any more, as soon as they are most of them: an edit may wait for its own for long.
    fn forget(&mut self) {
        if self.ids.len() <= 2 * self.named + self.edits.len() + FEW_IDS {
            return;
        }
        if self.edits.is_empty() && self.subjects.iter().all(Option::is_none) {
            self.ids.clear();
            self.named = 0;
            return;
        }
        let Self { ids, named, subjects, edits, .. } = self;
        let before = std::mem::take(ids);
        let mut news: Vec<Option<u32>> = vec![None; before.len()];
        let mut keep = |id: &mut u32| {
            let at = *id as usize;
            if let (Some(new), Some(raw)) = (news.get_mut(at), before.get(at)) {
                *id = *new.get_or_insert_with(|| {
                    ids.push(raw.clone());
                    u32::try_from(ids.len() - 1).unwrap_or(u32::MAX)
                });
            }
        };
        subjects.iter_mut().flatten().for_each(&mut keep);
        for edit in edits {
            if let Told::Here(id) = &mut edit.told {
                keep(id);
            }
            if let Some(otherwise) = &mut edit.otherwise {
                keep(&mut otherwise.id);
            }
        }
        *named = ids.len();
    }

    /// An item of that depth has ended (0: the document): its subjects are all told.
    fn decide(&mut self, depth: usize, from: usize) {
        for at in from..self.edits.len() {
            if self.edits[at].told == Told::Open {
                let (told, otherwise) = self.decided(&self.edits[at], depth);
                (self.edits[at].told, self.edits[at].otherwise) = (told, otherwise);
            }
        }
        for (subject, own) in self.subjects.iter_mut().zip(&self.layout.depths) {
            if usize::from(*own) >= depth {
                *subject = None;
            }
        }
        self.advance();
    }

    /// Whose a value is at the end of an item of that depth. Where a source that comes first may still tell, the next one
    /// that told is kept: it is forgotten with its item.
    fn decided(&self, edit: &Edit, depth: usize) -> (Told, Option<Otherwise>) {
        let mut open = false;
        for (at, slot) in (0u8..).zip(self.slots(edit.place)) {
            let slot = usize::from(*slot);
            let kept = edit.otherwise.filter(|kept| kept.at == at).map(|kept| kept.id);
            if let Some(id) = kept.or_else(|| self.subjects.get(slot).copied().flatten()) {
                return if open { (Told::Open, Some(Otherwise { at, id })) } else { (Told::Here(id), None) };
            }
            open |= usize::from(self.layout.depths.get(slot).copied().unwrap_or(0)) < depth;
        }
        (if open { Told::Open } else { Told::Nothing }, None)
    }

    fn advance(&mut self) {
        while self.edits.get(self.open).is_some_and(|edit| edit.told != Told::Open) {
            self.open += 1;
        }
    }
}

/// Where the last whole character ends; an error where the bytes are no UTF-8.
fn whole_characters(buf: &[u8], from: usize) -> Result<usize, Wrong> {
    let fresh = buf.get(from..).unwrap_or_default();
    match simdutf8::compat::from_utf8(fresh) {
        Ok(_) => Ok(buf.len()),
        Err(error) if error.error_len().is_none() => Ok(from + error.valid_up_to()),
        Err(_) => Err(Wrong::Syntax),
    }
}
