//! A throwaway Postgres for the bench.

use crate::proxies::Target;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How the proxies reach the server.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Leg {
    Tcp,
    Unix,
}

pub(crate) const ROLE: &str = "bench";

/// A running server; stopped when dropped.
pub(crate) struct Server {
    pub(crate) bin: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) port: u16,
    child: Child,
}

impl Server {
    pub(crate) fn start(scratch: &Path) -> Self {
        let bin = newest();
        let home = scratch.join("postgres");
        std::fs::create_dir(&home).unwrap();
        open_to_all(scratch);
        if let Some((uid, gid)) = account() {
            chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let initdb = as_account(Command::new(bin.join("initdb")), &home)
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", ROLE, "-D"])
            .arg(home.join("data"))
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        let port = free_port();
        let log = std::fs::File::create(home.join("server.log")).unwrap();
        let child = as_account(Command::new(bin.join("postgres")), &home)
            .arg("-D")
            .arg(home.join("data"))
            .args(["-p", &port.to_string(), "-k"])
            .arg(&home)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"])
            .args(["-c", "shared_buffers=256MB", "-c", "autovacuum=off"])
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { bin, home, port, child };
        let log = server.home.join("server.log");
        wait_for("Postgres", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
                && std::fs::read_to_string(&log).is_ok_and(|l| l.contains("ready to accept"))
        });
        server.psql("postgres", "CREATE DATABASE bench");
        server
    }

    pub(crate) fn target(&self) -> Target {
        Target { name: "direct", port: self.port, pid: None }
    }

    /// The server's host for a proxy on that leg.
    pub(crate) fn host(&self, leg: Leg) -> String {
        match leg {
            Leg::Tcp => "127.0.0.1".into(),
            Leg::Unix => self.home.display().to_string(),
        }
    }

    /// Runs SQL directly.
    pub(crate) fn psql(&self, database: &str, sql: &str) {
        crate::clients::psql(self, self.port, database, sql);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child, rustix::process::Signal::QUIT);
    }
}

/// Sends one signal, waits a while, then kills.
pub(crate) fn stop(child: &mut Child, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process(pid, signal);
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Polls until something is there, at most half a minute.
pub(crate) fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Neither Postgres nor pgbouncer runs as root: as `postgres` then.
pub(crate) fn as_account(mut command: Command, directory: &Path) -> Command {
    command.current_dir(directory).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
    command.process_group(0);
    if let Some((uid, gid)) = account() {
        command.uid(uid).gid(gid);
    }
    command
}

/// The account `postgres`, when this runs as root.
pub(crate) fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|l| l.starts_with("postgres:")).expect("an account named postgres");
    let fields: Vec<&str> = line.split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn newest() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("a Postgres server: make deps");
    let bins =
        versions.flatten().filter_map(|e| Some((e.file_name().to_str()?.parse::<u32>().ok()?, e.path())));
    bins.filter(|(_, p)| p.join("bin/postgres").exists())
        .max()
        .expect("a Postgres server: make deps")
        .1
        .join("bin")
}
