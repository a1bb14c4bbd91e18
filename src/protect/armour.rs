//! The text form of an envelope, for wires that meet it in text columns.

use crate::envelope;

/// Reads the text form; false where it is none. `out` is replaced.
pub fn read(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    envelope::dearmour_into(text, out).is_ok()
}

/// Writes the text form.
pub fn write(envelope: &[u8]) -> String {
    envelope::armour(envelope)
}
