//! Postgres's advanced regular expressions: read as `regc_lex.c` and `regcomp.c` read them, matched by the
//! `regex` crate's engine, in time linear in the text.
//!
//! What that engine can't do is refused by its name: back references and lookaround. Whether a text matches does not
//! depend on greediness, so that is read and forgotten.

mod bracket;
mod escape;
mod lexer;
mod parser;
mod sets;
mod similar;

pub(super) use similar::from_similar;

use super::collation::Ctype;
use super::fault::Fault;
use regex_automata::meta;
use regex_syntax::hir::Hir;

/// Bytes that a compiled expression may take.
const SIZE: usize = 16 << 20;

/// Longest pattern that is read.
const LONGEST: usize = 32 << 10;

/// A compiled regular expression. It is the client's constant, so it is never printed; what the engine keeps of it
/// can't be zeroised.
pub(super) struct Regex {
    program: meta::Regex,
    /// It asks for words, of letters as they are there.
    words: Option<Ctype>,
}

impl Regex {
    /// 2201B where Postgres finds the pattern wrong; 0A000 for what can't be evaluated here.
    pub(super) fn new(pattern: &str, ignore_case: bool, ctype: &Ctype) -> Result<Self, Fault> {
        if pattern.len() > LONGEST {
            return Err(too_large());
        }
        let hir = parser::parse(pattern, ignore_case, ctype)?;
        let words = asks_for_words(&hir).then(|| ctype.clone());
        let config = meta::Config::new()
            .nfa_size_limit(Some(SIZE))
            .onepass_size_limit(Some(1 << 20))
            .hybrid_cache_capacity(4 << 20)
            .which_captures(regex_automata::nfa::thompson::WhichCaptures::None);
        let program =
            meta::Regex::builder().configure(config).build_from_hir(&hir).map_err(|_| too_large())?;
        Ok(Self { program, words })
    }

    /// Whether it occurs in the text.
    pub(super) fn matches(&self, text: &str) -> Result<bool, Fault> {
        if let Some(ctype) = &self.words
            && !words_agree(text, ctype)
        {
            return Err(Fault::unsupported(
                "a regular expression with \\y, \\Y, \\m or \\M, held against a text with characters whose \
                 class differs between Unicode and the server's locale",
            ));
        }
        Ok(self.program.is_match(text))
    }
}

fn too_large() -> Fault {
    Fault::unsupported("a regular expression of that size")
}

fn asks_for_words(hir: &Hir) -> bool {
    hir.properties().look_set().contains_word_unicode()
}

/// The engine's idea of a word is Unicode's; the server's is its locale's. They must not differ in this text.
fn words_agree(text: &str, ctype: &Ctype) -> bool {
    text.chars().all(|c| c.is_ascii() || ctype.is_alnum(c) == regex_syntax::is_word_character(c))
}

/// 2201B, in the words of `regerrs.h`.
fn invalid(why: &str) -> Fault {
    Fault::new("2201B", format!("invalid regular expression: {why}"))
}

#[cfg(test)]
mod tests;
