//! The admin API's side of the gateway.

use crate::admin::backend::{
    Backend, BackendError, Backup, ClassView, Coverage, DatabaseCoverage, Erasure, Event, Export,
    ExportMissing, ExportPlace, ExportSubject, FieldView, FindingView, KeyView, PlaceView, PolicyView,
    Reloaded, Reply, State, UnsettledView,
};
use crate::audit::{self, Audit, Entry, Filter, Head, Report, event, stand_in};
use crate::clock::{rfc3339, wall_text};
use crate::config::Config;
use crate::coverage;
use crate::http;
use crate::ids::{Generation, Subject};
use crate::jobs::{self, Job, JobError, Jobs};
use crate::keyring::Keyring;
use crate::pg::export::Reader;
use crate::pg::net::connect::Connector;
use crate::policy;
use crate::policy::model::{AfterErasure, Policy, Protect, Table};
use crate::protect::{Door, Peer};
use crate::rights::{AuditHead, Receipt, Rights, RightsError, SubjectState, Unsettled};
use crate::telemetry::AUDIT_EVENTS;
use parking_lot::RwLock;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// What is in force now; a reload replaces it.
pub(super) struct Current {
    pub(super) config: Config,
    pub(super) door: Door,
}

/// A request to read the file again, and where the outcome goes: the new policy's hash, or everything that is wrong.
pub(super) type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// The gateway, as the admin API sees it.
pub(super) struct Office {
    pub(super) rights: Rights,
    pub(super) keyring: Keyring,
    pub(super) audit: Audit,
    pub(super) jobs: Jobs,
    pub(super) current: Arc<RwLock<Current>>,
    pub(super) reloads: mpsc::Sender<ReloadRequest>,
}

fn unavailable(error: impl Display) -> BackendError {
    BackendError::Unavailable(error.to_string())
}

/// What an export calls the identifiers that tokens stand for, wherever these lie.
const IDENTIFIERS: &str = "identifiers in the keystore";
/// Jobs that are listed.
const MOST_JOBS: u32 = 100;
/// For the disk to take what was handed over.
const PATIENCE: Duration = Duration::from_secs(10);

impl Office {
    /// The audit log's head, once all before it is durable.
    async fn flushed(&self) -> Result<Head, BackendError> {
        let audit = self.audit.clone();
        let done = tokio::task::spawn_blocking(move || audit.flush(PATIENCE)).await;
        done.map_err(unavailable)?.map_err(unavailable)
    }

    async fn read_report(&self, filter: Filter) -> Result<Report, BackendError> {
        self.flushed().await?;
        let path = self.current.read().config.audit.path.clone();
        let read = tokio::task::spawn_blocking(move || audit::report(&path, &filter)).await;
        let mut report = read.map_err(unavailable)?.map_err(unavailable)?;
        let wanted = report.people.iter().map(|person| person.stand_in.clone()).collect();
        let known = self.keyring.subjects_of(&wanted, stand_in).await.map_err(unavailable)?;
        for person in &mut report.people {
            if let Some(subject) = known.get(&person.stand_in) {
                person.class = Some(subject.class.to_string());
                person.id = Some(subject.id.to_string());
            }
        }
        let unknown = report.people.iter().filter(|person| person.id.is_none()).count();
        if unknown > 0 {
            report.uncertainty.push(format!(
                "{unknown} stand-ins name nobody any more: the person, or one of several keys of theirs, was erased; \
                 one erased person may have several"
            ));
        }
        Ok(report)
    }

    fn now(&self) -> (Config, Door) {
        let current = self.current.read();
        (current.config.clone(), current.door.clone())
    }

    async fn subject_state(&self, subject: &Subject) -> Result<Option<State>, BackendError> {
        Ok(match self.rights.state(subject).await.map_err(unavailable)? {
            SubjectState::Live if self.keyring.is_restricted(subject) => Some(State::Restricted),
            SubjectState::Live => Some(State::Live),
            SubjectState::Erased => Some(State::Erased),
            SubjectState::Unknown => None,
        })
    }

    async fn read_places(&self, subject: &Subject, by: &str) -> Export {
        let (config, door) = self.now();
        let peer = Peer { user: by, via: "admin export", ..Peer::default() };
        let door = door.for_rights().witnessed(&peer);
        let (mut places, mut missing) = (Vec::new(), Vec::new());
        for postgres in &config.postgres {
            let tables = config.policy.postgres.get(postgres.tables).into_iter().flatten();
            let tables: Vec<&Table> = tables.filter(|table| table.subject.class == subject.class).collect();
            if tables.is_empty() {
                continue;
            }
            let connector = Connector::new(postgres.upstream.clone()).map_err(|error| error.to_string());
            let reader = match connector {
                Ok(connector) => Reader::open(&connector).await,
                Err(why) => Err(why),
            };
            for table in tables {
                let unread = |place: String, why: String| ExportMissing { place, why };
                match &reader {
                    Err(why) => missing.push(unread(format!("{}.{}", table.schema, table.name), why.clone())),
                    Ok(reader) => match reader.rows(&door, table, subject).await {
                        Ok(rows) => places.push(ExportPlace { place: reader.place(table), rows }),
                        Err(why) => missing.push(unread(reader.place(table), why)),
                    },
                }
            }
        }
        match door.identifiers(subject).await {
            Ok((held, unreadable)) => {
                let row = |(field, text)| std::collections::BTreeMap::from([(field, Some(text))]);
                let rows: Vec<_> = held.into_iter().map(row).collect();
                if !rows.is_empty() {
                    places.push(ExportPlace { place: IDENTIFIERS.to_owned(), rows });
                }
                if unreadable > 0 {
                    let why = format!("{unreadable} of them don't open under the policy in force");
                    missing.push(ExportMissing { place: IDENTIFIERS.to_owned(), why });
                }
            }
            Err(error) => {
                missing.push(ExportMissing { place: IDENTIFIERS.to_owned(), why: error.to_string() });
            }
        }
        for listener in &config.http {
            let services =
                http::Services::new(listener.listen.to_string(), config.policy.clone(), listener.routes);
            let unread = services.unread(&subject.class).into_iter();
            missing.extend(unread.map(|(place, why)| ExportMissing { place, why }));
        }
        let Subject { realm, class, id } = subject;
        let subject =
            ExportSubject { realm: realm.to_string(), class: class.to_string(), id: id.to_string() };
        Export { subject, at: wall_text(), complete: missing.is_empty(), places, missing }
    }

    async fn compare(&self) -> Coverage {
        let (config, _) = self.now();
        let mut databases = Vec::new();
        for postgres in &config.postgres {
            let found = coverage::compare(&config.policy, postgres).await;
            let (findings, error) = match found {
                Ok(findings) => (findings, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            let view = |f: coverage::Finding| FindingView {
                wrong: f.wrong,
                text: f.text,
                ddl: f.ddl.into_iter().collect(),
            };
            databases.push(DatabaseCoverage {
                listener: postgres.listen.to_string(),
                database: postgres.upstream.database.clone(),
                error,
                findings: findings.into_iter().map(view).collect(),
            });
        }
        let sound = |d: &DatabaseCoverage| d.error.is_none() && !d.findings.iter().any(|f| f.wrong);
        Coverage { sound: databases.iter().all(sound), databases }
    }
}

fn job_error(error: JobError) -> BackendError {
    match error {
        JobError::InUse { .. } | JobError::Waiting(_) => {
            BackendError::Conflict("keys-in-use", error.to_string())
        }
        JobError::Backup(why) => BackendError::Conflict("keystore-backup", why),
        JobError::NotFound => BackendError::Conflict("keys-in-use", error.to_string()),
        other => unavailable(other),
    }
}

impl Backend for Office {
    fn state<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Option<State>> {
        Box::pin(self.subject_state(subject))
    }

    fn erase(&self, request: Erasure) -> Reply<'_, Option<Receipt>> {
        Box::pin(async move {
            let ground = request.ground.as_deref().unwrap_or("not stated");
            match self.rights.erase(&request.subject, ground).await {
                Ok(erasure) => Ok(Some(Receipt { salt: erasure.salt, ..erasure.receipt })),
                Err(RightsError::NotFound) => Ok(None),
                Err(error) => Err(unavailable(error)),
            }
        })
    }

    fn restrict<'a>(&'a self, subject: &'a Subject, on: bool) -> Reply<'a, Option<State>> {
        Box::pin(async move {
            if self.keyring.restrict(subject, on).await.map_err(unavailable)? {
                return Ok(Some(if on { State::Restricted } else { State::Live }));
            }
            match self.subject_state(subject).await? {
                Some(State::Erased) => Err(BackendError::Conflict(
                    "admin-erased",
                    "the subject was erased: there is nothing to restrict or release".into(),
                )),
                // Unknown; or its first value arrived meanwhile, and the request can be sent again.
                _ => Ok(None),
            }
        })
    }

    fn export<'a>(&'a self, subject: &'a Subject, by: &'a str) -> Reply<'a, Option<Export>> {
        Box::pin(async move {
            let erased = || {
                let why = "the subject was erased: there is nothing to export".into();
                Err(BackendError::Conflict("admin-erased", why))
            };
            match self.subject_state(subject).await? {
                Some(State::Live | State::Restricted) => {}
                Some(State::Erased) => return erased(),
                None => return Ok(None),
            }
            let export = self.read_places(subject, by).await;
            // What was read before an erasure was answered is not handed out after it.
            match self.subject_state(subject).await? {
                Some(State::Live | State::Restricted) => Ok(Some(export)),
                Some(State::Erased) | None => erased(),
            }
        })
    }

    fn rekey<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Option<Job>> {
        Box::pin(async move {
            match self.jobs.rekey(subject).await {
                Ok(job) => Ok(Some(job)),
                Err(JobError::Rights(RightsError::NotFound)) => Ok(None),
                Err(JobError::Rights(RightsError::Erased)) => Err(BackendError::Conflict(
                    "admin-erased",
                    "the subject was erased: there is nothing to re-key".into(),
                )),
                Err(JobError::Rights(error @ RightsError::Unsettled)) => {
                    Err(BackendError::Conflict("subject-unsettled", error.to_string()))
                }
                Err(error) => Err(unavailable(error)),
            }
        })
    }

    fn unsettled(&self) -> Reply<'_, Vec<UnsettledView>> {
        Box::pin(async {
            let now = self.keyring.wall();
            let all = self.rights.unsettled().await.map_err(unavailable)?;
            let view = |one: Unsettled| UnsettledView {
                id: one.id,
                listener: one.listener,
                class: one.class,
                made_at: rfc3339(one.made_at),
                age_seconds: u64::try_from(now.duration_since(one.made_at).as_secs()).unwrap_or(0),
                keys: one.keys.len(),
            };
            Ok(all.into_iter().map(view).collect())
        })
    }

    fn receipt<'a>(&'a self, id: &'a str) -> Reply<'a, Option<Receipt>> {
        Box::pin(async move {
            match self.rights.receipt(id).await {
                Ok(receipt) => Ok(Some(receipt)),
                Err(RightsError::NotFound) => Ok(None),
                Err(error) => Err(unavailable(error)),
            }
        })
    }

    fn receipts(&self) -> Reply<'_, Vec<String>> {
        Box::pin(async move {
            let ids = self.rights.receipts().await.map_err(unavailable)?;
            Ok(ids.into_iter().map(String::from).collect())
        })
    }

    fn policy(&self) -> PolicyView {
        let (config, _) = self.now();
        view(&config)
    }

    fn coverage(&self) -> Reply<'_, Coverage> {
        Box::pin(async move { Ok(self.compare().await) })
    }

    fn reload(&self) -> Reply<'_, Reloaded> {
        Box::pin(async move {
            let (answer, outcome) = oneshot::channel();
            let gone = || BackendError::Unavailable("the gateway is stopping".into());
            self.reloads.send(answer).await.map_err(|_| gone())?;
            match outcome.await.map_err(|_| gone())? {
                Ok(policy) => Ok(Reloaded { policy }),
                Err(why) => Err(BackendError::Conflict(
                    "admin-reload",
                    format!("the old policy stays in force: {why}"),
                )),
            }
        })
    }

    fn keys(&self) -> Reply<'_, Vec<KeyView>> {
        Box::pin(async {
            let keys = self.jobs.keys().await.map_err(job_error)?;
            let view = |key: jobs::KeyInfo| KeyView {
                generation: key.generation,
                state: key.state.to_owned(),
                created: key.created,
                dependents: key.dependents,
            };
            Ok(keys.into_iter().map(view).collect())
        })
    }

    fn rotate(&self) -> Reply<'_, Job> {
        Box::pin(async { self.jobs.rotate().await.map_err(job_error) })
    }

    fn destroy(&self, generation: Generation) -> Reply<'_, bool> {
        Box::pin(async move {
            match self.jobs.destroy(generation).await {
                Ok(()) => Ok(true),
                Err(JobError::NotFound) => Ok(false),
                Err(error) => Err(job_error(error)),
            }
        })
    }

    fn back_up(&self, to: Option<PathBuf>) -> Reply<'_, Backup> {
        Box::pin(async {
            let to = to.or_else(|| self.current.read().config.keys.backup.clone()).ok_or_else(|| {
                BackendError::Conflict(
                    "keystore-backup",
                    "[keys] names no `backup` folder: say where to".into(),
                )
            })?;
            // It blocks for as long as it takes.
            let (keyring, runtime) = (self.keyring.clone(), Handle::current());
            let made = tokio::task::spawn_blocking(move || runtime.block_on(jobs::back_up(&keyring, &to)));
            let made = made.await.map_err(unavailable)?.map_err(job_error)?;
            Ok(Backup {
                file: made.file.display().to_string(),
                secrets: made.secrets,
                generation: made.generation,
                complete: made.complete,
            })
        })
    }

    fn jobs(&self) -> Reply<'_, Vec<Job>> {
        Box::pin(async {
            let documents = self.keyring.store().jobs(MOST_JOBS).await.map_err(unavailable)?;
            let read = |document: Box<str>| serde_json::from_str(&document).map_err(unavailable);
            documents.into_iter().map(read).collect()
        })
    }

    fn resume(&self) -> Reply<'_, Vec<Job>> {
        self.jobs.resume();
        self.jobs()
    }

    fn job<'a>(&'a self, id: &'a str) -> Reply<'a, Option<Job>> {
        Box::pin(async move {
            match self.jobs.job(id).await {
                Ok(job) => Ok(Some(job)),
                Err(JobError::NotFound) => Ok(None),
                Err(error) => Err(job_error(error)),
            }
        })
    }

    fn audit_head(&self) -> Reply<'_, AuditHead> {
        Box::pin(async {
            let head = self.flushed().await?;
            Ok(AuditHead { sequence: head.sequence, hash: head.hash })
        })
    }

    fn report(&self, filter: Filter) -> Reply<'_, Report> {
        Box::pin(self.read_report(filter))
    }

    fn accountable(&self) -> Result<(), BackendError> {
        self.audit.accepts().map_err(unavailable)
    }

    fn note(&self, event: Event) -> Reply<'_, ()> {
        Box::pin(async move {
            let Event { principal, role, action, status, subject, receipt } = event;
            tracing::info!(target: "audit", event = action, by = principal, status);
            metrics::counter!(AUDIT_EVENTS, "event" => action).increment(1);
            let subjects = match &subject {
                Some(subject) => self.keyring.stand_ins_of(subject).await.unwrap_or_default(),
                None => Vec::new(),
            };
            self.audit.note(Entry {
                principal: Some(principal),
                role: role.map(|role| role.to_string()),
                action: Some(action.to_owned()),
                status: Some(status),
                subjects: subjects.into_iter().map(stand_in).collect(),
                receipt,
                ..Entry::new(event::ADMIN)
            });
            Ok(())
        })
    }

    fn ready(&self) -> Reply<'_, ()> {
        Box::pin(async { self.keyring.renew().await.map_err(unavailable) })
    }
}

/// The policy in force, as the API shows it.
fn view(config: &Config) -> PolicyView {
    let policy: &Policy = &config.policy;
    let fields = policy.fields.iter().map(|field| {
        let (protect, domain) = match &field.protect {
            Protect::Encrypt => ("encrypt", None),
            Protect::Pseudonym { domain, .. } => ("pseudonym", Some(domain.to_string())),
        };
        FieldView {
            name: field.name.to_string(),
            protect: protect.to_owned(),
            r#type: field.ty.to_string(),
            purpose: field.purpose.to_string(),
            domain,
        }
    });
    let classes = policy.classes.iter().map(|class| {
        let after_erasure = match class.after_erasure {
            AfterErasure::Refuse => "refuse",
            AfterErasure::New => "new",
        };
        ClassView { name: class.name.to_string(), after_erasure: after_erasure.to_owned() }
    });
    let mut places = Vec::new();
    for postgres in &config.postgres {
        for table in policy.postgres.get(postgres.tables).into_iter().flatten() {
            places.extend(table.columns.iter().map(|placed| PlaceView {
                listener: postgres.listen.to_string(),
                table: format!("{}.{}", table.schema, table.name),
                column: placed.column.to_string(),
                field: policy.field(placed.field).name.to_string(),
                class: table.subject.class.to_string(),
            }));
        }
    }
    PolicyView {
        hash: hex::encode(policy::hash(policy)),
        fields: fields.collect(),
        classes: classes.collect(),
        places,
    }
}
