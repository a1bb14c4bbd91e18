//! Which route a request belongs to.

use crate::policy::model::{Route, Segment};
use http::Method;
use matchit::Router;
use std::io;
use std::sync::Arc;

/// A listener's routes, by path.
#[derive(Default)]
pub(super) struct Routes {
    exact: Router<Pattern>,
    /// In lower case, for paths that a lenient service takes for a declared one: its number among the patterns.
    loose: Router<usize>,
    any: bool,
}

/// The routes of a pattern.
struct Pattern {
    number: usize,
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
        let mut patterns: Vec<(String, Vec<Choice>)> = Vec::new();
        for (number, route) in routes.iter().enumerate() {
            let pattern = pattern(route, false);
            let choice = Choice { methods: route.methods.clone(), route: number };
            match patterns.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, choices)) => choices.push(choice),
                None => patterns.push((pattern, vec![choice])),
            }
        }
        let mut this = Self { any: !routes.is_empty(), ..Self::default() };
        for route in routes {
            let number = patterns.iter().position(|(known, _)| *known == pattern(route, false));
            // A second insertion of one pattern changes nothing.
            let _ = this.loose.insert(pattern(route, true), number.unwrap_or_default());
        }
        for (number, (pattern, choices)) in patterns.into_iter().enumerate() {
            this.exact.insert(pattern, Pattern { number, choices }).map_err(io::Error::other)?;
        }
        Ok(this)
    }

    /// The route of a raw path.
    pub(super) fn find(&self, method: &Method, path: &str) -> Match {
        if !self.any {
            return Match::Nothing;
        }
        let plain = is_plain(path);
        let loose = if plain { None } else { loosened(path) };
        // What follows a NUL some services don't see, and others take for a part of the name.
        if !plain && loose.is_none() {
            return Match::Spelling;
        }
        let loose = loose.as_deref().and_then(|loose| self.loose.at(loose).ok()).map(|loose| *loose.value);
        if let Ok(found) = self.exact.at(path) {
            // A parameter of the path that holds what others read as its structure.
            let other = loose.is_some_and(|loose| loose != found.value.number);
            if other
                || found
                    .params
                    .iter()
                    .any(|(_, value)| value.bytes().any(|byte| matches!(byte, b';' | b'\\')))
            {
                return Match::Spelling;
            }
            let method = method.as_str();
            let takes = |choice: &&Choice| choice.takes(|known| *known == *method);
            let alike = |choice: &Choice| choice.takes(|known| known.eq_ignore_ascii_case(method));
            return match found.value.choices.iter().find(takes) {
                Some(choice) => Match::Route(choice.route),
                // Some services know no case in methods either.
                None if found.value.choices.iter().any(alike) => Match::Spelling,
                None => Match::Other,
            };
        }
        match loose {
            Some(_) => Match::Spelling,
            None => Match::Nothing,
        }
    }

    /// The route that an address of this listener belongs to, whatever its method.
    pub(super) fn address<'p>(&self, path: &'p str) -> impl Iterator<Item = usize> + use<'_, 'p> {
        let found = self.exact.at(path).ok();
        found.into_iter().flat_map(|found| found.value.choices.iter().map(|choice| choice.route))
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
fn pattern(route: &Route, loose: bool) -> String {
    let mut pattern = String::new();
    for (number, segment) in route.segments.iter().enumerate() {
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
