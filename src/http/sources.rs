//! Who a request is about, as its head tells.

use super::json_body::Owners;
use super::jwt::{Claims, Verifier};
use super::names;
use super::person;
use super::plan::Plan;
use super::problem::Problem;
use super::shield::Whose;
use super::target::decode_form_exact;
use crate::ids::Subject;
use crate::policy::model::{RouteOwner, RouteSubject};
use http::request;
use std::sync::Arc;

/// What the head told: by owner, by source, the id.
pub(super) struct Sources {
    /// Empty where no head tells anything.
    ids: Vec<Vec<Option<Box<str>>>>,
    /// The person that a verified token names.
    bearer: Option<Subject>,
}

impl Sources {
    /// Reads every source of the plan's owners that lies in the head.
    pub(super) fn read(
        plan: &Plan,
        params: &[&str],
        head: &request::Parts,
        verifier: Option<&Verifier>,
    ) -> Result<Self, Problem> {
        if !plan.told_in_head {
            return Ok(Self { ids: Vec::new(), bearer: None });
        }
        let mut claims: Option<Option<Claims>> = None;
        let mut ids = Vec::with_capacity(plan.owners.len());
        let mut bearer = None;
        for owner in &plan.owners {
            let mut own = Vec::with_capacity(owner.sources.len());
            for source in &owner.sources {
                own.push(match source {
                    RouteSubject::Path(name) => {
                        let at = plan.params.iter().position(|param| param == name);
                        let raw = at.and_then(|at| params.get(at)).ok_or_else(Problem::internal)?;
                        let id = person::of_segment(raw).map_err(|_| Problem::subject_id())?;
                        Some(id.into())
                    }
                    RouteSubject::Header(name) => header(head, name)?,
                    RouteSubject::Query(name) => query(head, name)?,
                    RouteSubject::Jwt(claim) => {
                        if claims.is_none() {
                            let verifier = verifier.ok_or_else(Problem::internal)?;
                            claims = Some(verifier.verify(&head.headers).map_err(Problem::token)?);
                        }
                        match claims.as_ref().and_then(|c| c.as_ref()).and_then(|c| c.raw(claim)) {
                            Some(raw) => {
                                let id =
                                    person::of_json(raw.as_bytes()).map_err(|_| Problem::subject_id())?;
                                bearer.get_or_insert_with(|| Subject::new(owner.class.clone(), &*id));
                                Some(id.into())
                            }
                            None => None,
                        }
                    }
                    RouteSubject::Form(_)
                    | RouteSubject::Json(_)
                    | RouteSubject::Response(_)
                    | RouteSubject::ResponseLocation => None,
                });
            }
            ids.push(own);
        }
        Ok(Self { ids, bearer })
    }

    /// The person that the request's verified token names, where a route asks for one.
    pub(super) fn bearer(&self) -> Option<&Subject> {
        self.bearer.as_ref()
    }

    /// By owner: the first source that the head (or the answer) tells, and who that is. Those before it may yet be
    /// told by a body.
    pub(super) fn owners(&self, plan: &Plan, answer: bool) -> Owners {
        if self.ids.is_empty() {
            let [request, response] = &plan.untold;
            return Arc::clone(if answer { response } else { request });
        }
        owners(&plan.owners, &self.ids, answer)
    }

    /// The answer's `Location` told an id.
    pub(super) fn located(&mut self, plan: &Plan, id: &str) {
        for (owner, ids) in plan.owners.iter().zip(&mut self.ids) {
            for (source, own) in owner.sources.iter().zip(ids) {
                if *source == RouteSubject::ResponseLocation {
                    *own = Some(id.into());
                }
            }
        }
    }
}

/// See [`Sources::owners`]. Where `ids` holds nothing about an owner, no head told.
pub(super) fn owners(owners: &[RouteOwner], ids: &[Vec<Option<Box<str>>>], answer: bool) -> Owners {
    let known = |(number, owner): (usize, &RouteOwner)| {
        let ids = ids.get(number).map(Vec::as_slice).unwrap_or_default();
        for (at, source) in owner.sources.iter().enumerate() {
            if let Some(Some(id)) = ids.get(at) {
                return (at, Whose::Known(Arc::new(Subject::new(owner.class.clone(), id.clone()))));
            }
            let returned = matches!(source, RouteSubject::Response(_) | RouteSubject::ResponseLocation);
            if returned && !answer {
                return (at, Whose::Returned(0));
            }
        }
        (owner.sources.len(), Whose::Nobody)
    };
    owners.iter().enumerate().map(known).collect()
}

/// Whether a source lies in a head.
pub(super) fn in_head(source: &RouteSubject) -> bool {
    !matches!(source, RouteSubject::Form(_) | RouteSubject::Json(_) | RouteSubject::Response(_))
}

fn header(head: &request::Parts, name: &str) -> Result<Option<Box<str>>, Problem> {
    let mut values = head.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // Services differ in which of two counts.
    if values.next().is_some() {
        return Err(Problem::subject_id());
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Problem::subject_id())?;
    person::canonical(text).map(|id| Some(id.into())).map_err(|_| Problem::subject_id())
}

fn query(head: &request::Parts, name: &str) -> Result<Option<Box<str>>, Problem> {
    let mut found = None;
    for pair in head.uri.query().unwrap_or_default().split('&') {
        let (raw, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Some services take `;` for `&`.
        let mut hidden = pair.split(';').skip(1).map(|hidden| hidden.split('=').next().unwrap_or_default());
        if hidden.any(|hidden| decode_form_exact(hidden).is_some_and(|hidden| names::alike(&hidden, name))) {
            return Err(Problem::subject_id());
        }
        let Some(raw) = decode_form_exact(raw) else { continue };
        if raw != name {
            // Some services take one of another spelling for it, and the other person for whom it is about.
            match names::alike(&raw, name) {
                true => return Err(Problem::subject_id()),
                false => continue,
            }
        }
        let id = decode_form_exact(value).ok_or_else(Problem::subject_id)?;
        person::canonical(&id).map_err(|_| Problem::subject_id())?;
        if found.replace(id.into_boxed_str()).is_some() {
            return Err(Problem::subject_id());
        }
    }
    Ok(found)
}
