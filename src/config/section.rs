//! One table of the file, read key by key: what nobody asked for is refused in the end.

use crate::policy::raw::{At, Problems};
use crate::policy::suggest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table of the file being read.
pub(super) struct Section<'a> {
    /// As messages name it: `[keys]`, `field "email"`.
    pub(super) what: String,
    /// Where it begins.
    pub(super) at: usize,
    left: Vec<Entry<'a>>,
    asked: Vec<&'static str>,
    taken: Vec<&'static str>,
}

/// A key and its value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Where the key stands.
    pub(super) at: usize,
    /// The key.
    pub(super) key: &'a str,
    /// Its value.
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(what: impl Into<String>, at: usize, table: &'a DeTable<'a>) -> Self {
        Self { what: what.into(), at, left: entries(table), asked: Vec::new(), taken: Vec::new() }
    }

    /// The entry of that key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.push(key);
        let position = self.left.iter().position(|entry| entry.key == key)?;
        self.taken.push(key);
        Some(self.left.remove(position))
    }

    pub(super) fn string(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<String>> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::String(text) => Some(entry.with(text.to_string())),
            other => {
                problems.none(entry.at, format!("{}: {key} is a string, not {}", self.what, kind(other)))
            }
        }
    }

    /// One string, or a list of them.
    pub(super) fn strings(&mut self, key: &'static str, problems: &mut Problems) -> Vec<At<String>> {
        let Some(entry) = self.take(key) else { return Vec::new() };
        let list = match entry.value.get_ref() {
            DeValue::String(text) => return vec![entry.with(text.to_string())],
            DeValue::Array(list) => list,
            other => {
                let message =
                    format!("{}: {key} is a string or a list of them, not {}", self.what, kind(other));
                problems.add(entry.at, message);
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            let at = item.span().start;
            match item.get_ref() {
                DeValue::String(text) => texts.push(At { at, value: text.to_string() }),
                other => problems.add(at, format!("{}: {key} lists strings, not {}", self.what, kind(other))),
            }
        }
        texts
    }

    /// Whether the key is there, taken or not.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.taken.contains(&key) || self.left.iter().any(|entry| entry.key == key)
    }

    pub(super) fn required(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<String>> {
        if self.left.iter().any(|entry| entry.key == key) {
            return self.string(key, problems);
        }
        self.asked.push(key);
        problems.none(self.at, format!("{} needs `{key}`", self.what))
    }

    pub(super) fn boolean(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<bool>> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::Boolean(value) => Some(entry.with(*value)),
            other => {
                problems.none(entry.at, format!("{}: {key} is true or false, not {}", self.what, kind(other)))
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u32>,
        problems: &mut Problems,
    ) -> Option<u32> {
        let entry = self.take(key)?;
        let value = match entry.value.get_ref() {
            DeValue::Integer(n) => {
                let digits: String = n.as_str().chars().filter(|c| *c != '_').collect();
                u32::from_str_radix(&digits, n.radix()).ok()
            }
            _ => None,
        };
        match value.filter(|n| range.contains(n)) {
            Some(n) => Some(n),
            None => problems.none(
                entry.at,
                format!("{}: {key} is a whole number from {} to {}", self.what, range.start(), range.end()),
            ),
        }
    }

    /// A scalar, in the text form that Postgres would read.
    pub(super) fn scalar(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<String>> {
        let entry = self.take(key)?;
        let text = match entry.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(n) if n.radix() == 10 => n.as_str().replace('_', ""),
            DeValue::Float(n) => n.as_str().replace('_', ""),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(value) => value.to_string(),
            other => {
                return problems
                    .none(entry.at, format!("{}: {key} is one value, not {}", self.what, kind(other)));
            }
        };
        Some(entry.with(text))
    }

    pub(super) fn table(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<(usize, &'a DeTable<'a>)> {
        let entry = self.take(key)?;
        match entry.value.get_ref() {
            DeValue::Table(table) => Some((entry.at, table)),
            other => problems.none(entry.at, format!("{}: {key} is a table, not {}", self.what, kind(other))),
        }
    }

    /// Refuses what is left: keys of later versions by name, others with a suggestion.
    pub(super) fn finish(self, later: &[&str], problems: &mut Problems) {
        for entry in &self.left {
            let message = if later.contains(&entry.key) {
                format!("{}: `{}` is not in this version", self.what, entry.key)
            } else {
                let hint = suggest(entry.key, &self.asked);
                format!("{}: unknown key \"{}\"{hint}", self.what, entry.key)
            };
            problems.add(entry.at, message);
        }
    }
}

impl Entry<'_> {
    fn with<T>(&self, value: T) -> At<T> {
        At { at: self.at, value }
    }

    /// The key and where it stands.
    pub(super) fn name(&self) -> At<String> {
        self.with(self.key.to_owned())
    }
}

/// A table's entries in file order.
pub(super) fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> =
        table.iter().map(|(key, value)| Entry { at: key.span().start, key: key.get_ref(), value }).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// What a value is, for messages: never the value, which may be a password.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
