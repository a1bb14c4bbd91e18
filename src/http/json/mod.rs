//! JSON bodies, rewritten by splicing: what is protected is found by its place while the body streams by, and
//! everything else keeps its bytes.
//!
//! One scanner reads requests and answers alike. It is strict (RFC 8259), keeps its place between chunks, and holds
//! back only what is not decided yet: a protected value, and what follows it until the person it is about is known.

pub(super) mod raw;
pub(super) mod scan;
mod skip;
pub(super) mod splice;
#[cfg(test)]
mod tests;
pub(super) mod text;
pub(super) mod tree;

use crate::policy::model::Pointer;
use bytes::Bytes;
use scan::{Settings, Wrong};
use splice::{Layout, Splicer, Stop};
use std::sync::Arc;
use tree::{Leaf, Tree};

/// Replaces the value at each of `places` (pointers of the policy) by `with`, in 16 KiB steps as a body streams: what the
/// gateway does to JSON but for the keys. `subject`: the pointer that tells whose they are, where one is waited for.
///
/// # Errors
/// What is wrong with a pointer, or with the body.
pub fn replace(places: &[&str], subject: Option<&str>, body: &Bytes, with: &[u8]) -> Result<Vec<u8>, String> {
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
    let settings = Settings { depth: 128, lines: false, exact: false };
    let mut splicer = Splicer::new(layout, vec![1; places.len()], settings, body.len().max(1 << 20), false);
    let why = |stop| match stop {
        Stop::Wrong(wrong) => Wrong::to_string(&wrong),
        Stop::TooLong => "more would have to be held than the body has".to_owned(),
    };
    let mut out = Vec::with_capacity(body.len());
    let mut replacements = Vec::new();
    for start in (0..body.len()).step_by(16 << 10) {
        splicer.feed(&body.slice(start..body.len().min(start + (16 << 10)))).map_err(why)?;
        replacements.clear();
        replacements.extend(splicer.edits().map(|_| Some(with.to_vec())));
        splicer.splice(&replacements, &mut out);
    }
    splicer.finish().map_err(why)?;
    replacements.clear();
    replacements.extend(splicer.edits().map(|_| Some(with.to_vec())));
    splicer.splice(&replacements, &mut out);
    Ok(out)
}
