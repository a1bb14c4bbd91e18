//! Names of query parameters and controls: those that are declared, and those that a lenient service takes for them.

use super::problem::Problem;
use std::sync::Arc;

/// The place of a decoded name. `name[]` and `name[0]` are items of what `name` is.
///
/// # Errors
/// The name is another spelling of a declared one, or its brackets are in disorder.
pub(super) fn place(declared: &[(Arc<str>, u16)], name: &str) -> Result<Option<u16>, Problem> {
    if declared.is_empty() {
        return Ok(None);
    }
    let exact = |name: &str| declared.iter().find(|(known, _)| **known == *name).map(|(_, place)| *place);
    if let Some(place) = exact(name).or_else(|| exact(list(name)?)) {
        return Ok(Some(place));
    }
    let readings = readings(name);
    let other = disordered(name) || declared.iter().any(|(known, _)| readings.contains(&plain(known)));
    if other { Err(Problem::spelling()) } else { Ok(None) }
}

/// The name of a list, of which this is an item.
fn list(name: &str) -> Option<&str> {
    let (list, item) = name.strip_suffix(']')?.rsplit_once('[')?;
    item.bytes().all(|b| b.is_ascii_digit()).then_some(list)
}

/// What a parameter `base[a][b]` is called, and its keys; none where the brackets are not in order.
pub(super) fn brackets(name: &str) -> Option<(&str, Vec<&str>)> {
    let Some((base, rest)) = name.split_once('[') else { return Some((name, Vec::new())) };
    let keys: Vec<&str> = rest.strip_suffix(']')?.split("][").collect();
    let plain = !base.contains(']') && keys.iter().all(|key| !key.contains(['[', ']']));
    plain.then_some((base, keys))
}

/// Whether readers differ about a name's brackets: what is unclosed, or has nothing before it, some read as `name` and
/// others as `name[…]` or `name_…`.
pub(super) fn disordered(name: &str) -> bool {
    let base = name.split(['[', ']']).next().unwrap_or_default();
    let mut rest = name.get(base.len()..).unwrap_or_default();
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        // A member of an item (`lines[0].name`), as Spring and ASP.NET write it.
        let (key, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or(("[", "")),
            None => {
                match rest.strip_prefix('.').map(|inner| inner.find(['[', '.']).unwrap_or(inner.len()) + 1) {
                    Some(end) if end > 1 => rest.split_at(end),
                    _ => return true,
                }
            }
        };
        if key.contains(['[', ']']) {
            return true;
        }
        rest = after;
    }
    base.is_empty()
}

/// Whether a lenient service takes a name for a declared one, or for something within it.
pub(super) fn alike(name: &str, declared: &str) -> bool {
    readings(name).contains(&plain(declared))
}

/// A declared name as the most lenient services read it.
fn plain(declared: &str) -> String {
    parts(declared).join("_")
}

/// What a name may be read as: itself, and all that it may lie within.
fn readings(name: &str) -> Vec<String> {
    let parts = parts(name);
    (1..=parts.len()).filter_map(|n| parts.get(..n)).map(|parts| parts.join("_")).collect()
}

/// Whether a lenient service takes a parameter for the one that asks for another method, `_method`.
pub(super) fn is_method(name: &str) -> bool {
    let name = name.split('\0').next().unwrap_or_default();
    let letters = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    !name.eq_ignore_ascii_case("method") && letters.eq("method".chars())
}

/// As the most lenient services read a name: some know no case, some take dots, spaces or brackets for each other or for
/// `_`, some undo quotes, some take an item for the list, some end it at a NUL or pass over controls and a byte order mark, and to some a `!`
/// before it gives a default, or a `?` is where a query begins.
fn parts(name: &str) -> Vec<String> {
    let name = name.split('\0').next().unwrap_or_default();
    // A long s is an s to readers who fold (Go's `EqualFold`).
    let plain = |c: char| if c == '\u{17f}' { 's' } else { c };
    let name: String = name.chars().filter(|c| !c.is_control() && *c != '\u{feff}').map(plain).collect();
    let parts = name.trim().trim_start_matches(['!', '?']).split(['.', ' ', '[', ']', '\'', '"']);
    parts.filter(|part| !part.bytes().all(|b| b.is_ascii_digit())).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_name_is_known_and_so_are_items_of_it() {
        let declared = [("email".into(), 3), ("filter[email][_eq]".into(), 4)];
        for (name, found) in [
            ("email", Some(3)),
            ("email[]", Some(3)),
            ("email[7]", Some(3)),
            ("filter[email][_eq]", Some(4)),
            ("filter[email][_eq][0]", Some(4)),
            ("filter[email][_ne]", None),
            ("mail", None),
            ("e-mail", None),
            ("", None),
        ] {
            assert_eq!(place(&declared, name).unwrap(), found, "{name}");
        }
    }

    #[test]
    fn what_a_lenient_service_takes_for_a_declared_name_is_refused() {
        let declared = [("first_email".into(), 0)];
        for name in [
            "First_Email",
            " first_email",
            "first.email",
            "first email",
            "first_email\0x",
            "first_email[_eq]",
            "first_email[0",
            "first_email[][x]",
            "[first_email]",
            "[first_email]zz",
            "first_email]",
            "]first_email",
            "[[first_email]]",
            "first[email",
            "first[email]",
            "!first_email",
            "?first_email",
            "fir\u{17f}t_email",
            "[0].first_email",
            "\u{feff}first_email",
            "\u{1f}first_email",
            "first[0][email]",
        ] {
            assert!(place(&declared, name).is_err(), "{name:?}");
        }
        let declared = [("filter[email][_eq]".into(), 0)];
        for name in [
            "filter['email'][_eq]",
            "filter[\"email\"]._eq",
            "filter.email._eq",
            "filter[email]._eq",
            "[filter][email][_eq]",
            "Filter[email][_eq][x]",
        ] {
            assert!(place(&declared, name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn brackets_are_in_order_or_readers_differ() {
        for name in ["a", "a.b", "a[b]", "a[0][b]", "a[]", "a[0].b", "a[0].b[1].c", "m['k'].v", "a[0].b.c"] {
            assert!(!disordered(name), "{name}");
        }
        for name in
            ["[a]", "a]", "]a", "a[b", "a[b]c", "a[[b]]", "a[b].", "a[b]..c", "a][b]", "[0].a", "a[b].c]"]
        {
            assert!(disordered(name), "{name}");
        }
    }

    #[test]
    fn what_some_take_for_another_method_is_told_from_a_parameter_of_that_name() {
        for name in ["_method", ".method", " _method", "_method\0", "[_method]", "_METHOD"] {
            assert!(is_method(name), "{name:?}");
        }
        for name in ["method", "Method", "methods", "_methods"] {
            assert!(!is_method(name), "{name:?}");
        }
    }

    #[test]
    fn where_nothing_is_declared_every_name_passes() {
        assert_eq!(place(&[], "[email]").unwrap(), None);
    }

    #[test]
    fn brackets_are_taken_apart_or_not_understood() {
        assert_eq!(brackets("filter[a][0][]"), Some(("filter", vec!["a", "0", ""])));
        assert_eq!(brackets("filter"), Some(("filter", vec![])));
        for name in ["filter[a", "filter[a]x", "filter[a]x[b]", "filter[[a]]", "filter]a[b]", "filter[a]][b]"]
        {
            assert_eq!(brackets(name), None, "{name}");
        }
    }
}
