//! Routes of `[[http]]`, checked and compiled.

use super::compile::{check_word, name_class};
use super::model::{
    Class, Declared, Field, Pointer, Protect, Route, RouteBody, RouteOwner, RoutePlace, RouteSubject,
    Segment, Spot, Step,
};
use super::raw::{At, Problems, RawHttp, RawPlace, RawRoute};
use super::suggest;
use crate::ids::FieldId;
use std::sync::Arc;

mod check;

const DEPTH: u16 = 128;
const ITEM_BYTES: u32 = 8 << 20;
const SPOTS: &[&str] = &["json", "form", "query", "path", "header"];
const SOURCES: &[&str] = &["path", "json", "header", "query", "form", "jwt", "response"];
const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "SEARCH", "LINK", "UNLINK"];

/// What routes are compiled with.
pub(super) struct Routes<'a> {
    /// Grows by the fields that a route holds in a domain of its own.
    pub(super) fields: &'a mut Vec<Field>,
    /// Names of all declared fields, sound or not.
    pub(super) declared: &'a [&'a str],
    pub(super) classes: &'a mut Vec<Class>,
}

/// What a route is compiled in.
struct Frame<'a> {
    section: &'a RawHttp,
    route: &'a RawRoute,
    path: &'a str,
    segments: &'a [Segment],
    domain: Option<&'a str>,
}

impl Routes<'_> {
    pub(super) fn section(&mut self, raw: &RawHttp, problems: &mut Problems) -> Vec<Route> {
        if let Some(class) = &raw.class {
            check_word("class", class, problems);
        }
        if let Some(domain) = &raw.domain {
            check_word("domain", domain, problems);
        }
        let mut routes: Vec<Route> = Vec::new();
        for route in &raw.routes {
            let Some(compiled) = self.route(raw, route, problems) else { continue };
            if let Some(twin) = routes.iter().find(|other| check::overlap(other, &compiled)) {
                let (path, other) = (&compiled.path, &twin.path);
                problems.add(
                    route.at,
                    format!("route \"{path}\": the route \"{other}\" takes the same requests"),
                );
            }
            if let Some(rival) = routes.iter().find(|other| check::rivals(other, &compiled)) {
                let (path, other) = (&compiled.path, &rival.path);
                let told =
                    "{name} and {*name} can't stand in one place: give both routes {*name}, or another path";
                problems.add(route.at, format!("route \"{path}\": beside the route \"{other}\": {told}"));
            }
            routes.push(compiled);
        }
        routes
    }

    fn route(&mut self, section: &RawHttp, raw: &RawRoute, problems: &mut Problems) -> Option<Route> {
        let path = raw.path.as_ref()?;
        let segments = segments(path, problems)?;
        let methods = methods(&raw.methods, problems);
        let domain = raw.domain.as_ref().inspect(|domain| check_word("domain", domain, problems));
        let domain = domain.or(section.domain.as_ref()).map(|domain| domain.value.as_str());
        let frame = Frame { section, route: raw, path: &path.value, segments: &segments, domain };
        let places: Vec<RoutePlace> =
            raw.places.iter().filter_map(|place| self.place(&frame, place, problems)).collect();
        let body = raw.body.as_ref().and_then(|body| self.body(&frame, body, problems));
        let links: Vec<Pointer> =
            raw.links.iter().filter_map(|link| pointer(link, &frame, problems)).collect();
        let whole = check::whole(&frame, &places, &links, problems);
        let depth = raw.bounds.depth.or(section.bounds.depth).and_then(|depth| u16::try_from(depth).ok());
        whole.then(|| Route {
            path: Arc::from(path.value.as_str()),
            segments: segments.clone(),
            methods,
            places,
            body,
            links,
            location: raw.location.as_ref().is_some_and(|on| on.value),
            parameters: raw
                .parameters
                .as_ref()
                .map(|names| names.iter().map(|name| Arc::from(name.value.as_str())).collect()),
            graphql: raw.graphql.as_ref().is_some_and(|on| on.value),
            depth: depth.unwrap_or(DEPTH),
            item_bytes: raw.bounds.item_bytes.or(section.bounds.item_bytes).unwrap_or(ITEM_BYTES),
        })
    }

    fn place(&mut self, frame: &Frame<'_>, raw: &RawPlace, problems: &mut Problems) -> Option<RoutePlace> {
        let path = frame.path;
        let spot = spot(raw, frame, problems)?;
        let (own, class) = match raw.subjects.is_empty() {
            true => (&frame.route.subjects, frame.route.class.as_ref()),
            false => (&raw.subjects, raw.class.as_ref().or(frame.route.class.as_ref())),
        };
        let base = if let Spot::Json(pointer) = &spot { Some(pointer) } else { None };
        // What is compared with is nobody's.
        let own: &[_] = if raw.find { &[] } else { own };
        let owner = self.owner(frame, own, class, base, problems);
        let field = self.field(frame, &raw.field, problems)?;
        let known = &self.fields[usize::from(field.0)];
        let token = matches!(known.protect, Protect::Pseudonym { .. });
        let shown = &raw.at.value;
        if raw.find && !token {
            return problems.none(
                raw.at.at,
                format!("route \"{path}\": \"{shown}\" is compared with (find), and \"{}\" is encrypted: no two seals are equal", known.name),
            );
        }
        let (compared, stored) = match &spot {
            Spot::Path(_) if !token => {
                return problems.none(
                    raw.at.at,
                    format!("route \"{path}\": a segment of the path names something, and \"{}\" is encrypted: declare it \"pseudonym\"", known.name),
                );
            }
            Spot::Path(_) => (true, false),
            Spot::Filter(..) if !token => {
                return problems.none(
                    raw.at.at,
                    format!("route \"{path}\": a filter compares, and \"{}\" is encrypted: no two seals are equal", known.name),
                );
            }
            Spot::Filter(..) => (true, false),
            Spot::Query(_) => (token, !token),
            Spot::Header(_) | Spot::Json(_) | Spot::Form(_) => (raw.find, !raw.find),
        };
        if stored && owner.sources.is_empty() {
            problems.add(
                raw.at.at,
                format!(
                    "route \"{path}\": \"{shown}\" holds a person's data, and the route names no `subject`"
                ),
            );
        }
        let operators = operators(raw, &spot, compared, frame, problems)?;
        Some(RoutePlace { spot, field, owner, find: compared, operators })
    }

    fn body(&mut self, frame: &Frame<'_>, raw: &At<String>, problems: &mut Problems) -> Option<RouteBody> {
        let path = frame.path;
        let field = self.field(frame, raw, problems)?;
        let owner = self.owner(frame, &frame.route.subjects, frame.route.class.as_ref(), None, problems);
        let known = &self.fields[usize::from(field.0)];
        if known.protect != Protect::Encrypt || known.ty != Declared::Bytea {
            return problems.none(
                raw.at,
                format!("route \"{path}\": a whole body is a field {{ protect = \"encrypt\", type = \"bytea\" }}, which \"{}\" is not", known.name),
            );
        }
        let told = |source: &RouteSubject| !matches!(source, RouteSubject::Json(_) | RouteSubject::Form(_));
        let read = !frame.route.methods.is_empty()
            && frame.route.methods.iter().all(|method| matches!(method.value.as_str(), "GET" | "HEAD"));
        if !owner.sources.iter().any(told) && !read {
            return problems.none(raw.at, format!("route \"{path}\": `body` needs a `subject` from the path, a header, a token or the answer"));
        }
        if frame
            .route
            .places
            .iter()
            .any(|place| !["query:", "path:", "header:"].iter().any(|p| place.at.value.starts_with(p)))
        {
            return problems.none(raw.at, format!("route \"{path}\": `body` is the whole body; its `fields` can only be query:, path: and header:"));
        }
        Some(RouteBody { field, owner })
    }

    /// The field of that name, in the route's own domain if it has one.
    fn field(&mut self, frame: &Frame<'_>, name: &At<String>, problems: &mut Problems) -> Option<FieldId> {
        let Some(known) = self.fields.iter().find(|known| *known.name == *name.value) else {
            if !self.declared.contains(&name.value.as_str()) {
                let hint = suggest(&name.value, self.declared);
                problems.add(
                    name.at,
                    format!("route \"{}\": no field \"{}\" in [fields]{hint}", frame.path, name.value),
                );
            }
            return None;
        };
        let (Some(own), Protect::Pseudonym { domain, kind, normalise }) = (frame.domain, &known.protect)
        else {
            return Some(known.id);
        };
        // Kinds are kept apart within it; no declared domain has a slash.
        let domain: Arc<str> = format!("{own}/{domain}").into();
        let protect = Protect::Pseudonym { domain, kind: *kind, normalise: *normalise };
        if let Some(there) = self.fields.iter().find(|f| f.name == known.name && f.protect == protect) {
            return Some(there.id);
        }
        let Ok(id) = u16::try_from(self.fields.len()) else {
            return problems.none(name.at, "a policy has at most 65535 fields");
        };
        let field = Field { id: FieldId(id), protect, ..known.clone() };
        self.fields.push(field);
        Some(FieldId(id))
    }

    fn owner(
        &mut self,
        frame: &Frame<'_>,
        sources: &[At<String>],
        class: Option<&At<String>>,
        base: Option<&Pointer>,
        problems: &mut Problems,
    ) -> RouteOwner {
        let class = class.or(frame.section.class.as_ref());
        let class = match class {
            Some(class) => {
                check_word("class", class, problems);
                name_class(self.classes, &class.value)
            }
            None => name_class(self.classes, "person"),
        };
        let sources = sources.iter().filter_map(|source| subject(source, frame, base, problems)).collect();
        RouteOwner { class, sources }
    }
}

fn methods(raw: &[At<String>], problems: &mut Problems) -> Vec<Arc<str>> {
    let mut methods = Vec::new();
    for method in raw {
        let name = &method.value;
        let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if !token {
            let hint = suggest(name, METHODS);
            problems
                .add(method.at, format!("\"{name}\" is no method: methods are written in upper case{hint}"));
        } else if methods.iter().any(|other: &Arc<str>| **other == **name) {
            problems.add(method.at, format!("the method {name} is listed twice"));
        } else {
            methods.push(Arc::from(name.as_str()));
        }
    }
    methods
}

fn segments(path: &At<String>, problems: &mut Problems) -> Option<Vec<Segment>> {
    let text = &path.value;
    let Some(rest) = text.strip_prefix('/') else {
        return problems.none(path.at, format!("route \"{text}\": a path starts with \"/\""));
    };
    if text.contains(['?', '#', '%', '\\', '\0']) {
        return problems
            .none(path.at, format!("route \"{text}\": a path is written without escapes and query"));
    }
    let mut segments = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (i, part) in rest.split('/').enumerate() {
        let last = i == rest.split('/').count() - 1;
        if !names.is_empty() && matches!(segments.last(), Some(Segment::Rest(_))) {
            return problems.none(path.at, format!("route \"{text}\": {{*…}} comes last"));
        }
        let name = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        let segment = match name {
            Some(name) => {
                let (rest, name) = name.strip_prefix('*').map_or((false, name), |name| (true, name));
                let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if !good || names.contains(&name) {
                    return problems.none(
                        path.at,
                        format!("route \"{text}\": {{name}} holds a name of a-z, 0-9 and _, each once"),
                    );
                }
                names.push(name);
                if rest { Segment::Rest(name.into()) } else { Segment::Param(name.into()) }
            }
            None if part.contains(['{', '}']) => {
                return problems.none(path.at, format!("route \"{text}\": {{name}} is a whole segment"));
            }
            None if matches!(part, "." | "..") || (part.is_empty() && !last) => {
                return problems
                    .none(path.at, format!("route \"{text}\": empty and dot segments match nothing"));
            }
            None if part.starts_with([':', '(', '[']) || part.contains(['*', '<', '>']) => {
                let told =
                    "is what other programs call a pattern: write {name}, or {*name} for all that is left";
                return problems.none(path.at, format!("route \"{text}\": \"{part}\" {told}"));
            }
            None => Segment::Literal(part.into()),
        };
        segments.push(segment);
    }
    Some(segments)
}

fn pointer(text: &At<String>, frame: &Frame<'_>, problems: &mut Problems) -> Option<Pointer> {
    match Pointer::parse(&text.value) {
        Ok(pointer) if pointer.is_deep() => {
            let told = "** stands in places that are compared with (find = true, or query:…#…)";
            problems.none(text.at, format!("route \"{}\": \"{pointer}\": {told}", frame.path))
        }
        Ok(pointer) => Some(pointer),
        Err(message) => problems.none(text.at, format!("route \"{}\": {message}", frame.path)),
    }
}

/// A pointer to what is compared with: `**` may come before its last member.
fn deep(text: &str, at: usize, frame: &Frame<'_>, problems: &mut Problems) -> Option<Pointer> {
    let parsed = Pointer::parse(text);
    let pointer = match parsed {
        Ok(pointer) => pointer,
        Err(message) => return problems.none(at, format!("route \"{}\": {message}", frame.path)),
    };
    let Some((last, before)) = pointer.0.split_last() else {
        return problems
            .none(at, format!("route \"{}\": a filter is compared member by member: name one", frame.path));
    };
    let good = match before.iter().position(|step| *step == Step::Deep) {
        Some(deep) => deep + 1 == before.len() && matches!(last, Step::Key(_)),
        None => *last != Step::Deep,
    };
    if !good {
        return problems.none(
            at,
            format!(
                "route \"{}\": \"{pointer}\": ** comes right before the last member, as in /**/email",
                frame.path
            ),
        );
    }
    Some(pointer)
}

/// How a comparison is written.
fn operators(
    raw: &RawPlace,
    spot: &Spot,
    compared: bool,
    frame: &Frame<'_>,
    problems: &mut Problems,
) -> Option<Vec<Arc<str>>> {
    let written = matches!(spot, Spot::Query(_) | Spot::Filter(..) | Spot::Json(_));
    if !(raw.operators.is_empty() || compared && written) {
        let place = &raw.at.value;
        return problems.none(
            raw.at.at,
            format!("route \"{}\": \"{place}\" has `operators`, and is not compared with", frame.path),
        );
    }
    if let Some(empty) = raw.operators.iter().find(|operator| operator.value.is_empty()) {
        return problems.none(empty.at, format!("route \"{}\": an operator is empty", frame.path));
    }
    Some(raw.operators.iter().map(|operator| Arc::from(operator.value.as_str())).collect())
}

/// The header's name in lower case.
fn header(name: &str, at: usize, frame: &Frame<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return problems.none(at, format!("route \"{}\": \"{name}\" is no name of a header", frame.path));
    }
    let name = name.to_ascii_lowercase();
    const FRAMING: &[&str] = &[
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "proxy-connection",
        "range",
        "if-range",
        "etag",
    ];
    if FRAMING.contains(&name.as_str()) {
        return problems.none(
            at,
            format!("route \"{}\": the header {name} frames the message and holds no field", frame.path),
        );
    }
    Some(name.into())
}

fn param(name: &str, at: usize, frame: &Frame<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let known: Vec<&str> = frame
        .segments
        .iter()
        .filter_map(|segment| if let Segment::Param(name) = segment { Some(&**name) } else { None })
        .collect();
    if known.contains(&name) {
        return Some(name.into());
    }
    let hint = suggest(name, &known);
    problems.none(at, format!("route \"{}\": its path has no segment {{{name}}}{hint}", frame.path))
}

fn spot(place: &RawPlace, frame: &Frame<'_>, problems: &mut Problems) -> Option<Spot> {
    let raw = &place.at;
    let At { at, value: text } = raw;
    let member = |text: &str, problems: &mut Problems| match place.find {
        true if !text.is_empty() => deep(text, *at, frame, problems).map(Spot::Json),
        _ => pointer(&At { at: *at, value: text.to_owned() }, frame, problems).map(Spot::Json),
    };
    if text.is_empty() || text.starts_with('/') {
        return member(text, problems);
    }
    let Some((kind, name)) = text.split_once(':') else {
        return problems.none(*at, format!("route \"{}\": \"{text}\" is no place: write \"/{text}\" for a JSON member, or query:, path:, header:, form:", frame.path));
    };
    let plain = |name: &str, problems: &mut Problems| {
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return problems.none(*at, format!("route \"{}\": \"{text}\" names nothing", frame.path));
        }
        Some(Arc::from(name))
    };
    match kind {
        "json" => member(name, problems),
        "form" => plain(name, problems).map(Spot::Form),
        "query" => match name.split_once('#') {
            None => plain(name, problems).map(Spot::Query),
            Some((name, _)) if name.is_empty() || name.contains(['[', ']']) => problems.none(
                *at,
                format!("route \"{}\": \"{text}\": the parameter's own name stands before #, as in query:filter#/email", frame.path),
            ),
            Some((name, pointer)) => Some(Spot::Filter(name.into(), deep(pointer, *at, frame, problems)?)),
        },
        "path" => param(name, *at, frame, problems).map(Spot::Path),
        "header" => header(name, *at, frame, problems).map(Spot::Header),
        other => {
            let hint = suggest(other, SPOTS);
            problems.none(*at, format!("route \"{}\": unknown place \"{other}:\"{hint}", frame.path))
        }
    }
}

fn subject(
    raw: &At<String>,
    frame: &Frame<'_>,
    base: Option<&Pointer>,
    problems: &mut Problems,
) -> Option<RouteSubject> {
    let At { at, value: text } = raw;
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "path" => param(name, *at, frame, problems).map(RouteSubject::Path),
        "header" => header(name, *at, frame, problems).map(RouteSubject::Header),
        "query" if !name.is_empty() => Some(RouteSubject::Query(name.into())),
        "form" if !name.is_empty() => Some(RouteSubject::Form(name.strip_prefix('/').unwrap_or(name).into())),
        "jwt" if !frame.section.jwt => problems.none(
            *at,
            format!("route \"{}\": subject = \"{text}\" needs `jwt = {{ jwks = \"file:…\" }}` in its [[http]] section", frame.path),
        ),
        "jwt" if !name.is_empty() => Some(RouteSubject::Jwt(name.into())),
        "response" if name.eq_ignore_ascii_case("location") => Some(RouteSubject::ResponseLocation),
        "response" => {
            let pointer = pointer(&At { at: *at, value: name.to_owned() }, frame, problems)?;
            if base.is_some_and(|base| base.0.first() == Some(&Step::Each)) && pointer.stars() == 0 {
                return problems.none(*at, format!("route \"{}\": a body that is an array makes several people: name them as in response:/*/id", frame.path));
            }
            if pointer.0.is_empty() || pointer.stars() > 1 {
                return problems.none(*at, format!("route \"{}\": response: is a member of the answer (response:/id), with at most one *, or response:Location", frame.path));
            }
            Some(RouteSubject::Response(pointer))
        }
        "json" => {
            let (root, name) = name.strip_prefix('#').map_or((false, name), |name| (true, name));
            let pointer = pointer(&At { at: *at, value: name.to_owned() }, frame, problems)?;
            if pointer.0.is_empty() {
                return problems.none(*at, format!("route \"{}\": json: is a member of the body, as in json:/id", frame.path));
            }
            within(pointer, root, base, *at, frame, problems).map(RouteSubject::Json)
        }
        other => {
            let hint = match suggest(other, SOURCES) {
                hint if hint.is_empty() => ": it is path:, json:, form:, header:, query:, jwt: or response:".to_owned(),
                hint => hint,
            };
            problems.none(*at, format!("route \"{}\": unknown subject \"{text}\"{hint}", frame.path))
        }
    }
}

/// Where a subject's pointer leads from the value at `base`; `root`: from the root, whatever item it stands in. A value outside JSON has left before the body is read.
fn within(
    pointer: Pointer,
    root: bool,
    base: Option<&Pointer>,
    at: usize,
    frame: &Frame<'_>,
    problems: &mut Problems,
) -> Option<Pointer> {
    let base = base?;
    if pointer.stars() == 0 && !root {
        // A value that is an item itself stands in what holds the array.
        let around = match base.0.split_last() {
            Some((Step::Each, around)) => Pointer(around.to_vec()),
            _ => base.clone(),
        };
        let mut steps = around.item().to_vec();
        steps.extend(pointer.0);
        return Some(Pointer(steps));
    }
    let item = pointer.item();
    if base.0.starts_with(item) {
        return Some(pointer);
    }
    problems.none(
        at,
        format!("route \"{}\": the subject json:{pointer} stands in other items than \"{base}\"", frame.path),
    )
}
