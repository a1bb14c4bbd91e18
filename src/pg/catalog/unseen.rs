//! What a transaction's own reading of the catalog does not show. Under REPEATABLE READ and SERIALIZABLE it is as old as the
//! transaction's snapshot, but the server finds the relations and functions that a statement names in the newest catalog.

use super::Snapshot;
use super::model::{Catalog, Relation};
use crate::pg::sql::Names;
use std::sync::Arc;

/// Names of what others have changed meanwhile.
#[derive(Debug)]
pub struct Unseen {
    /// Of what is protected, or touches it, by now.
    watched: Option<Names>,
    /// Of all.
    all: Names,
}

impl Unseen {
    /// What is not as it was in `base`, which is no younger than the transaction's snapshot, nor as the transaction sees
    /// it; `None` where there is nothing.
    pub fn between(base: &Snapshot, private: &Snapshot, newest: &Snapshot) -> Option<Self> {
        let names = changed(&base.catalog, &private.catalog, &newest.catalog);
        if names.is_empty() {
            return None;
        }
        let watched = |name: &&Arc<str>| newest.filter.watches(name) || private.filter.watches(name);
        let watched: Vec<&Arc<str>> = names.iter().filter(watched).collect();
        let watched = (!watched.is_empty()).then(|| Names::new(watched));
        Some(Self { watched, all: Names::new(&names) })
    }

    /// Something protected is among it.
    pub fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// Whether a text may be about something protected by what is not seen. `touches`: whether it is by what is.
    pub fn may_touch(&self, text: &[u8], touches: impl Fn() -> bool) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.may_be_in(text))
            || (self.all.may_be_in(text) && touches())
    }
}

fn changed(base: &Catalog, private: &Catalog, newest: &Catalog) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for (key, now) in &newest.relations {
        let other = |catalog: &Catalog| catalog.relations.get(key).is_none_or(|r| !alike(r, now));
        if other(private) && other(base) {
            names.push(Arc::clone(&key.1));
        }
    }
    let gone = base.relations.keys().filter(|key| !newest.relations.contains_key(*key));
    names.extend(gone.filter(|key| private.relations.contains_key(*key)).map(|key| Arc::clone(&key.1)));
    let lists = |catalog: &'_ Catalog| {
        let Catalog { functions, operators, types, triggered, assigning, .. } = catalog;
        [functions, operators, types, triggered, assigning].map(Vec::clone)
    };
    for ((now, own), before) in lists(newest).into_iter().zip(lists(private)).zip(lists(base)) {
        names.extend(now.into_iter().filter(|name| !own.contains(name) && !before.contains(name)));
    }
    names
}

/// Whether it is the same to the planner. (The text of a view is not read within a transaction.)
fn alike(a: &Relation, b: &Relation) -> bool {
    let flags = |r: &Relation| {
        (r.odd, r.has_rules, r.has_before_triggers, r.in_hierarchy, r.touches_protected, r.writes_protected)
    };
    (a.oid, a.kind, flags(a)) == (b.oid, b.kind, flags(b))
        && a.columns == b.columns
        && a.unique == b.unique
        && a.foreign == b.foreign
}
