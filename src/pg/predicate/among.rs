//! `IN` a list of constants whose equality is that of their bytes: looked up, not compared one by one.

use super::eval::Ready;
use crate::clear::{Clear, Kind};
use hashbrown::HashSet;
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub(super) struct Among {
    items: HashSet<Item>,
    null: bool,
    empty: bool,
}

struct Item(Arc<Clear>);

impl Borrow<[u8]> for Item {
    fn borrow(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().hash(state);
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes() == other.0.bytes()
    }
}

impl Eq for Item {}

impl Among {
    /// Takes constants; gives them back where equality is more than that of bytes.
    pub(super) fn new(items: Vec<Ready>) -> Result<Self, Vec<Ready>> {
        let by_bytes = |item: &Ready| match item {
            Ready::Value(Some(value)) => !matches!(value.kind(), Kind::Numeric | Kind::Jsonb),
            Ready::Value(None) => true,
            _ => false,
        };
        if !items.iter().all(by_bytes) {
            return Err(items);
        }
        let empty = items.is_empty();
        let null = items.iter().any(|item| matches!(item, Ready::Value(None)));
        let items: HashSet<Item> = items
            .into_iter()
            .filter_map(|item| if let Ready::Value(value) = item { value.map(Item) } else { None })
            .collect();
        Ok(Self { items, null, empty })
    }

    /// Whether it is among them; NULL is `None`.
    pub(super) fn has(&self, value: Option<&Clear>) -> Option<bool> {
        match value {
            _ if self.empty => Some(false),
            None => None,
            Some(value) if self.items.contains(value.bytes()) => Some(true),
            Some(_) if self.null => None,
            Some(_) => Some(false),
        }
    }
}
