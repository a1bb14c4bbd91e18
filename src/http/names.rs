//! Names of query parameters and controls: those that are declared, and those that a lenient service takes for them.

use super::problem::Problem;
use std::sync::Arc;

/// The place of a decoded name. `name[]` and `name[0]` are items of what `name` is.
///
/// # Errors
/// The name is another spelling of a declared one.
pub(super) fn place(declared: &[(Arc<str>, u16)], name: &str) -> Result<Option<u16>, Problem> {
    let exact = |name: &str| declared.iter().find(|(known, _)| **known == *name).map(|(_, place)| *place);
    if let Some(place) = exact(name).or_else(|| exact(list(name)?)) {
        return Ok(Some(place));
    }
    let loose = loosened(name);
    let base = loose.split('[').next().unwrap_or_default();
    let alike = declared.iter().any(|(known, _)| {
        let known = loosened(known);
        known == loose || known == base
    });
    if alike { Err(Problem::spelling()) } else { Ok(None) }
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

/// Whether a lenient service takes one for the other, brackets aside.
pub(super) fn alike(base: &str, declared: &str) -> bool {
    loosened(base).split('[').next() == Some(&*loosened(declared))
}

/// As the most lenient service reads a name: some know no case, some turn dots and spaces, some end it at a NUL.
fn loosened(name: &str) -> String {
    let name = name.split('\0').next().unwrap_or_default().trim();
    name.chars().map(|c| if matches!(c, '.' | ' ') { '_' } else { c }).flat_map(char::to_lowercase).collect()
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
        ] {
            assert!(place(&declared, name).is_err(), "{name:?}");
        }
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
