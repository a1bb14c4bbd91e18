//! What the API asks of the rest of the gateway, and the shapes in which it answers.

use super::tokens::Role;
use crate::audit::{Filter, Report};
use crate::ids::{Generation, Subject};
use crate::jobs::Job;
use crate::rights::{AuditHead, Receipt};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use utoipa::ToSchema;

/// What a call gives.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// Why a call can't be answered. Names no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The keystore, the ledger or the log can't be reached, or is full (503).
    #[error("{0}")]
    Unavailable(String),
    /// What was asked for can't be done in the state that things are in (409).
    #[error("{1}")]
    Conflict(
        /// Its anchor in `docs/errors.md`.
        &'static str,
        /// Why.
        String,
    ),
}

/// A subject's state. Reading it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Has live secrets or identifiers.
    Live,
    /// Was erased.
    Erased,
    /// May not be read, and was not erased.
    Restricted,
}

/// A subject and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectView {
    /// Its state.
    pub state: State,
    /// `main`.
    pub realm: String,
    /// Its class.
    pub class: String,
    /// Its id.
    pub id: String,
}

/// A request to erase.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Who.
    pub subject: Subject,
    /// On what ground, for the receipt.
    pub ground: Option<String>,
}

/// Why something is done, for the record.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// One line, such as `art. 18`.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub ground: Option<String>,
}

/// Everything that the declared places hold about a subject.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Export {
    /// Whose it is.
    pub subject: ExportSubject,
    /// When it was read; RFC 3339, UTC.
    pub at: String,
    /// Whether every declared place could be read whole.
    pub complete: bool,
    /// What each place holds.
    pub places: Vec<ExportPlace>,
    /// Places that could not be read, and why.
    pub missing: Vec<ExportMissing>,
}

/// Whose data an export holds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportSubject {
    /// `main`.
    pub realm: String,
    /// Its class.
    pub class: String,
    /// Its id.
    pub id: String,
}

/// The protected fields of the subject's rows in one table.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportPlace {
    /// Database and table: `app public.people`; or `identifiers in the keystore`, by field.
    pub place: String,
    /// A row each: column to value, as text in the type's own form; null where there is none.
    pub rows: Vec<std::collections::BTreeMap<String, Option<String>>>,
}

/// A place that could not be read.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportMissing {
    /// Database and table; or a route: `http 127.0.0.1:8080 /people/{id}`.
    pub place: String,
    /// Why.
    pub why: String,
}

/// The policy in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// SHA-256 of the compiled policy, in hex: what receipts name.
    pub hash: String,
    /// Every field.
    pub fields: Vec<FieldView>,
    /// Every class.
    pub classes: Vec<ClassView>,
    /// Every protected column.
    pub places: Vec<PlaceView>,
}

/// A field of the policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FieldView {
    /// Its name.
    pub name: String,
    /// `encrypt` or `pseudonym`.
    pub protect: String,
    /// The type that clients see.
    pub r#type: String,
    /// Whose secret seals it.
    pub purpose: String,
    /// A pseudonym's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// A class of the policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClassView {
    /// Its name.
    pub name: String,
    /// `refuse` or `new`.
    pub after_erasure: String,
}

/// A protected column.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// The listener that it is behind.
    pub listener: String,
    /// Schema and table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What it holds.
    pub field: String,
    /// Whose row it is.
    pub class: String,
}

/// The policy against the live schemas: what `paravent check` tells.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// Whether every database could be asked and nothing is wrong.
    pub sound: bool,
    /// A database each.
    pub databases: Vec<DatabaseCoverage>,
}

/// One database.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DatabaseCoverage {
    /// The listener in front of it.
    pub listener: String,
    /// Its name.
    pub database: String,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was found.
    pub findings: Vec<FindingView>,
}

/// Something that `check` found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FindingView {
    /// Whether statements fail because of it.
    pub wrong: bool,
    /// What it is.
    pub text: String,
    /// The DDL that mends it.
    pub ddl: Vec<String>,
}

/// What a reload did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Hash of the policy in force now.
    pub policy: String,
}

/// A generation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its number.
    pub generation: u32,
    /// `active`, `closing`, `empty`, `destroyed`, or `unused` (a root key that this keystore doesn't know).
    pub state: String,
    /// When its root key was made; RFC 3339, UTC. None once it is gone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<String>,
    /// Secrets, domains and sweeps that depend on it.
    pub dependents: u64,
}

/// Every generation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// By number.
    pub keys: Vec<KeyView>,
}

/// A copy of the keystore that was made and verified.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Its file, on the gateway's machine.
    pub file: String,
    /// Secrets in it, each of which was opened.
    pub secrets: u64,
    /// The generation that was active.
    pub generation: u32,
    /// Whether nothing in it depends on an earlier generation.
    pub complete: bool,
}

/// The ids of receipts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReceiptList {
    /// Oldest first.
    pub receipts: Vec<String>,
}

/// A creation through HTTP whose outcome is unknown. Says nothing of whom it made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UnsettledView {
    /// Names it: random.
    pub id: String,
    /// The listener that it went through.
    pub listener: String,
    /// The class of whom it made; left out where that was not kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
    /// When its request left; RFC 3339, UTC.
    pub made_at: String,
    /// How long ago that is.
    pub age_seconds: u64,
    /// Secrets that were made for it: one a person and purpose.
    pub keys: usize,
}

/// Creations whose outcome is unknown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UnsettledList {
    /// Oldest first.
    pub creations: Vec<UnsettledView>,
}

/// The newest jobs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// Newest first.
    pub jobs: Vec<Job>,
}

/// Something that somebody did through the API, for the audit log.
#[derive(Debug, Clone)]
pub struct Event {
    /// Whose token or certificate it was; empty when nobody's.
    pub principal: String,
    /// In what role.
    pub role: Option<Role>,
    /// What: `subject.erase`.
    pub action: &'static str,
    /// The answer's HTTP status.
    pub status: u16,
    /// About whom, where the log may name a stand-in for it (never of an erasure).
    pub subject: Option<Subject>,
    /// SHA-256 of the receipt that it led to, in hex.
    pub receipt: Option<String>,
}

/// The rest of the gateway, as the API sees it.
pub trait Backend: Send + Sync + 'static {
    /// A subject's state; `None` when nothing was ever held about it.
    fn state<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Option<State>>;

    /// Erases and gives the receipt, its salt in it; `None` when nothing was ever held about it.
    fn erase(&self, request: Erasure) -> Reply<'_, Option<Receipt>>;

    /// Restricts a subject, or releases it; its state then. `None` when nothing is held about it.
    fn restrict<'a>(&'a self, subject: &'a Subject, on: bool) -> Reply<'a, Option<State>>;

    /// Everything that is held about a live or restricted subject; `None` when there is nothing.
    fn export<'a>(&'a self, subject: &'a Subject, by: &'a str) -> Reply<'a, Option<Export>>;

    /// Begins to re-key a subject, or gives the job that does; `None` when nothing was ever held about it.
    fn rekey<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Option<Job>>;

    /// Creations whose outcome is unknown, oldest first.
    fn unsettled(&self) -> Reply<'_, Vec<UnsettledView>>;

    /// A receipt's newest revision.
    fn receipt<'a>(&'a self, id: &'a str) -> Reply<'a, Option<Receipt>>;

    /// The ids of all receipts.
    fn receipts(&self) -> Reply<'_, Vec<String>>;

    /// The policy in force.
    fn policy(&self) -> PolicyView;

    /// The policy against the live schemas.
    fn coverage(&self) -> Reply<'_, Coverage>;

    /// Reads the file again.
    fn reload(&self) -> Reply<'_, Reloaded>;

    /// Every generation.
    fn keys(&self) -> Reply<'_, Vec<KeyView>>;

    /// Begins a rotation, or gives the one under way.
    fn rotate(&self) -> Reply<'_, Job>;

    /// Destroys a generation's root key; false where there is none of that number.
    fn destroy(&self, generation: Generation) -> Reply<'_, bool>;

    /// Copies the keystore, to its backup folder unless another place is named.
    fn back_up(&self, to: Option<PathBuf>) -> Reply<'_, Backup>;

    /// The newest jobs.
    fn jobs(&self) -> Reply<'_, Vec<Job>>;

    /// Tries at once whatever waits for its next try; the newest jobs.
    fn resume(&self) -> Reply<'_, Vec<Job>>;

    /// A job.
    fn job<'a>(&'a self, id: &'a str) -> Reply<'a, Option<Job>>;

    /// The head of the audit log, everything before it on disk.
    fn audit_head(&self) -> Reply<'_, AuditHead>;

    /// Whether what is done can be recorded; nothing is done otherwise.
    fn accountable(&self) -> Result<(), BackendError>;

    /// Whose data was opened.
    fn report(&self, filter: Filter) -> Reply<'_, Report>;

    /// Records what was done.
    fn note(&self, event: Event) -> Reply<'_, ()>;

    /// Whether keys can be had, for `/readyz`.
    fn ready(&self) -> Reply<'_, ()>;
}
