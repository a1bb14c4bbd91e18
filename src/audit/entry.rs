//! What an entry says.

use serde::{Deserialize, Serialize};

/// The words that [`Entry::event`] may be.
pub mod event {
    /// A file of the log begins.
    pub const SEGMENT: &str = "segment";
    /// The gateway started.
    pub const STARTED: &str = "started";
    /// It stopped in order: everything before was written.
    pub const STOPPED: &str = "stopped";
    /// Fields were opened.
    pub const OPENED: &str = "opened";
    /// Something stored could not be shown: it was moved, changed or put there behind the gateway, or its subject is restricted.
    pub const FAULT: &str = "fault";
    /// Somebody did something through the admin API.
    pub const ADMIN: &str = "admin";
    /// A subject was given another secret: one stand-in goes on as another.
    pub const LINKED: &str = "linked";
    /// Old files were deleted, as the retention period says.
    pub const PRUNED: &str = "pruned";
    /// Values were not released, because the log could not be written.
    pub const HELD_BACK: &str = "held-back";
}

/// Who opened fields, and through what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Database user; or the admin API's principal.
    pub user: Box<str>,
    /// What the client calls itself (`application_name` at its start).
    #[serde(skip_serializing_if = "str::is_empty", default)]
    pub application: Box<str>,
    /// Where it connects from, as far as `clients` in `[audit]` says.
    #[serde(skip_serializing_if = "str::is_empty", default)]
    pub client: Box<str>,
    /// The database.
    #[serde(skip_serializing_if = "str::is_empty", default)]
    pub database: Box<str>,
    /// The listener: `postgres 127.0.0.1:6432`.
    #[serde(skip_serializing_if = "str::is_empty", default)]
    pub via: Box<str>,
}

/// Subjects of whom the same fields were opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Names of fields, sorted.
    pub fields: Vec<String>,
    /// Stand-ins, sorted: 16 characters each.
    pub subjects: Vec<String>,
}

/// A line of the log. One flat form for every event: members that an event doesn't have are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Counted from 1, over all files.
    pub seq: u64,
    /// When it was written; RFC 3339, UTC.
    pub time: String,
    /// A word of [`event`].
    pub event: String,
    /// `opened`, `fault`: who.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Principal>,
    /// `opened`: when the first value was opened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// `opened`: when the last one was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// `opened`: in how many batches (a statement has one or more).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batches: Option<u64>,
    /// `opened`: how many values.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub values: Option<u64>,
    /// `opened`: which fields of whom.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub opened: Vec<Group>,
    /// `opened`: which fields of so many keys whose subjects were erased before this was written.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub erased: Vec<Erased>,
    /// `fault`: what was found.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub faults: Vec<Faults>,
    /// `admin`: whose token or certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub principal: Option<String>,
    /// `admin`: in what role.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// `admin`: what: `subject.erase`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
    /// `admin`: the answer's HTTP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// `admin`: the stand-ins of whom it was about.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subjects: Vec<String>,
    /// `admin`: SHA-256 of the receipt that it led to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<String>,
    /// `linked`: the stand-in before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// `linked`: the stand-in from now on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// `segment`: the file's number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<u32>,
    /// `pruned`: the first entry that was kept; it begins a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<u64>,
    /// `segment`, `pruned`: hash of the entry before the file's (or the first kept one).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<String>,
    /// `started`: the run before did not stop in order, so that its last moment may be missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unclean: Option<bool>,
    /// `started`: the program's version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
}

/// Values of one field that could not be shown, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Why: the anchor of its entry in `docs/errors.md`.
    pub fault: String,
    /// The field as which they were asked for.
    pub field: String,
    /// How many.
    pub values: u64,
    /// Stand-ins of those under whose keys they lie, sorted, as far as such a key is known: of a copy, whose it was.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subjects: Vec<String>,
}

/// Openings of subjects that were erased before the entry was written: whose they were, nobody can tell any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Names of fields, sorted.
    pub fields: Vec<String>,
    /// How many keys.
    pub keys: u64,
}

impl Entry {
    /// An entry of that event, without number and time: the log gives both.
    pub fn new(event: &str) -> Self {
        Self { event: event.to_owned(), ..Self::default() }
    }
}
