//! A small client that speaks the protocol through `pg::wire`.

use crate::server::Server;
use paravent::pg::value::Format;
use paravent::pg::wire::bind::BindWriter;
use paravent::pg::wire::simple::Target;
use paravent::pg::wire::{describe, error, frame, parse_msg, row, simple, startup};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

pub struct Client {
    stream: UnixStream,
    parameters: HashMap<String, String>,
    columns: Vec<(u32, i16, i32)>,
}

/// What the server answers to one execution.
#[derive(Debug)]
pub enum Answer {
    /// The cells of its one row.
    Row(Vec<Vec<u8>>),
    /// SQLSTATE.
    Error(String),
}

impl Answer {
    pub fn text(&self) -> Option<Vec<u8>> {
        self.cell(0)
    }

    pub fn binary(&self) -> Option<Vec<u8>> {
        self.cell(1)
    }

    fn cell(&self, at: usize) -> Option<Vec<u8>> {
        match self {
            Self::Row(cells) => Some(cells[at].clone()),
            Self::Error(_) => None,
        }
    }
}

/// So many executions are sent before their answers are read.
const BATCH: usize = 50;

impl Client {
    pub fn connect(server: &Server) -> Self {
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        let mut out = Vec::new();
        let params =
            [(&b"user"[..], &b"postgres"[..]), (b"database", b"postgres"), (b"client_encoding", b"UTF8")];
        startup::write(&mut out, startup::VERSION_3_0, params).unwrap();
        stream.write_all(&out).unwrap();
        let mut client = Self { stream, parameters: HashMap::new(), columns: Vec::new() };
        assert_eq!(client.until_ready().len(), 0);
        client
    }

    fn message(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; frame::HEADER];
        self.stream.read_exact(&mut head).unwrap();
        let header = frame::header(&head, frame::LARGE).unwrap().unwrap();
        let mut body = vec![0; header.body];
        self.stream.read_exact(&mut body).unwrap();
        (header.tag, body)
    }

    /// Rows and errors up to the next ReadyForQuery.
    fn until_ready(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let (tag, body) = self.message();
            match tag {
                b'D' => {
                    let cells = row::cells(&body).unwrap().map(|c| body[c.unwrap().unwrap()].to_vec());
                    answers.push(Answer::Row(cells.collect()));
                }
                b'E' => {
                    let code = error::code(&body).unwrap().unwrap();
                    answers.push(Answer::Error(String::from_utf8(code.to_vec()).unwrap()));
                }
                b'S' => {
                    let (name, value) = simple::read_parameter_status(&body).unwrap();
                    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
                    self.parameters.insert(text(name), text(value));
                }
                b'T' => {
                    let columns = describe::read(&body).unwrap();
                    self.columns = columns.iter().map(|c| (c.oid, c.len, c.typmod)).collect();
                }
                b'Z' => return answers,
                _ => {}
            }
        }
    }

    /// A setting as the server last reported it.
    pub fn parameter(&self, name: &str) -> String {
        self.parameters[name].clone()
    }

    /// Type OID, length and type modifier of the prepared statement's columns.
    pub fn described(&self) -> &[(u32, i16, i32)] {
        &self.columns
    }

    pub fn run(&mut self, sql: &str) {
        let mut out = Vec::new();
        simple::query(&mut out, sql.as_bytes()).unwrap();
        self.stream.write_all(&out).unwrap();
        let answers = self.until_ready();
        assert!(!answers.iter().any(|a| matches!(a, Answer::Error(_))), "{sql}: {answers:?}");
    }

    /// Prepares the unnamed statement with one parameter of that type.
    pub fn prepare(&mut self, sql: &str, oid: u32) -> Result<(), String> {
        let mut out = Vec::new();
        parse_msg::write(&mut out, b"", sql.as_bytes(), &[oid]).unwrap();
        simple::describe(&mut out, Target::Statement(b"")).unwrap();
        simple::sync(&mut out);
        self.stream.write_all(&out).unwrap();
        match self.until_ready().pop() {
            Some(Answer::Error(state)) => Err(state),
            _ => Ok(()),
        }
    }

    /// Executes the prepared statement once for each value: three results, in text, binary and text.
    pub fn execute(&mut self, values: &[Vec<u8>], format: Format) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(values.len());
        for batch in values.chunks(BATCH) {
            let mut out = Vec::new();
            for value in batch {
                let mut bind = BindWriter::begin(&mut out, b"", b"", &[format]).unwrap();
                bind.value(value).unwrap();
                bind.finish(&[Format::Text, Format::Binary, Format::Text]).unwrap();
                simple::execute(&mut out, b"", 0).unwrap();
                simple::sync(&mut out);
            }
            self.stream.write_all(&out).unwrap();
            for value in batch {
                let mut answer = self.until_ready();
                assert_eq!(answer.len(), 1, "{value:?}");
                answers.extend(answer.pop());
            }
        }
        answers
    }
}
