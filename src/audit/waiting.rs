//! What waits to be written. Openings of one principal are joined as they come: one that reads on and on hands over
//! no more than its values, and leaves the writer little to join.

use super::entry::event;
use super::queue::Found;
use super::{Entry, Head, Openings, Principal};
use hashbrown::HashMap;
use jiff::Timestamp;
use std::sync::Arc;

/// What waits to be written, in order.
pub(super) enum Item {
    Opened(Gathered),
    Note(Box<Entry>),
}

/// Openings of one principal under one policy, between two notes.
pub(super) struct Gathered {
    pub(super) who: Arc<Principal>,
    /// The policy's field names, by [`crate::ids::FieldId`].
    pub(super) fields: Arc<[Arc<str>]>,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) batches: u64,
    pub(super) opened: Openings,
    /// Values that could not be shown.
    pub(super) faults: Vec<Found>,
}

impl Gathered {
    /// How much memory it stands for.
    fn values(&self) -> usize {
        self.opened.values() + self.faults.len()
    }
}

impl Item {
    /// See [`Waiting::values`].
    pub(super) fn values(&self) -> usize {
        match self {
            Self::Opened(gathered) => gathered.values(),
            Self::Note(_) => 0,
        }
    }
}

#[derive(Default)]
pub(super) struct Waiting {
    items: Vec<Item>,
    /// Where those of a principal and a policy are gathered: told by where these lie, which their items keep in place.
    places: HashMap<(usize, usize), usize>,
    /// Values in `items`, and in what the writer took and has not written yet.
    pub(super) values: usize,
    /// Somebody waits for all that is here now.
    pub(super) flush: bool,
    pub(super) closed: bool,
    /// Counts what was handed over, and what of it is durable.
    pub(super) given: u64,
    pub(super) written: u64,
    /// Why the last attempt failed.
    pub(super) failed: Option<String>,
    /// The newest durable entry.
    pub(super) head: Head,
}

impl Waiting {
    /// Nothing yet, after that entry.
    pub(super) fn after(head: Head) -> Self {
        Self { head, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes the openings, or the faults, of one batch.
    pub(super) fn gather(
        &mut self,
        who: &Arc<Principal>,
        fields: &Arc<[Arc<str>]>,
        at: Timestamp,
        opened: &Openings,
        faults: &[Found],
    ) {
        self.values += opened.values() + faults.len();
        let place = (Arc::as_ptr(who).addr(), Arc::as_ptr(fields).addr());
        let known = self.places.get(&place).and_then(|place| self.items.get_mut(*place));
        if let Some(Item::Opened(gathered)) = known {
            (gathered.first, gathered.last) = (gathered.first.min(at), gathered.last.max(at));
            gathered.batches += u64::from(!opened.is_empty());
            gathered.opened.join(opened);
            gathered.faults.extend_from_slice(faults);
            return;
        }
        self.places.insert(place, self.items.len());
        self.push(Item::Opened(Gathered {
            who: Arc::clone(who),
            fields: Arc::clone(fields),
            first: at,
            last: at,
            batches: u64::from(!opened.is_empty()),
            opened: opened.clone(),
            faults: faults.to_vec(),
        }));
    }

    /// Takes another entry: what happened before it stands before it.
    pub(super) fn note(&mut self, entry: Entry) {
        self.places.clear();
        self.push(Item::Note(Box::new(entry)));
    }

    fn push(&mut self, item: Item) {
        self.given += 1;
        self.items.push(item);
    }

    /// All that waits, to be written; `last`: the log is closed with it.
    pub(super) fn take(&mut self, last: bool) -> Vec<Item> {
        if last {
            self.note(Entry::new(event::STOPPED));
        }
        self.places.clear();
        std::mem::take(&mut self.items)
    }
}
