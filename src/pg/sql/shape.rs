//! The shape of a text: what is left when the plain constants are taken out. Clients that write values into
//! their statements (the simple protocol) send few shapes in many texts, so plans are kept by shape where
//! nothing was decided by such a constant.

use std::ops::Range;

/// Stands for a constant. No text of the protocol holds it.
const HOLE: u8 = 0;
/// More constants than this make a text its own shape.
const HOLES: usize = 64;

/// A text's shape, in buffers that are used again.
#[derive(Debug, Default)]
pub struct Shape {
    key: Vec<u8>,
    holes: Vec<Range<usize>>,
}

impl Shape {
    /// Takes the constants out of a text: whole numbers and strings in plain quotes. False where the text holds
    /// none, or something in which they are not told apart at a glance (comments, escapes, parameters,
    /// several statements).
    pub fn read(&mut self, text: &str) -> bool {
        self.key.clear();
        self.holes.clear();
        let bytes = trim(text).as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let end = match byte {
                b'\'' => {
                    let Some(end) = quoted(bytes, at, b'\'') else { return false };
                    self.hole(at..end);
                    at = end;
                    continue;
                }
                b'0'..=b'9' => {
                    let end = past(bytes, at, |b| b.is_ascii_digit());
                    let after = bytes.get(end).copied().unwrap_or(b' ');
                    let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
                    // Neither a part of another number, nor of a word.
                    if is_word(after) || after == b'.' || before == b'.' {
                        past(bytes, at, |b| is_word(b) || b == b'.')
                    } else {
                        self.hole(at..end);
                        at = end;
                        continue;
                    }
                }
                b'"' => match quoted(bytes, at, b'"') {
                    Some(end) => end,
                    None => return false,
                },
                b if is_word(b) => {
                    let end = past(bytes, at, is_word);
                    // `E'…'` and the like; `U&'…'` has the `&` before it.
                    if bytes.get(end) == Some(&b'\'') {
                        return false;
                    }
                    end
                }
                b'\\' | b';' | b'$' | b'&' | HOLE => return false,
                b'-' | b'/' if matches!(bytes.get(at + 1), Some(b'-' | b'*')) => return false,
                _ => at + 1,
            };
            self.key.extend_from_slice(&bytes[at..end]);
            at = end;
        }
        !self.holes.is_empty() && self.holes.len() <= HOLES
    }

    fn hole(&mut self, range: Range<usize>) {
        self.key.push(HOLE);
        self.holes.push(range);
    }

    /// What is the same in all texts of this shape.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where the constants stand in the text that was read last, in order.
    pub fn holes(&self) -> &[Range<usize>] {
        &self.holes
    }
}

/// Without the `;` that may end a text: the server is not sent it.
pub fn trim(text: &str) -> &str {
    let text = text.trim_end();
    text.strip_suffix(';').map_or(text, str::trim_end)
}

/// Past the closing quote; a doubled one is part of what is quoted.
fn quoted(bytes: &[u8], at: usize, quote: u8) -> Option<usize> {
    let mut end = at + 1;
    loop {
        match bytes.get(end)? {
            b'\\' | b';' | &HOLE => return None,
            b if *b == quote => match bytes.get(end + 1) {
                Some(b) if *b == quote => end += 2,
                _ => return Some(end + 1),
            },
            _ => end += 1,
        }
    }
}

fn past(bytes: &[u8], from: usize, part: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|b| !part(*b)).map_or(bytes.len(), |n| from + n)
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Option<(String, Vec<String>)> {
        let mut shape = Shape::default();
        shape.read(text).then(|| {
            let key = String::from_utf8(shape.key.clone()).unwrap().replace('\0', "?");
            (key, shape.holes.iter().map(|h| text[h.clone()].to_owned()).collect())
        })
    }

    #[test]
    fn takes_out_whole_numbers_and_plain_strings() {
        let (key, holes) =
            shape(r#"SELECT "a 1", b2, c FROM t1 WHERE id IN (7,42) AND x = 'it''s' AND y > 1.5 LIMIT 10"#)
                .unwrap();
        assert_eq!(key, r#"SELECT "a 1", b2, c FROM t1 WHERE id IN (?,?) AND x = ? AND y > 1.5 LIMIT ?"#);
        assert_eq!(holes, ["7", "42", "'it''s'", "10"]);
        assert_eq!(shape("SELECT a FROM t WHERE b=-5").unwrap().0, "SELECT a FROM t WHERE b=-?");
    }

    #[test]
    fn numbers_that_are_part_of_something_else_stay() {
        for text in ["1.5", ".5", "5.", "1e10", "0x1F", "1_000", "a1", "é1", "1a"] {
            assert_eq!(shape(&format!("SELECT 7, {text} x")).unwrap().0, format!("SELECT ?, {text} x"));
        }
    }

    #[test]
    fn leaves_texts_alone_in_which_constants_are_not_plain() {
        for text in [
            "SELECT a FROM t",
            "SELECT 1; SELECT 2",
            "SELECT 1 -- 2",
            "SELECT 1 /* 2 */",
            "SELECT E'1'",
            "SELECT U&'1'",
            "SELECT U & '1'",
            "SELECT '\\1'",
            "SELECT '1;'",
            "SELECT $1, 2",
            "SELECT $$1$$",
            "SELECT '1",
            "SELECT 1, \"a",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
        assert_eq!(shape(&"1,".repeat(HOLES + 1)), None);
    }
}
