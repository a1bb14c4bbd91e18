//! What the API is tested with: subjects held in memory, and faults at will.

use super::super::backend::{
    Backup, Coverage, Event, Export, ExportPlace, ExportSubject, KeyView, PolicyView, Reloaded, UnsettledView,
};
use super::super::*;
use crate::audit::{Filter, Report};
use crate::ids::{Generation, Subject};
use crate::jobs::Job;
use crate::rights::{self, AuditHead, Receipt, Replicas, Stage, Times};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Subjects of one class, and what was asked about them.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pub(super) states: Arc<Mutex<HashMap<Subject, State>>>,
    pub(super) grounds: Arc<Mutex<Vec<Option<String>>>>,
    pub(super) restrictions: Arc<Mutex<u32>>,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
    pub(super) down: Arc<Mutex<bool>>,
    pub(super) unaccountable: Arc<Mutex<bool>>,
}

impl Memory {
    fn up(&self) -> Result<(), BackendError> {
        if *self.down.lock() { Err(BackendError::Unavailable("the disk is gone".into())) } else { Ok(()) }
    }

    fn get(&self, subject: &Subject) -> Option<State> {
        self.states.lock().get(subject).copied()
    }
}

/// A receipt of that many keys.
pub(super) fn receipt(keys: usize) -> Receipt {
    let times = Times { intent: "t".into(), live: "t".into(), swept: None, fin: None };
    Receipt {
        kind: rights::TYPE.into(),
        id: "rcp_1".into(),
        revision: 1,
        issued: "t".into(),
        stage: Stage::Live,
        finality: None,
        subject_commitment: None,
        class: "person".into(),
        ground: "g".into(),
        times,
        keys: vec!["00".into(); keys],
        generation: 1,
        generations_destroyed: Vec::new(),
        tokens_destroyed: 0,
        tokens_living_on: 0,
        method: "m".into(),
        replicas: Replicas::default(),
        swept: Vec::new(),
        not_covered: Vec::new(),
        policy: None,
        audit: None,
        repeats: None,
        salt: Some("5a17".into()),
        signature: None,
    }
}

impl Backend for Memory {
    fn state<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Option<State>> {
        Box::pin(async { self.up().map(|()| self.get(subject)) })
    }

    fn erase(&self, request: Erasure) -> Reply<'_, Option<Receipt>> {
        Box::pin(async move {
            self.up()?;
            self.grounds.lock().push(request.ground);
            let Some(before) = self.get(&request.subject) else { return Ok(None) };
            self.states.lock().insert(request.subject, State::Erased);
            Ok(Some(receipt(usize::from(before != State::Erased))))
        })
    }

    fn restrict<'a>(&'a self, subject: &'a Subject, on: bool) -> Reply<'a, Option<State>> {
        Box::pin(async move {
            *self.restrictions.lock() += 1;
            let after = if on { State::Restricted } else { State::Live };
            match self.get(subject) {
                None => Ok(None),
                Some(State::Erased) => Err(BackendError::Conflict("admin-erased", "erased".into())),
                Some(_) => {
                    self.states.lock().insert(subject.clone(), after);
                    Ok(Some(after))
                }
            }
        })
    }

    fn export<'a>(&'a self, subject: &'a Subject, by: &'a str) -> Reply<'a, Option<Export>> {
        Box::pin(async move {
            let (realm, class, id) = ("main".into(), subject.class.to_string(), subject.id.to_string());
            let place = ExportPlace { place: by.to_owned(), rows: Vec::new() };
            let subject_of = ExportSubject { realm, class, id };
            let export = Export {
                subject: subject_of,
                at: "t".into(),
                complete: true,
                places: vec![place],
                missing: Vec::new(),
            };
            Ok(self.get(subject).map(|_| export))
        })
    }

    fn rekey<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Option<Job>> {
        Box::pin(async move {
            match self.get(subject) {
                Some(State::Erased) => Err(BackendError::Conflict("admin-erased", "erased".into())),
                Some(_) => Err(BackendError::Conflict("subject-unsettled", "not yet".into())),
                None => Ok(None),
            }
        })
    }

    fn unsettled(&self) -> Reply<'_, Vec<UnsettledView>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn receipt<'a>(&'a self, id: &'a str) -> Reply<'a, Option<Receipt>> {
        Box::pin(async move { Ok((id == "rcp_1").then(|| Receipt { salt: None, ..receipt(1) })) })
    }

    fn receipts(&self) -> Reply<'_, Vec<String>> {
        Box::pin(async { Ok(vec!["rcp_1".into()]) })
    }

    fn policy(&self) -> PolicyView {
        PolicyView { hash: "h".into(), fields: Vec::new(), classes: Vec::new(), places: Vec::new() }
    }

    fn coverage(&self) -> Reply<'_, Coverage> {
        Box::pin(async { Ok(Coverage { sound: true, databases: Vec::new() }) })
    }

    fn reload(&self) -> Reply<'_, Reloaded> {
        Box::pin(async { Err(BackendError::Conflict("admin-reload", "line 3 is wrong".into())) })
    }

    fn keys(&self) -> Reply<'_, Vec<KeyView>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn rotate(&self) -> Reply<'_, Job> {
        Box::pin(async { Err(BackendError::Conflict("keys-in-use", "a rotation waits".into())) })
    }

    fn destroy(&self, generation: Generation) -> Reply<'_, bool> {
        Box::pin(async move { Ok(generation.0 == 1) })
    }

    fn back_up(&self, to: Option<PathBuf>) -> Reply<'_, Backup> {
        let file = to.map_or_else(|| "/backup".into(), |to| to.display().to_string());
        Box::pin(async { Ok(Backup { file, secrets: 0, generation: 1, complete: true }) })
    }

    fn jobs(&self) -> Reply<'_, Vec<Job>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn resume(&self) -> Reply<'_, Vec<Job>> {
        self.jobs()
    }

    fn job<'a>(&'a self, _: &'a str) -> Reply<'a, Option<Job>> {
        Box::pin(async { Ok(None) })
    }

    fn audit_head(&self) -> Reply<'_, AuditHead> {
        Box::pin(async { Ok(AuditHead { sequence: 0, hash: "0".into() }) })
    }

    fn accountable(&self) -> Result<(), BackendError> {
        let lost = || BackendError::Unavailable("the audit log can't be written".into());
        if *self.unaccountable.lock() { Err(lost()) } else { Ok(()) }
    }

    fn report(&self, filter: Filter) -> Reply<'_, Report> {
        Box::pin(async { Ok(Report { from: filter.from, ..Report::default() }) })
    }

    fn note(&self, event: Event) -> Reply<'_, ()> {
        self.events.lock().push(event);
        Box::pin(async { Ok(()) })
    }

    fn ready(&self) -> Reply<'_, ()> {
        Box::pin(async { self.up() })
    }
}
