//! Cuts a date/time text into tokens, by the rules of Postgres's `ParseDateTime` (manual appendix B.1).

/// A piece of a date/time text, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Digits, maybe with one `.` and more digits.
    Number(&'a str),
    /// Digits and colons: `12:30:15.5`.
    Time(&'a str),
    /// Several fields joined by `-`, `/` or `.`: a date, or a zone name.
    Joined(&'a str),
    /// A sign and digits: an offset from UTC.
    Offset(&'a str),
    /// Letters.
    Word(&'a str),
    /// A sign and letters: `-infinity`.
    SignedWord(bool, &'a str),
}

/// The tokens of a text in lower case; `None` when it holds a byte that can't be part of one.
pub(super) fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut out = Vec::with_capacity(6);
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == ',');
        let Some(first) = rest.bytes().next() else { return Some(out) };
        let (token, length) = match first {
            b'0'..=b'9' => from_digit(rest),
            b'a'..=b'z' => from_letter(rest),
            b'+' | b'-' => from_sign(rest)?,
            _ => return None,
        };
        out.push(token);
        rest = &rest[length..];
    }
}

fn while_is(text: &str, is: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|b| is(*b)).count()
}

fn from_digit(text: &str) -> (Token<'_>, usize) {
    let digits = while_is(text, |b| b.is_ascii_digit());
    match text.as_bytes().get(digits) {
        Some(b':') => {
            let n = while_is(text, |b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
            (Token::Time(&text[..n]), n)
        }
        Some(delimiter @ (b'-' | b'/' | b'.')) => joined(text, digits + 1, *delimiter),
        _ => (Token::Number(&text[..digits]), digits),
    }
}

/// After the first field and its delimiter: two more numbers, or a month in letters.
fn joined(text: &str, from: usize, delimiter: u8) -> (Token<'_>, usize) {
    let second = while_is(&text[from..], |b| b.is_ascii_digit());
    if second == 0 && text.as_bytes().get(from).is_some_and(u8::is_ascii_alphabetic) {
        let n = from + while_is(&text[from..], |b| b.is_ascii_alphanumeric() || b == delimiter);
        return (Token::Joined(&text[..n]), n);
    }
    let end = from + second;
    if text.as_bytes().get(end) == Some(&delimiter) {
        let n = end + while_is(&text[end..], |b| b.is_ascii_digit() || b == delimiter);
        return (Token::Joined(&text[..n]), n);
    }
    if delimiter == b'.' {
        return (Token::Number(&text[..end]), end);
    }
    (Token::Joined(&text[..end]), end)
}

fn from_letter(text: &str) -> (Token<'_>, usize) {
    let letters = while_is(text, |b| b.is_ascii_lowercase());
    let goes_on = match text.as_bytes().get(letters) {
        Some(b'-' | b'/' | b'.') => true,
        Some(b'+' | b'0'..=b'9') => !super::date_fields::is_keyword(&text[..letters]),
        _ => false,
    };
    if goes_on {
        let n = while_is(text, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        return (Token::Joined(&text[..n]), n);
    }
    (Token::Word(&text[..letters]), letters)
}

fn from_sign(text: &str) -> Option<(Token<'_>, usize)> {
    let spaces = while_is(&text[1..], |b| b.is_ascii_whitespace());
    let body = &text[1 + spaces..];
    if body.bytes().next()?.is_ascii_digit() {
        if spaces > 0 {
            return None;
        }
        let n = 1 + while_is(body, |b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
        return Some((Token::Offset(&text[..n]), n));
    }
    let letters = while_is(body, |b| b.is_ascii_lowercase());
    if letters == 0 {
        return None;
    }
    Some((Token::SignedWord(text.starts_with('-'), &body[..letters]), 1 + spaces + letters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Token::*;

    #[test]
    fn cuts_the_forms_that_drivers_send() {
        assert_eq!(
            tokens("2024-02-03t04:05:06.7+01:30").unwrap(),
            [Joined("2024-02-03"), Word("t"), Time("04:05:06.7"), Offset("+01:30")]
        );
        assert_eq!(
            tokens("mon feb 10 17:32:01 1997 america/new_york bc").unwrap(),
            [
                Word("mon"),
                Word("feb"),
                Number("10"),
                Time("17:32:01"),
                Number("1997"),
                Joined("america/new_york"),
                Word("bc")
            ]
        );
        assert_eq!(tokens("-infinity").unwrap(), [SignedWord(true, "infinity")]);
        assert_eq!(tokens("2024-02-03 é"), None);
    }
}
