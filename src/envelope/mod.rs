//! The envelope: one field value of one subject, sealed. `SPEC.md` beside this file is normative.
//!
//! ```text
//! version ‖ key id ‖ field tag ‖ nonce ‖ ciphertext of (type byte ‖ value) ‖ tag
//! ```
//!
//! There is no function that answers "does this look like an envelope?": the column says so.

mod armour;
mod body;
mod canonical;
mod field;
mod parse;
mod plaintext;
mod seal;

pub use armour::{ARMOUR_PREFIX, ArmourError, armour, armour_into, armoured_len, dearmour, dearmour_into};
pub use body::{
    BODY_HEADER_LEN, BODY_VERSION, BodyHeader, BodyOpenError, BodyOpener, BodySealer, CHUNK_LEN, SALT_LEN,
    SEALED_CHUNK_LEN, body_len, open_body, sealed_body_len,
};
pub use canonical::{is_canonical, max_len as max_value_len};
pub use field::{FieldName, FieldNameError, MAX_FIELD_NAME, field_tag};
pub use parse::{EnvelopeRef, HEADER_LEN, LayoutError, MAX_LEN, MAX_PLAINTEXT, MIN_LEN, OVERHEAD, VERSION};
pub use plaintext::{Padding, sealed_len};
pub use seal::{OpenError, Opener, SealError, open, seal};

#[cfg(test)]
mod tests;
