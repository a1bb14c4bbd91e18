//! Collations, as the server's catalog reports them: which of two texts comes first, whether they are equal, and
//! what `upper` and `lower` make of them.
//!
//! `C`, `POSIX` and `C.UTF-8` compare bytes, exactly. Everything else is compared by the Unicode collation
//! algorithm with the locale's rules; how far that is from the server's own library is measured by
//! `tests/predicates.rs` and told in `docs/predicates.md`.

mod ctype;
mod locale;

pub(super) use ctype::{Class, Ctype};

use super::fault::Unsupported;
use icu_collator::CollatorBorrowed;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroize;

/// A collation in the words of `pg_collation`, or of `pg_database` for the default one.
#[derive(Debug, Clone, Copy)]
pub struct CollationRow<'a> {
    /// `collname`, for messages.
    pub name: &'a str,
    /// `collprovider` or `datlocprovider`: `c` libc, `i` ICU, `b` builtin. (`d` is the database's: give its row.)
    pub provider: char,
    /// `collcollate`, `datcollate`
    pub collate: Option<&'a str>,
    /// `collctype`, `datctype`
    pub ctype: Option<&'a str>,
    /// `colliculocale` (15, 16), `colllocale` (from 17), `daticulocale`, `datlocale`. Before 15 an ICU collation
    /// has its locale in `collcollate`.
    pub locale: Option<&'a str>,
    /// `collicurules` (from 16)
    pub rules: Option<&'a str>,
    /// `collisdeterministic`
    pub deterministic: bool,
}

/// How texts of a column are compared.
#[derive(Clone)]
pub struct Collation(Arc<Rules>);

struct Rules {
    name: Box<str>,
    /// What it was made of: two of the same parts are the same collation.
    parts: Box<str>,
    /// `None` compares bytes.
    collator: Option<CollatorBorrowed<'static>>,
    ctype: Ctype,
    deterministic: bool,
}

impl Collation {
    /// The collation that bears the name `C`.
    pub fn c() -> Self {
        Self(Arc::new(Rules {
            name: "C".into(),
            parts: "c".into(),
            collator: None,
            ctype: Ctype::Ascii,
            deterministic: true,
        }))
    }

    /// Reads a row of the catalog.
    ///
    /// # Errors
    /// The collation is not one that can be evaluated here; the message names it.
    pub fn resolve(row: &CollationRow<'_>) -> Result<Self, Unsupported> {
        let unsupported = |why: &str| Unsupported::construct(format!("collation \"{}\" ({why})", row.name));
        if row.rules.is_some_and(|rules| !rules.is_empty()) {
            return Err(unsupported("it has rules of its own"));
        }
        let (collator, ctype) = match row.provider {
            'c' => {
                let collate = row.collate.ok_or_else(|| unsupported("its locale is not known"))?;
                let ctype = row.ctype.unwrap_or(collate);
                let collator = locale::libc_collator(collate).map_err(|why| unsupported(&why))?;
                (collator, locale::libc_ctype(ctype).map_err(|why| unsupported(&why))?)
            }
            'i' => {
                let text =
                    row.locale.or(row.collate).ok_or_else(|| unsupported("its locale is not known"))?;
                locale::icu(text).map_err(|why| unsupported(&why))?
            }
            'b' => match row.locale {
                Some("C") => (None, Ctype::Ascii),
                Some("C.UTF-8" | "C.UTF8") => (None, Ctype::BuiltinSimple),
                Some("PG_UNICODE_FAST") => (None, Ctype::BuiltinFull),
                _ => return Err(unsupported("a builtin locale that is not known")),
            },
            _ => return Err(unsupported("a provider that is not known")),
        };
        let parts = format!(
            "{} {:?} {:?} {:?} {}",
            row.provider, row.collate, row.ctype, row.locale, row.deterministic
        );
        Ok(Self(Arc::new(Rules {
            name: row.name.into(),
            parts: parts.into(),
            collator,
            ctype,
            deterministic: row.deterministic,
        })))
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Texts are equal only when their bytes are.
    pub fn is_deterministic(&self) -> bool {
        self.0.deterministic
    }

    /// Compares by bytes alone.
    pub fn is_byte_order(&self) -> bool {
        self.0.collator.is_none()
    }

    pub(super) fn ctype(&self) -> &Ctype {
        &self.0.ctype
    }

    pub(super) fn equal(&self, a: &str, b: &str) -> bool {
        match &self.0.collator {
            Some(collator) if !self.0.deterministic => collator.compare(a, b).is_eq(),
            _ => a == b,
        }
    }

    /// Texts that the rules hold equal are told apart by their bytes, unless the collation is nondeterministic.
    pub(super) fn compare(&self, a: &str, b: &str) -> Ordering {
        let Some(collator) = &self.0.collator else { return a.cmp(b) };
        let order = collator.compare(a, b);
        if self.0.deterministic { order.then_with(|| a.cmp(b)) } else { order }
    }

    /// Appends bytes that compare as the texts do, and of which none begins another.
    pub(super) fn write_key(&self, text: &str, out: &mut Vec<u8>) {
        if let Some(collator) = &self.0.collator {
            let mut key = Vec::with_capacity(text.len() * 3 + 8);
            let Ok(()) = collator.write_sort_key_to(text, &mut key);
            super::key::write_bytes(&key, out);
            key.zeroize();
            if !self.0.deterministic {
                return;
            }
        }
        super::key::write_bytes(text.as_bytes(), out);
    }
}

impl PartialEq for Collation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.parts == other.0.parts
    }
}

impl Eq for Collation {}

impl fmt::Debug for Collation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collation({})", self.0.name)
    }
}
