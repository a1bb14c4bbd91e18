//! Urlencoded forms on their way in (WHATWG URL §5).

use super::budget::Held;
use super::json_body::Owners;
use super::person;
use super::plan::Plan;
use super::problem::Problem;
use super::shield::{Shield, Whose, Write, stored_text};
use super::target::{decode_form_exact, encode_query};
use super::value;
use crate::ids::Subject;
use crate::policy::model::{RouteOwner, RouteSubject};
use bytes::Bytes;
use std::sync::Arc;

/// So many controls a form may have: each costs more than its bytes.
const CONTROLS: usize = 10_000;

/// A form, held until it is whole: its subject may come last.
pub(super) struct FormBody {
    held: Vec<u8>,
    plan: Arc<Plan>,
    shield: Shield,
    owners: Owners,
    room: Held,
}

impl FormBody {
    pub(super) fn new(plan: Arc<Plan>, shield: Shield, owners: Owners, room: Held) -> Self {
        Self { held: Vec::new(), plan, shield, owners, room }
    }

    pub(super) fn feed(&mut self, chunk: &Bytes) -> Result<(), Problem> {
        if self.held.len() + chunk.len() > self.plan.item_bytes {
            return Err(Problem::too_large(self.plan.item_bytes));
        }
        self.held.extend_from_slice(chunk);
        self.room.now(self.held.len())
    }

    pub(super) async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let held = std::mem::take(&mut self.held);
        let form = std::str::from_utf8(&held).map_err(|_| Problem::form("it is not UTF-8"))?;
        let mut pairs: Vec<(&str, String, String)> = Vec::new();
        for pair in form.split('&') {
            if pairs.len() == CONTROLS {
                return Err(Problem::too_many(CONTROLS));
            }
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode_form_exact(name).zip(decode_form_exact(text));
            let (name, text) = decoded.ok_or_else(|| Problem::form("an escape in it names no character"))?;
            // Some services take `;` for `&`.
            for hidden in pair.split(';').skip(1).map(|hidden| hidden.split('=').next().unwrap_or_default()) {
                let hidden = decode_form_exact(hidden).unwrap_or_default();
                if self.plan.control(&hidden)?.is_some() || self.plan.is_subject(&hidden) {
                    return Err(Problem::spelling());
                }
            }
            pairs.push((pair, name, text));
        }
        let controls: Vec<(&str, &str)> = pairs.iter().map(|(_, n, v)| (n.as_str(), v.as_str())).collect();
        // By owner, once it is asked for: looking for it in all controls, for each of them, would cost their square.
        let mut persons: Vec<Option<Whose>> = vec![None; self.plan.owners.len()];
        let mut writes = Vec::new();
        let mut protected = Vec::new();
        for (_, name, text) in &pairs {
            self.plan.asks(name, Some(text))?;
            let place = self.plan.control(name)?;
            let known = place.and_then(|place| self.plan.places.get(usize::from(place)));
            protected.push(known.is_some() && !text.is_empty());
            let (Some(known), false) = (known, text.is_empty()) else { continue };
            let field = self.shield.field(known.field);
            let value = value::from_text(text, field).map_err(|e| Problem::value(&field.name, e))?;
            let whose = match persons.get(known.owner).cloned().flatten() {
                _ if known.find => Whose::Nobody,
                Some(whose) => whose,
                None => self.whose(known.owner, &controls)?,
            };
            if let (false, Some(person)) = (known.find, persons.get_mut(known.owner)) {
                *person = Some(whose.clone());
            }
            writes.push(Write { field: known.field, whose, find: known.find, value });
        }
        let mut stored = self.shield.seal(&writes).await?.into_iter();
        for (number, ((pair, ..), protected)) in pairs.iter().zip(protected).enumerate() {
            if number > 0 {
                out.push(b'&');
            }
            if protected {
                let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
                let stored = stored_text(stored.next().ok_or_else(Problem::internal)?);
                out.extend_from_slice(format!("{name}={}", encode_query(&stored)).as_bytes());
            } else {
                out.extend_from_slice(pair.as_bytes());
            }
        }
        Ok(())
    }

    fn whose(&self, owner: usize, controls: &[(&str, &str)]) -> Result<Whose, Problem> {
        let known = self.plan.owners.get(owner).ok_or_else(Problem::internal)?;
        of_controls(known, self.owners.get(owner), controls)
    }
}

/// Whose a form's value is: as a control tells, or else as its owner's other sources do.
pub(super) fn of_controls(
    owner: &RouteOwner,
    known: Option<&(usize, Whose)>,
    controls: &[(&str, &str)],
) -> Result<Whose, Problem> {
    let (before, otherwise) = known.map_or((0, Whose::Nobody), |(before, whose)| (*before, whose.clone()));
    for source in owner.sources.iter().take(before) {
        let RouteSubject::Form(name) = source else { continue };
        let mut values = controls.iter().filter(|(control, value)| *control == &**name && !value.is_empty());
        let Some((_, id)) = values.next() else { continue };
        if values.next().is_some() {
            return Err(Problem::form("the control that names the subject stands in it twice"));
        }
        let id = person::canonical(id).map_err(|_| Problem::subject_id())?;
        return Ok(Whose::Known(Arc::new(Subject::new(owner.class.clone(), id))));
    }
    Ok(match otherwise {
        Whose::Returned(_) => Whose::Returned(0),
        other => other,
    })
}
