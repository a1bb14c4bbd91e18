//! The search path: which statements may move it, and which would mean something else if it had moved.

use super::lex::{Kind, Tokens};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Schemas where unqualified names are looked for, in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schemas<'a> {
    list: &'a [Arc<str>],
    used: Option<&'a AtomicBool>,
}

impl<'a> Schemas<'a> {
    /// These; `used` becomes true once what is planned hangs on them.
    pub fn noted(list: &'a [Arc<str>], used: &'a AtomicBool) -> Self {
        Self { list, used: Some(used) }
    }

    /// Looks at them.
    pub(super) fn list(self) -> &'a [Arc<str>] {
        if let Some(used) = self.used {
            used.store(true, Ordering::Relaxed);
        }
        self.list
    }
}

impl<'a> From<&'a [Arc<str>]> for Schemas<'a> {
    fn from(list: &'a [Arc<str>]) -> Self {
        Self { list, used: None }
    }
}

/// Whether a text may change which relation an unqualified name means. It holds one of the words that a cheaper
/// test looks for.
pub fn moves(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return true };
    let tokens = Tokens::new(text);
    let word = |i: usize, words: &[&str]| words.iter().any(|w| tokens.is_word(i, w));
    (0..tokens.all().len()).any(|i| {
        let Some(token) = tokens.get(i) else { return false };
        match token.kind {
            Kind::Word if word(i, &["authorization", "schema", "search_path", "set_config"]) => true,
            Kind::Word if word(i, &["role"]) => i > 0 && word(i - 1, &["set", "reset", "local", "session"]),
            Kind::Word if word(i, &["discard", "reset"]) => word(i + 1, &["all"]),
            // A quoted name, or a text that may run.
            Kind::Str | Kind::Quoted => {
                let text = tokens.text(token).to_ascii_lowercase();
                ["search_path", "set_config", "schema", "role", "authorization"]
                    .iter()
                    .any(|w| text.contains(w))
            }
            Kind::UnicodeQuoted => true,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::moves;

    #[test]
    fn sees_it_however_it_is_written() {
        for sql in [
            "SET search_path = a",
            "set  /* a */ Schema 'a'",
            "SET\n\tROLE x",
            "SET LOCAL ROLE x",
            "RESET /**/ ROLE",
            "SET SESSION AUTHORIZATION DEFAULT",
            "SELECT set_config('search' || '_path', 'a', false)",
            "SELECT pg_catalog.\"set_config\"($1, $2, false)",
            "DISCARD -- x\n ALL",
            "RESET  ALL",
            "CREATE  SCHEMA a",
            "GRANT USAGE ON SCHEMA a TO b",
            "DO 'begin set role x; end'",
            "ALTER TABLE a RENAME TO U&\"b\"",
        ] {
            assert!(moves(sql.as_bytes()), "{sql}");
        }
        for sql in
            ["SELECT role FROM users WHERE role = 1", "RESET timezone", "DISCARD PLANS", "SELECT 'all'"]
        {
            assert!(!moves(sql.as_bytes()), "{sql}");
        }
    }
}
