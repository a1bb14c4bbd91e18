//! `SIMILAR TO`: SQL's own patterns, turned into regular expressions as `similar_to_escape` does.

use super::super::fault::Fault;

/// 22025 where the escape is more than one character.
pub(in super::super) fn from_similar(pattern: &str, escape: &str) -> Result<String, Fault> {
    let mut characters = escape.chars();
    let escape = match (characters.next(), characters.next()) {
        (first, None) => first,
        _ => return Err(Fault::new("22025", "invalid escape string")),
    };
    let mut out = String::with_capacity(pattern.len() + 16);
    out.push_str("^(?:");
    let mut escaped = false;
    // How much of a bracket expression has been read.
    let mut within: Option<usize> = None;
    for c in pattern.chars() {
        if escaped {
            if c == '"' && within.is_none() {
                return Err(Fault::unsupported("SIMILAR TO with a separator of SUBSTRING"));
            }
            out.push('\\');
            out.push(c);
            escaped = false;
            within = within.map(|n| n + 1);
        } else if Some(c) == escape {
            escaped = true;
        } else if let Some(read) = within {
            // Minor versions of one server differ here.
            if c == '[' || c == ']' && read == 0 {
                return Err(Fault::unsupported("SIMILAR TO with brackets within brackets"));
            }
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            within = if c == ']' { None } else { Some(read + usize::from(c != '^')) };
        } else {
            match c {
                '[' => {
                    out.push(c);
                    within = Some(0);
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}
