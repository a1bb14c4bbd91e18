//! The built gateway with one `[[http]]` listener, in front of a service that the test plays itself.

use crate::peer::{Peer, Service, field};
use crate::support::{eventually, gateway::PROGRAM};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running gateway.
pub struct Gateway {
    dir: TempDir,
    child: Child,
    /// `127.0.0.1:8080` or `unix:/path`.
    pub address: String,
}

/// How it is set up.
pub struct Setup {
    pub listen: String,
    pub upstream: String,
    /// More lines of the section, and what follows it.
    pub more: String,
    /// Files beside the configuration.
    pub files: Vec<(&'static str, String)>,
    /// What it logs.
    pub log: &'static str,
}

impl Setup {
    pub fn new(upstream: impl Into<String>) -> Self {
        Self {
            listen: "127.0.0.1:0".into(),
            upstream: upstream.into(),
            more: String::new(),
            files: Vec::new(),
            log: "trace",
        }
    }

    pub fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self
    }

    pub fn file(mut self, name: &'static str, text: &str) -> Self {
        self.files.push((name, text.to_owned()));
        self
    }

    pub fn start(self) -> Gateway {
        let dir = tempfile::Builder::new().prefix("paravent-http").tempdir().unwrap();
        let toml = format!(
            "[keys]\nroot = \"file:keys\"\n[limits]\nconnections = 300\ndrain_seconds = 2\n[[http]]\nlisten = \"{}\"\nupstream = \"{}\"\n{}\n",
            self.listen, self.upstream, self.more
        );
        fs::write(dir.path().join("paravent.toml"), toml).unwrap();
        for (name, text) in &self.files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut keys = Command::new(PROGRAM);
        keys.current_dir(dir.path()).args(["keys", "generate", "--config", "paravent.toml"]);
        assert!(keys.stdout(Stdio::null()).status().unwrap().success());
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut serve = Command::new(PROGRAM);
        serve
            .current_dir(dir.path())
            .args(["serve", "--config", "paravent.toml"])
            .env("PARAVENT_LOG", self.log);
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening http ").map(|address| address.trim().to_owned());
        let Some(address) = address else {
            panic!("it said {line:?}, and {}", fs::read_to_string(dir.path().join("log")).unwrap());
        };
        Gateway { dir, child, address }
    }
}

impl Gateway {
    /// In front of a service played by the test, with nothing set but addresses.
    pub fn plain() -> (Self, Service) {
        Self::set("")
    }

    /// With more lines of the `[[http]]` section.
    pub fn set(more: &str) -> (Self, Service) {
        let service = Service::new();
        let gateway = Setup::new(service.url()).with(more).start();
        (gateway, service)
    }

    /// A client's connection.
    pub fn client(&self) -> Peer {
        match self.address.strip_prefix("unix:") {
            Some(path) => Peer::unix(path.as_ref()),
            None => Peer::tcp(self.address.as_str()),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// All that it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub fn ask_to_end(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until it ended; its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        eventually("the gateway ends", || self.child.try_wait().unwrap()).code()
    }

    /// Sends one good request and answers it: no other whole request reached the service before.
    pub fn is_well(&self, service: &Service) {
        let mut client = self.client();
        client.send("GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        loop {
            let mut peer = service.accept();
            // A connection that was opened for a request that then could not be sent.
            let Some(head) = peer.try_until("\r\n\r\n") else { continue };
            if head.starts_with("GET /marker HTTP/1.1\r\n") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                break;
            }
            assert!(!is_whole(&head, &peer.rest()), "a whole request reached the service: {head}");
        }
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nok"), "{answer}");
    }
}

/// Whether a request has all of the body that its head tells.
fn is_whole(head: &str, body: &str) -> bool {
    match field(head, "content-length") {
        Some(length) => body.len() >= length.parse().unwrap(),
        None if field(head, "transfer-encoding").is_some() => body.contains("0\r\n\r\n"),
        None => true,
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> =
                log.lines().filter(|l| l.contains("paravent") && !l.contains("TRACE")).collect();
            println!(
                "--- the gateway's last words ---\n{}",
                lines[lines.len().saturating_sub(15)..].join("\n")
            );
        }
    }
}
