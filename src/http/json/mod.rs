//! JSON bodies, rewritten by splicing: what is protected is found by its place while the body streams by, and
//! everything else keeps its bytes.
//!
//! One scanner reads requests and answers alike. It is strict (RFC 8259), keeps its place between chunks, and holds
//! back only what is not decided yet: a protected value, and what follows it until the person it is about is known.

mod member;
mod number;
pub(super) mod raw;
pub(super) mod replacements;
pub(super) mod scan;
mod skip;
pub(super) mod splice;
#[cfg(test)]
mod tests;
pub(super) mod text;
pub(super) mod tree;

use crate::policy::model::Pointer;
use bytes::Bytes;
use replacements::Replacements;
use scan::Settings;
use splice::{Layout, Splicer, Stop};
use std::sync::Arc;
use tree::{Leaf, Tree};

/// How bodies are read here.
const SETTINGS: Settings = Settings { depth: 128, lines: false, exact: false };

/// Values at declared places, all replaced by one text, in 16 KiB steps as a body streams: what the gateway does to JSON but for
/// the keys. As a route does, it keeps its memory from one body to the next.
pub struct Replacer {
    places: usize,
    splicer: Splicer,
    replacements: Replacements,
}

impl Replacer {
    /// Of the values at `places` (pointers of the policy). `subject`: the pointer that tells whose they are, where one is waited for.
    ///
    /// # Errors
    /// What is wrong with a pointer.
    pub fn new(places: &[&str], subject: Option<&str>) -> Result<Self, String> {
        let mut tree = Tree::default();
        let mut depths = Vec::new();
        for (number, place) in (0u16..).zip(places) {
            tree.add(&Pointer::parse(place)?, Leaf::Place(number));
        }
        if let Some(subject) = subject {
            let pointer = Pointer::parse(subject)?;
            depths.push(u16::try_from(pointer.stars()).unwrap_or(u16::MAX));
            tree.add(&pointer, Leaf::Subject(0));
        }
        let slots = vec![if depths.is_empty() { Vec::new() } else { vec![0] }; places.len()];
        let layout = Arc::new(Layout { tree: Arc::new(tree), slots, depths });
        let splicer = Splicer::new(layout, Vec::new(), SETTINGS, 0, false);
        Ok(Self { places: places.len(), splicer, replacements: Replacements::default() })
    }

    /// A body with the values replaced by `with`.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn replace(&mut self, body: &Bytes, with: &[u8]) -> Result<Vec<u8>, String> {
        const STEP: usize = 16 << 10;
        let Self { places, splicer, replacements } = self;
        splicer.renew(std::iter::repeat_n(1, *places), SETTINGS, body.len().max(1 << 20), false);
        let mut out = Vec::with_capacity(body.len());
        let mut go = |splicer: &mut Splicer| {
            replacements.clear();
            for number in 0..splicer.edits().count() {
                replacements.put(number, with);
            }
            splicer.splice(replacements, &mut out);
        };
        for start in (0..body.len()).step_by(STEP) {
            splicer.feed(&body.slice(start..body.len().min(start + STEP))).map_err(why)?;
            go(splicer);
        }
        splicer.finish().map_err(why)?;
        go(splicer);
        splicer.forget();
        Ok(out)
    }
}

fn why(stop: Stop) -> String {
    match stop {
        Stop::Wrong(wrong) => wrong.to_string(),
        Stop::TooLong | Stop::TooMany(_) => "more would have to be held than the body has".to_owned(),
    }
}
