//! `[[http]]`: a listener in front of an HTTP service.

use super::read::Reader;
use super::section::{Section, entries, kind};
use super::{Limits, Listen, TlsFiles};
use crate::policy::raw::{At, Problems, RawBounds, RawHttp, RawPlace, RawRoute};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const LATER: &[&str] = &["guard", "cache", "rewrite", "cors", "protected_since", "retention"];
const LATER_ROUTE: &[&str] = &["answer", "request", "graphql", "content_types", "protected_since", "retention", "host"];

/// One `[[http]]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpListener {
    /// Where clients connect.
    pub listen: Listen,
    /// The service behind it.
    pub upstream: HttpUpstream,
    /// TLS towards clients.
    pub tls: Option<TlsFiles>,
    /// Its routes: index into [`crate::policy::model::Policy::http`].
    pub routes: usize,
    /// How tokens that name a subject are verified (`jwt:`).
    pub jwt: Option<Jwt>,
    /// Bounds of every connection.
    pub limits: Limits,
}

/// `jwt = { jwks, audience, issuer, header }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// A JSON Web Key Set (RFC 7517): `file:…`.
    pub jwks: PathBuf,
    /// What `aud` must name.
    pub audience: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// The header that carries the token, lower case; `authorization` (after `Bearer `) unless given.
    pub header: String,
}

/// The service: `http://host:port`, `https://host`, or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUpstream {
    /// Where it listens.
    pub address: HttpAddress,
    /// TLS towards it, for that name.
    pub tls: bool,
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAddress {
    /// Over TCP.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// Port, 80 or 443 unless given.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl HttpUpstream {
    /// Reads the service's address; a relative socket path is taken from `base`.
    ///
    /// # Errors
    /// A sentence saying what is expected.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        const EXPECTED: &str = "expected \"http://host:port\", \"https://host:port\" or \"unix:/path\"";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(EXPECTED.into()),
                path => Ok(Self { address: HttpAddress::Unix(base.join(path)), tls: false }),
            };
        }
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(EXPECTED.into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("the service's address has no path: paths pass as the client sends them".into());
        }
        if authority.contains('@') {
            return Err("the service's address holds no user and password".into());
        }
        let parsed: http::uri::Authority = authority.parse().map_err(|_| EXPECTED.to_owned())?;
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match (parsed.port_u16(), parsed.port(), authority.ends_with(':')) {
            (Some(port), ..) => port,
            (None, None, false) => if tls { 443 } else { 80 },
            _ => return Err(format!("{EXPECTED}: the port is a number from 1 to 65535")),
        };
        if host.is_empty() || port == 0 {
            return Err(EXPECTED.into());
        }
        Ok(Self { address: HttpAddress::Tcp { host, port }, tls })
    }
}

impl Reader<'_> {
    /// Every `[[http]]` section.
    pub(super) fn http(&mut self, top: &mut Section<'_>, limits: &Limits) -> Vec<HttpListener> {
        let sections = match top.take("http").map(|entry| (entry.at, entry.value.get_ref())) {
            None => return Vec::new(),
            Some((_, DeValue::Array(sections))) => sections,
            Some((at, _)) => {
                self.problems.add(at, "http is a list: write [[http]], with two brackets");
                return Vec::new();
            }
        };
        let mut listeners: Vec<HttpListener> = Vec::new();
        for section in sections.iter() {
            let Some((listener, at)) = self.http_listener(section, limits) else { continue };
            let free_port = matches!(&listener.listen, Listen::Tcp { port: 0, .. });
            if !free_port && listeners.iter().any(|other| other.listen == listener.listen) {
                self.problems.add(at, format!("two [[http]] sections listen on {}", listener.listen));
            }
            listeners.push(listener);
        }
        listeners
    }

    fn http_listener(
        &mut self,
        section: &Spanned<DeValue<'_>>,
        limits: &Limits,
    ) -> Option<(HttpListener, usize)> {
        let at = section.span().start;
        let DeValue::Table(table) = section.get_ref() else {
            return self.problems.none(at, "http is a list of tables: write [[http]]");
        };
        let mut section = Section::new("[[http]]", at, table);
        let listen = self.listen(&mut section);
        let upstream = self.http_upstream(&mut section);
        let tls = self.tls(&mut section);
        let jwt = self.jwt(&mut section);
        let raw = places(&mut section, &mut self.problems);
        section.finish(LATER, &mut self.problems);
        self.raw.http.push(raw);
        let routes = self.raw.http.len() - 1;
        let ((at, listen), upstream) = (listen?, upstream?);
        Some((HttpListener { listen, upstream, tls, routes, jwt, limits: limits.clone() }, at))
    }

    fn http_upstream(&mut self, section: &mut Section<'_>) -> Option<HttpUpstream> {
        let text = section.required("upstream", &mut self.problems)?;
        match HttpUpstream::parse(&text.value, &self.base) {
            Ok(upstream) => Some(upstream),
            Err(message) => self.problems.none(text.at, format!("[[http]]: upstream: {message}")),
        }
    }

    fn jwt(&mut self, section: &mut Section<'_>) -> Option<Jwt> {
        let (at, table) = section.table("jwt", &mut self.problems)?;
        let mut inner = Section::new("[[http]]: jwt", at, table);
        let jwks = self.file(&mut inner, "jwks", None, &["http", "https"]);
        let audience = inner.string("audience", &mut self.problems);
        let issuer = inner.string("issuer", &mut self.problems);
        let header = inner.string("header", &mut self.problems);
        inner.finish(&["leeway_seconds", "algorithms"], &mut self.problems);
        let header = header.map_or_else(|| "authorization".to_owned(), |h| h.value.to_ascii_lowercase());
        Some(Jwt { jwks: jwks?, audience: audience.map(|a| a.value), issuer: issuer.map(|i| i.value), header })
    }
}

/// What a section says about protection.
pub(super) fn places(section: &mut Section<'_>, problems: &mut Problems) -> RawHttp {
    let class = section.string("class", problems);
    let domain = section.string("domain", problems);
    let bounds = bounds(section, problems);
    let jwt = section.has("jwt");
    let mut routes = Vec::new();
    match section.take("routes").map(|entry| (entry.at, entry.value.get_ref())) {
        None => {}
        Some((_, DeValue::Array(list))) => {
            for route in list.iter() {
                let at = route.span().start;
                match route.get_ref() {
                    DeValue::Table(table) => routes.push(one_route(at, table, problems)),
                    _ => problems.add(at, "routes is a list of tables: write [[http.routes]]"),
                }
            }
        }
        Some((at, _)) => problems.add(at, "routes is a list: write [[http.routes]], with two brackets"),
    }
    RawHttp { class, domain, jwt, bounds, routes }
}

fn bounds(section: &mut Section<'_>, problems: &mut Problems) -> RawBounds {
    RawBounds {
        depth: section.number("depth", 1..=10_000, problems),
        item_bytes: section.number("item_bytes", 1024..=1 << 30, problems),
    }
}

fn one_route(at: usize, table: &DeTable<'_>, problems: &mut Problems) -> RawRoute {
    let mut section = Section::new("[[http.routes]]", at, table);
    let path = section.required("path", problems);
    if let Some(path) = &path {
        section.what = format!("route \"{}\"", path.value);
    }
    let route = RawRoute {
        at,
        path,
        methods: section.strings("methods", problems),
        subjects: section.strings("subject", problems),
        class: section.string("class", problems),
        domain: section.string("domain", problems),
        places: fields(&mut section, problems),
        body: section.string("body", problems),
        links: section.strings("links", problems),
        location: section.boolean("location", problems),
        bounds: bounds(&mut section, problems),
    };
    section.finish(LATER_ROUTE, problems);
    route
}

fn fields(section: &mut Section<'_>, problems: &mut Problems) -> Vec<RawPlace> {
    let what = section.what.clone();
    let Some((_, table)) = section.table("fields", problems) else { return Vec::new() };
    entries(table)
        .iter()
        .filter_map(|entry| match entry.value.get_ref() {
            DeValue::String(field) => Some(RawPlace {
                at: entry.name(),
                field: At { at: entry.at, value: field.to_string() },
                subjects: Vec::new(),
                class: None,
                find: false,
            }),
            DeValue::Table(table) => {
                let mut inner = Section::new(format!("{what}: \"{}\"", entry.key), entry.at, table);
                let field = inner.required("field", problems);
                let subjects = inner.strings("subject", problems);
                let class = inner.string("class", problems);
                let find = inner.boolean("find", problems).is_some_and(|find| find.value);
                inner.finish(&["prefix", "list"], problems);
                Some(RawPlace { at: entry.name(), field: field?, subjects, class, find })
            }
            other => problems.none(
                entry.at,
                format!("{what}: fields is {{ \"place\" = \"field\" }}; \"{}\" is {}", entry.key, kind(other)),
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HttpUpstream, String> {
        HttpUpstream::parse(text, Path::new("/etc/paravent"))
    }

    fn tcp(host: &str, port: u16, tls: bool) -> HttpUpstream {
        HttpUpstream { address: HttpAddress::Tcp { host: host.into(), port }, tls }
    }

    #[test]
    fn a_service_is_named_by_its_address() {
        assert_eq!(parse("http://127.0.0.1:9000"), Ok(tcp("127.0.0.1", 9000, false)));
        assert_eq!(parse("https://api.example/"), Ok(tcp("api.example", 443, true)));
        assert_eq!(parse("http://[::1]:81"), Ok(tcp("::1", 81, false)));
        let socket = HttpUpstream { address: HttpAddress::Unix("/etc/paravent/s".into()), tls: false };
        assert_eq!(parse("unix:s"), Ok(socket));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["", "127.0.0.1:9000", "ftp://x", "http://", "http://x/api", "http://u:p@x", "http://x:0", "http://x:", "unix:"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
