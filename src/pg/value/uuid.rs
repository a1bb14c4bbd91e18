//! uuid.

use super::{ValueError, fixed};

/// 32 hexadecimal digits of any case, maybe within braces, maybe a hyphen after any group of four (`uuid_in`).
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<u8>, ValueError> {
    let syntax = || ValueError::Syntax("uuid", "22P02");
    let mut rest = match bytes {
        [b'{', inner @ .., b'}'] => inner,
        [b'{', ..] => return Err(syntax()),
        _ => bytes,
    };
    let mut out = Vec::with_capacity(16);
    while out.len() < 16 {
        let (pair, after) = rest.split_at_checked(2).ok_or_else(syntax)?;
        let mut byte = [0];
        hex::decode_to_slice(pair, &mut byte).map_err(|_| syntax())?;
        out.push(byte[0]);
        rest = match after {
            [b'-', after @ ..] if out.len() % 2 == 0 && out.len() < 16 => after,
            _ => after,
        };
    }
    if rest.is_empty() { Ok(out) } else { Err(syntax()) }
}

pub(super) fn write_text(canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let bytes: [u8; 16] = fixed(canonical, "uuid")?;
    let mut text = [0; 36];
    ::uuid::Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut text);
    out.extend_from_slice(&text);
    Ok(())
}
