//! The gateway of the demo: this same executable, run as a user would run it.

use super::postgres::{Server, stop, tail};
use super::scratch::{Scratch, write_private};
use super::{DemoError, Result, io_error, schema};
use rustix::process::Signal;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio_postgres::Config;

/// How long the gateway may take to print where it listens.
const START: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// A running gateway. Stopped when dropped.
pub(super) struct Gateway {
    child: Child,
    home: PathBuf,
    postgres: SocketAddr,
    /// Where it listens in front of the HTTP API.
    pub(super) http: SocketAddr,
    /// Where the admin API listens.
    pub(super) admin: SocketAddr,
    /// A privacy officer's bearer token for it.
    pub(super) token: String,
    /// An operator's.
    pub(super) operator: String,
}

impl Gateway {
    /// Writes its files (policy, root key, admin token) and starts it in front of `server` and `api`.
    pub(super) async fn start(scratch: &Scratch, server: &Server, api: SocketAddr) -> Result<Self> {
        let home = scratch.directory("gateway")?;
        let executable = std::env::current_exe().map_err(io_error("finding this executable"))?;
        let config = home.join("paravent.toml");
        write_private(&config, &schema::config(&server.upstream(), api))?;
        paravent(&executable, &config, &["keys", "generate"]).await?;
        let mut tokens = Vec::new();
        for role in ["privacy", "operator"] {
            let words = ["admin", "token", "--name", role, "--role", role];
            let printed = paravent(&executable, &config, &words).await?;
            tokens.push(printed.split_whitespace().last().unwrap_or_default().to_owned());
        }
        let (operator, token) = (tokens.pop().unwrap_or_default(), tokens.pop().unwrap_or_default());

        let log = File::create(home.join("gateway.log")).map_err(io_error("making the gateway's log"))?;
        let mut command = Command::new(&executable);
        command.args(["serve", "--config"]).arg(&config).env("PARAVENT_UPSTREAM_PASSWORD", server.password());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().map_err(io_error("starting the gateway"))?;
        let stdout = child.stdout.take();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gateway =
            Self { child, home, postgres: nowhere, http: nowhere, admin: nowhere, token, operator };
        let listening = stdout.map(listening).ok_or_else(|| gateway.did_not_start())?;
        match tokio::time::timeout(START, listening).await {
            Ok(Ok(bound)) => [gateway.postgres, gateway.http, gateway.admin] = bound,
            _ => return Err(gateway.did_not_start()),
        }
        Ok(gateway)
    }

    /// How an application reaches the database: the same login, another address.
    pub(super) fn through(&self, server: &Server, database: &str) -> Config {
        let mut config = server.login(database);
        config.host(self.postgres.ip().to_string()).port(self.postgres.port());
        config
    }

    /// Its directory: policy, keystore, ledger, log.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    fn did_not_start(&self) -> DemoError {
        let log = std::fs::read_to_string(self.home.join("gateway.log")).unwrap_or_default();
        DemoError::Program(format!("the gateway did not start:\n{}", tail(&log)))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        stop(&mut self.child, &[Signal::TERM], STOP);
    }
}

/// Waits for the lines `listening postgres ADDRESS`, `listening http …` and `listening admin …`.
fn listening(stdout: ChildStdout) -> tokio::sync::oneshot::Receiver<[SocketAddr; 3]> {
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread, since it goes on to read whatever else the gateway prints, until its end.
    std::thread::spawn(move || {
        let (mut tell, mut found) = (Some(tell), [None; 3]);
        for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["listening", "postgres", address] => found[0] = address.parse().ok(),
                ["listening", "http", address] => found[1] = address.parse().ok(),
                ["listening", "admin", address] => found[2] = address.parse().ok(),
                _ => {}
            }
            if let [Some(postgres), Some(http), Some(admin)] = found
                && let Some(tell) = tell.take()
            {
                let _ = tell.send([postgres, http, admin]);
            }
        }
    });
    told
}

/// Runs one of the executable's own commands and returns what it printed.
async fn paravent(executable: &Path, config: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(executable);
    command.args(arguments).arg("--config").arg(config).stdin(Stdio::null());
    let what = format!("paravent {}", arguments[..2].join(" "));
    let done = tokio::task::spawn_blocking(move || command.output()).await;
    let output =
        done.map_err(|e| DemoError::Program(format!("{what}: {e}")))?.map_err(io_error(what.clone()))?;
    if !output.status.success() {
        return Err(DemoError::Program(format!(
            "{what} failed:\n{}",
            tail(&String::from_utf8_lossy(&output.stderr))
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
