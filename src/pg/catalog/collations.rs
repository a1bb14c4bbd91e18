//! How the database compares texts, as far as the gateway does it in its place.

use super::build::Row;
use crate::pg::predicate::{Collation, CollationRow, Unsupported};
use hashbrown::HashMap;
use std::sync::Arc;

/// The collations of a database that matter here.
#[derive(Debug)]
pub struct Collations {
    default: Known,
    by_oid: HashMap<u32, Known>,
    /// Schema, name and OID of each.
    names: Vec<(Arc<str>, Arc<str>, u32)>,
}

/// A collation, or why it can't be followed.
type Known = Result<Collation, Unsupported>;

/// OID of the collation that stands for the database's.
const DEFAULT: u32 = 100;

impl Default for Collations {
    fn default() -> Self {
        Self { default: Ok(Collation::c()), by_oid: HashMap::new(), names: Vec::new() }
    }
}

impl Collations {
    /// From the rows of [`super::queries::COLLATIONS`].
    pub(super) fn new(rows: &[Row]) -> Self {
        let mut all = Self::default();
        for row in rows {
            let cell = |i: usize| row.get(i).and_then(Option::as_deref);
            let (Some(oid), Some(schema), Some(name)) =
                (cell(0).and_then(|oid| oid.parse::<u32>().ok()), cell(1), cell(2))
            else {
                continue;
            };
            let known = Collation::resolve(&CollationRow {
                name,
                provider: cell(3).and_then(|p| p.chars().next()).unwrap_or(' '),
                collate: cell(4),
                ctype: cell(5),
                locale: cell(6),
                rules: cell(7),
                deterministic: cell(8) == Some("true"),
            });
            if oid == 0 {
                all.default = if schema == "UTF8" { known } else { Err(encoding(schema)) };
            } else {
                all.names.push((schema.into(), name.into(), oid));
                all.by_oid.insert(oid, known);
            }
        }
        all
    }

    /// The database's own.
    ///
    /// # Errors
    /// It can't be followed.
    pub fn of_database(&self) -> Result<&Collation, Unsupported> {
        self.default.as_ref().map_err(Clone::clone)
    }

    /// A column's, where it isn't the database's.
    ///
    /// # Errors
    /// It can't be followed.
    pub fn of(&self, oid: u32) -> Result<Option<Collation>, Unsupported> {
        match oid {
            0 | DEFAULT => Ok(None),
            oid => match self.by_oid.get(&oid) {
                Some(known) => known.clone().map(Some),
                None => Err(Unsupported::Construct("a collation that is not known".into())),
            },
        }
    }

    /// The collation that COLLATE names.
    pub fn named(&self, names: &[&str]) -> Option<Collation> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [schema, name] => (Some(*schema), *name),
            _ => return None,
        };
        if name == "default" && schema.is_none_or(|s| s == "pg_catalog") {
            return self.default.as_ref().ok().cloned();
        }
        let mut found =
            self.names.iter().filter(|(s, n, _)| **n == *name && schema.is_none_or(|x| x == &**s));
        let (_, _, oid) = found.next()?;
        // Two of one name: which it is, the search path would say.
        if found.next().is_some() {
            return None;
        }
        self.by_oid.get(oid)?.as_ref().ok().cloned()
    }
}

/// Bytes of a text are what is compared: here they are UTF-8.
fn encoding(name: &str) -> Unsupported {
    Unsupported::Construct(format!("a database of encoding {name}"))
}
