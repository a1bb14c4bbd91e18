//! A field's name as envelopes take it: with its tag.

use crate::crypto::sha256;
use crate::ids::FieldTag;
use crate::keys::labels;

/// Longest field name, in bytes: the associated data then fits on the stack.
pub const MAX_FIELD_NAME: usize = 255;

/// A field name has 1 to 255 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field name must have between 1 and 255 bytes")]
pub struct FieldNameError;

/// The first four bytes of SHA-256("paravent/v1/field" ‖ name). Policies refuse names that collide.
pub fn field_tag(name: &str) -> FieldTag {
    let [a, b, c, d, ..] = sha256(&[labels::FIELD, name.as_bytes()]);
    FieldTag([a, b, c, d])
}

/// A field name with the tag already computed. Cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldName<'a> {
    name: &'a str,
    tag: FieldTag,
}

impl<'a> FieldName<'a> {
    /// Checks the length, and hashes.
    pub fn new(name: &'a str) -> Result<Self, FieldNameError> {
        Self::tagged(name, field_tag(name))
    }

    /// Checks the length, and trusts that `tag` is [`field_tag`] of `name`, as a compiled policy keeps it.
    /// With a wrong tag, envelopes would open nowhere else: they are refused, not shown.
    pub fn tagged(name: &'a str, tag: FieldTag) -> Result<Self, FieldNameError> {
        if name.is_empty() || name.len() > MAX_FIELD_NAME {
            Err(FieldNameError)
        } else {
            Ok(Self { name, tag })
        }
    }

    /// The full name, part of the associated data.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The tag that the envelope carries.
    pub fn tag(&self) -> FieldTag {
        self.tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_head_of_a_labelled_hash() {
        let whole = sha256(&[b"paravent/v1/fieldlast_name"]);
        assert_eq!(field_tag("last_name").0, whole[..4]);
        assert_ne!(field_tag("last_name"), field_tag("first_name"));
    }

    /// A policy keeps tags that it computed itself; with others, nothing would open.
    #[test]
    fn the_policy_computes_the_same_tags() {
        for name in ["last_name", "x", "prénom"] {
            assert_eq!(field_tag(name), crate::policy::field_tag(name));
        }
    }

    #[test]
    fn names_have_one_to_255_bytes() {
        assert_eq!(FieldName::new(""), Err(FieldNameError));
        assert_eq!(FieldName::new(&"x".repeat(256)), Err(FieldNameError));
        assert!(FieldName::new(&"x".repeat(255)).is_ok());
    }
}
