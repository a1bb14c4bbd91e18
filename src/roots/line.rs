//! The text of a root key file.
//!
//! ```text
//! # comment
//! 1 2026-01-02T03:04:05.678Z 0123…ef
//! ```
//!
//! One line per root key: its generation (from 1, no leading zero), when it was made (RFC 3339, UTC), 32
//! bytes as 64 lower-case hex digits; one space between them. Empty lines and lines that start with `#` are
//! skipped. Generations and keys don't repeat: a root key wraps one generation key and nothing else.

use super::RootInfo;
use crate::clock::rfc3339;
use crate::ids::Generation;
use crate::secret::Secret;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// The published example, whose keys are refused.
const EXAMPLE: &str = include_str!("../../keys.example");

/// A root key and what lists show of it.
pub(super) struct RootKey {
    pub(super) info: RootInfo,
    pub(super) key: Secret<32>,
}

/// What is wrong with a line.
pub(super) enum Problem {
    /// Said in words.
    Syntax(&'static str),
    /// The published example.
    Example,
}

/// Reads a whole file; the error says on which line (from 1) it is wrong.
pub(super) fn read(text: &str) -> Result<Vec<RootKey>, (usize, Problem)> {
    let mut keys: Vec<RootKey> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
        let number = at + 1;
        let key = read_line(line).map_err(|problem| (number, Problem::Syntax(problem)))?;
        if is_example(&key.key) {
            return Err((number, Problem::Example));
        }
        let twice = |problem| Err((number, Problem::Syntax(problem)));
        if keys.iter().any(|other| other.info.generation == key.info.generation) {
            return twice("this generation stands on an earlier line already");
        }
        if keys.iter().any(|other| other.key == key.key) {
            return twice(
                "this key stands on an earlier line already, and a root key wraps one generation only",
            );
        }
        keys.push(key);
    }
    keys.sort_by_key(|key| key.info.generation);
    Ok(keys)
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

fn read_line(line: &str) -> Result<RootKey, &'static str> {
    let mut parts = line.split(' ');
    let (Some(generation), Some(created), Some(key), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not three parts with one space between them");
    };
    let generation = read_generation(generation).ok_or("the generation is no number from 1")?;
    let created: Timestamp = created.parse().map_err(|_| "the creation time is not RFC 3339")?;
    let key = read_key(key).ok_or("the key is not 64 lower-case hex digits")?;
    if key.expose().iter().all(|byte| *byte == key.expose()[0]) {
        return Err("the key is one byte repeated, not a random one");
    }
    Ok(RootKey { info: RootInfo { generation, created }, key })
}

fn read_generation(text: &str) -> Option<Generation> {
    let number: u32 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(Generation(number))
}

fn read_key(text: &str) -> Option<Secret<32>> {
    if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut valid = true;
    let key = Secret::filled(|bytes| valid = hex::decode_to_slice(text, bytes).is_ok());
    valid.then_some(key)
}

fn is_example(key: &Secret<32>) -> bool {
    EXAMPLE
        .lines()
        .filter(|line| !is_comment(line))
        .filter_map(|line| line.rsplit(' ').next().and_then(read_key))
        .any(|example| example == *key)
}

/// Writes a line, with its line end.
pub(super) fn write(info: &RootInfo, key: &Secret<32>) -> Zeroizing<String> {
    let mut digits = Zeroizing::new([0; 64]);
    // 32 bytes are 64 digits; anything else would be refused when it is read.
    let hex = match hex::encode_to_slice(key.expose(), digits.as_mut_slice()) {
        Ok(()) => std::str::from_utf8(digits.as_slice()).unwrap_or_default(),
        Err(_) => "",
    };
    let head = format!("{} {} ", info.generation.0, rfc3339(info.created));
    let mut line = Zeroizing::new(String::with_capacity(head.len() + hex.len() + 1));
    line.push_str(&head);
    line.push_str(hex);
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const WHEN: &str = "2026-01-02T03:04:05.678Z";

    fn syntax(text: &str) -> (usize, &'static str) {
        match read(text) {
            Err((line, Problem::Syntax(problem))) => (line, problem),
            Err((line, Problem::Example)) => (line, "example"),
            Ok(_) => panic!("was read: {text}"),
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let info = RootInfo { generation: Generation(7), created: WHEN.parse().unwrap() };
        let line = write(&info, &Secret::from_slice(&hex::decode(HEX).unwrap()).unwrap());
        assert_eq!(*line, format!("7 {WHEN} {HEX}\n"));
        let keys = read(&line).ok().unwrap();
        assert_eq!(keys[0].info, info);
        assert_eq!(hex::encode(keys[0].key.expose()), HEX);
    }

    #[test]
    fn skips_comments_and_sorts_by_generation() {
        let other = HEX.replace("00", "ff");
        let keys = read(&format!("# two\n\n2 {WHEN} {HEX}\n1 {WHEN} {other}\n")).ok().unwrap();
        assert_eq!(keys.iter().map(|key| key.info.generation.0).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn refuses_the_published_example() {
        assert_eq!(syntax(EXAMPLE).1, "example");
        let key = EXAMPLE.trim().rsplit(' ').next().unwrap();
        assert_eq!(syntax(&format!("\n9 {WHEN} {key}")), (2, "example"));
    }

    #[test]
    fn refuses_lines_that_are_no_root_key() {
        let (short, upper) = (&HEX[1..], HEX.to_uppercase());
        for line in [
            "x".to_owned(),
            format!("1 {WHEN}"),
            format!("1 {WHEN} {HEX} more"),
            format!("1  {WHEN} {HEX}"),
            format!(" 1 {WHEN} {HEX}"),
            format!("0 {WHEN} {HEX}"),
            format!("01 {WHEN} {HEX}"),
            format!("+1 {WHEN} {HEX}"),
            format!("4294967296 {WHEN} {HEX}"),
            format!("1 yesterday {HEX}"),
            format!("1 {WHEN} {short}"),
            format!("1 {WHEN} {upper}"),
            format!("1 {WHEN} {}", "0".repeat(64)),
            format!("1 {WHEN} {}", "ab".repeat(32)),
        ] {
            assert_eq!(syntax(&format!("# head\n{line}\n")).0, 2, "{line}");
        }
    }

    #[test]
    fn refuses_a_generation_or_a_key_that_stands_there_twice() {
        let other = HEX.replace("00", "ff");
        assert_eq!(syntax(&format!("1 {WHEN} {HEX}\n1 {WHEN} {other}")).0, 2);
        assert_eq!(syntax(&format!("1 {WHEN} {HEX}\n2 {WHEN} {HEX}")).0, 2);
    }

    #[test]
    fn says_nothing_of_the_key_when_it_refuses() {
        let problem = syntax(&format!("1 {WHEN} {}", &HEX[2..])).1;
        assert!(!problem.contains("0405"), "{problem}");
    }
}
