//! How an HTTP listener forwards: `[http.timeouts]`, `[http.limits]`, and what it tells the service about the client.

use super::section::Section;
use crate::policy::raw::Problems;
use std::ops::RangeInclusive;
use std::time::Duration;

/// `[http.timeouts]`: how long each phase may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// `header_seconds`: a request's head, from its first byte; TLS handshakes too. Default 10 s.
    pub header: Duration,
    /// `body_idle_seconds`: between two pieces of a body, in either direction. Default 60 s.
    pub body_idle: Duration,
    /// `keep_alive_seconds`: a client's connection between two requests. Default 75 s.
    pub keep_alive: Duration,
    /// `connect_seconds`: reaching the service, TLS included. Default 5 s.
    pub connect: Duration,
    /// `response_seconds`: from the request's last byte sent to the response's head. Default 60 s.
    pub response: Duration,
    /// `upstream_idle_seconds`: how long an unused connection to the service is kept. Default 30 s.
    pub upstream_idle: Duration,
    /// `upgrade_idle_seconds`: a connection that went on in another protocol, with nothing said. Default 1 h.
    pub upgrade_idle: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            header: seconds(10),
            body_idle: seconds(60),
            keep_alive: seconds(75),
            connect: seconds(5),
            response: seconds(60),
            upstream_idle: seconds(30),
            upgrade_idle: seconds(3600),
        }
    }
}

/// `[http.limits]`: bounds of what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// `header_bytes`: of one message's head, either way. Default 32 KiB.
    pub header_bytes: u32,
    /// `headers`: fields in one head, either way. Default 100.
    pub headers: u32,
    /// `body_bytes`: of one request's body as the client sends it; `None`: no bound (the default).
    pub body_bytes: Option<u64>,
    /// `streams`: requests at once on one HTTP/2 connection. Default 100.
    pub streams: u32,
    /// `held_bytes`: what requests may hold of their bodies, all together. Default 256 MiB.
    pub held_bytes: u32,
    /// `upstream_idle`: unused connections to the service that each worker thread keeps. Default 256.
    pub upstream_idle: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            headers: 100,
            body_bytes: None,
            streams: 100,
            held_bytes: 256 << 20,
            upstream_idle: 256,
        }
    }
}

/// `host`: which `Host` the service sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpHost {
    /// The client's (the default).
    #[default]
    Client,
    /// That of `upstream`.
    Upstream,
}

/// `forwarded`: what the service learns about the client's connection (RFC 7239, `X-Forwarded-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpForwarded {
    /// Added to what a proxy in front of this one said (the default).
    #[default]
    Append,
    /// Said anew: what the client claims is dropped.
    Replace,
    /// Nothing, and what the client claims is dropped: a partner learns no address of a person.
    None,
}

/// Reads `[http.timeouts]`.
pub(super) fn timeouts(section: &mut Section<'_>, problems: &mut Problems) -> HttpTimeouts {
    let mut timeouts = HttpTimeouts::default();
    let Some((at, table)) = section.table("timeouts", problems) else { return timeouts };
    let mut section = Section::new("[http.timeouts]", at, table);
    for (key, into) in [
        ("header_seconds", &mut timeouts.header),
        ("body_idle_seconds", &mut timeouts.body_idle),
        ("keep_alive_seconds", &mut timeouts.keep_alive),
        ("connect_seconds", &mut timeouts.connect),
        ("response_seconds", &mut timeouts.response),
        ("upstream_idle_seconds", &mut timeouts.upstream_idle),
        ("upgrade_idle_seconds", &mut timeouts.upgrade_idle),
    ] {
        if let Some(seconds) = section.number(key, 1..=86_400, problems) {
            *into = Duration::from_secs(seconds.into());
        }
    }
    section.finish(&[], problems);
    timeouts
}

/// Reads `[http.limits]`.
pub(super) fn limits(section: &mut Section<'_>, problems: &mut Problems) -> HttpLimits {
    let mut limits = HttpLimits::default();
    let Some((at, table)) = section.table("limits", problems) else { return limits };
    let mut section = Section::new("[http.limits]", at, table);
    let mut number = |key, range: RangeInclusive<u32>, into: &mut u32| {
        if let Some(n) = section.number(key, range, problems) {
            *into = n;
        }
    };
    number("header_bytes", 8 << 10..=1 << 20, &mut limits.header_bytes);
    number("headers", 10..=1000, &mut limits.headers);
    number("streams", 1..=10_000, &mut limits.streams);
    number("held_bytes", 1 << 20..=u32::MAX, &mut limits.held_bytes);
    number("upstream_idle", 0..=100_000, &mut limits.upstream_idle);
    limits.body_bytes = section.number("body_bytes", 0..=u32::MAX, problems).map(u64::from);
    section.finish(&[], problems);
    limits
}

/// Reads `host`.
pub(super) fn host(section: &mut Section<'_>, problems: &mut Problems) -> HttpHost {
    word(section, "host", &[("client", HttpHost::Client), ("upstream", HttpHost::Upstream)], problems)
}

/// Reads `forwarded`.
pub(super) fn forwarded(section: &mut Section<'_>, problems: &mut Problems) -> HttpForwarded {
    let words = [
        ("append", HttpForwarded::Append),
        ("replace", HttpForwarded::Replace),
        ("none", HttpForwarded::None),
    ];
    word(section, "forwarded", &words, problems)
}

fn word<T: Copy + Default>(
    section: &mut Section<'_>,
    key: &'static str,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> T {
    let what = section.what.clone();
    let Some(text) = section.string(key, problems) else { return T::default() };
    match words.iter().find(|(word, _)| *word == text.value) {
        Some((_, value)) => *value,
        None => {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            problems.add(text.at, format!("{what}: {key} is one of {}", known.join(", ")));
            T::default()
        }
    }
}
