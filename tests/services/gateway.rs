//! The built gateway with one `[[http]]` section and the admin API.

use crate::ask::Client;
use crate::support::Admin;
use crate::support::gateway::PROGRAM;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running gateway.
pub struct Gateway {
    dir: TempDir,
    child: Child,
    http: String,
    admin: String,
    token: String,
}

impl Gateway {
    /// In front of `upstream`; `policy` holds the fields, `routes` the routes of the section.
    pub fn start(upstream: &str, policy: &str, routes: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("paravent-service").tempdir().unwrap();
        let toml = format!(
            "[keys]\nroot = \"file:keys\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntokens = \"file:admin.tokens\"\n{policy}\n\
             [[http]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n{routes}\n"
        );
        fs::write(dir.path().join("paravent.toml"), toml).unwrap();
        let run = |args: &[&str]| {
            let out = Command::new(PROGRAM).current_dir(dir.path()).args(args).output().unwrap();
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        run(&["keys", "generate", "--config", "paravent.toml"]);
        let token = run(&["admin", "token", "--config", "paravent.toml", "--name", "p", "--role", "privacy"]);
        let (child, http, admin) = launch(dir.path());
        Self { dir, child, http, admin, token }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Starts again on the same files.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, self.http, self.admin) = launch(self.dir.path());
    }

    /// What a command says that goes through the admin API.
    pub fn command(&self, args: &[&str]) -> String {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.dir.path()).args(args).args(["--admin", &format!("http://{}", self.admin)]);
        let out = command.env("PARAVENT_ADMIN_TOKEN", &self.token).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// A client of the service, through the gateway.
    pub fn client(&self) -> Client {
        Client::new(&self.http)
    }

    pub fn admin(&self) -> Admin {
        let port = self.admin.rsplit(':').next().unwrap().parse().unwrap();
        Admin { port, token: Some(self.token.clone()) }
    }

    /// Its log, and all that it stores but configuration, keys and tokens.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let kept = entries.filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            path.is_file() && !matches!(name.as_str(), "paravent.toml" | "keys" | "admin.tokens")
        });
        kept.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
    }
}

/// Starts `serve` and waits until it listens: the process, and where.
fn launch(dir: &Path) -> (Child, String, String) {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut serve = Command::new(PROGRAM);
    serve.current_dir(dir).args(["serve", "--config", "paravent.toml"]).env("PARAVENT_LOG", "trace");
    let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut listening = |what: &str| {
        let found =
            lines.find_map(|line| line.strip_prefix(&format!("listening {what} ")).map(str::to_owned));
        found.unwrap_or_else(|| panic!("{}", fs::read_to_string(dir.join("log")).unwrap()))
    };
    let (http, admin) = (listening("http"), listening("admin"));
    // Its standard output stays open for as long as it runs.
    std::thread::spawn(move || lines.for_each(drop));
    (child, http, admin)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
            let lines: Vec<&str> =
                log.lines().filter(|l| l.contains("paravent") && !l.contains("TRACE")).collect();
            println!(
                "--- the gateway's last words ---\n{}",
                lines[lines.len().saturating_sub(15)..].join("\n")
            );
        }
    }
}
