//! `[[http]]`: a listener in front of an HTTP service.

use super::http_upstream::{HttpScheme, HttpUpstream, HttpUpstreamTls};
use super::http_wire::{self, HttpForwarded, HttpHost, HttpLimits, HttpTimeouts};
use super::read::Reader;
use super::section::{Section, entries, kind};
use super::{Limits, Listen, TlsFiles};
use crate::policy::raw::{At, Problems, RawBounds, RawHttp, RawPlace, RawRoute};
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const LATER: &[&str] = &["guard", "cache", "rewrite", "cors", "protected_since", "retention"];
const LATER_ROUTE: &[&str] = &["answer", "request", "content_types", "protected_since", "retention", "host"];

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
    /// Which `Host` the service sees.
    pub host: HttpHost,
    /// What the service learns about the client's connection.
    pub forwarded: HttpForwarded,
    /// How long each phase may take.
    pub timeouts: HttpTimeouts,
    /// Bounds of messages and connections of this listener.
    pub wire: HttpLimits,
    /// Bounds that hold for every listener.
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
        let host = http_wire::host(&mut section, &mut self.problems);
        let forwarded = http_wire::forwarded(&mut section, &mut self.problems);
        let timeouts = http_wire::timeouts(&mut section, &mut self.problems);
        let wire = http_wire::limits(&mut section, &mut self.problems);
        let raw = places(&mut section, &mut self.problems);
        section.finish(LATER, &mut self.problems);
        self.raw.http.push(raw);
        let routes = self.raw.http.len() - 1;
        let ((at, listen), upstream) = (listen?, upstream?);
        let limits = limits.clone();
        let listener =
            HttpListener { listen, upstream, tls, routes, jwt, host, forwarded, timeouts, wire, limits };
        Some((listener, at))
    }

    fn http_upstream(&mut self, section: &mut Section<'_>) -> Option<HttpUpstream> {
        let text = section.required("upstream", &mut self.problems);
        let tls = self.http_upstream_tls(section);
        let text = text?;
        let upstream = match HttpUpstream::parse(&text.value, &self.base) {
            Ok(upstream) => upstream,
            Err(message) => return self.problems.none(text.at, format!("[[http]]: upstream: {message}")),
        };
        match tls {
            None => Some(upstream),
            Some((_, tls)) if upstream.scheme == HttpScheme::Https => Some(HttpUpstream { tls, ..upstream }),
            Some((at, _)) => {
                self.problems.none(at, "[[http]]: upstream_tls goes with an https:// upstream only")
            }
        }
    }

    fn http_upstream_tls(&mut self, section: &mut Section<'_>) -> Option<(usize, HttpUpstreamTls)> {
        let (at, table) = section.table("upstream_tls", &mut self.problems)?;
        let mut inner = Section::new("[[http]]: upstream_tls", at, table);
        let mut path = |key| inner.string(key, &mut self.problems).map(|path| self.base.join(path.value));
        let (ca, cert, key) = (path("ca"), path("cert"), path("key"));
        let name = inner.string("name", &mut self.problems).map(|name| name.value);
        inner.finish(&["min_version", "insecure"], &mut self.problems);
        let identity = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return self.problems.none(at, "[[http]]: upstream_tls: cert and key go together"),
        };
        Some((at, HttpUpstreamTls { ca, identity, name }))
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
        Some(Jwt {
            jwks: jwks?,
            audience: audience.map(|a| a.value),
            issuer: issuer.map(|i| i.value),
            header,
        })
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
        parameters: section.has("parameters").then(|| section.strings("parameters", problems)),
        graphql: section.boolean("graphql", problems),
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
                operators: Vec::new(),
            }),
            DeValue::Table(table) => {
                let mut inner = Section::new(format!("{what}: \"{}\"", entry.key), entry.at, table);
                let field = inner.required("field", problems);
                let subjects = inner.strings("subject", problems);
                let class = inner.string("class", problems);
                let find = inner.boolean("find", problems).is_some_and(|find| find.value);
                let operators = inner.strings("operators", problems);
                inner.finish(&[], problems);
                Some(RawPlace { at: entry.name(), field: field?, subjects, class, find, operators })
            }
            other => problems.none(
                entry.at,
                format!(
                    "{what}: fields is {{ \"place\" = \"field\" }}; \"{}\" is {}",
                    entry.key,
                    kind(other)
                ),
            ),
        })
        .collect()
}
