//! pgbouncer and the gateway, each in front of the same server.

use crate::server::{Leg, ROLE, Server, account, as_account, free_port, stop, wait_for};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where pgbench connects.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// The proxy's process; none for the server itself.
    pub(crate) pid: Option<u32>,
}

/// pgbouncer in session mode.
pub(crate) struct Pgbouncer {
    child: Child,
    port: u16,
}

impl Pgbouncer {
    pub(crate) fn start(scratch: &Path, server: &Server, leg: Leg) -> Self {
        let home = scratch.join("pgbouncer");
        std::fs::create_dir(&home).unwrap();
        let port = free_port();
        let config = format!(
            "[databases]\nbench = host={} port={} dbname=bench\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = users\npool_mode = session\n\
             max_client_conn = 200\ndefault_pool_size = 100\nlogfile = pgbouncer.log\nserver_reset_query =\n\
             ignore_startup_parameters = extra_float_digits\nlog_connections = 0\nlog_disconnections = 0\n",
            server.host(leg),
            server.port
        );
        std::fs::write(home.join("pgbouncer.ini"), config).unwrap();
        std::fs::write(home.join("users"), format!("\"{ROLE}\" \"\"\n")).unwrap();
        if let Some((uid, gid)) = account() {
            chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|p| Path::new(p).exists());
        let command = Command::new(program.expect("pgbouncer: make bench installs it"));
        let child =
            as_account(command, &home).args(["-q", "pgbouncer.ini"]).stderr(Stdio::null()).spawn().unwrap();
        let pgbouncer = Self { child, port };
        wait_for("pgbouncer", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        pgbouncer
    }

    pub(crate) fn target(&self) -> Target {
        Target { name: "pgbouncer", port: self.port, pid: Some(self.child.id()) }
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::TERM);
    }
}

/// `paravent serve`, with one protected table of four fields.
pub(crate) struct Gateway {
    child: Child,
    port: u16,
}

impl Gateway {
    /// Makes its files (policy, root key) and starts it.
    pub(crate) fn start(home: &Path, server: &Server, leg: Leg) -> Self {
        std::fs::create_dir(home).unwrap();
        let upstream = match leg {
            Leg::Tcp => format!("postgres://{ROLE}@127.0.0.1:{}/bench", server.port),
            Leg::Unix => {
                format!("postgres://{ROLE}@:{}/bench?host={}", server.port, server.host(leg))
            }
        };
        let config = home.join("paravent.toml");
        std::fs::write(&config, CONFIG.replace("UPSTREAM", &upstream)).unwrap();
        let program = env!("CARGO_BIN_EXE_paravent");
        let keys =
            Command::new(program).args(["keys", "generate", "--config"]).arg(&config).output().unwrap();
        assert!(keys.status.success(), "keys generate: {}", String::from_utf8_lossy(&keys.stderr));
        Self::serve(home)
    }

    /// Stops it, and starts another process on the same files.
    pub(crate) fn restart(self, home: &Path) -> Self {
        drop(self);
        Self::serve(home)
    }

    fn serve(home: &Path) -> Self {
        let (program, config) = (env!("CARGO_BIN_EXE_paravent"), home.join("paravent.toml"));
        let log = std::fs::File::create(home.join("gateway.log")).unwrap();
        let mut command = Command::new(program);
        command
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.process_group(0).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.map_while(Result::ok).find(|l| l.starts_with("listening postgres "));
        let Some(line) = listening else {
            panic!(
                "the gateway did not start: {}",
                std::fs::read_to_string(home.join("gateway.log")).unwrap()
            )
        };
        let port = line.rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    pub(crate) fn target(&self) -> Target {
        Target { name: "gateway", port: self.port, pid: Some(self.child.id()) }
    }

    /// Most memory that the process ever held, in KiB (`VmHWM`).
    pub(crate) fn high_water(&self) -> u64 {
        crate::process::memory(self.child.id(), "VmHWM:")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::TERM);
    }
}

const CONFIG: &str = r#"
[keys]
root   = "file:keys"
store  = "file:paravent.keystore"
ledger = "file:paravent.ledger"

[fields]
last_name  = "encrypt"
first_name = "encrypt"
phone      = "encrypt"
address    = "encrypt"

[[postgres]]
listen   = "127.0.0.1:0"
upstream = "UPSTREAM"

[postgres.tables.sealed]
subject = "id"
fields  = ["last_name", "first_name", "phone", "address"]
"#;
