//! Which declared member a name is, to this reader and to others.

use super::scan::Wrong;
use super::tree::{self, NONE, Node, NodeId, Tree};

/// Where the member of that name leads; `seen` holds those that came before it in their object.
#[inline]
pub(super) fn declared(
    tree: &Tree,
    node: &Node,
    name: &[u8],
    seen: &mut u64,
    exact: bool,
) -> Result<NodeId, Wrong> {
    if exact && (name == INHERITED && !node.keys.is_empty() || is_path(tree, node, name)) {
        return Err(Wrong::Spelling);
    }
    if exact && !name.is_ascii() && node.keys.iter().any(|key| folds(name, &key.name)) {
        return Err(Wrong::Spelling);
    }
    if !node.may_be(name.len()) {
        return Ok(node.other);
    }
    let head = tree::head(name);
    if let Some(number) = node.keys.iter().position(|key| key.is(name, head)) {
        let bit = 1u64 << (number & 63);
        if *seen & bit != 0 {
            return Err(Wrong::Duplicate);
        }
        *seen |= bit;
        return Ok(node.keys.get(number).map_or(NONE, |key| key.node));
    }
    if exact && node.keys.iter().any(|key| key.name.as_bytes().eq_ignore_ascii_case(name)) {
        return Err(Wrong::Spelling);
    }
    Ok(node.other)
}

/// The member from which JavaScript's objects inherit: what stands in it stands, for some readers, beside it.
const INHERITED: &[u8] = b"__proto__";

/// Whether a name is a declared one to readers for whom a NUL ends it.
pub(super) fn is_cut(node: &Node, name: &[u8]) -> bool {
    let Some((cut, _)) = memchr::memchr(0, name).and_then(|at| name.split_at_checked(at)) else {
        return false;
    };
    node.keys.iter().any(|key| key.name.as_bytes().eq_ignore_ascii_case(cut))
}

/// Whether a name is a declared one to readers that know no case, nor two letters outside ASCII (Go's `encoding/json`).
fn folds(name: &[u8], declared: &str) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let plain = name.replace('\u{17f}', "s").replace('\u{212a}', "k");
    name != declared && plain.to_lowercase() == declared.to_lowercase()
}

/// Whether a name leads to something declared for readers to whom a name may be a path: `profile.email`, `list.0.email`,
/// `profile[email]` (Mongoose, MongoDB's and Elasticsearch's updates).
#[inline]
fn is_path(tree: &Tree, node: &Node, name: &[u8]) -> bool {
    memchr::memchr2(b'.', b'[', name).is_some() && leads(tree, node, name)
}

#[cold]
fn leads(tree: &Tree, node: &Node, name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    if node.keys.iter().any(|key| *key.name == *name) {
        return false;
    }
    let steps: Vec<&str> = name.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    !steps.is_empty() && tree.leads(node, &steps)
}
