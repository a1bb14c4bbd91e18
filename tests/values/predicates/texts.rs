//! Random texts, patterns and names.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Random texts and patterns.
pub(super) struct Texts(StdRng);

pub(super) const LETTERS: &[&str] = &[
    "a", "b", "A", "B", "e", "é", "É", "e\u{301}", "s", "ß", "ſ", "ẞ", "i", "I", "İ", "ı", "σ", "ς", "Σ",
    "œ", "Œ", "ǆ", "ǅ", "К", "\u{212a}", "k", "%", "_", "\\", " ", "-", "'", ".", "1", "9", "٣", "\n", "\t",
    "😀", "ﬁ", "ö", "Ö", "ü", "æ", "z", "Z", "å", "日", "x", "!",
];

pub(super) const PIECES: &[&str] = &[
    "a",
    "b",
    "A",
    "é",
    "É",
    "s",
    "ſ",
    "i",
    "1",
    " ",
    "-",
    ".",
    ".",
    "*",
    "+",
    "?",
    "??",
    "*?",
    "{1}",
    "{0,2}",
    "{2,}",
    "{",
    "}",
    "{,2}",
    "{300}",
    "{2,1}",
    "(",
    ")",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?n)",
    "(?x)",
    "(?#c)",
    "[",
    "]",
    "[^",
    "[a-z]",
    "[é-ü]",
    "[[:alpha:]]",
    "[[:digit:]_]",
    "[^[:space:]]",
    "[[:upper:]]",
    "[[:lower:]]",
    "[[:punct:]]",
    "[[:foo:]]",
    "[]a]",
    "[a-]",
    "[z-a]",
    "[\\d]",
    "|",
    "^",
    "$",
    "^",
    "$",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\y",
    "\\m",
    "\\M",
    "\\Y",
    "\\A",
    "\\Z",
    "\\.",
    "\\\\",
    "\\",
    "\\q",
    "\\x41",
    "\\u00e9",
    "\\n",
    "[[:<:]]",
    "[[:>:]]",
    "#",
    "\n",
    "***=",
    "[[.a.]]",
    "[[=e=]]",
];

impl Texts {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(super) fn of(&mut self, from: &[&str], most: usize) -> String {
        let n = self.0.random_range(0..=most);
        (0..n).map(|_| from[self.0.random_range(0..from.len())]).collect()
    }

    pub(super) fn text(&mut self) -> String {
        // Half of them of few letters, so that much is equal or nearly so.
        let from = if self.0.random_range(0..2) == 0 { &LETTERS[..8] } else { LETTERS };
        self.of(from, 6)
    }

    /// A pattern made of a text, so that it often matches.
    pub(super) fn like(&mut self, text: &str) -> String {
        let mut pattern = String::new();
        for c in text.chars() {
            match self.0.random_range(0..10) {
                0 => pattern.push('%'),
                1 => pattern.push('_'),
                2 => pattern.push_str("%_"),
                3 => pattern.extend(['\\', c]),
                4 => pattern.extend(c.to_uppercase()),
                5 => {}
                _ => pattern.push(c),
            }
        }
        if self.0.random_range(0..4) == 0 {
            pattern.insert(0, '%');
        }
        if self.0.random_range(0..4) == 0 {
            pattern.push(if self.0.random_range(0..4) == 0 { '\\' } else { '%' });
        }
        pattern
    }

    pub(super) fn pairs(
        &mut self,
        count: usize,
        second: impl Fn(&mut Self, &str) -> String,
    ) -> Vec<(String, String)> {
        (0..count)
            .map(|_| {
                let text = self.text();
                let other = second(self, &text);
                (text, other)
            })
            .collect()
    }
}

/// Names as they occur, and random texts.
pub(super) fn to_sort(count: usize) -> Vec<String> {
    const FIRST: &[&str] = &[
        "Élodie",
        "Elodie",
        "élodie",
        "Zoé",
        "Zoë",
        "Zoe",
        "Jean-Luc",
        "Jean Luc",
        "Jeanluc",
        "Anaïs",
        "Anais",
        "Øystein",
        "Łukasz",
        "Ångström",
        "Müller",
        "Mueller",
        "Muller",
        "O'Neil",
        "ONeil",
        "D’Arc",
        "de la Tour",
        "De La Tour",
        "MacLeod",
        "Nguyễn",
        "Žižek",
        "Çelik",
        "İnci",
        "Straße",
        "Strasse",
        "Œuvre",
        "Oeuvre",
        "coté",
        "côte",
        "cote",
        "côté",
    ];
    let mut texts = Texts::new(6);
    (0..count)
        .map(|i| match i % 3 {
            0 => format!(
                "{} {}",
                FIRST[texts.0.random_range(0..FIRST.len())],
                FIRST[texts.0.random_range(0..FIRST.len())]
            ),
            1 => {
                FIRST[texts.0.random_range(0..FIRST.len())].to_owned()
                    + &texts.of(&["a", "é", "-", " ", "B", "ß", "1", "2", "10"], 3)
            }
            _ => texts.text(),
        })
        .collect()
}
