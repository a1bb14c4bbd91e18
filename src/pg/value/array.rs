//! One-dimensional arrays in text and binary form (manual §8.15; `arrayfuncs.c`).

use super::{Format, ValueError, is_space};
use crate::pg::wire::WireError;
use crate::pg::wire::reader::Reader;

/// Array type and element type (`pg_type.typarray`).
const TYPES: [(u32, u32); 21] = [
    (1000, 16),
    (1001, 17),
    (1003, 19),
    (1005, 21),
    (1007, 23),
    (1016, 20),
    (1009, 25),
    (1015, 1043),
    (1014, 1042),
    (1021, 700),
    (1022, 701),
    (1182, 1082),
    (1115, 1114),
    (1185, 1184),
    (1231, 1700),
    (2951, 2950),
    (199, 114),
    (3807, 3802),
    (1028, 26),
    (1002, 18),
    (1183, 1083),
];

/// The element type of an array type.
pub fn element_oid(array: u32) -> Option<u32> {
    TYPES.iter().find(|(a, _)| *a == array).map(|(_, e)| *e)
}

/// The array type of an element type.
pub fn array_oid(element: u32) -> Option<u32> {
    TYPES.iter().find(|(_, e)| *e == element).map(|(a, _)| *a)
}

const DAMAGED: ValueError = ValueError::Binary("array");
const SYNTAX: ValueError = ValueError::Syntax("array", "22P02");

impl From<WireError> for ValueError {
    fn from(e: WireError) -> Self {
        match e {
            WireError::TooLong(_) => Self::Range("message length"),
            _ => DAMAGED,
        }
    }
}

/// Cuts an array into its elements, each in the element type's form of the same format; `None` is NULL.
/// `oid` is the array's type as the client declared it (0: unknown; any element type is taken then).
/// Arrays of several dimensions, or whose first index isn't 1, are refused (0A000).
pub fn decode_array(bytes: &[u8], format: Format, oid: u32) -> Result<Vec<Option<Vec<u8>>>, ValueError> {
    match format {
        Format::Text => decode_text(bytes, oid),
        Format::Binary => decode_binary(bytes, oid),
    }
}

fn unsupported(oid: u32) -> ValueError {
    ValueError::Unsupported(oid, "a one-dimensional array")
}

/// Dimensions, flags, element type; for each dimension its size and first index; then the elements.
fn decode_binary(bytes: &[u8], oid: u32) -> Result<Vec<Option<Vec<u8>>>, ValueError> {
    let mut r = Reader::new(bytes, "array");
    let (dimensions, flags, element) = (r.i32()?, r.i32()?, r.u32()?);
    if !matches!(flags, 0 | 1) {
        return Err(DAMAGED);
    }
    if element_oid(oid).is_some_and(|wanted| wanted != element) {
        return Err(ValueError::Syntax("array", "42804"));
    }
    if dimensions == 0 {
        return r.end().map(|()| Vec::new()).map_err(Into::into);
    }
    if dimensions != 1 {
        return Err(unsupported(oid));
    }
    let (size, first) = (r.i32()?, r.i32()?);
    if first != 1 {
        return Err(unsupported(oid));
    }
    let size = usize::try_from(size).map_err(|_| DAMAGED)?;
    // Every element has at least its length.
    if size > r.remaining() / 4 {
        return Err(DAMAGED);
    }
    let mut out = Vec::with_capacity(size);
    for _ in 0..size {
        out.push(r.value()?.and_then(|range| bytes.get(range)).map(<[u8]>::to_vec));
    }
    r.end()?;
    Ok(out)
}

/// `{a,"b c",NULL}`.
fn decode_text(bytes: &[u8], oid: u32) -> Result<Vec<Option<Vec<u8>>>, ValueError> {
    let mut rest = super::trim(bytes);
    if rest.first() == Some(&b'[') {
        return Err(unsupported(oid));
    }
    rest = rest.strip_prefix(b"{").ok_or(SYNTAX)?;
    let mut out = Vec::new();
    if skip(rest) == b"}" {
        return Ok(out);
    }
    loop {
        let (element, after) = element(skip(rest), oid)?;
        out.push(element);
        match skip(after) {
            [b',', after @ ..] => rest = after,
            [b'}'] => return Ok(out),
            _ => return Err(SYNTAX),
        }
    }
}

fn skip(mut rest: &[u8]) -> &[u8] {
    while let [first, after @ ..] = rest
        && is_space(*first)
    {
        rest = after;
    }
    rest
}

type Element<'a> = (Option<Vec<u8>>, &'a [u8]);

fn element(rest: &[u8], oid: u32) -> Result<Element<'_>, ValueError> {
    match rest {
        [b'{', ..] => Err(unsupported(oid)),
        [b'"', after @ ..] => quoted(after),
        _ => plain(rest),
    }
}

fn quoted(mut rest: &[u8]) -> Result<Element<'_>, ValueError> {
    let mut text = Vec::new();
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Ok((Some(text), after)),
            [b'\\', byte, after @ ..] | [byte, after @ ..]
                if *byte != b'\\' || rest.first() == Some(&b'\\') =>
            {
                text.push(*byte);
                after
            }
            _ => return Err(SYNTAX),
        }
    }
}

/// Without quotes: white space at the end doesn't count, unless escaped; `NULL` of any case is NULL,
/// unless escaped.
fn plain(mut rest: &[u8]) -> Result<Element<'_>, ValueError> {
    let mut text = Vec::new();
    let (mut end, mut escaped) = (0, false);
    loop {
        match rest {
            [b',' | b'}', ..] => break,
            [b'\\', byte, after @ ..] => {
                text.push(*byte);
                (end, escaped, rest) = (text.len(), true, after);
            }
            [] | [b'\\'] | [b'{' | b'"', ..] => return Err(SYNTAX),
            [byte, after @ ..] => {
                text.push(*byte);
                if !is_space(*byte) {
                    end = text.len();
                }
                rest = after;
            }
        }
    }
    text.truncate(end);
    if text.is_empty() {
        return Err(SYNTAX);
    }
    if !escaped && text.eq_ignore_ascii_case(b"null") {
        return Ok((None, rest));
    }
    Ok((Some(text), rest))
}

/// Appends a one-dimensional array of elements, each in the element type's form of that format.
pub fn encode_array(
    elements: &[Option<Vec<u8>>],
    element_oid: u32,
    format: Format,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let at = out.len();
    let done = match format {
        Format::Text => encode_text(elements, out),
        Format::Binary => encode_binary(elements, element_oid, out),
    };
    if done.is_err() {
        out.truncate(at);
    }
    done
}

fn encode_binary(
    elements: &[Option<Vec<u8>>],
    element_oid: u32,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let length = |n: usize| i32::try_from(n).map_err(|_| ValueError::Range("array"));
    let nulls = i32::from(elements.iter().any(Option::is_none));
    out.extend_from_slice(&i32::from(!elements.is_empty()).to_be_bytes());
    out.extend_from_slice(&nulls.to_be_bytes());
    out.extend_from_slice(&element_oid.to_be_bytes());
    if elements.is_empty() {
        return Ok(());
    }
    out.extend_from_slice(&length(elements.len())?.to_be_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    for element in elements {
        match element {
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(bytes) => {
                out.extend_from_slice(&length(bytes.len())?.to_be_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }
    Ok(())
}

fn encode_text(elements: &[Option<Vec<u8>>], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.push(b'{');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match element {
            None => out.extend_from_slice(b"NULL"),
            Some(text) if needs_quotes(text) => quote(text, out),
            Some(text) => out.extend_from_slice(text),
        }
    }
    out.push(b'}');
    Ok(())
}

fn needs_quotes(text: &[u8]) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case(b"null")
        || text.iter().any(|b| is_space(*b) || matches!(b, b'"' | b'\\' | b'{' | b'}' | b','))
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<Option<String>>, ValueError> {
        let elements = decode_array(text.as_bytes(), Format::Text, 1009)?;
        Ok(elements.into_iter().map(|e| e.map(|e| String::from_utf8(e).unwrap())).collect())
    }

    #[test]
    fn reads_quotes_escapes_and_nulls() {
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(texts("{}"), Ok(vec![]));
        assert_eq!(
            texts(r#" { a b , "x\"\\y" ,NULL,"NULL",n\ull, c\  } "#),
            Ok(vec![some("a b"), some(r#"x"\y"#), None, some("NULL"), some("null"), some("c ")])
        );
    }

    #[test]
    fn refuses_what_is_no_flat_array() {
        for bad in ["", "{", "a", "{a,}", "{,a}", "{a", "{\"a}", "{a}b", "{a\"b\"}", "{\"a\"b}", "{a\\"] {
            assert_eq!(texts(bad), Err(SYNTAX), "{bad}");
        }
        assert_eq!(texts("{{a}}"), Err(unsupported(1009)));
        assert_eq!(texts("[2:3]={a,b}"), Err(unsupported(1009)));
    }

    #[test]
    fn both_formats_read_as_written() {
        let elements = vec![
            Some(b"a b".to_vec()),
            None,
            Some(vec![]),
            Some(b"{,\"\\nUlL".to_vec()),
            Some(b"nULL".to_vec()),
        ];
        for format in [Format::Text, Format::Binary] {
            for elements in [elements.clone(), vec![]] {
                let mut out = Vec::new();
                encode_array(&elements, 25, format, &mut out).unwrap();
                assert_eq!(decode_array(&out, format, 1009).unwrap(), elements);
                assert!((0..out.len()).all(|n| decode_array(&out[..n], format, 1009).is_err()));
            }
        }
    }

    #[test]
    fn refuses_an_array_that_claims_more_than_it_holds() {
        let mut bytes = Vec::new();
        for word in [1_i32, 0, 25, i32::MAX, 1] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        assert_eq!(decode_array(&bytes, Format::Binary, 1009), Err(DAMAGED));
    }
}
