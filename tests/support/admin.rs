//! A tiny HTTP/1.1 client for the admin listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The admin API, with a bearer token.
pub struct Admin {
    pub port: u16,
    pub token: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Its body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }
}

impl Admin {
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path)
    }

    /// DELETE on a gateway that may go away meanwhile: the status, if any came.
    pub fn try_delete(&self, path: &str) -> Option<u16> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let token = self.token.as_deref().unwrap_or_default();
        let head = format!(
            "DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).ok()?;
        let mut text = String::new();
        // The end of the connection may come as a reset: what arrived counts.
        socket.read_to_string(&mut text).ok();
        text.split(' ').nth(1)?.parse().ok()
    }

    /// Erases a person; the receipt.
    pub fn erase(&self, id: impl std::fmt::Display) -> serde_json::Value {
        let answer = self.delete(&format!("/v1/subjects/person/{id}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// A person's state: `live`, `erased`, or `None` for 404.
    pub fn state(&self, id: impl std::fmt::Display) -> Option<String> {
        let answer = self.get(&format!("/v1/subjects/person/{id}"));
        match answer.status {
            200 => Some(answer.json()["state"].as_str().unwrap().to_owned()),
            404 => None,
            _ => panic!("{answer:?}"),
        }
    }

    /// A counter of /metrics: the sum over all lines that hold every one of `parts`.
    pub fn metric(&self, parts: &[&str]) -> f64 {
        let answer = Self { port: self.port, token: self.token.clone() }.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        let lines =
            answer.body.lines().filter(|l| !l.starts_with('#') && parts.iter().all(|p| l.contains(p)));
        lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the admin listener accepts");
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).expect("the whole answer arrives");
        let text = String::from_utf8(bytes).expect("the answer is text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunk(body) } else { body.to_owned() };
        Answer { status, head: head.to_owned(), body }
    }
}

fn unchunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}
