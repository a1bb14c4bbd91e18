//! "Did you mean": the known word closest to one that isn't.

/// `; did you mean "x"?` when one of `known` is close to `word`, else nothing.
pub fn suggest(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&word.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| format!("; did you mean \"{k}\"?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_named() {
        assert_eq!(suggest("usptream", &["listen", "upstream"]), "; did you mean \"upstream\"?");
        assert_eq!(suggest("Email", &["email"]), "; did you mean \"email\"?");
    }

    #[test]
    fn a_word_unlike_any_other_gets_no_guess() {
        assert_eq!(suggest("colour", &["listen", "upstream"]), "");
    }
}
