//! What a session keeps by name: prepared statements, portals. The unnamed one, which most clients use
//! for portals, is found without hashing.

use hashbrown::HashMap;

/// How much of a name the server looks at (`NAMEDATALEN` - 1): longer ones are the same.
const LONGEST: usize = 63;

/// As much of a name as counts.
pub(super) fn counts(name: &[u8]) -> &[u8] {
    &name[..name.len().min(LONGEST)]
}

/// Things by the name that the client gave them; the empty name is one, too.
pub(super) struct Names<T> {
    unnamed: Option<T>,
    named: HashMap<Box<[u8]>, T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { unnamed: None, named: HashMap::new() }
    }
}

impl<T> Names<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.unnamed.is_none() && self.named.is_empty()
    }

    /// One has a name that SQL can say.
    pub(super) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(counts(name)) }
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        if name.is_empty() { self.unnamed.as_mut() } else { self.named.get_mut(counts(name)) }
    }

    pub(super) fn insert(&mut self, name: &[u8], thing: T) {
        if name.is_empty() {
            self.unnamed = Some(thing);
        } else {
            self.named.insert(counts(name).into(), thing);
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        if name.is_empty() {
            self.unnamed.take()
        } else if self.named.is_empty() {
            None
        } else {
            self.named.remove(counts(name))
        }
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.unnamed = self.unnamed.take().filter(&stays);
        if !self.named.is_empty() {
            self.named.retain(|_, thing| stays(thing));
        }
    }

    pub(super) fn clear_named(&mut self) {
        self.named.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_server_reads_of_it() {
        let mut names = Names::default();
        let [one, other] = ["x", "y"].map(|end| "n".repeat(63) + end);
        names.insert(one.as_bytes(), 1);
        assert_eq!(names.get(other.as_bytes()), Some(&1));
        names.insert(other.as_bytes(), 2);
        assert_eq!((names.remove(one.as_bytes()), names.is_empty()), (Some(2), true));
    }

    #[test]
    fn the_empty_name_is_a_name() {
        let mut names = Names::default();
        assert!(names.is_empty());
        names.insert(b"", 1);
        names.insert(b"a", 2);
        names.insert(b"", 3);
        assert_eq!((names.get(b""), names.get(b"a"), names.get(b"b")), (Some(&3), Some(&2), None));
        assert_eq!((names.remove(b""), names.remove(b""), names.remove(b"a")), (Some(3), None, Some(2)));
        assert!(names.is_empty());
        names.insert(b"", 1);
        names.insert(b"a", 2);
        names.retain(|n| *n > 1);
        assert_eq!((names.get(b""), names.get(b"a")), (None, Some(&2)));
        names.retain(|_| false);
        assert!(names.is_empty());
    }
}
