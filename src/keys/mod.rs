//! The key hierarchy as types (design §4). No I/O, no cache: `roots` holds the top, `keystore` the
//! wrapped rows, `keyring` puts them together.
//!
//! ```text
//! root key → GenerationKey → SubjectSecret → KeyId, UserKey
//!                          → DomainSecret  → LookupKey, MarkKey
//! ```
//!
//! Each type gives exactly what the level below needs and nothing that would skip a level.

mod domain;
mod generation;
pub mod labels;
mod pending;
mod subject;
mod wrapped;

pub use domain::{DomainSecret, Lookup, LookupKey, MARK_DOMAIN, Mark, MarkKey};
pub use generation::GenerationKey;
pub use pending::{open_pending, seal_pending};
pub use subject::{Binding, BodyKey, Purpose, PurposeError, StandIn, SubjectSecret, UserKey};
pub use wrapped::{UnwrapError, WRAPPED_LEN, WrapError, Wrapped};
