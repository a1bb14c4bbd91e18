//! Which route a request belongs to.

use crate::policy::model::{Route, Segment};
use http::Method;
use matchit::Router;
use std::io;
use std::sync::Arc;

/// A listener's routes, by path.
#[derive(Default)]
pub(super) struct Routes {
    /// The most specific pattern of a path, by its number.
    exact: Router<usize>,
    /// In lower case, for paths that a lenient service takes for a declared one.
    loose: Router<usize>,
    /// The most specific ones come first.
    patterns: Vec<Pattern>,
    /// A declared path may be spelled otherwise without anything that tells: in lower case, without its last slash.
    lenient: bool,
}

/// The routes of a pattern.
struct Pattern {
    segments: Vec<Segment>,
    choices: Vec<Choice>,
}

/// A route of a path.
#[derive(Clone)]
struct Choice {
    methods: Vec<Arc<str>>,
    route: usize,
}

/// What a path belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The route of that number.
    Route(usize),
    /// Nothing is declared.
    Nothing,
    /// A service that is lenient about paths or methods would take it for a declared one.
    Spelling,
    /// The path is declared, for other methods.
    Other,
}

impl Routes {
    pub(super) fn new(routes: &[Route]) -> io::Result<Self> {
        let mut this = Self::default();
        for (number, route) in routes.iter().enumerate() {
            let choice = Choice { methods: route.methods.clone(), route: number };
            let name = pattern(&route.segments, false);
            match this.patterns.iter_mut().find(|known| pattern(&known.segments, false) == name) {
                Some(known) => known.choices.push(choice),
                None => {
                    let segments = route.segments.clone();
                    this.patterns.push(Pattern { segments, choices: vec![choice] });
                }
            }
        }
        this.patterns.sort_by_key(|known| known.segments.iter().map(breadth).collect::<Vec<_>>());
        for (number, known) in this.patterns.iter().enumerate() {
            let (name, loose) = (pattern(&known.segments, false), pattern(&known.segments, true));
            this.lenient |= name != loose;
            this.exact.insert(name, number).map_err(io::Error::other)?;
            // What another route spells alike in another case is taken for it.
            let _ = this.loose.insert(loose, number);
        }
        for (number, known) in this.patterns.iter().enumerate() {
            // All that is left of a path may be nothing.
            if let Some((Segment::Rest(_), before)) = known.segments.split_last() {
                let _ = this.exact.insert(format!("{}/", pattern(before, false)), number);
            }
        }
        Ok(this)
    }

    /// The route of a raw path.
    pub(super) fn find(&self, method: &Method, path: &str) -> Match {
        if self.patterns.is_empty() {
            return Match::Nothing;
        }
        let found = self.exact.at(path).ok().map(|found| *found.value);
        if !is_plain(path) {
            let mut read = vec![loosened(path)];
            read.extend(beyond_authority(path).map(loosened));
            for read in read {
                // What follows a NUL some services don't see, and others take for a part of the name.
                let Some(read) = read else { return Match::Spelling };
                let loose = self.loose.at(&read).ok().map(|found| *found.value);
                if loose.is_some_and(|loose| !found.is_some_and(|found| self.is_one(loose, found))) {
                    return Match::Spelling;
                }
            }
        } else if found.is_none() && self.lenient && self.loose.at(path).is_ok() {
            return Match::Spelling;
        }
        match found {
            Some(number) => self.choose(method, path, number),
            None => Match::Nothing,
        }
    }

    /// Whether two patterns differ in what a lenient service passes over, or not at all: both are declared.
    fn is_one(&self, a: usize, b: usize) -> bool {
        let loose = |number: usize| self.patterns.get(number).map(|known| pattern(&known.segments, true));
        a == b || loose(a) == loose(b)
    }

    /// The first route that takes the method, from that pattern of the path on: a more specific one hides none.
    fn choose(&self, method: &Method, path: &str, number: usize) -> Match {
        // What others read as the structure of a path.
        if path.contains([';', '\\']) {
            return Match::Spelling;
        }
        let method = method.as_str();
        let best = self.patterns.get(number).into_iter();
        let others = self.patterns.iter().enumerate().filter(|(at, known)| *at != number && known.fits(path));
        let mut alike = false;
        for choice in best.chain(others.map(|(_, known)| known)).flat_map(|known| &known.choices) {
            if choice.takes(|known| *known == *method) {
                return Match::Route(choice.route);
            }
            alike |= choice.takes(|known| known.eq_ignore_ascii_case(method));
        }
        // Some services know no case in methods either.
        if alike { Match::Spelling } else { Match::Other }
    }

    /// The route that an address of this listener belongs to, whatever its method.
    pub(super) fn address<'p>(&self, path: &'p str) -> impl Iterator<Item = usize> + use<'_, 'p> {
        let found = self.exact.at(path).ok().and_then(|found| self.patterns.get(*found.value));
        found.into_iter().flat_map(|found| found.choices.iter().map(|choice| choice.route))
    }
}

impl Pattern {
    /// Whether a raw path is of this pattern.
    fn fits(&self, path: &str) -> bool {
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        for segment in &self.segments {
            let fits = match (segment, parts.next()) {
                (Segment::Rest(_), part) => return part.is_some(),
                (Segment::Literal(text), Some(part)) => **text == *part,
                (Segment::Param(_), Some(part)) => !part.is_empty(),
                (_, None) => false,
            };
            if !fits {
                return false;
            }
        }
        parts.next().is_none()
    }
}

/// How much a segment takes.
fn breadth(segment: &Segment) -> u8 {
    match segment {
        Segment::Literal(_) => 0,
        Segment::Param(_) => 1,
        Segment::Rest(_) => 2,
    }
}

impl Choice {
    fn takes(&self, is: impl Fn(&str) -> bool) -> bool {
        self.methods.is_empty()
            || self.methods.iter().any(|known| is(known) || (&**known == "GET" && is("HEAD")))
    }
}

/// Lower case, without escapes, empty or dot segments: nothing that a lenient service would read otherwise.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_~!$&'()*+,=:@/.".contains(&b);
    let odd = |pair: &[u8; 2]| matches!(pair, b"//" | b"/." | b"./");
    let bytes = path.as_bytes();
    bytes.iter().copied().all(plain) && !bytes.array_windows().any(odd) && !path.ends_with(['/', '.'])
}

/// So often escapes are decoded: some services do it twice, and there may be some behind each other.
const DECODED: usize = 4;

/// As the most lenient service reads a path: escapes decoded, backslashes turned, parameters after `;`, empty and dot
/// segments taken out, dots and spaces at a segment's end, in lower case. None where it holds a NUL.
fn loosened(path: &str) -> Option<String> {
    let mut text = path.to_owned();
    for _ in 0..DECODED {
        if !text.contains('%') {
            break;
        }
        text = characters(percent_encoding::percent_decode_str(&text).collect());
    }
    if text.contains('\0') {
        return None;
    }
    let text: String = text.chars().map(narrow).collect::<String>().to_lowercase();
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split(['/', '\\']) {
        match part.split(';').next().unwrap_or_default().trim() {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part.trim_end_matches(['.', ' '])),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// What follows the authority to services that resolve a path as a reference: `//host/people`, `/\\host/people`, with any
/// number of slashes (WHATWG URL).
fn beyond_authority(path: &str) -> Option<&str> {
    let rest = path.trim_start_matches(['/', '\\']);
    if path.len() - rest.len() < 2 {
        return None;
    }
    rest.find(['/', '\\']).and_then(|at| rest.get(at..))
}

/// The text of bytes, those of two bytes among them that should have one: some old readers take `c0 af` for `/`.
fn characters(bytes: Vec<u8>) -> String {
    let mut all = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.into_iter().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (0xC0 | 0xC1, Some(next @ 0x80..=0xBF)) => {
                all.push((byte & 1) << 6 | (next & 0x3F));
                bytes.next();
            }
            _ => all.push(byte),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A wide letter or sign as what it looks like, to services that normalise (NFKC).
fn narrow(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '\u{2024}' => '.',
        '\u{2044}' | '\u{2215}' => '/',
        c => c,
    }
}

/// The router's form: parameters by position, so that routes which name them differently are one.
fn pattern(segments: &[Segment], loose: bool) -> String {
    let mut pattern = String::new();
    for (number, segment) in segments.iter().enumerate() {
        if loose && *segment == Segment::Literal("".into()) {
            continue;
        }
        pattern.push('/');
        match segment {
            Segment::Literal(text) if loose => pattern.push_str(&text.to_lowercase()),
            Segment::Literal(text) => pattern.push_str(text),
            Segment::Param(_) => pattern.push_str(&format!("{{p{number}}}")),
            Segment::Rest(_) => pattern.push_str(&format!("{{*p{number}}}")),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::policy_only;

    fn routes() -> Routes {
        let text = "[fields]\nemail = \"pseudonym\"\n[[http]]\n\
            [[http.routes]]\npath = \"/people/{id}\"\nmethods = [\"GET\", \"PATCH\"]\nsubject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\
            [[http.routes]]\npath = \"/people/{id}\"\nmethods = [\"DELETE\"]\nsubject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\
            [[http.routes]]\npath = \"/people\"\nsubject = \"json:/id\"\nfields = { \"/email\" = \"email\" }\n";
        Routes::new(&policy_only(text).unwrap().http[0]).unwrap()
    }

    #[test]
    fn a_request_belongs_to_the_route_of_its_path_and_method() {
        let routes = routes();
        assert_eq!(routes.find(&Method::GET, "/people/42"), Match::Route(0));
        assert_eq!(routes.find(&Method::HEAD, "/people/42"), Match::Route(0));
        assert_eq!(routes.find(&Method::DELETE, "/people/4%32"), Match::Route(1));
        assert_eq!(routes.find(&Method::POST, "/people"), Match::Route(2));
        assert_eq!(routes.find(&Method::PUT, "/people/42"), Match::Other);
        let patch = Method::from_bytes(b"Patch").unwrap();
        assert_eq!(routes.find(&patch, "/people/42"), Match::Spelling, "Django knows no case");
        assert_eq!(routes.find(&Method::GET, "/people/42;v=1"), Match::Spelling);
        assert_eq!(routes.find(&Method::GET, "/other/42"), Match::Nothing);
        assert_eq!(routes.find(&Method::GET, "/people/42/x"), Match::Nothing);
    }

    #[test]
    fn what_is_left_of_a_path_belongs_to_a_route_but_hides_no_other() {
        let text = "[fields]\nemail = \"pseudonym\"\n[[http]]\n\
            [[http.routes]]\npath = \"/people/{id}\"\nsubject = \"path:id\"\nfields = { \"/email\" = \"email\" }\n\
            [[http.routes]]\npath = \"/files/{*rest}\"\nsubject = \"header:x-user\"\nfields = { \"/email\" = \"email\" }\n";
        let routes = Routes::new(&policy_only(text).unwrap().http[0]).unwrap();
        assert_eq!(routes.find(&Method::GET, "/files/a/b.txt"), Match::Route(1));
        assert_eq!(routes.find(&Method::GET, "/files/A%20b/"), Match::Route(1));
        assert_eq!(routes.find(&Method::GET, "/files"), Match::Nothing);
        for path in [
            "/files/../people/42",
            "/files/%2e%2e/people/42",
            "/files/..;/people/42",
            "/files/x/..%2F..%2Fpeople/42",
        ] {
            assert_eq!(routes.find(&Method::GET, path), Match::Spelling, "{path}");
        }
    }

    fn of(paths: &[(&str, &str)]) -> Routes {
        let mut text = "[fields]\nemail = \"pseudonym\"\n[[http]]\n".to_owned();
        for (path, methods) in paths {
            text.push_str(&format!(
                "[[http.routes]]\npath = \"{path}\"\nmethods = [{methods}]\nsubject = \"json:/id\"\nfields = {{ \"/email\" = \"email\" }}\n"
            ));
        }
        Routes::new(&policy_only(&text).unwrap().http[0]).unwrap()
    }

    #[test]
    fn a_specific_route_hides_no_general_one() {
        let get = "\"GET\"";
        let routes = of(&[("/people/{id}", ""), ("/people/me", get), ("/x/{*rest}", ""), ("/x/y/{id}", get)]);
        assert_eq!(routes.find(&Method::GET, "/people/me"), Match::Route(1));
        assert_eq!(routes.find(&Method::PATCH, "/people/me"), Match::Route(0));
        assert_eq!(routes.find(&Method::GET, "/x/y/7"), Match::Route(3));
        assert_eq!(routes.find(&Method::PUT, "/x/y/7"), Match::Route(2));
        assert_eq!(routes.find(&Method::PUT, "/x/"), Match::Route(2), "nothing is left");
        let routes = of(&[("/{a}/me", get), ("/people/{id}", "\"PUT\"")]);
        assert_eq!(routes.find(&Method::GET, "/people/me"), Match::Route(0));
        assert_eq!(routes.find(&Method::PUT, "/people/me"), Match::Route(1));
        assert_eq!(routes.find(&Method::DELETE, "/people/me"), Match::Other);
    }

    #[test]
    fn a_declared_slash_or_case_may_be_left_out_by_lenient_services_only() {
        let routes = of(&[("/people/", ""), ("/team/{id}/", ""), ("/Users/{id}", "")]);
        assert_eq!(routes.find(&Method::POST, "/people/"), Match::Route(0));
        assert_eq!(routes.find(&Method::POST, "/team/7/"), Match::Route(1));
        for path in ["/people", "/team/7", "/users/7"] {
            assert_eq!(routes.find(&Method::POST, path), Match::Spelling, "{path}");
        }
        assert_eq!(routes.find(&Method::POST, "/other"), Match::Nothing);
        let both = of(&[("/people", ""), ("/people/", "")]);
        assert_eq!(both.find(&Method::POST, "/people"), Match::Route(0));
        assert_eq!(both.find(&Method::POST, "/people/"), Match::Route(1));
        assert_eq!(both.find(&Method::POST, "/people//"), Match::Spelling);
    }

    #[test]
    fn a_path_that_resolves_beyond_an_authority_is_noticed() {
        let routes = of(&[("/json/{id}", "")]);
        for path in [
            "//x/json/7",
            "///x/json/7",
            "/\\/x/json/7",
            "//////u@x:80/json/7",
            "/\\x/json/7",
            "//x\\json/7",
            "//h//json/7",
        ] {
            assert_eq!(routes.find(&Method::PUT, path), Match::Spelling, "{path}");
        }
        assert_eq!(routes.find(&Method::PUT, "//x/other/7"), Match::Nothing);
    }

    #[test]
    fn another_spelling_of_a_declared_path_is_noticed() {
        let routes = routes();
        for path in [
            "/People/42",
            "/people//42",
            "//people/42",
            "/people/42/",
            "/people/",
            "/x/../people/42",
            "/./people",
            "/p%65ople/42",
            "/p%2565ople/42",
            "/people%2F42",
            "/people;v=1/42",
            "/people\\42",
            "/people/%2e/42",
            "/people%00/42",
            "/people%2500",
            "/people%2525252f42",
            "/people%c0%af42",
            "/people%EF%BC%8F42",
            "/peopl%EF%BD%85/42",
            "/people./42",
            "/people%20/42",
        ] {
            assert_eq!(routes.find(&Method::GET, path), Match::Spelling, "{path}");
        }
        assert_eq!(routes.find(&Method::GET, "/Other/42"), Match::Nothing);
        assert_eq!(routes.find(&Method::GET, "/animals/"), Match::Nothing);
    }
}
