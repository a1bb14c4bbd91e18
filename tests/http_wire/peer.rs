//! Sockets that tests read and write byte by byte, as a client and as the service.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One end of a connection.
pub struct Peer {
    socket: Socket,
    early: Vec<u8>,
}

/// A head that was read, and the connection that it came on.
pub struct Asked {
    pub head: String,
    pub peer: Peer,
}

impl Asked {
    /// The request line or status line.
    pub fn line(&self) -> &str {
        line(&self.head)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

pub fn line(head: &str) -> &str {
    head.split("\r\n").next().unwrap()
}

/// The one value of a field in a head; several are joined by `|`, which no test sends.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut found = head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value.trim()));
    let first = found.next();
    assert!(found.next().is_none(), "{name} twice in {head}");
    first
}

/// `200` of a head.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status: {head:?}"))
}

impl Peer {
    pub fn tcp(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket: Socket::Tcp(stream), early: Vec::new() }
    }

    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the socket accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket: Socket::Unix(stream), early: Vec::new() }
    }

    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.read(buf),
            Socket::Unix(stream) => stream.read(buf),
        }
    }

    /// Sends to someone who must listen.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection takes it");
    }

    /// Sends to someone who may have hung up.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Socket::Unix(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// No more will be sent.
    pub fn finish(&self) {
        match &self.socket {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .ok();
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        if let Socket::Tcp(stream) = &self.socket {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// More bytes into `early`; `false` at the end, a reset counts as one.
    fn more(&mut self) -> bool {
        let mut buf = [0; 16 << 10];
        match self.read(&mut buf) {
            Ok(0) => false,
            Ok(n) => {
                self.early.extend_from_slice(&buf[..n]);
                true
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came within {PATIENCE:?}; so far {:?}", String::from_utf8_lossy(&self.early))
            }
            Err(_) => false,
        }
    }

    /// Bytes up to and with `end`.
    pub fn until(&mut self, end: &str) -> String {
        self.try_until(end).unwrap_or_else(|| {
            panic!("the connection ended before {end:?}: {:?}", String::from_utf8_lossy(&self.early))
        })
    }

    /// The same, or `None` when the connection ended before.
    pub fn try_until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.early.windows(end.len()).position(|w| w == end.as_bytes()) {
                let rest = self.early.split_off(at + end.len());
                let found = std::mem::replace(&mut self.early, rest);
                return Some(String::from_utf8(found).unwrap());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// A head, with its empty line.
    pub fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    /// So many bytes.
    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.early.len() < n {
            assert!(self.more(), "the connection ended after {} of {n} bytes", self.early.len());
        }
        let rest = self.early.split_off(n);
        std::mem::replace(&mut self.early, rest)
    }

    /// A head and the body that its `Content-Length` tells.
    pub fn message(&mut self) -> (String, String) {
        let head = self.head();
        let length = field(&head, "content-length").unwrap_or("0").parse().unwrap();
        (head, String::from_utf8(self.exactly(length)).unwrap())
    }

    /// A request's head, to be answered on the same connection.
    pub fn asked(mut self) -> Asked {
        let head = self.head();
        Asked { head, peer: self }
    }

    /// All bytes up to the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.early)).into_owned()
    }

    /// Whether the other side ends the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Whether something comes, or the connection ends, within that time.
    pub fn ended_or_has_within(&mut self, time: Duration) -> bool {
        let Socket::Tcp(stream) = &self.socket else { return false };
        stream.set_read_timeout(Some(time)).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        !matches!(peeked, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Whether the connection ends within that time; for pacing a slow sender.
    pub fn ended_within(&mut self, time: Duration) -> bool {
        let Socket::Tcp(stream) = &mut self.socket else { return false };
        stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let ended = match stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => panic!("a byte came"),
            Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ended
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The service's listener.
pub struct Service {
    listener: Listener,
    url: String,
}

impl Service {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Accepting ends in time too (socket(7), SO_RCVTIMEO).
        socket2::SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self { listener: Listener::Tcp(listener), url }
    }

    pub fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        socket2::SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self { listener: Listener::Unix(listener), url: format!("unix:{}", path.display()) }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn authority(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// The next connection.
    pub fn accept(&self) -> Peer {
        self.accepted().unwrap_or_else(|e| panic!("no connection to the service came: {e}"))
    }

    /// A connection that is there already.
    pub fn try_accept(&self) -> Option<Peer> {
        self.set_nonblocking(true);
        let peer = self.accepted();
        self.set_nonblocking(false);
        peer.ok()
    }

    fn set_nonblocking(&self, on: bool) {
        match &self.listener {
            Listener::Tcp(listener) => listener.set_nonblocking(on),
            Listener::Unix(listener) => listener.set_nonblocking(on),
        }
        .unwrap();
    }

    fn accepted(&self) -> std::io::Result<Peer> {
        let socket = match &self.listener {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Socket::Tcp(stream)
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Socket::Unix(stream)
            }
        };
        Ok(Peer { socket, early: Vec::new() })
    }

    /// The next connection and the head of its first request.
    pub fn next(&self) -> Asked {
        self.accept().asked()
    }
}
