//! What came within a moment, joined: an entry for each principal.

use super::entry::{Erased, event};
use super::waiting::Gathered;
use super::{Entry, Faults, Group, Principal, Resolver};
use crate::clock::rfc3339;
use crate::ids::KeyId;
use crate::keys::StandIn;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Subjects of one entry at most: a line stays below some 200 KiB.
const SUBJECTS: usize = 10_000;

/// Twelve bytes as the log writes them.
pub fn text(stand_in: StandIn) -> String {
    URL_SAFE_NO_PAD.encode(stand_in.0)
}

/// A fault, and the field's name.
type FaultOf = (&'static str, Arc<str>);

#[derive(Default)]
struct Joined {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    batches: u64,
    values: u64,
    /// The fields of each key, sorted and without repetition.
    keys: HashMap<KeyId, Vec<Arc<str>>>,
    /// By fault and field: how many, and under which keys.
    faults: BTreeMap<FaultOf, (u64, BTreeSet<KeyId>)>,
}

impl Joined {
    fn add(&mut self, all: &Gathered) {
        self.first = Some(self.first.map_or(all.first, |at| at.min(all.first)));
        self.last = Some(self.last.map_or(all.last, |at| at.max(all.last)));
        for found in &all.faults {
            let Some(name) = all.fields.get(usize::from(found.field.0)) else { continue };
            let (values, keys) = self.faults.entry((found.fault, name.clone())).or_default();
            *values += 1;
            // A bound on the line, not on what is counted.
            if keys.len() < SUBJECTS {
                keys.extend(found.key);
            }
        }
        self.batches += all.batches;
        self.values += all.opened.values() as u64;
        for (key, opened) in all.opened.keys() {
            let fields = self.keys.entry(key).or_default();
            for name in opened.filter_map(|field| all.fields.get(usize::from(field.0))) {
                if let Err(at) = fields.binary_search(name) {
                    fields.insert(at, name.clone());
                }
            }
        }
    }
}

/// The entries of these records, in the order of their principals.
///
/// # Errors
/// As [`Resolver::stand_ins`].
pub(super) fn entries<'a>(
    gathered: impl Iterator<Item = &'a Gathered>,
    resolver: &dyn Resolver,
) -> Result<Vec<Entry>, String> {
    // A principal is told by where it lies, before it is compared.
    let mut places: HashMap<*const Principal, usize> = HashMap::new();
    let mut principals: BTreeMap<&Principal, usize> = BTreeMap::new();
    let mut joined: Vec<Joined> = Vec::new();
    for one in gathered {
        let place = places.entry(Arc::as_ptr(&one.who)).or_insert_with(|| {
            *principals.entry(&one.who).or_insert_with(|| {
                joined.push(Joined::default());
                joined.len() - 1
            })
        });
        if let Some(joined) = joined.get_mut(*place) {
            joined.add(one);
        }
    }
    let mut entries = Vec::new();
    for (principal, place) in principals {
        let joined = joined.get_mut(place).map(std::mem::take).unwrap_or_default();
        write(principal, joined, resolver, &mut entries)?;
    }
    Ok(entries)
}

fn faults(principal: &Principal, joined: &Joined, resolver: &dyn Resolver) -> Result<Entry, String> {
    let keys: BTreeSet<KeyId> = joined.faults.values().flat_map(|(_, keys)| keys).copied().collect();
    let stand_ins = resolver.stand_ins(&keys.into_iter().collect::<Vec<_>>())?;
    let told = joined.faults.iter().map(|((fault, field), (values, keys))| {
        let subjects: BTreeSet<String> =
            keys.iter().filter_map(|key| stand_ins.get(key)).map(|stand_in| text(*stand_in)).collect();
        Faults {
            fault: (*fault).to_owned(),
            field: field.to_string(),
            values: *values,
            subjects: subjects.into_iter().collect(),
        }
    });
    Ok(Entry {
        by: Some(principal.clone()),
        from: joined.first.map(rfc3339),
        until: joined.last.map(rfc3339),
        faults: told.collect(),
        ..Entry::new(event::FAULT)
    })
}

fn write(
    principal: &Principal,
    joined: Joined,
    resolver: &dyn Resolver,
    entries: &mut Vec<Entry>,
) -> Result<(), String> {
    if !joined.faults.is_empty() {
        entries.push(faults(principal, &joined, resolver)?);
    }
    if joined.values == 0 {
        return Ok(());
    }
    let keys: Vec<KeyId> = joined.keys.keys().copied().collect();
    let stand_ins = resolver.stand_ins(&keys)?;
    let mut known: BTreeMap<Vec<Arc<str>>, Vec<String>> = BTreeMap::new();
    let mut erased: BTreeMap<Vec<Arc<str>>, u64> = BTreeMap::new();
    for (key, fields) in joined.keys {
        match stand_ins.get(&key) {
            Some(stand_in) => known.entry(fields).or_default().push(text(*stand_in)),
            None => *erased.entry(fields).or_default() += 1,
        }
    }
    let names = |fields: &[Arc<str>]| fields.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let mut groups = Vec::new();
    for (fields, mut subjects) in known {
        // Secrets of several purposes have a stand-in each; the same one comes twice only from another key.
        subjects.sort_unstable();
        subjects.dedup();
        let chunks = subjects.chunks(SUBJECTS);
        groups.extend(chunks.map(|part| Group { fields: names(&fields), subjects: part.to_vec() }));
    }
    let time = |at: Option<Timestamp>| at.map(rfc3339);
    let base = Entry {
        by: Some(principal.clone()),
        from: time(joined.first),
        until: time(joined.last),
        ..Entry::new(event::OPENED)
    };
    let mut first = Entry {
        batches: Some(joined.batches),
        values: Some(joined.values),
        erased: erased.into_iter().map(|(fields, keys)| Erased { fields: names(&fields), keys }).collect(),
        ..base.clone()
    };
    let mut held = 0;
    for group in groups {
        if held + group.subjects.len() > SUBJECTS {
            entries.push(std::mem::replace(&mut first, base.clone()));
            held = 0;
        }
        held += group.subjects.len();
        first.opened.push(group);
    }
    entries.push(first);
    Ok(())
}
