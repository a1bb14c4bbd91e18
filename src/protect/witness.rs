//! Sees what a door opens, and puts it on record before it is released.

use super::ProtectError;
use crate::audit::{Audit, Found, Openings, Record, Unwritable};
use crate::ids::{FieldId, KeyId};
use crate::policy::model::Policy;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;

pub use crate::audit::Principal;

/// Values that are held back from the log's queue at most: memory, not truth.
const BATCH: usize = 4096;

/// One principal's witness. What it has seen is handed over at the latest when it goes.
pub(super) struct Witness {
    audit: Audit,
    who: Arc<Principal>,
    /// Field names, by id.
    fields: Arc<[Arc<str>]>,
    seen: Mutex<Openings>,
}

impl Witness {
    pub(super) fn new(audit: Audit, who: Principal, policy: &Policy) -> Self {
        let fields = policy.fields.iter().map(|field| field.name.clone()).collect();
        Self { audit, who: Arc::new(who), fields, seen: Mutex::default() }
    }

    /// The same log for a peer.
    pub(super) fn of(&self, peer: &Peer<'_>) -> Self {
        let (audit, fields) = (self.audit.clone(), self.fields.clone());
        Self { who: Arc::new(peer.principal(&audit)), audit, fields, seen: Mutex::default() }
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// A value of that key was opened as that field.
    pub(super) fn saw(&self, key: KeyId, field: FieldId) {
        let mut seen = self.seen.lock();
        seen.add(key, field);
        if seen.values() >= BATCH {
            // Whether the log is over its bound is asked before anything is released.
            let _ = self.hand_over(&seen);
            seen.clear();
        }
    }

    /// A stored value could not be shown: handed over at once, since nothing may be released after it.
    pub(super) fn found(&self, found: Found) {
        // Over its bound nothing is opened any more, and this is on record all the same.
        let _ = self.record(&Openings::default(), &[found]);
    }

    /// Hands over what was seen; whether it may be released, and more be opened.
    pub(super) fn release(&self) -> Result<(), ProtectError> {
        let mut seen = self.seen.lock();
        let outcome = if seen.is_empty() { self.audit.accepts() } else { self.hand_over(&seen) };
        seen.clear();
        outcome.map_err(|error| ProtectError::Unavailable(error.to_string()))
    }

    /// Hands over what was seen and is not to be released.
    pub(super) fn put_on_record(&self) {
        let mut seen = self.seen.lock();
        if !seen.is_empty() {
            let _ = self.hand_over(&seen);
            seen.clear();
        }
    }

    fn hand_over(&self, opened: &Openings) -> Result<(), Unwritable> {
        self.record(opened, &[])
    }

    fn record(&self, opened: &Openings, faults: &[Found]) -> Result<(), Unwritable> {
        let Self { audit, who, fields, .. } = self;
        audit.record(&Record { who, at: Timestamp::now(), fields, opened, faults })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.put_on_record();
    }
}

/// Who connects, as a wire knows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peer<'a> {
    /// Database user, or whoever the wire has authenticated.
    pub user: &'a str,
    /// What the client calls itself. Taken as it comes: of at most 64 characters, control characters left out.
    pub application: &'a str,
    /// Where it connects from.
    pub address: Option<IpAddr>,
    /// The database.
    pub database: &'a str,
    /// The listener: `postgres 127.0.0.1:6432`.
    pub via: &'a str,
}

impl Peer<'_> {
    pub(super) fn principal(&self, audit: &Audit) -> Principal {
        let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(64).collect::<String>().into();
        Principal {
            user: clean(self.user),
            application: clean(self.application),
            client: self.address.map(|address| audit.client(address)).unwrap_or_default().into(),
            database: clean(self.database),
            via: self.via.into(),
        }
    }
}
