//! The places of a route as a tree that is walked while a body is scanned.

use crate::policy::model::{Pointer, Step};

/// A node's position in its tree.
pub(in crate::http) type NodeId = u32;

/// Where nothing is declared.
pub(in crate::http) const NONE: NodeId = u32::MAX;

/// What stands at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Leaf {
    /// The protected place of that number.
    Place(u16),
    /// The subject of that number.
    Subject(u16),
    /// An address that is turned around.
    Link,
}

/// One step further.
#[derive(Debug, Default)]
pub(in crate::http) struct Node {
    /// Members, at most 64.
    pub(in crate::http) keys: Vec<(Box<str>, NodeId)>,
    /// Every item.
    pub(in crate::http) each: Option<NodeId>,
    /// Whether a key is a number, and so names an item as well.
    pub(in crate::http) numbers: bool,
    pub(in crate::http) leaf: Option<Leaf>,
    /// An item: subjects that are told in it end with it.
    pub(in crate::http) scope: bool,
}

/// A route's places in bodies of one direction.
#[derive(Debug)]
pub(in crate::http) struct Tree {
    nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Tree {
    pub(in crate::http) const ROOT: NodeId = 0;

    /// Adds a place. The policy has checked that none lies within another.
    pub(in crate::http) fn add(&mut self, pointer: &Pointer, leaf: Leaf) {
        let mut at = Self::ROOT;
        for step in &pointer.0 {
            at = self.step(at, step);
        }
        self.nodes[at as usize].leaf = Some(leaf);
    }

    fn step(&mut self, at: NodeId, step: &Step) -> NodeId {
        let fresh = self.nodes.len() as NodeId;
        let node = &mut self.nodes[at as usize];
        match step {
            Step::Each => {
                if let Some(there) = node.each {
                    return there;
                }
                node.each = Some(fresh);
            }
            Step::Key(name) => {
                if let Some((_, there)) = node.keys.iter().find(|(key, _)| **key == **name) {
                    return *there;
                }
                node.keys.push((name.as_ref().into(), fresh));
                node.numbers |= index(name).is_some();
            }
        }
        self.nodes.push(Node { scope: *step == Step::Each, ..Node::default() });
        fresh
    }

    pub(in crate::http) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// Whether nothing is declared.
    pub(in crate::http) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].leaf.is_none()
    }
}

impl Node {
    /// The item of that number.
    pub(in crate::http) fn item(&self, number: u32) -> NodeId {
        if let Some(each) = self.each {
            return each;
        }
        if !self.numbers {
            return NONE;
        }
        self.keys.iter().find(|(key, _)| index(key) == Some(number)).map_or(NONE, |(_, id)| *id)
    }

    /// Whether something is declared further in.
    pub(in crate::http) fn inner(&self) -> bool {
        self.each.is_some() || !self.keys.is_empty()
    }
}

/// The item that a reference names in an array (RFC 6901 §4: no leading zeros).
fn index(name: &str) -> Option<u32> {
    let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    (digits && (name == "0" || !name.starts_with('0'))).then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_share_their_way() {
        let mut tree = Tree::default();
        tree.add(&Pointer::parse("/data/*/email").unwrap(), Leaf::Place(0));
        tree.add(&Pointer::parse("/data/*/id").unwrap(), Leaf::Subject(0));
        let data = tree.node(Tree::ROOT).unwrap().keys[0].1;
        let item = tree.node(data).unwrap().item(7);
        assert!(tree.node(item).unwrap().scope);
        let members = &tree.node(item).unwrap().keys;
        assert_eq!(members.len(), 2);
        assert_eq!(tree.node(members[1].1).unwrap().leaf, Some(Leaf::Subject(0)));
    }

    #[test]
    fn a_number_names_a_member_and_an_item() {
        let mut tree = Tree::default();
        tree.add(&Pointer::parse("/1/email").unwrap(), Leaf::Place(0));
        let root = tree.node(Tree::ROOT).unwrap();
        assert_ne!(root.item(1), NONE);
        assert_eq!(root.item(0), NONE);
        assert_eq!(&*root.keys[0].0, "1");
    }
}
