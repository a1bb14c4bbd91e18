//! Multipart forms on their way in: texts sealed as fields, files as bodies.

use super::form_body::of_controls;
use super::json_body::Owners;
use super::media::MediaSealing;
use super::multipart::{Event, Head, Parser};
use super::plan::{Place, Plan};
use super::problem::Problem;
use super::shield::{Shield, Whose, Write, stored_text};
use super::target;
use super::value;
use crate::policy::model::{Declared, Protect, RouteOwner, RouteSubject};
use std::sync::Arc;

/// What becomes of the part that is being read.
enum Part {
    /// It goes on as it is.
    Plain,
    /// It names a subject: it goes on, and is kept.
    Subject(Vec<u8>),
    /// It is held until it is whole.
    Text { place: usize, held: Vec<u8> },
    /// It is sealed as it streams.
    File(Box<MediaSealing>),
}

/// A multipart form on its way.
pub(super) struct MultipartBody {
    parser: Parser,
    plan: Arc<Plan>,
    shield: Shield,
    owners: Owners,
    part: Part,
    name: Option<String>,
    /// Controls that name subjects, as far as they were read.
    controls: Vec<(String, String)>,
    /// By owner: the number of the source that told whose a value is.
    used: Vec<Option<usize>>,
}

impl MultipartBody {
    pub(super) fn new(plan: Arc<Plan>, shield: Shield, owners: Owners, boundary: &str) -> Self {
        let used = vec![None; plan.owners.len()];
        Self {
            parser: Parser::new(boundary),
            plan,
            shield,
            owners,
            part: Part::Plain,
            name: None,
            controls: Vec::new(),
            used,
        }
    }

    pub(super) async fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
        for event in self.parser.feed(chunk).map_err(|_| malformed())? {
            match event {
                Event::Part { raw, head } => {
                    out.extend_from_slice(&raw);
                    self.begin(head)?;
                }
                Event::Data(data) => self.data(&data, out).await?,
                Event::End => self.end(out).await?,
                Event::Close(raw) => out.extend_from_slice(&raw),
            }
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), Problem> {
        self.parser.finish().map_err(|_| malformed())
    }

    fn begin(&mut self, head: Head) -> Result<(), Problem> {
        self.part = Part::Plain;
        let Some(name) = head.name else { return Err(malformed()) };
        // Its value comes later.
        self.plan.asks(&name, None)?;
        let place = self.plan.control(&name)?.map(usize::from);
        // Browsers escape a few characters in a name, and some services undo more.
        let unescaped = target::decode(&name);
        if place.is_none() && unescaped != name && self.plan.control(&unescaped)?.is_some() {
            return Err(Problem::spelling());
        }
        if let Some(place) = place {
            let known = self.place(place)?;
            let field = self.shield.field(known.field);
            let file = field.ty == Declared::Bytea && field.protect == Protect::Encrypt;
            self.part = if file {
                let (field, owner) = (known.field, known.owner);
                let whose = self.whose(owner)?;
                Part::File(Box::new(MediaSealing::new(field, whose, self.shield.clone())))
            } else if head.file {
                return Err(Problem::form("a file stands where the policy declares a text"));
            } else {
                Part::Text { place, held: Vec::new() }
            };
        } else if self.plan.is_subject(&name) {
            if self.controls.iter().any(|(known, _)| *known == name) {
                return Err(Problem::form("the control that names the subject stands in it twice"));
            }
            self.part = Part::Subject(Vec::new());
        }
        self.name = Some(name);
        Ok(())
    }

    async fn data(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
        let limit = self.plan.item_bytes;
        match &mut self.part {
            Part::Plain => out.extend_from_slice(data),
            Part::Subject(held) => {
                out.extend_from_slice(data);
                held.extend_from_slice(data);
                if held.len() > 1024 {
                    return Err(Problem::subject_id());
                }
            }
            Part::Text { held, .. } => {
                held.extend_from_slice(data);
                if held.len() > limit {
                    return Err(Problem::too_large(limit));
                }
            }
            Part::File(sealing) => sealing.feed(data, out).await?,
        }
        Ok(())
    }

    async fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        match std::mem::replace(&mut self.part, Part::Plain) {
            Part::Plain => {}
            Part::Subject(held) => {
                let text = String::from_utf8(held).map_err(|_| Problem::subject_id())?;
                let name = self.name.take().unwrap_or_default();
                if !text.is_empty() && self.comes_late(&name) {
                    return Err(Problem::late());
                }
                self.controls.push((name, text));
            }
            Part::File(mut sealing) => sealing.finish(out).await?,
            Part::Text { place, held } if held.is_empty() => drop((place, held)),
            Part::Text { place, held } => {
                let known = self.place(place)?;
                let (id, owner, find) = (known.field, known.owner, known.find);
                let field = self.shield.field(id);
                let text = std::str::from_utf8(&held).map_err(|_| Problem::form("a control is not UTF-8"))?;
                let value = value::from_text(text, field).map_err(|e| Problem::value(&field.name, e))?;
                let whose = if find { Whose::Nobody } else { self.whose(owner)? };
                let write = Write { field: id, whose, find, value };
                for stored in self.shield.seal(&[write]).await? {
                    out.extend_from_slice(stored_text(stored).as_bytes());
                }
            }
        }
        Ok(())
    }

    fn place(&self, place: usize) -> Result<&Place, Problem> {
        self.plan.places.get(place).ok_or_else(Problem::internal)
    }

    /// A file streams: the control that names its subject comes before it.
    fn whose(&mut self, number: usize) -> Result<Whose, Problem> {
        let owner = self.plan.owners.get(number).ok_or_else(Problem::internal)?;
        let known = self.owners.get(number);
        let controls: Vec<(&str, &str)> =
            self.controls.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let whose = of_controls(owner, known, &controls)?;
        let before = known.map_or(0, |(before, _)| *before);
        let told = |source: &RouteSubject| matches!(source, RouteSubject::Form(name) if controls.iter().any(|(n, v)| *n == &**name && !v.is_empty()));
        let used = owner.sources.iter().take(before).position(told).unwrap_or(before);
        if let Some(place) = self.used.get_mut(number) {
            *place = Some(used);
        }
        Ok(whose)
    }

    /// Whether a value has gone to whom a later source tells, though this control counts first.
    fn comes_late(&self, name: &str) -> bool {
        let own = |source: &RouteSubject| matches!(source, RouteSubject::Form(known) if **known == *name);
        let late = |(owner, used): (&RouteOwner, &Option<usize>)| {
            used.is_some_and(|used| owner.sources.iter().take(used).any(own))
        };
        self.plan.owners.iter().zip(&self.used).any(late)
    }
}

fn malformed() -> Problem {
    Problem::form("the multipart body is malformed, or written so that readers differ about it")
}
