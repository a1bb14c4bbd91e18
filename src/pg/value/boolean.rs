//! boolean.

use super::{ValueError, fixed, trim};

/// `true`, `yes`, `on`, `1` and their opposites: any case, any prefix that is unambiguous (`boolin`).
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<u8>, ValueError> {
    let word = trim(bytes).to_ascii_lowercase();
    let is = |full: &[u8], shortest: usize| word.len() >= shortest && full.starts_with(&word);
    if is(b"true", 1) || is(b"yes", 1) || is(b"on", 2) || word == b"1" {
        Ok(vec![1])
    } else if is(b"false", 1) || is(b"no", 1) || is(b"off", 2) || word == b"0" {
        Ok(vec![0])
    } else {
        Err(ValueError::Syntax("boolean", "22P02"))
    }
}

pub(super) fn read_binary(bytes: &[u8]) -> Result<Vec<u8>, ValueError> {
    let [byte] = fixed(bytes, "boolean")?;
    Ok(vec![u8::from(byte != 0)])
}

/// `t` or `f`; as a cast to text `true` or `false`.
pub(super) fn write_text(canonical: &[u8], cast: bool, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let [byte] = fixed(canonical, "boolean")?;
    let text: &[u8] = match (byte != 0, cast) {
        (true, false) => b"t",
        (false, false) => b"f",
        (true, true) => b"true",
        (false, true) => b"false",
    };
    out.extend_from_slice(text);
    Ok(())
}
