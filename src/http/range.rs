//! Parts of a sealed body: a range of the body ↔ the sealed chunks that hold it (RFC 9110 §14).

use crate::protect::{BODY_HEADER_LEN, CHUNK_LEN, SEALED_CHUNK_LEN};
use http::{HeaderMap, header};

const HEADER: u64 = BODY_HEADER_LEN as u64;
const CHUNK: u64 = CHUNK_LEN as u64;
const SEALED: u64 = SEALED_CHUNK_LEN as u64;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// From a byte to another, or to the end.
    From(u64, Option<u64>),
    /// So many last bytes.
    Last(u64),
}

/// First and last byte of a body that are wanted.
pub(super) type Span = (u64, u64);

impl Wanted {
    /// The one range that a request asks for. Several, and other units, are answered by the whole.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::RANGE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Self::All };
        value.to_str().ok().and_then(Self::parse).unwrap_or(Self::All)
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| {
            let good = !text.is_empty() && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit());
            good.then(|| text.parse::<u64>().ok())?
        };
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// What is asked of the service: the header, and the chunks that hold the range.
    pub(super) fn sealed(self) -> Option<String> {
        match self {
            Self::All => None,
            Self::From(first, last) => {
                let end = last
                    .map(|last| (HEADER + (last / CHUNK + 1) * SEALED - 1).to_string())
                    .unwrap_or_default();
                match first / CHUNK {
                    0 => Some(format!("bytes=0-{end}")),
                    chunk => Some(format!("bytes=0-{},{}-{end}", HEADER - 1, HEADER + chunk * SEALED)),
                }
            }
            // So that whole chunks are among them, wherever the last one ends.
            Self::Last(n) => Some(format!("bytes=0-{},-{}", HEADER - 1, (n / CHUNK + 2) * SEALED)),
        }
    }

    /// The bytes of a body of that length; none where the range lies beyond its end.
    pub(super) fn span(self, length: u64) -> Option<Span> {
        let end = length.checked_sub(1)?;
        match self {
            Self::All => Some((0, end)),
            Self::From(first, last) => (first <= end).then(|| (first, last.unwrap_or(end).min(end))),
            Self::Last(0) => None,
            Self::Last(n) => Some((length.saturating_sub(n), end)),
        }
    }
}

/// First byte, last byte and whole length of a `Content-Range`.
pub(super) fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, length) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, length) = (first.parse().ok()?, last.parse().ok()?, length.parse().ok()?);
    (first <= last && last < length).then_some((first, last, length))
}

/// The chunk that begins at a sealed offset.
pub(super) fn chunk_at(offset: u64) -> Option<u64> {
    let rest = offset.checked_sub(HEADER)?;
    rest.is_multiple_of(SEALED).then_some(rest / SEALED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_or_the_whole_is_given() {
        assert_eq!(Wanted::parse("bytes=0-99"), Some(Wanted::From(0, Some(99))));
        assert_eq!(Wanted::parse("bytes=5-"), Some(Wanted::From(5, None)));
        assert_eq!(Wanted::parse("bytes=-7"), Some(Wanted::Last(7)));
        for text in
            ["bytes=", "bytes=-", "bytes=9-1", "items=0-1", "bytes=0-1,3-4", "bytes=+1-2", "bytes=1e3-"]
        {
            assert_eq!(Wanted::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_chunks_of_a_range_are_asked_for() {
        let sealed = |text: &str| Wanted::parse(text).unwrap().sealed().unwrap();
        assert_eq!(sealed("bytes=0-99"), "bytes=0-65588");
        assert_eq!(sealed("bytes=70000-70001"), "bytes=0-36,65589-131140");
        assert_eq!(sealed("bytes=131072-"), "bytes=0-36,131141-");
        assert_eq!(sealed("bytes=-10"), "bytes=0-36,-131104");
        assert_eq!(chunk_at(65589), Some(1));
        assert_eq!(chunk_at(65590), None);
    }

    #[test]
    fn a_span_stays_within_its_body() {
        assert_eq!(Wanted::From(5, Some(100)).span(10), Some((5, 9)));
        assert_eq!(Wanted::From(10, None).span(10), None);
        assert_eq!(Wanted::Last(100).span(10), Some((0, 9)));
        assert_eq!(Wanted::Last(3).span(10), Some((7, 9)));
        assert_eq!(Wanted::All.span(0), None);
        assert_eq!(content_range("bytes 0-9/10"), Some((0, 9, 10)));
        for text in ["bytes */10", "bytes 0-9/*", "bytes 5-4/10", "bytes 0-10/10", "items 0-1/2"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
