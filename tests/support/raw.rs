//! A client that sends and reads single protocol messages.

use super::{Message, tls::Authority};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for any one message.
const PATIENCE: Duration = Duration::from_secs(20);

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A connection.
pub struct Raw {
    wire: Box<dyn Wire>,
    tcp: Option<TcpStream>,
    /// BackendKeyData's body: process id and secret.
    pub key: Vec<u8>,
    /// ParameterStatus messages of the start.
    pub status: Vec<Message>,
}

impl Raw {
    /// A TCP connection on which nothing was said yet.
    pub fn dial(port: u16) -> Self {
        Self::try_dial(port).expect("the listener accepts")
    }

    /// The same, towards a gateway that may be gone.
    pub fn try_dial(port: u16) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let wire = Box::new(tcp.try_clone()?);
        Ok(Self { wire, tcp: Some(tcp), key: Vec::new(), status: Vec::new() })
    }

    /// A Unix socket on which nothing was said yet.
    pub fn dial_unix(path: &Path) -> Self {
        let socket = UnixStream::connect(path).expect("the socket accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { wire: Box::new(socket), tcp: None, key: Vec::new(), status: Vec::new() }
    }

    /// A session of the role `app` in a database, ready for its first query.
    pub fn connect(port: u16, database: &str) -> Self {
        Self::connect_as(port, &[("user", "app"), ("database", database)])
    }

    /// The same, where it may be refused or lost.
    pub fn try_connect(port: u16, database: &str) -> Option<Self> {
        let mut raw = Self::try_dial(port).ok()?;
        raw.try_send(&startup(196_608, &[("user", "app"), ("database", database)])).ok()?;
        loop {
            let message = raw.read()?;
            match message.tag {
                b'E' => return None,
                b'K' => raw.key = message.body,
                b'Z' => return Some(raw),
                _ => {}
            }
        }
    }

    /// The server's major version.
    pub fn server_major(&mut self) -> u32 {
        let number = self.rows("SHOW server_version_num")[0][0].clone();
        number.and_then(|n| n.parse::<u32>().ok()).expect("a version is a number") / 10_000
    }

    /// A session with these start-up parameters.
    pub fn connect_as(port: u16, parameters: &[(&str, &str)]) -> Self {
        let mut raw = Self::dial(port);
        raw.start(parameters);
        raw
    }

    /// Sends the start-up message and reads up to ReadyForQuery.
    pub fn start(&mut self, parameters: &[(&str, &str)]) {
        self.start_with(196_608, parameters);
    }

    /// The same of another version of the protocol; the version that is negotiated, if it is.
    pub fn start_with(&mut self, version: u32, parameters: &[(&str, &str)]) -> Option<u32> {
        self.send(&startup(version, parameters));
        let mut negotiated = None;
        loop {
            let message = self.read().expect("the server goes on with the start");
            match message.tag {
                b'R' => assert_eq!(message.body, [0; 4], "trust authentication"),
                b'K' => self.key = message.body,
                b'S' => self.status.push(message),
                b'v' => negotiated = Some(u32::from_be_bytes(message.body[..4].try_into().unwrap())),
                b'Z' => return negotiated,
                b'N' => {}
                _ => panic!("unexpected at the start: {message:?}"),
            }
        }
    }

    /// Asks for TLS and shakes hands.
    pub fn secure(self, authority: &Authority) -> Self {
        let mut tcp = self.tcp.as_ref().expect("TLS runs over TCP");
        tcp.write_all(&ssl_request()).unwrap();
        let mut answer = [0];
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"S", "TLS is offered");
        self.secure_at_once(authority, &[])
    }

    /// Shakes hands without asking, and names these protocols (ALPN).
    pub fn secure_at_once(self, authority: &Authority, alpn: &[&[u8]]) -> Self {
        let tcp = self.tcp.expect("TLS runs over TCP");
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject as _;
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_slice(authority.cert.as_bytes()).unwrap())
            .unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let wire = rustls::StreamOwned::new(session, tcp.try_clone().unwrap());
        Self { wire: Box::new(wire), tcp: Some(tcp), key: self.key, status: self.status }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the connection takes the message");
    }

    /// Sends bytes to someone who may have hung up.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// No more will be sent.
    pub fn finish(&mut self) {
        if let Some(tcp) = &self.tcp {
            tcp.shutdown(Shutdown::Write).ok();
        }
    }

    /// The next message; `None` when the other side has hung up.
    pub fn read(&mut self) -> Option<Message> {
        let mut head = [0; 5];
        if !self.fill(&mut head) {
            return None;
        }
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let len = usize::try_from(len).unwrap().checked_sub(4).expect("a length counts itself");
        let mut body = vec![0; len];
        self.fill(&mut body).then_some(Message { tag: head[0], body })
    }

    /// One byte, as SSLRequest is answered.
    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.fill(&mut byte).then_some(byte[0])
    }

    fn fill(&mut self, out: &mut [u8]) -> bool {
        match self.wire.read_exact(out) {
            Ok(()) => true,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no message within {PATIENCE:?}")
            }
            Err(_) => false,
        }
    }

    /// Messages up to and with ReadyForQuery, or the end of the connection.
    pub fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.read() {
            let last = message.tag == b'Z';
            messages.push(message);
            if last {
                break;
            }
        }
        messages
    }

    /// Everything up to the end of the connection.
    pub fn until_closed(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.read()).collect()
    }

    /// All bytes up to the end of the connection, whatever they are.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.wire.read_to_end(&mut bytes) {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection is still open after {PATIENCE:?}")
            }
            _ => bytes,
        }
    }

    /// A simple query and all that answers it.
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(&query(sql));
        self.until_ready()
    }

    /// A simple query that must succeed; its rows as text.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = self.query(sql);
        if let Some(error) = messages.iter().find(|m| m.tag == b'E') {
            panic!("{sql}: {error:?}");
        }
        messages.iter().filter(|m| m.tag == b'D').map(Message::texts).collect()
    }

    /// A simple query that must fail; its error.
    pub fn fails(&mut self, sql: &str) -> Message {
        let messages = self.query(sql);
        let error = messages.iter().find(|m| m.tag == b'E');
        error.unwrap_or_else(|| panic!("{sql} should fail, and gave {messages:?}")).clone()
    }
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend(body);
    out
}

/// A start-up packet of any code.
pub fn startup(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in parameters {
        for text in [name, value] {
            body.extend(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    let mut out = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
    out.extend(body);
    out
}

pub fn ssl_request() -> [u8; 8] {
    request(80_877_103)
}

pub fn gss_request() -> [u8; 8] {
    request(80_877_104)
}

fn request(code: u32) -> [u8; 8] {
    let mut out = [0; 8];
    out[3] = 8;
    out[4..].copy_from_slice(&code.to_be_bytes());
    out
}

/// CancelRequest with BackendKeyData's body.
pub fn cancel(key: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(8 + key.len()).unwrap().to_be_bytes().to_vec();
    out.extend(80_877_102_u32.to_be_bytes());
    out.extend(key);
    out
}

fn cstr(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend(u16::try_from(n).unwrap().to_be_bytes());
}

pub fn query(sql: &str) -> Vec<u8> {
    let mut body = Vec::new();
    cstr(&mut body, sql);
    frame(b'Q', &body)
}

pub fn parse(name: &str, sql: &str, oids: &[u32]) -> Vec<u8> {
    let mut body = Vec::new();
    cstr(&mut body, name);
    cstr(&mut body, sql);
    count(&mut body, oids.len());
    oids.iter().for_each(|o| body.extend(o.to_be_bytes()));
    frame(b'P', &body)
}

/// Bind with one format code for each value, and as many result format codes as given.
pub fn bind(
    portal: &str,
    statement: &str,
    formats: &[i16],
    values: &[Option<&[u8]>],
    results: &[i16],
) -> Vec<u8> {
    let mut body = Vec::new();
    cstr(&mut body, portal);
    cstr(&mut body, statement);
    count(&mut body, formats.len());
    formats.iter().for_each(|f| body.extend(f.to_be_bytes()));
    count(&mut body, values.len());
    for value in values {
        match value {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(bytes) => {
                body.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                body.extend(*bytes);
            }
        }
    }
    count(&mut body, results.len());
    results.iter().for_each(|f| body.extend(f.to_be_bytes()));
    frame(b'B', &body)
}

/// Bind of text values.
pub fn bind_text(portal: &str, statement: &str, values: &[Option<&str>], results: &[i16]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(|v| v.map(str::as_bytes)).collect();
    bind(portal, statement, &[], &values, results)
}

/// Describe of a statement (`S`) or portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    let mut body = vec![kind];
    cstr(&mut body, name);
    frame(b'D', &body)
}

/// Close of a statement (`S`) or portal (`P`).
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    let mut body = vec![kind];
    cstr(&mut body, name);
    frame(b'C', &body)
}

pub fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    let mut body = Vec::new();
    cstr(&mut body, portal);
    body.extend(max_rows.to_be_bytes());
    frame(b'E', &body)
}

/// A statement without parameters by the extended protocol, in one pipeline.
pub fn extended(sql: &str) -> Vec<u8> {
    [parse("", sql, &[]), bind("", "", &[], &[], &[]), execute("", 0), sync()].concat()
}

pub fn sync() -> Vec<u8> {
    frame(b'S', &[])
}

pub fn flush() -> Vec<u8> {
    frame(b'H', &[])
}

pub fn terminate() -> Vec<u8> {
    frame(b'X', &[])
}

/// Any other frontend message.
pub fn other(tag: u8, body: &[u8]) -> Vec<u8> {
    frame(tag, body)
}
