//! A route, ready to be applied: its places by where they stand.

use super::json::splice::Layout;
use super::json::tree::{Leaf, Tree};
use super::json_body::Owners;
use super::names;
use super::opening::Kits;
use super::problem::Problem;
use super::sources;
use crate::ids::FieldId;
use crate::policy::model::{Pointer, Route, RouteOwner, RouteSubject, Segment, Spot, Step};
use std::sync::Arc;

/// A route, ready to be applied.
pub(super) struct Plan {
    /// As the policy writes its path, for messages.
    pub(super) path: Arc<str>,
    /// The methods that it takes; all where there are none.
    pub(super) methods: Vec<Arc<str>>,
    /// Names of the path's parameters, in order.
    pub(super) params: Vec<Arc<str>>,
    /// Which segments of the path they are.
    pub(super) positions: Vec<usize>,
    /// The last of them takes all that is left of the path.
    pub(super) rest: bool,
    /// Every place; layouts and lists below name them by number.
    pub(super) places: Vec<Place>,
    /// JSON of requests.
    pub(super) request: Arc<Layout>,
    /// JSON of answers.
    pub(super) answer: Arc<Layout>,
    /// Every owner that a place or the body has.
    pub(super) owners: Vec<RouteOwner>,
    /// Whether a request's head, or an answer's, may tell whose something is.
    pub(super) told_in_head: bool,
    /// Whose everything is where no head tells: of requests, and of answers.
    pub(super) untold: [Owners; 2],
    /// What answers are opened with.
    pub(super) kits: Kits,
    /// Where the answer to a creation tells whose it is: its number among the answer's subjects.
    pub(super) created: Option<u16>,
    /// The class of whom a creation makes.
    pub(super) creates: Option<Arc<str>>,
    /// A creation makes several people, one an item.
    pub(super) created_many: bool,
    /// The same, in `Location`.
    pub(super) created_location: bool,
    pub(super) form: Vec<(Arc<str>, u16)>,
    pub(super) query: Vec<(Arc<str>, u16)>,
    /// Query parameters that hold JSON, and what is declared in it.
    pub(super) filters: Vec<(Arc<str>, Arc<Layout>)>,
    /// Query parameters that may pass; all unless given.
    pub(super) parameters: Option<Vec<Arc<str>>>,
    /// Operations come as text, which must hold no values.
    pub(super) graphql: bool,
    /// Which parameter of the path.
    pub(super) segments: Vec<(usize, u16)>,
    pub(super) headers: Vec<(Arc<str>, u16)>,
    /// The field of a whole body, and its owner's number.
    pub(super) body: Option<(FieldId, usize)>,
    pub(super) links: bool,
    pub(super) location: bool,
    pub(super) depth: usize,
    pub(super) item_bytes: usize,
}

/// A protected place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) field: FieldId,
    /// Its number among the owners.
    pub(super) owner: usize,
    /// Compared with, never stored.
    pub(super) find: bool,
    /// How a comparison is written.
    pub(super) operators: Vec<Arc<str>>,
}

impl Plan {
    pub(super) fn new(route: &Route) -> Self {
        let params: Vec<Arc<str>> = route
            .segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::Literal(_) => None,
                Segment::Param(name) | Segment::Rest(name) => Some(name.clone()),
            })
            .collect();
        let positions = route
            .segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| !matches!(segment, Segment::Literal(_)))
            .map(|(at, _)| at)
            .collect();
        let mut owners: Vec<RouteOwner> = Vec::new();
        let mut number = |owner: &RouteOwner| match owners.iter().position(|known| known == owner) {
            Some(number) => number,
            None => {
                owners.push(owner.clone());
                owners.len() - 1
            }
        };
        let places = route
            .places
            .iter()
            .map(|place| Place {
                field: place.field,
                owner: number(&place.owner),
                find: place.find,
                operators: place.operators.clone(),
            })
            .collect();
        let body = route.body.as_ref().map(|body| (body.field, number(&body.owner)));
        let mut answer = Builder::default();
        let mut request = Builder::default();
        let (mut form, mut query, mut segments, mut headers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut filters: Vec<(Arc<str>, Builder)> = Vec::new();
        let mut created_location = false;
        for (number, place) in route.places.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            created_location |= place.owner.sources.contains(&RouteSubject::ResponseLocation);
            match &place.spot {
                Spot::Json(pointer) => {
                    request.place(number, pointer, &place.owner, false);
                    if !place.find {
                        answer.place(number, pointer, &place.owner, true);
                    }
                }
                Spot::Form(name) => form.push((name.clone(), number)),
                Spot::Query(name) => query.push((name.clone(), number)),
                Spot::Filter(name, pointer) => {
                    let at = match filters.iter().position(|(known, _)| known == name) {
                        Some(at) => at,
                        None => {
                            filters.push((name.clone(), Builder::default()));
                            filters.len() - 1
                        }
                    };
                    filters[at].1.place(number, pointer, &place.owner, false);
                }
                Spot::Path(name) => {
                    let position = params.iter().position(|p| **p == **name);
                    segments.extend(position.map(|position| (position, number)));
                }
                Spot::Header(name) => headers.push((name.clone(), number)),
            }
        }
        for link in &route.links {
            answer.tree.add(link, Leaf::Text);
            // What a client was shown it may write back.
            if !route.graphql {
                request.tree.add(link, Leaf::Text);
            }
        }
        if route.graphql {
            request.tree.add(&Pointer(vec![Step::Key("query".into())]), Leaf::Text);
        }
        let (mut created, mut created_many) = (None, false);
        for source in owners.iter().flat_map(|owner| &owner.sources) {
            match source {
                RouteSubject::Response(pointer) => {
                    created = Some(answer.slot(pointer));
                    created_many = pointer.stars() > 0;
                }
                RouteSubject::ResponseLocation => created_location = true,
                _ => {}
            }
        }
        let untold = [false, true].map(|answer| sources::owners(&owners, &[], answer));
        Self {
            path: route.path.clone(),
            methods: route.methods.clone(),
            params,
            positions,
            rest: matches!(route.segments.last(), Some(Segment::Rest(_))),
            told_in_head: owners.iter().flat_map(|owner| &owner.sources).any(sources::in_head),
            untold,
            kits: Kits::default(),
            places,
            request: request.layout(),
            answer: answer.layout(),
            creates: owners.iter().find(|owner| owner.returned()).map(|owner| owner.class.clone()),
            owners,
            created,
            created_many,
            created_location,
            form,
            query,
            filters: filters.into_iter().map(|(name, builder)| (name, builder.layout())).collect(),
            parameters: route.parameters.clone(),
            graphql: route.graphql,
            segments,
            headers,
            body,
            links: !route.links.is_empty(),
            location: route.location,
            depth: usize::from(route.depth),
            item_bytes: route.item_bytes as usize,
        }
    }

    /// Whether a parameter of the path is looked at.
    pub(super) fn reads_path(&self) -> bool {
        self.told_in_head || !self.segments.is_empty()
    }

    /// Whether an answer's head may hold what is opened, or an address that is turned around.
    pub(super) fn reads_answer_head(&self) -> bool {
        self.location || !self.headers.is_empty()
    }

    /// Whether a request's head may hold anything declared.
    pub(super) fn reads_head(&self) -> bool {
        self.reads_query() || !self.segments.is_empty() || !self.headers.is_empty()
    }

    /// Whether something of a query is looked at.
    pub(super) fn reads_query(&self) -> bool {
        let declared = !self.query.is_empty() || !self.filters.is_empty() || !self.form.is_empty();
        declared || self.parameters.is_some() || self.graphql
    }

    /// Whether addresses of the listener hold identifiers.
    pub(super) fn in_addresses(&self) -> bool {
        !self.segments.is_empty() || !self.query.is_empty() || !self.filters.is_empty()
    }

    /// The place of a form's control.
    ///
    /// # Errors
    /// Its name is another spelling of a declared one, or of one that names a subject.
    pub(super) fn control(&self, name: &str) -> Result<Option<u16>, Problem> {
        let place = names::place(&self.form, name)?;
        let other = |source: &RouteSubject| match source {
            RouteSubject::Form(known) => **known != *name && names::alike(name, known),
            RouteSubject::Query(known) => !self.is_subject(name) && names::alike(name, known),
            _ => false,
        };
        if place.is_some() {
            return Ok(place);
        }
        // Some services know no difference between a control and a parameter (Tomcat's `getParameter`, PHP's `$_REQUEST`).
        let parameter = names::place(&self.query, name)?.is_some();
        match parameter || self.owners.iter().flat_map(|owner| &owner.sources).any(other) {
            true => Err(Problem::spelling()),
            false => Ok(None),
        }
    }

    /// A form that asks for another method asks for one of the same route.
    ///
    /// # Errors
    /// The control of that name, and of that value where it is known, may ask for another.
    pub(super) fn asks(&self, name: &str, value: Option<&str>) -> Result<(), Problem> {
        let takes = |value: &str| self.methods.iter().any(|known| known.eq_ignore_ascii_case(value.trim()));
        match names::is_method(name) && !self.methods.is_empty() && !value.is_some_and(takes) {
            true => Err(Problem::method()),
            false => Ok(()),
        }
    }

    /// Whether a form's control of that name tells a subject.
    pub(super) fn is_subject(&self, name: &str) -> bool {
        let mut sources = self.owners.iter().flat_map(|owner| &owner.sources);
        sources.any(|source| matches!(source, RouteSubject::Form(known) if **known == *name))
    }

    /// Whether a parameter has the name of a control, of a place or a subject, that some services take it for.
    ///
    /// # Errors
    /// It is another spelling of one.
    pub(super) fn is_control(&self, name: &str) -> Result<bool, Problem> {
        let sources = || self.owners.iter().flat_map(|owner| &owner.sources);
        let told =
            |source: &RouteSubject| matches!(source, RouteSubject::Form(known) if names::alike(name, known));
        let own = |source: &RouteSubject| matches!(source, RouteSubject::Query(known) if **known == *name);
        Ok(names::place(&self.form, name)?.is_some() || sources().any(told) && !sources().any(own))
    }

    /// Whether an undeclared query parameter may pass.
    pub(super) fn lets_pass(&self, name: &str) -> bool {
        let Some(listed) = &self.parameters else { return true };
        let subject = |owner: &RouteOwner| {
            owner.sources.iter().any(|source| matches!(source, RouteSubject::Query(own) if **own == *name))
        };
        let base = name.split('[').next().unwrap_or_default();
        listed.iter().any(|known| **known == *base) || self.owners.iter().any(subject)
    }

    /// Whether a request's JSON body holds anything declared.
    pub(super) fn json(&self) -> bool {
        !self.request.tree.is_empty()
    }

    /// Whether all that requests' bodies may hold is addresses that were shown: other types than JSON pass.
    pub(super) fn only_written(&self) -> bool {
        self.links && !self.graphql && self.form.is_empty() && self.request.slots.is_empty()
    }

    /// Whether a request's body may hold anything declared.
    pub(super) fn reads_body(&self) -> bool {
        self.json() || !self.form.is_empty() || self.body.is_some()
    }
}

/// A layout in the making.
#[derive(Default)]
struct Builder {
    tree: Tree,
    slots: Vec<Vec<u16>>,
    depths: Vec<u16>,
    subjects: Vec<Pointer>,
}

impl Builder {
    fn place(&mut self, number: u16, pointer: &Pointer, owner: &RouteOwner, answer: bool) {
        self.tree.add(pointer, Leaf::Place(number));
        let mut slots = Vec::new();
        for source in &owner.sources {
            match source {
                RouteSubject::Json(subject) => slots.push(self.slot(subject)),
                // In an answer it is a member like another, of the items that it stands in.
                RouteSubject::Response(subject) if answer && pointer.0.starts_with(subject.item()) => {
                    slots.push(self.slot(subject));
                }
                _ => {}
            }
        }
        let at = usize::from(number);
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Vec::new);
        }
        self.slots[at] = slots;
    }

    fn slot(&mut self, pointer: &Pointer) -> u16 {
        let at = match self.subjects.iter().position(|known| known == pointer) {
            Some(at) => at,
            None => {
                self.subjects.push(pointer.clone());
                self.depths.push(u16::try_from(pointer.stars()).unwrap_or(u16::MAX));
                self.subjects.len() - 1
            }
        };
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        self.tree.add(pointer, Leaf::Subject(at));
        at
    }

    fn layout(self) -> Arc<Layout> {
        Arc::new(Layout { tree: Arc::new(self.tree), slots: self.slots, depths: self.depths })
    }
}

/// How many of a place's subjects within a body count, given how many of its sources come before one that is known:
/// sources are asked in order.
pub(super) fn within(owner: &RouteOwner, before: usize, answer: bool) -> u8 {
    let inside = |source: &&RouteSubject| match source {
        RouteSubject::Json(_) => true,
        RouteSubject::Response(_) => answer,
        _ => false,
    };
    let count = owner.sources.iter().take(before).filter(inside).count();
    u8::try_from(count).unwrap_or(u8::MAX)
}
