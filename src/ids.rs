//! Newtypes for what the rooms name to each other.

use std::fmt;
use std::sync::Arc;

/// The person that data is about: realm (tenant), class and id (design: "subject").
///
/// The id is canonical for its declared type: `42`, never `042`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Tenant; `main` unless declared.
    pub realm: Arc<str>,
    /// Class of person, such as `person` or `client_admin`.
    pub class: Arc<str>,
    /// Canonical id within the class.
    pub id: Box<str>,
}

impl Subject {
    /// A subject of the realm `main`.
    pub fn new(class: impl Into<Arc<str>>, id: impl Into<Box<str>>) -> Self {
        Self { realm: Arc::from("main"), class: class.into(), id: id.into() }
    }
}

/// Shows the class only: a subject id is a personal value.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({}/[id])", self.class)
    }
}

/// Names one subject secret, and commits to it (16 bytes, see `keys`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", hex::encode(self.0))
    }
}

/// A field's position in the compiled policy: dense, cheap to copy, valid for one policy version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FieldId(pub u16);

/// First four bytes of SHA-256("paravent/v1/field" ‖ field name).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FieldTag(pub [u8; 4]);

/// Number of a wrapping key generation, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Generation(pub u32);
