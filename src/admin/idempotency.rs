//! `Idempotency-Key`: a POST that is sent again is answered again, not done again.
//!
//! Kept in memory for a day, per principal: a restart forgets them, and then a repeated request is carried out; each
//! POST of this API can be repeated without harm.

use axum::http::{HeaderMap, StatusCode};
use hyper::body::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const KEPT: usize = 4096;
const FOR: Duration = Duration::from_secs(24 * 3600);

/// An answer, to be given again.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

struct Entry {
    at: Instant,
    /// SHA-256 of method, path, query and body.
    request: [u8; 32],
    answer: Option<Answered>,
}

/// What a key says about a request.
pub(super) enum Found {
    /// New: carry it out, then [`Idempotency::keep`] or [`Idempotency::forget`].
    New,
    /// Answered before.
    Again(Box<Answered>),
    /// Being carried out now (409).
    Running,
    /// The key belongs to another request (409).
    Other,
    /// Too many keys are in use (429).
    Full,
}

/// Name of the principal, and the key.
pub(super) type Name = (String, String);

/// The keys seen.
#[derive(Default)]
pub(super) struct Idempotency(Mutex<HashMap<Name, Entry>>);

impl Idempotency {
    pub(super) fn begin(&self, name: &Name, request: [u8; 32], now: Instant) -> Found {
        let mut entries = self.0.lock();
        if entries.len() >= KEPT {
            entries.retain(|_, entry| now.saturating_duration_since(entry.at) < FOR);
        }
        match entries.get(name) {
            Some(entry) if now.saturating_duration_since(entry.at) < FOR || entry.answer.is_none() => {
                match &entry.answer {
                    _ if entry.request != request => Found::Other,
                    Some(answer) => Found::Again(Box::new(answer.clone())),
                    None => Found::Running,
                }
            }
            _ if entries.len() >= KEPT => Found::Full,
            _ => {
                entries.insert(name.clone(), Entry { at: now, request, answer: None });
                Found::New
            }
        }
    }

    pub(super) fn keep(&self, name: &Name, answer: Answered) {
        if let Some(entry) = self.0.lock().get_mut(name) {
            entry.answer = Some(answer);
        }
    }

    /// It failed in a way that trying again may mend.
    pub(super) fn forget(&self, name: &Name) {
        self.0.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_answers_again_and_serves_no_other_request() {
        let keys = Idempotency::default();
        let (name, now) = (("alice".to_owned(), "k".to_owned()), Instant::now());
        assert!(matches!(keys.begin(&name, [1; 32], now), Found::New));
        assert!(matches!(keys.begin(&name, [1; 32], now), Found::Running));
        let answer = Answered { status: StatusCode::OK, headers: HeaderMap::new(), body: "x".into() };
        keys.keep(&name, answer);
        assert!(matches!(keys.begin(&name, [1; 32], now), Found::Again(a) if a.body == "x"));
        assert!(matches!(keys.begin(&name, [2; 32], now), Found::Other));
        assert!(matches!(keys.begin(&("bob".into(), "k".into()), [2; 32], now), Found::New));
        assert!(matches!(keys.begin(&name, [2; 32], now + FOR), Found::New));
        keys.forget(&name);
        assert!(matches!(keys.begin(&name, [3; 32], now), Found::New));
    }
}
