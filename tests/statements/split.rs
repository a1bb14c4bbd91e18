//! The statements of a script for psql: quotes, comments, brackets, variables, its own commands, COPY's data.

use std::collections::HashMap;
use std::path::Path;

/// Files of data are long; a beginning shows as much.
const LINES: usize = 300;

/// A statement, and the lines that it copies in.
#[derive(Debug, Clone)]
pub struct Statement {
    pub sql: String,
    pub data: Option<Vec<String>>,
}

/// Splits a script. Files that it copies from become data.
pub fn statements(text: &str, folder: &Path, library: &Path) -> Vec<Statement> {
    let mut splitter = Splitter {
        text,
        at: 0,
        variables: HashMap::from([
            ("abs_srcdir".to_owned(), folder.display().to_string()),
            ("libdir".to_owned(), library.parent().unwrap().display().to_string()),
            ("dlsuffix".to_owned(), ".so".to_owned()),
            ("regresslib".to_owned(), library.join("regress.so").display().to_string()),
        ]),
        current: String::new(),
        depth: 0,
        found: Vec::new(),
    };
    splitter.run();
    splitter.found
}

struct Splitter<'t> {
    text: &'t str,
    at: usize,
    variables: HashMap<String, String>,
    current: String,
    depth: usize,
    found: Vec<Statement>,
}

impl Splitter<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn take(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        self.current.push_str(&self.text[self.at..end]);
        self.at = end;
    }

    fn run(&mut self) {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\'' => self.quoted('\'', self.current.ends_with(['e', 'E'])),
                '"' => self.quoted('"', false),
                '$' => match dollar(self.rest(), &self.current) {
                    Some(length) => self.take(length),
                    None => self.take(1),
                },
                '-' if self.rest().starts_with("--") => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.at += end;
                }
                '/' if self.rest().starts_with("/*") => {
                    self.at += comment(self.rest());
                    self.current.push(' ');
                }
                '(' | '[' => {
                    self.depth += 1;
                    self.take(1);
                }
                ')' | ']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.take(1);
                }
                ':' => self.variable(),
                '\\' if self.rest().starts_with("\\;") => {
                    self.at += 1;
                }
                '\\' => self.command(),
                ';' if self.depth == 0 && !self.within_body() => {
                    self.at += 1;
                    self.end();
                }
                c => self.take(c.len_utf8()),
            }
        }
        self.end();
    }

    /// In BEGIN ATOMIC … END.
    fn within_body(&self) -> bool {
        let lower = self.current.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        words.windows(2).any(|w| w == ["begin", "atomic"]) && words.last() != Some(&"end")
    }

    fn quoted(&mut self, quote: char, escapes: bool) {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        let mut length = self.rest().len();
        while let Some((i, c)) = chars.next() {
            if escapes && c == '\\' {
                chars.next();
            } else if c == quote {
                if chars.peek().is_some_and(|(_, n)| *n == quote) {
                    chars.next();
                } else {
                    length = i + 1;
                    break;
                }
            }
        }
        self.take(length);
    }

    /// `:name`, `:'name'`, `:"name"`.
    fn variable(&mut self) {
        let rest = self.rest();
        if rest.starts_with("::") || rest.starts_with(":=") {
            return self.take(2);
        }
        let mut name = &rest[1..];
        let quote = name.chars().next().filter(|c| matches!(c, '\'' | '"'));
        if quote.is_some() {
            name = &name[1..];
        }
        let length = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
        let Some(value) = self.variables.get(&name[..length]).cloned() else { return self.take(1) };
        self.at += 1 + length + if quote.is_some() { 2 } else { 0 };
        match quote {
            Some(q) => self.current.push_str(&format!("{q}{value}{q}")),
            None => self.current.push_str(&value),
        }
    }

    /// A command of psql's own: it ends with its line.
    fn command(&mut self) {
        let line = self.rest().lines().next().unwrap_or_default().to_owned();
        self.at += line.len();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["\\set", name, values @ ..] => {
                let value = |w: &&str| match w.strip_prefix(':') {
                    Some(n) => self.variables.get(n.trim_matches(['\'', '"'])).cloned().unwrap_or_default(),
                    None => w.trim_matches('\'').to_owned(),
                };
                let value: String = values.iter().map(value).collect();
                self.variables.insert((*name).to_owned(), value);
            }
            ["\\g" | "\\gx" | "\\gset" | "\\gexec" | "\\gdesc" | "\\crosstabview" | "\\watch", ..] => {
                self.end();
            }
            ["\\r" | "\\reset", ..] => self.current.clear(),
            _ => {}
        }
    }

    fn end(&mut self) {
        self.depth = 0;
        let sql = std::mem::take(&mut self.current).trim().to_owned();
        if sql.is_empty() {
            return;
        }
        let lower = sql.to_lowercase();
        let (mut sql, mut data) = (sql, None);
        let words = lower.split_whitespace().collect::<Vec<_>>().join(" ");
        if lower.starts_with("copy") && (words.contains("from stdin") || words.contains("from stdout")) {
            self.at += self.rest().find('\n').map_or(0, |i| i + 1);
            let mut lines = Vec::new();
            while !self.rest().is_empty() {
                let line = self.rest().lines().next().unwrap_or_default().to_owned();
                self.at = (self.at + line.len() + 1).min(self.text.len());
                if line == "\\." {
                    break;
                }
                lines.push(line);
            }
            data = Some(lines);
        } else if let Some((whole, lines)) = lower.starts_with("copy").then(|| file(&sql)).flatten() {
            sql = sql.replace(&whole, "STDIN");
            data = Some(lines);
        }
        self.found.push(Statement { sql, data });
    }
}

/// `'/…/data/x.data'` after FROM: with its quotes, and its lines.
fn file(sql: &str) -> Option<(String, Vec<String>)> {
    let from = sql.to_lowercase().find(" from '/")? + 6;
    let end = from + 1 + sql[from + 1..].find('\'')? + 1;
    let text = std::fs::read(sql[from + 1..end - 1].trim()).ok()?;
    let lines = String::from_utf8_lossy(&text).lines().take(LINES).map(str::to_owned).collect();
    Some((sql[from..end].to_owned(), lines))
}

/// The length of `$tag$ … $tag$`.
fn dollar(rest: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let tag = rest[1..].find('$')?;
    let name = &rest[1..=tag];
    if name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(|c| c.is_alphanumeric() || c == '_')
    {
        return None;
    }
    let open = &rest[..tag + 2];
    Some(rest[open.len()..].find(open).map_or(rest.len(), |i| open.len() + i + open.len()))
}

/// The length of a comment, which may hold others.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at.min(rest.len())
}

#[test]
fn a_script_is_split_as_psql_splits_it() {
    let script = "\
\\set n 7
SELECT 'a;b' /* ; */, $x$;$x$, :n, :'n', y::text; -- ;
CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);
COPY t (a) FROM stdin;
x;y
\\.
SELECT E'\\';' \\gset
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;
SELECT 2";
    let found = statements(script, Path::new("/x"), Path::new("/x/lib"));
    let texts: Vec<&str> = found.iter().map(|s| s.sql.as_str()).collect();
    assert_eq!(
        texts,
        [
            "SELECT 'a;b'  , $x$;$x$, 7, '7', y::text",
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
            "COPY t (a) FROM stdin",
            "SELECT E'\\';'",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
            "SELECT 2"
        ]
    );
    assert_eq!(found[2].data.as_deref(), Some(&["x;y".to_owned()][..]));
}
