//! A clear value as an identifier's text.

use super::ProtectError;
use crate::clear::{Clear, Kind};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The text by which a value is looked up: what the column's type prints.
pub(super) fn text(value: &Clear) -> Result<Zeroizing<String>, ProtectError> {
    let bytes = value.bytes();
    let wrong = ProtectError::Identifier("a value of this type is not an identifier");
    let text = match value.kind() {
        Kind::Text | Kind::Numeric => {
            let text =
                std::str::from_utf8(bytes).map_err(|_| ProtectError::Identifier("it is not UTF-8 text"))?;
            text.to_owned()
        }
        Kind::Int => i64::from_be_bytes(bytes.try_into().map_err(|_| wrong)?).to_string(),
        Kind::Uuid => Uuid::from_slice(bytes).map_err(|_| wrong)?.hyphenated().to_string(),
        Kind::Bytes | Kind::Bool | Kind::Date | Kind::Timestamptz | Kind::Jsonb => return Err(wrong),
    };
    Ok(Zeroizing::new(text))
}
