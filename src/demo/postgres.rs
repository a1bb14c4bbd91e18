//! A throwaway Postgres server, of whatever version the machine has.

use super::scratch::{Scratch, write_private};
use super::{DemoError, Result, io_error, sql_error};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Config, NoTls};

/// Where Debian keeps each version's programs.
const HOMES: &str = "/usr/lib/postgresql";
/// How long the server may take to accept connections.
const START: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(10);
/// The role that owns everything, and as which the gateway logs in.
pub(super) const ROLE: &str = "paravent";
/// The database of the directory.
pub(super) const DATABASE: &str = "directory";

/// A running server. Stopped when dropped.
pub(super) struct Server {
    bin: PathBuf,
    home: PathBuf,
    port: u16,
    password: String,
    child: Child,
}

impl Server {
    /// Makes a cluster and starts it. Takes a second or two.
    pub(super) async fn start(scratch: &Scratch) -> Result<Self> {
        let bin = newest()?;
        let home = scratch.directory("postgres")?;
        let account = if rustix::process::geteuid().is_root() { Some(unprivileged()?) } else { None };
        let password = format!("{:032x}", rand::random::<u128>());
        let password_file = home.join("password");
        write_private(&password_file, &password)?;
        if let Some((uid, gid)) = account {
            for path in [&home, &password_file] {
                chown(path, Some(uid), Some(gid)).map_err(io_error("giving Postgres its directory"))?;
            }
        }
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args([
            "--no-sync",
            "--no-instructions",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        initdb.arg(format!("--username={ROLE}")).arg("--pwfile").arg(&password_file);
        initdb.arg("--pgdata").arg(home.join("data"));
        finish(as_account(initdb, account, &home)).await?;

        let port = free_port()?;
        let mut server = Command::new(bin.join("postgres"));
        server.arg("-D").arg(home.join("data")).arg("-k").arg(&home).arg("-p").arg(port.to_string());
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        let log = File::create(home.join("server.log")).map_err(io_error("making the server's log"))?;
        let mut command = as_account(server, account, &home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // A process group of its own: Ctrl-C reaches the demo, which then stops the server.
        let child = command.process_group(0).spawn().map_err(io_error("starting Postgres"))?;
        let mut server = Self { bin, home, port, password, child };
        server.wait_until_ready().await?;
        server.create_database(DATABASE).await?;
        Ok(server)
    }

    /// How to reach it over TCP.
    pub(super) fn direct(&self, database: &str) -> Config {
        let mut config = self.login(database);
        config.host("127.0.0.1").port(self.port);
        config
    }

    /// The same login without an address.
    pub(super) fn login(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.user(ROLE).password(&self.password).dbname(database);
        config
    }

    /// The address for the gateway: through the Unix socket, which costs less than TCP.
    pub(super) fn upstream(&self) -> String {
        format!("postgres://{ROLE}@:{}/{DATABASE}?host={}", self.port, self.home.display())
    }

    /// The password of [`ROLE`].
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The server's log, in which every statement stands.
    pub(super) fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// Its version as a person says it: `15.18`.
    pub(super) async fn version(&self, client: &Client) -> Result<String> {
        let row =
            client.query_one("SHOW server_version", &[]).await.map_err(sql_error("asking the version"))?;
        let version: String = row.get(0);
        Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Makes an empty database.
    pub(super) async fn create_database(&self, name: &str) -> Result<()> {
        let client = connect(&self.direct("postgres")).await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.map_err(sql_error("making a database"))
    }

    /// `pg_dump` of a database, straight from the server, as a file.
    pub(super) async fn dump(&self, database: &str, to: &Path) -> Result<()> {
        finish(self.tool("pg_dump", database, "--file", to)).await
    }

    /// Reads a dump into a database, straight into the server.
    pub(super) async fn restore(&self, database: &str, from: &Path) -> Result<()> {
        let mut psql = self.tool("psql", database, "--file", from);
        psql.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]);
        finish(psql).await
    }

    fn tool(&self, name: &str, database: &str, option: &str, file: &Path) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.args(["--host", "127.0.0.1", "--username", ROLE, "--dbname", database]);
        command.args(["--port", &self.port.to_string(), "--no-password"]).arg(option).arg(file);
        command.env("PGPASSWORD", &self.password);
        command
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(client) = connect(&self.direct("postgres")).await {
                drop(client);
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(io_error("watching Postgres"))?;
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                return Err(DemoError::Program(format!("Postgres did not start:\n{}", tail(&log))));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT: fast shutdown; SIGQUIT: immediate, its children included.
        stop(&mut self.child, &[Signal::INT, Signal::QUIT], STOP);
    }
}

/// Nothing here outlives the demo, so the server need not wait for the disk; and it logs every
/// statement with its parameters, to show that nothing in clear reaches it.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=50",
    "log_statement=all",
    "log_min_duration_statement=0",
    "log_parameter_max_length=-1",
    "log_destination=stderr",
];

/// Opens a connection, whose traffic runs as a task of its own.
pub(super) async fn connect(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await.map_err(sql_error("connecting"))?;
    tokio::spawn(async move {
        // What ends the connection is reported by the statement that waits on it.
        let _ = connection.await;
    });
    Ok(client)
}

/// Sends each signal in turn until the process has ended, at the latest SIGKILL.
pub(super) fn stop(child: &mut Child, signals: &[Signal], patience: Duration) {
    for signal in signals.iter().copied().chain([Signal::KILL]) {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
        let _ = kill_process(pid, signal);
        let deadline = Instant::now() + patience;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// The programs of the newest server installed.
fn newest() -> Result<PathBuf> {
    let entries = std::fs::read_dir(HOMES).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        bin.join("postgres").exists().then_some((version, bin))
    });
    let newest = versions.max_by_key(|(version, _)| *version).map(|(_, bin)| bin);
    newest.ok_or_else(|| {
        DemoError::Program(format!("no Postgres server under {HOMES}; `make deps` installs one"))
    })
}

/// Postgres refuses to run as root: the account `postgres`, else `nobody`.
fn unprivileged() -> Result<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd").map_err(io_error("reading /etc/passwd"))?;
    let find = |name: &str| {
        let mut fields =
            accounts.lines().map(|l| l.split(':')).find(|l| l.clone().next() == Some(name))?.skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = find("postgres").or_else(|| find("nobody"));
    found.ok_or_else(|| {
        DemoError::Program("Postgres refuses to run as root; run the demo as another user".into())
    })
}

fn as_account(mut command: Command, account: Option<(u32, u32)>, directory: &Path) -> Command {
    command.current_dir(directory).env("LC_ALL", "C").env_remove("PGDATA");
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io_error("looking for a free port"))?;
    Ok(listener.local_addr().map_err(io_error("looking for a free port"))?.port())
}

/// Runs a program to its end; its stderr is the error.
async fn finish(mut command: Command) -> Result<()> {
    let name =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let done = tokio::task::spawn_blocking(move || command.output()).await;
    let output =
        done.map_err(|e| DemoError::Program(format!("{name}: {e}")))?.map_err(io_error(name.clone()))?;
    if ExitStatus::success(&output.status) {
        return Ok(());
    }
    Err(DemoError::Program(format!("{name} failed:\n{}", tail(&String::from_utf8_lossy(&output.stderr)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dump_is_restored_and_the_server_goes_away() {
        let scratch = Scratch::new().unwrap();
        let server = Server::start(&scratch).await.unwrap();
        let client = connect(&server.direct(DATABASE)).await.unwrap();
        client.batch_execute("CREATE TABLE t (x text); INSERT INTO t VALUES ('été 🌻')").await.unwrap();
        let dump = scratch.directory("dump").unwrap().join("t.sql");
        server.dump(DATABASE, &dump).await.unwrap();
        server.create_database("second").await.unwrap();
        server.restore("second", &dump).await.unwrap();
        let second = connect(&server.direct("second")).await.unwrap();
        let text: String = second.query_one("SELECT x FROM t", &[]).await.unwrap().get(0);
        assert_eq!(text, "été 🌻");
        assert!(
            std::fs::read_to_string(server.log()).unwrap().contains("été 🌻"),
            "the log holds every statement"
        );

        let address = (Ipv4Addr::LOCALHOST, server.port);
        drop(server);
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}
