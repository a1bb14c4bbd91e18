//! Messages that fail on the server, in the place of what is refused: its error is replaced by the refusal, and all else that
//! hangs on an error comes by itself.

use crate::pg::wire::frame::HEADER;
use crate::pg::wire::{WireError, bind, error, parse_msg, simple};

/// A statement that fails in parse analysis with 42703, whatever the database holds.
const FAILING: &[u8] = b"SELECT \"refused by paravent\"";
/// The same with 42601, before anything is analysed.
const UNREADABLE: &[u8] = b"refused by paravent";
/// The name that a failing Parse uses, so that the client's unnamed statement stays.
pub(super) const FAILING_NAME: &[u8] = b"_paravent_refused";
/// The name of a statement that there is not.
const MISSING_NAME: &[u8] = b"_paravent_missing";

/// Appends a Bind that fails, also in a block that has failed, since there is no such statement.
pub(super) fn failing_bind(out: &mut Vec<u8>) -> Result<(), WireError> {
    bind::BindWriter::begin(out, b"", MISSING_NAME, &[])?.finish(&[])
}

/// Appends a simple Query that fails.
pub(super) fn failing_query(out: &mut Vec<u8>) {
    failing_query_for(b"", out);
}

/// The same, to be replaced by this ErrorResponse: where that says that a text does not read, nor does what is sent, since the
/// server tells that before it looks at the transaction.
pub(super) fn failing_query_for(response: &[u8], out: &mut Vec<u8>) {
    // The text is ours and holds no zero byte.
    let _ = simple::query(out, failing_text(response));
}

/// Appends a Parse that fails.
pub(super) fn failing_parse(out: &mut Vec<u8>) -> Result<(), WireError> {
    failing_parse_for(b"", out)
}

/// As [`failing_query_for`].
pub(super) fn failing_parse_for(response: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    parse_msg::write(out, FAILING_NAME, failing_text(response), &[])
}

fn failing_text(response: &[u8]) -> &'static [u8] {
    let body = response.get(HEADER..).unwrap_or_default();
    match error::code(body) {
        Ok(Some(b"42601")) => UNREADABLE,
        _ => FAILING,
    }
}
