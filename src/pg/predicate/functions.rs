//! Functions of texts, as `varlena.c` and `oracle_compat.c` compute them: in characters, not bytes.

use super::collation::Ctype;
use super::fault::Fault;

/// Splits after so many characters.
fn after(text: &str, count: usize) -> usize {
    text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
}

fn count(n: i64) -> usize {
    usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX)
}

/// The first n characters; of a negative n all but the last.
pub(super) fn left(text: &str, n: i64) -> &str {
    let keep = if n >= 0 { count(n) } else { text.chars().count().saturating_sub(count(n)) };
    &text[..after(text, keep)]
}

/// The last n characters; of a negative n all but the first.
pub(super) fn right(text: &str, n: i64) -> &str {
    let drop = if n >= 0 { text.chars().count().saturating_sub(count(n)) } else { count(n) };
    &text[after(text, drop)..]
}

/// From the character of that number (from 1) on, so many. Those before the first count, too.
pub(super) fn substr(text: &str, from: i64, length: Option<i64>) -> Result<&str, Fault> {
    let end = match length {
        Some(n) if n < 0 => return Err(Fault::new("22011", "negative substring length not allowed")),
        Some(n) => from.saturating_add(n),
        None => i64::MAX,
    };
    let (from, end) = (from.max(1), end.max(1));
    let start = after(text, count(from - 1));
    let rest = &text[start..];
    Ok(&rest[..after(rest, count((end - from).max(0)))])
}

/// Which ends are trimmed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Both,
    Left,
    Right,
}

/// Without those characters at its ends.
pub(super) fn trim<'a>(text: &'a str, set: &str, ends: Ends) -> &'a str {
    let within = |c: char| set.contains(c);
    let text = if ends == Ends::Right { text } else { text.trim_start_matches(within) };
    if ends == Ends::Left { text } else { text.trim_end_matches(within) }
}

/// Every `from` becomes `to`; nothing is not found.
pub(super) fn replace(text: &str, from: &str, to: &str) -> String {
    if from.is_empty() {
        return text.to_owned();
    }
    let found = memchr::memmem::find_iter(text.as_bytes(), from).count();
    let mut out = String::with_capacity(text.len() + found * to.len());
    for (i, part) in text.split(from).enumerate() {
        if i > 0 {
            out.push_str(to);
        }
        out.push_str(part);
    }
    out
}

/// The number of the character where it begins, from 1; 0 where it isn't.
pub(super) fn strpos(text: &str, part: &str) -> usize {
    text.find(part).map_or(0, |at| text[..at].chars().count() + 1)
}

/// The first letter of each word in upper case, the others in lower case: each character by itself.
pub(super) fn initcap(text: &str, ctype: &Ctype) -> String {
    let mut within = false;
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        out.push(if within { ctype.lower_char(c) } else { ctype.upper_char(c) });
        within = ctype.is_alnum(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_and_right_count_characters_from_either_end() {
        assert_eq!((left("été", 2), right("été", 2)), ("ét", "té"));
        assert_eq!((left("été", -1), right("été", -1)), ("ét", "té"));
        assert_eq!((left("été", 9), right("été", 9)), ("été", "été"));
        assert_eq!((left("été", -9), right("été", -9)), ("", ""));
        assert_eq!((left("été", 0), right("été", 0)), ("", ""));
        assert_eq!((left("é", i64::MIN), right("é", i64::MIN)), ("", ""));
    }

    #[test]
    fn substr_counts_what_lies_before_the_first_character() {
        assert_eq!(substr("héros", 2, Some(3)), Ok("éro"));
        assert_eq!(substr("héros", 0, Some(3)), Ok("hé"));
        assert_eq!(substr("héros", -5, Some(3)), Ok(""));
        assert_eq!(substr("héros", -5, None), Ok("héros"));
        assert_eq!(substr("héros", 9, None), Ok(""));
        assert_eq!(substr("héros", 2, Some(i64::MAX)), Ok("éros"));
        assert!(substr("héros", 2, Some(-1)).is_err());
    }

    #[test]
    fn the_others_do_what_their_names_say() {
        assert_eq!(trim("  a ", " ", Ends::Both), "a");
        assert_eq!(trim("xyaxy", "yx", Ends::Left), "axy");
        assert_eq!(trim("xyaxy", "yx", Ends::Right), "xya");
        assert_eq!(trim("xa", "", Ends::Both), "xa");
        assert_eq!(replace("aXbX", "X", "é"), "aébé");
        assert_eq!(replace("ab", "", "é"), "ab");
        assert_eq!((strpos("hélas", "l"), strpos("hélas", "x"), strpos("", "")), (3, 0, 1));
        assert_eq!(initcap("jean-luc o'neil 4ever", &Ctype::Ascii), "Jean-Luc O'Neil 4ever");
    }
}
