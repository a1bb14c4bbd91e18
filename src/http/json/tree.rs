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
    /// A text that is looked at: an address that is turned around, an operation that must hold no values.
    Text,
}

/// A declared member.
#[derive(Debug)]
pub(in crate::http) struct Key {
    pub(in crate::http) name: Box<str>,
    /// What the name begins with, so that most others are told apart by one comparison.
    head: u64,
    pub(in crate::http) node: NodeId,
}

impl Key {
    fn new(name: &str, node: NodeId) -> Self {
        Self { name: name.into(), head: head(name.as_bytes()), node }
    }

    /// Whether it is of that name, whose [`head`] is given.
    #[inline]
    pub(in crate::http) fn is(&self, name: &[u8], head: u64) -> bool {
        self.head == head
            && self.name.len() == name.len()
            && (name.len() <= HEAD || self.name.as_bytes() == name)
    }
}

/// Bytes of a head.
const HEAD: usize = 8;

/// A name of up to eight bytes as a number, which differs from those of all others of its length; of a longer one
/// its beginning.
#[inline]
pub(in crate::http) fn head(name: &[u8]) -> u64 {
    if let Some(bytes) = name.first_chunk::<HEAD>() {
        return u64::from_le_bytes(*bytes);
    }
    // Both ends of a shorter one, which may overlap: with the length they say it all.
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// One step further.
#[derive(Debug)]
pub(in crate::http) struct Node {
    /// Members, at most 64.
    pub(in crate::http) keys: Vec<Key>,
    /// Every item.
    pub(in crate::http) each: Option<NodeId>,
    /// A bit for each length (modulo 64) that a key has.
    lengths: u64,
    /// Whether a key is a number, and so names an item as well.
    pub(in crate::http) numbers: bool,
    /// Where every other member and item leads.
    pub(in crate::http) other: NodeId,
    pub(in crate::http) leaf: Option<Leaf>,
    /// An item: subjects that are told in it end with it.
    pub(in crate::http) scope: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            lengths: 0,
            each: None,
            numbers: false,
            other: NONE,
            leaf: None,
            scope: false,
        }
    }
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
            // Whatever isn't its last member leads back to it.
            Step::Deep => {
                node.other = at;
                return at;
            }
            Step::Each => {
                if let Some(there) = node.each {
                    return there;
                }
                node.each = Some(fresh);
            }
            Step::Key(name) => {
                if let Some(there) = node.key(name) {
                    return there;
                }
                node.keys.push(Key::new(name, fresh));
                node.lengths |= 1 << (name.len() & 63);
                node.numbers |= index(name).is_some();
            }
        }
        self.nodes.push(Node { scope: *step == Step::Each, ..Node::default() });
        fresh
    }

    pub(in crate::http) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// The leaf on the way of these keys, and how many of them lead there; none where nothing is declared.
    pub(in crate::http) fn walk(&self, keys: &[&str]) -> Option<(Leaf, usize)> {
        let mut at = self.node(Self::ROOT)?;
        for (taken, key) in keys.iter().enumerate() {
            if let Some(leaf) = at.leaf {
                return Some((leaf, taken));
            }
            let named = at.key(key);
            let item = || match key.is_empty() {
                true => at.each,
                false => index(key).map(|number| at.item(number)),
            };
            let next = named.or_else(item).unwrap_or(at.other);
            at = self.node(next)?;
        }
        at.leaf.map(|leaf| (leaf, keys.len()))
    }

    /// Whether items of a node are values themselves.
    pub(in crate::http) fn has_values(&self, node: &Node) -> bool {
        let named = node.keys.iter().filter(|key| index(&key.name).is_some()).map(|key| key.node);
        let mut items = node.each.into_iter().chain(named).filter_map(|id| self.node(id));
        items.any(|item| item.leaf.is_some())
    }

    /// Whether these keys, from that node on, lead to something declared, or to what holds it.
    pub(in crate::http) fn leads(&self, from: &Node, keys: &[&str]) -> bool {
        let mut at = from;
        for key in keys {
            let item = || index(key).map(|number| at.item(number));
            // MongoDB's `$` and `$[]` stand for items.
            let any = || at.each.filter(|_| key.starts_with('$'));
            let next = at.key(key).or_else(item).or_else(any).unwrap_or(at.other);
            match self.node(next) {
                Some(node) if node.leaf.is_some() => return true,
                Some(node) => at = node,
                None => return false,
            }
        }
        // Any way leads on from where `**` stands.
        at.other == NONE && at.inner()
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
            return self.other;
        }
        self.keys.iter().find(|key| index(&key.name) == Some(number)).map_or(self.other, |key| key.node)
    }

    /// Whether a key has that length, or perhaps.
    #[inline]
    pub(in crate::http) fn may_be(&self, length: usize) -> bool {
        self.lengths >> (length & 63) & 1 == 1
    }

    /// The member of that name.
    fn key(&self, name: &str) -> Option<NodeId> {
        self.keys.iter().find(|key| *key.name == *name).map(|key| key.node)
    }

    /// Whether items are declared.
    pub(in crate::http) fn items(&self) -> bool {
        self.each.is_some() || self.numbers || self.other != NONE
    }

    /// Whether members are declared.
    pub(in crate::http) fn members(&self) -> bool {
        !self.keys.is_empty() || self.other != NONE
    }

    /// Whether only an array or object can stand here: something is declared further in, and not at any depth.
    pub(in crate::http) fn holds(&self) -> bool {
        self.leaf.is_none() && self.other == NONE && self.inner()
    }

    /// Whether something is declared further in.
    pub(in crate::http) fn inner(&self) -> bool {
        self.items() || self.members()
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
        let data = tree.node(Tree::ROOT).unwrap().keys[0].node;
        let item = tree.node(data).unwrap().item(7);
        assert!(tree.node(item).unwrap().scope);
        let members = &tree.node(item).unwrap().keys;
        assert_eq!(members.len(), 2);
        assert_eq!(tree.node(members[1].node).unwrap().leaf, Some(Leaf::Subject(0)));
    }

    #[test]
    fn a_place_at_any_depth_is_found_on_every_way() {
        let mut tree = Tree::default();
        tree.add(&Pointer::parse("/**/email").unwrap(), Leaf::Place(0));
        let found = Some((Leaf::Place(0), 1));
        assert_eq!(tree.walk(&["email"]), found);
        assert_eq!(tree.walk(&["email", "_eq"]), found);
        assert_eq!(tree.walk(&["_or", "0", "author", "email", "_in", "1"]), Some((Leaf::Place(0), 4)));
        assert_eq!(tree.walk(&["_or", "0", "name"]), None);
    }

    #[test]
    fn a_number_names_a_member_and_an_item() {
        let mut tree = Tree::default();
        tree.add(&Pointer::parse("/1/email").unwrap(), Leaf::Place(0));
        let root = tree.node(Tree::ROOT).unwrap();
        assert_ne!(root.item(1), NONE);
        assert_eq!(root.item(0), NONE);
        assert_eq!(&*root.keys[0].name, "1");
    }
}
