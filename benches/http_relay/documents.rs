//! What is asked for: lists of people as JSON, of 1 KB and of 100 KB, as they are and as the gateway sealed them.

use crate::gateway::Gateway;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

/// How large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Size {
    /// One person.
    Small,
    /// A hundred.
    Large,
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small.json",
            Self::Large => "large.json",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Small => "1 KB",
            Self::Large => "100 KB",
        }
    }

    fn people(self) -> u32 {
        match self {
            Self::Small => 1,
            Self::Large => 100,
        }
    }
}

/// Each about 1 KB as the service holds it, sealed or not.
fn people(size: Size, about: usize) -> String {
    let mut out = String::from("[");
    for id in 1..=size.people() {
        let comma = if id > 1 { "," } else { "" };
        let _ = write!(
            out,
            "{comma}{{\"id\": {id}, \"last_name\": \"Lefebvre {id}\", \"first_name\": \"Margaux\", \"phone\": \"+33 1 23 45 67 {id:02}\", \
             \"address\": \"{id} rue des Lilas, 75020 Paris\", \"joined\": \"2021-04-01\", \"salary\": 41000.50, \
             \"skills\": [\"sql\", \"rust\", \"http\"], \"about\": \"{}\"}}",
            "x".repeat(about)
        );
    }
    out.push(']');
    out
}

/// Writes both documents under `www/plain`, and under `www/people` what the service gets of them through a gateway
/// with the same keys.
pub(crate) fn write(scratch: &Path, home: &Path) {
    for directory in ["plain", "people"] {
        fs::create_dir_all(scratch.join("www").join(directory)).unwrap();
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let gateway = Gateway::start(home, listener.local_addr().unwrap().port());
    for size in [Size::Small, Size::Large] {
        fs::write(scratch.join("www/plain").join(size.name()), people(size, 780)).unwrap();
        let sealed = sealed(&gateway, &listener, size);
        assert!(!sealed.contains("Lefebvre"), "the service holds nothing in clear");
        fs::write(scratch.join("www/people").join(size.name()), sealed).unwrap();
    }
}

/// A document as it arrives at the service.
fn sealed(gateway: &Gateway, listener: &TcpListener, size: Size) -> String {
    let body = people(size, 380);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port)).unwrap();
    write!(
        client,
        "PUT /people/{} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        size.name(),
        body.len()
    )
    .unwrap();
    let (mut service, _) = listener.accept().unwrap();
    let head = head(&mut service);
    let body = match head.to_lowercase().split("content-length: ").nth(1) {
        Some(rest) => {
            let length = rest.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            service.read_exact(&mut body).unwrap();
            body
        }
        None => chunks(&mut service),
    };
    service.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
    let answer = self::head(&mut client);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    String::from_utf8(body).unwrap()
}

fn head(stream: &mut TcpStream) -> String {
    line(stream, b"\r\n\r\n")
}

fn line(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn chunks(stream: &mut TcpStream) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(line(stream, b"\r\n").trim(), 16).unwrap();
        let mut piece = vec![0; size + 2];
        stream.read_exact(&mut piece).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&piece[..size]);
    }
}
