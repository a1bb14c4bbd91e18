//! A session that goes on whatever happens to it.

use crate::support::message::Message;
use crate::support::{Raw, raw};

/// A client that connects again when its connection is lost.
pub struct Runner {
    port: u16,
    raw: Raw,
    /// The transaction's state: `I`, `T` or `E`.
    pub status: u8,
    pub lost: usize,
}

/// What a statement was answered with.
#[derive(Debug, Default)]
pub struct Answer {
    /// SQLSTATE, message and hint of the first error.
    pub error: Option<(String, String, String)>,
    pub rows: usize,
    pub lost: bool,
}

impl Answer {
    pub fn failed(&self) -> bool {
        self.error.is_some() || self.lost
    }

    /// The gateway refused it.
    pub fn refused(&self) -> Option<&str> {
        let (code, message, hint) = self.error.as_ref()?;
        let ours = message.starts_with("paravent: ") && matches!(code.as_str(), "0A000" | "42601" | "2201B");
        let anchor = hint.split("docs/errors.md#").nth(1)?;
        ours.then(|| anchor.trim_end_matches(')'))
    }
}

/// Tells at which statement a test failed.
struct Said<'s>(&'s str);

impl Drop for Said<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("at the statement: {}", self.0);
        }
    }
}

fn connect(port: u16) -> Raw {
    Raw::connect_as(port, &[("user", "postgres"), ("database", "app")])
}

impl Runner {
    pub fn new(port: u16) -> Self {
        Self { port, raw: connect(port), status: b'I', lost: 0 }
    }

    /// Leaves whatever it was in.
    pub fn anew(&mut self) {
        self.raw = connect(self.port);
        self.status = b'I';
    }

    /// A simple Query; what it copies in follows.
    pub fn query(&mut self, sql: &str, data: Option<&[String]>) -> Answer {
        let _said = Said(sql);
        self.converse(&raw::query(sql), data)
    }

    /// Parse, Bind, Describe, Execute, Sync, with parameters in text.
    pub fn extended(&mut self, sql: &str, values: &[String]) -> Answer {
        let _said = Said(sql);
        let values: Vec<Option<&str>> = values.iter().map(|v| Some(v.as_str())).collect();
        let messages = [
            raw::parse("", sql, &[]),
            raw::bind_text("", "", &values, &[]),
            raw::describe(b'P', ""),
            raw::execute("", 0),
            raw::sync(),
        ];
        self.converse(&messages.concat(), None)
    }

    /// The text cells of a query that must succeed.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.raw.query(sql).iter().filter(|m| m.tag == b'D').map(Message::texts).collect()
    }

    fn converse(&mut self, bytes: &[u8], data: Option<&[String]>) -> Answer {
        let mut answer = Answer::default();
        if self.raw.try_send(bytes).is_err() {
            return self.gone(answer);
        }
        loop {
            let Some(message) = self.raw.read() else { return self.gone(answer) };
            match message.tag {
                b'Z' => {
                    self.status = message.body[0];
                    return answer;
                }
                b'E' if answer.error.is_none() => {
                    let fields = message.fields();
                    let field = |c: char| fields.get(&c).cloned().unwrap_or_default();
                    answer.error = Some((field('C'), field('M'), field('H')));
                }
                b'D' => answer.rows += 1,
                b'G' => {
                    let mut sent = Vec::new();
                    for line in data.unwrap_or_default() {
                        sent.extend(raw::other(b'd', format!("{line}\n").as_bytes()));
                    }
                    sent.extend(raw::other(b'c', &[]));
                    // The one that was sent before the data was not heeded.
                    if bytes.last_chunk() == Some(&[b'S', 0, 0, 0, 4]) {
                        sent.extend(raw::sync());
                    }
                    if self.raw.try_send(&sent).is_err() {
                        return self.gone(answer);
                    }
                }
                _ => {}
            }
        }
    }

    fn gone(&mut self, mut answer: Answer) -> Answer {
        answer.lost = true;
        self.lost += 1;
        self.anew();
        answer
    }
}
