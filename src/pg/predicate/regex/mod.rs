//! Postgres's advanced regular expressions.

use super::collation::Ctype;
use super::fault::Fault;

/// A compiled regular expression.
pub(super) struct Regex(std::convert::Infallible);

impl Regex {
    pub(super) fn new(_: &str, _: bool, _: &Ctype) -> Result<Self, Fault> {
        Err(Fault::unsupported("regular expressions"))
    }

    pub(super) fn matches(&self, _: &str) -> Result<bool, Fault> {
        match self.0 {}
    }
}

/// What `similar_to_escape` makes of a pattern.
pub(super) fn from_similar(_: &str, _: &str) -> Result<String, Fault> {
    Err(Fault::unsupported("SIMILAR TO"))
}
