//! The built gateway, run as its users run it.

use super::{Admin, Postgres, eventually, schema};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_paravent");

/// How the gateway is set up.
#[derive(Clone)]
pub struct Setup {
    /// `listen` of its Postgres listener.
    pub listen: String,
    /// `upstream`.
    pub upstream: String,
    /// More lines of the `[[postgres]]` section.
    pub postgres: String,
    /// `store` of the `[keys]` section.
    pub store: String,
    /// More lines of the `[keys]` section.
    pub keys: String,
    /// `[fields]`, `[classes.…]`.
    pub fields: String,
    /// `[postgres.tables.…]`.
    pub tables: String,
    /// What it logs.
    pub log: String,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Words before the program, such as `prlimit --fsize=…`.
    pub wrapper: Vec<String>,
}

impl Setup {
    /// In front of a server, with the standard policy.
    pub fn new(pg: &Postgres) -> Self {
        Self::towards(pg.upstream())
    }

    /// The same, with the server's address as `upstream` has it.
    pub fn towards(upstream: String) -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            upstream,
            postgres: String::new(),
            store: "file:paravent.keystore".to_owned(),
            keys: String::new(),
            fields: schema::FIELDS.to_owned(),
            tables: schema::TABLES.to_owned(),
            log: "trace".to_owned(),
            env: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// The configuration file.
    pub fn toml(&self) -> String {
        format!(
            "[keys]\nroot = \"file:keys\"\nstore = \"{}\"\nledger = \"file:paravent.ledger\"\n{}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\ntokens = \"file:admin.tokens\"\nrequests_per_second = 100000\n{}\n\
             [[postgres]]\nlisten = \"{}\"\nupstream = \"{}\"\n{}\n{}",
            self.store, self.keys, self.fields, self.listen, self.upstream, self.postgres, self.tables
        )
    }
}

/// A directory with configuration, keys and admin tokens.
pub struct Home {
    dir: TempDir,
    pub setup: Setup,
    tokens: Vec<(&'static str, String)>,
}

impl Home {
    /// Made as an operator would make it, by the program's own commands.
    pub fn new(setup: Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("paravent-gw").tempdir().unwrap();
        let mut home = Self { dir, setup, tokens: Vec::new() };
        home.write();
        let made = home.run(&["keys", "generate", "--config", "paravent.toml"]);
        assert!(made.status.success(), "keys generate: {}", String::from_utf8_lossy(&made.stderr));
        for role in ["operator", "privacy", "auditor"] {
            let args = ["admin", "token", "--config", "paravent.toml", "--name", role, "--role", role];
            let made = home.run(&args);
            assert!(made.status.success(), "admin token: {}", String::from_utf8_lossy(&made.stderr));
            let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
            assert!(!token.is_empty() && !token.contains(' '), "the token, alone, is printed");
            home.tokens.push((role, token));
        }
        home
    }

    /// Writes the configuration again, after `setup` was changed.
    pub fn write(&self) {
        fs::write(self.path("paravent.toml"), self.setup.toml()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A role's admin token.
    pub fn token(&self, role: &str) -> String {
        self.tokens.iter().find(|(r, _)| *r == role).unwrap().1.clone()
    }

    /// Runs a command of the program to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn serve(&self) -> Command {
        let mut words = self.setup.wrapper.clone();
        words.push(PROGRAM.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["serve", "--config", "paravent.toml"]);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).env("PARAVENT_LOG", &self.setup.log);
        command.envs(self.setup.env.iter().map(|(k, v)| (k, v)));
        command
    }

    /// `serve` that must refuse to start: exit code and what it said.
    pub fn refused(&self) -> (i32, String) {
        let mut child = self.serve().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            if std::time::Instant::now() > end {
                child.kill().unwrap();
                let out = child.wait_with_output().unwrap();
                panic!("it should refuse to start, and serves: {}", String::from_utf8_lossy(&out.stdout));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let out = child.wait_with_output().unwrap();
        (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// Files of the keystore, its ledger and whatever lies beside them, but not configuration, keys and tokens.
    pub fn stored_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files(self.dir.path())
            .into_iter()
            .filter(|p| {
                let name = p.file_name().unwrap().to_string_lossy().into_owned();
                !matches!(name.as_str(), "paravent.toml" | "keys" | "admin.tokens" | "log")
            })
            .map(|p| (p.clone(), fs::read(&p).unwrap_or_default()))
            .collect()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

/// A running gateway.
pub struct Gateway {
    pub home: Home,
    child: Child,
    postgres: String,
    admin: String,
}

impl Gateway {
    /// In front of a server, with the standard schema and policy.
    pub fn start(pg: &Postgres) -> Self {
        Self::with(Setup::new(pg))
    }

    pub fn with(setup: Setup) -> Self {
        Self::at(Home::new(setup))
    }

    /// On a directory that was prepared before.
    pub fn at(home: Home) -> Self {
        let (child, postgres, admin) = launch(&home);
        Self { home, child, postgres, admin }
    }

    /// Where it listens for Postgres clients: `127.0.0.1:6432` or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.postgres
    }

    pub fn port(&self) -> u16 {
        port_of(&self.postgres)
    }

    /// The admin API with the privacy officer's token.
    pub fn admin(&self) -> Admin {
        self.admin_as("privacy")
    }

    pub fn admin_as(&self, role: &str) -> Admin {
        Admin { port: port_of(&self.admin), token: Some(self.home.token(role)) }
    }

    /// The address for `--admin`.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// All that it logged so far.
    pub fn log(&self) -> Vec<u8> {
        fs::read(self.home.path("log")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end (SIGTERM); its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        eventually("the gateway ends", || self.child.try_wait().unwrap()).code()
    }

    /// Starts again on the same files, after `kill` or `terminate`.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, self.postgres, self.admin) = launch(&self.home);
    }

    /// Starts it, and kills it after that time, whatever it does by then.
    pub fn start_and_kill(&self, after: Duration) {
        let mut child = self.home.serve().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().ok();
        child.wait().ok();
    }

    /// Runs a command that goes through the admin API of this gateway.
    pub fn command(&self, role: &str, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.home.dir.path()).args(args).args(["--admin", &self.admin_url()]);
        command.env("PARAVENT_ADMIN_TOKEN", self.home.token(role)).stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = String::from_utf8_lossy(&self.log()).into_owned();
            let telling = |l: &&str| l.contains("ERROR") || l.contains("WARN") || l.contains("panicked");
            let mut lines: Vec<&str> = log.lines().filter(telling).collect();
            let skip = lines.len().saturating_sub(15);
            lines.drain(..skip);
            println!("--- the gateway's last warnings ---\n{}", lines.join("\n"));
        }
    }
}

fn port_of(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|p| p.parse().ok()).expect("an address with a port")
}

/// Starts `serve` and waits for its listening lines.
fn launch(home: &Home) -> (Child, String, String) {
    let log = fs::OpenOptions::new().create(true).append(true).open(home.path("log")).unwrap();
    let mut child = home.serve().stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    // Reads on to the end, so that the gateway never finds its standard output closed.
    std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|l| drop(send.send(l))));
    let (mut postgres, mut admin) = (None, None);
    while postgres.is_none() || admin.is_none() {
        match lines.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["listening", "postgres", at] => postgres = Some(at.to_owned()),
                ["listening", "admin", at] => admin = Some(at.to_owned()),
                // Its tests know where.
                ["listening", "http", _] => {}
                _ => panic!("only listening lines belong on standard output: {line}"),
            },
            Err(_) => {
                child.kill().ok();
                child.wait().ok();
                let log = fs::read_to_string(home.path("log")).unwrap_or_default();
                panic!(
                    "the gateway did not start:\n{}",
                    log.lines().rev().take(30).collect::<Vec<_>>().join("\n")
                );
            }
        }
    }
    (child, postgres.unwrap(), admin.unwrap())
}
