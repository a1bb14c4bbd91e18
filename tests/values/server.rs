//! A private server on a Unix socket in a directory of its own, gone when dropped.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Server {
    home: tempfile::TempDir,
}

/// Where the server's programs are: `PARAVENT_TEST_POSTGRES`, else the newest version installed.
fn programs() -> PathBuf {
    if let Some(bin) = std::env::var_os("PARAVENT_TEST_POSTGRES") {
        return bin.into();
    }
    let mut all: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|d| d.unwrap().path().join("bin")).collect();
    all.sort();
    all.pop().expect("Postgres is not installed")
}

/// A command as the user `postgres`, when we are root: the server refuses to run as root.
fn command(program: &str) -> Command {
    let program = programs().join(program);
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn must(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lets the user `postgres` write there, when we are root.
fn hand_over(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = users.lines().find(|l| l.starts_with("postgres:")).expect("no user postgres");
        let id = |n: usize| line.split(':').nth(n).unwrap().parse().ok();
        chown(path, id(2), id(3)).unwrap();
    }
}

/// Starts a server; it accepts connections when this returns.
pub fn start() -> Server {
    let home = tempfile::Builder::new().prefix("values").tempdir_in("/tmp").unwrap();
    hand_over(home.path());
    let server = Server { home };
    let data = server.data();
    must(
        command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(&data),
    );
    let options = format!("-k {} -h '' -c fsync=off -c max_wal_size=64MB", server.home.path().display());
    // The server keeps the streams that it inherits: its log goes to a file.
    let log = server.home.path().join("log");
    let mut start = command("pg_ctl");
    start.arg("-D").arg(&data).args(["-w", "-o", &options, "start", "-l"]).arg(log);
    let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "the server does not start");
    server
}

impl Server {
    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path().join(".s.PGSQL.5432")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = command("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]).output();
    }
}
