//! What queries of the catalog are told in the place of the storage: what is needed to write them anew.

use super::build::Row;
use crate::policy::guard::Guarded;
use crate::policy::model::Declared;
use std::sync::Arc;

/// The shapes of the catalog's own relations, and the guard's objects.
#[derive(Debug, Default)]
pub struct Mask {
    /// Names of `pg_attribute`'s columns, in order.
    pub attribute: Vec<Arc<str>>,
    /// Names and types of the columns of `information_schema.columns`, in order.
    pub columns: Vec<(Arc<str>, Arc<str>)>,
    /// OID of the guard's schema.
    pub schema: Option<u32>,
    /// OID, name and declared type of the guard's domains.
    pub domains: Vec<(u32, Arc<str>, Declared)>,
    /// There is a protected table.
    pub needed: bool,
}

impl Mask {
    /// From the rows of [`super::queries::MASK`].
    pub(super) fn new(rows: &[Row]) -> Option<Self> {
        let mut mask = Self::default();
        for row in rows {
            let cell = |i: usize| row.get(i).and_then(Option::as_deref);
            let (first, second) = (cell(1)?, cell(2));
            match cell(0)? {
                "attribute" => mask.attribute.push(first.into()),
                "columns" => mask.columns.push((first.into(), second?.into())),
                "schema" => mask.schema = Some(first.parse().ok()?),
                "domain" => {
                    let oid = first.parse().ok()?;
                    mask.domains.extend(
                        Guarded::declared(second?).map(|ty| (oid, second.unwrap_or_default().into(), ty)),
                    );
                }
                _ => return None,
            }
        }
        Some(mask)
    }

    /// The catalog's relations that statements may name, and must be looked at for.
    pub fn watched(&self) -> &'static [&'static str] {
        match (self.needed, self.schema) {
            (false, None) => &[],
            (true, None) => &["pg_attribute", "information_schema"],
            (_, Some(_)) => {
                &["pg_attribute", "information_schema", "pg_namespace", "pg_type", "pg_constraint"]
            }
        }
    }
}
