//! A throwaway Postgres: started in a moment from a template, gone when dropped.

use super::{Raw, eventually, tls::Authority};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Password of every role.
pub const PASSWORD: &str = "sésame ouvre-toi";

/// What the template holds: the roles, a database behind the gateway (`app`) and a clear copy (`clear`).
const ROLES: &str = "\
SET password_encryption = 'scram-sha-256';
CREATE ROLE app LOGIN PASSWORD 'sésame ouvre-toi';
CREATE ROLE paravent LOGIN PASSWORD 'sésame ouvre-toi' IN ROLE pg_read_all_data;
CREATE DATABASE app OWNER app;
CREATE DATABASE clear OWNER app;
";

/// The role that reads everything came with 14: before, whoever makes a table lets the gateway's own login read it.
const READS: &str = " IN ROLE pg_read_all_data";
const BEFORE_14: &str = "\
ALTER DEFAULT PRIVILEGES FOR ROLE app, postgres GRANT SELECT ON TABLES TO paravent;
ALTER DEFAULT PRIVILEGES FOR ROLE app, postgres GRANT SELECT ON SEQUENCES TO paravent;
ALTER DEFAULT PRIVILEGES FOR ROLE app, postgres GRANT USAGE ON SCHEMAS TO paravent;
";

/// How the server is set up.
#[derive(Default, Clone)]
pub struct Options {
    /// Passwords by SCRAM-SHA-256 instead of trust.
    pub scram: bool,
    /// TLS, with a certificate for 127.0.0.1 and localhost by this authority.
    pub tls: Option<std::sync::Arc<Authority>>,
    /// Everything logged, and `pg_stat_statements` preloaded.
    pub log_all: bool,
    /// More lines of postgresql.conf.
    pub settings: String,
    /// Directory of the server's programs, instead of [`bin`].
    pub bin: Option<PathBuf>,
}

impl Options {
    fn bin(&self) -> PathBuf {
        self.bin.clone().unwrap_or_else(bin)
    }
}

/// A running server.
pub struct Postgres {
    dir: TempDir,
    child: Mutex<Child>,
    port: u16,
    options: Options,
}

/// Directory of the server's programs: `PARAVENT_TEST_POSTGRES`, else the newest that Debian has installed.
pub fn bin() -> PathBuf {
    match std::env::var_os("PARAVENT_TEST_POSTGRES") {
        Some(bin) => bin.into(),
        None => installed(),
    }
}

/// `psql`; Debian's where the server's own programs come without it.
pub fn psql() -> PathBuf {
    program("psql")
}

/// A client program, of the server's own version where it comes with one.
pub fn program(name: &str) -> PathBuf {
    let own = bin().join(name);
    if own.exists() { own } else { installed().join(name) }
}

fn installed() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").exists())
        .collect();
    found.sort();
    let (_, bin) = found.pop().expect("no Postgres server under /usr/lib/postgresql: run `make deps`");
    bin
}

/// Who runs the server: it refuses to be root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = |name: &str| {
        let line = accounts.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut parts = line.split(':').skip(2);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    Some(id("postgres").or_else(|| id("nobody")).expect("neither `postgres` nor `nobody` exists"))
}

/// A command that runs as that user.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn give_away(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

fn run(command: &mut Command, what: &str) {
    let out = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(out.status.success(), "{what} failed:\n{}", String::from_utf8_lossy(&out.stderr));
}

/// An initialised data directory for these programs, made once and kept beside the build.
fn template(bin: &Path) -> PathBuf {
    static MADE: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let version = Command::new(bin.join("postgres")).arg("--version").output().unwrap().stdout;
        let version = String::from_utf8(version).unwrap();
        let old = version.contains(") 13.");
        let version: String = version.chars().filter(char::is_ascii_digit).collect();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-{version}-template-4"));
        if kept.exists() {
            return kept;
        }
        let dir = tempfile::Builder::new().prefix("paravent-template").tempdir().unwrap();
        give_away(dir.path());
        let data = dir.path().join("data");
        run(
            command(&bin.join("initdb"))
                .arg("-D")
                .arg(&data)
                .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"])
                .args(["--no-sync", "--wal-segsize=1"]),
            "initdb",
        );
        if old {
            single(bin, &data, "postgres", &ROLES.replace(READS, ""));
            for database in ["app", "clear"] {
                single(bin, &data, database, BEFORE_14);
            }
        } else {
            single(bin, &data, "postgres", ROLES);
        }
        // Renamed into place whole, so that test binaries that run at once don't see half of it.
        let fresh = kept.with_extension(std::process::id().to_string());
        run(Command::new("cp").arg("-a").arg(&data).arg(&fresh), "copying the template");
        if fs::rename(&fresh, &kept).is_err() {
            fs::remove_dir_all(&fresh).unwrap();
        }
        kept
    };
    made.entry(bin.to_owned()).or_insert_with(make).clone()
}

/// Statements, one a line, without a server.
fn single(bin: &Path, data: &Path, database: &str, statements: &str) {
    let mut single = command(&bin.join("postgres"))
        .args(["--single", "-F", "-D"])
        .arg(data)
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    single.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
    assert!(single.wait().unwrap().success());
}

impl Postgres {
    /// A server as it comes.
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// A server with options.
    pub fn with(options: &Options) -> Self {
        let dir = tempfile::Builder::new().prefix("paravent-pg").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        give_away(dir.path());
        run(
            Command::new("cp").arg("-a").arg(template(&options.bin())).arg(dir.path().join("data")),
            "copying the data directory",
        );
        if options.scram {
            let hba =
                "local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n";
            fs::write(dir.path().join("data/pg_hba.conf"), hba).unwrap();
        }
        if let Some(authority) = &options.tls {
            let identity = authority.issue();
            for (name, text) in [("server.crt", &identity.cert), ("server.key", &identity.key)] {
                let path = dir.path().join("data").join(name);
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                give_away(&path);
            }
        }
        let (port, child) = spawn(dir.path(), options, None);
        Self { dir, child: Mutex::new(child), port, options: options.clone() }
    }

    /// A standby that repeats what this server writes (whose `wal_level` must be `replica`).
    pub fn standby(&self) -> Self {
        let dir = tempfile::Builder::new().prefix("paravent-pg").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        give_away(dir.path());
        let mut backup = command(&program("pg_basebackup"));
        backup.args(["-U", "postgres", "-h"]).arg(self.socket_dir()).args(["-p", &self.port.to_string()]);
        backup.args(["--checkpoint=fast", "--no-sync", "-D"]).arg(dir.path().join("data"));
        run(&mut backup, "pg_basebackup");
        fs::write(dir.path().join("data/standby.signal"), "").unwrap();
        give_away(&dir.path().join("data/standby.signal"));
        let mut options = self.options.clone();
        options.settings.push_str(&format!(
            "primary_conninfo = 'user=postgres host={} port={}'\nwal_retrieve_retry_interval = 200\n",
            self.socket_dir().display(),
            self.port
        ));
        let (port, child) = spawn(dir.path(), &options, None);
        Self { dir, child: Mutex::new(child), port, options }
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Directory of its Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap()).into_owned()
    }

    /// What the gateway's `upstream` says.
    pub fn upstream(&self) -> String {
        format!("postgres://paravent@127.0.0.1:{}/app", self.port)
    }

    /// `pg_dump --inserts` of a database, as the superuser; of a server that is newer than any `pg_dump` here, the rows of
    /// every table and the bodies of every function.
    pub fn dump(&self, database: &str) -> String {
        if !self.options.bin().join("pg_dump").exists() {
            return self.contents(database);
        }
        let out = Command::new(program("pg_dump"))
            .args(["--inserts", "--lock-wait-timeout=20s", "-U", "postgres", "-h"])
            .arg(self.socket_dir())
            .args(["-p", &self.port.to_string(), database])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn contents(&self, database: &str) -> String {
        let mut client = Raw::connect_as(self.port, &[("user", "postgres"), ("database", database)]);
        let tables = client.rows(
            "SELECT format('SELECT %L || t::text FROM %I.%I t', format('INSERT INTO %I.%I VALUES ', n.nspname, c.relname), \
             n.nspname, c.relname) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') \
             AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
             UNION ALL SELECT 'SELECT prosrc FROM pg_proc WHERE oid >= 16384' \
             UNION ALL SELECT 'SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind IN (''v'', ''m'') AND oid >= 16384'",
        );
        let rows = tables.into_iter().flatten().flatten().flat_map(|sql| client.rows(&sql));
        rows.flatten().flatten().collect::<Vec<_>>().join("\n")
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts again after [`Postgres::stop`], maybe on another port.
    pub fn start_again(&mut self) {
        let options = Options { bin: self.options.bin.clone(), ..Options::default() };
        let (port, child) = spawn(self.dir.path(), &options, None);
        self.port = port;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = child;
    }

    /// Crashes, and comes back where it was, as it was.
    pub fn crash(&self) {
        self.stop();
        let (_, child) = spawn(self.dir.path(), &self.options, Some(self.port));
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = child;
    }

    /// Ends it at once, as a crash would, and waits until it is gone.
    pub fn stop(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.try_wait().ok().flatten().is_none() {
            let pid = i32::try_from(child.id()).unwrap();
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                rustix::process::kill_process(pid, rustix::process::Signal::QUIT).ok();
            }
            child.wait().ok();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the server on that port, else on a free one; another process may take it first, then again.
fn spawn(dir: &Path, options: &Options, port: Option<u16>) -> (u16, Child) {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for _ in 0..8 {
        let port = port.unwrap_or_else(free);
        fs::write(dir.join("data/postgresql.auto.conf"), settings(dir, port, options)).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut child = command(&options.bin().join("postgres"))
            .arg("-D")
            .arg(dir.join("data"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let ready = eventually("Postgres starts", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let log = fs::read(dir.join("log")).unwrap();
            let says = |words: &[u8]| log.windows(words.len()).any(|w| w == words);
            (says(b"ready to accept connections\n") || says(b"ready to accept read")).then_some(true)
        });
        if ready {
            return (port, child);
        }
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        assert!(log.contains("Address already in use"), "Postgres did not start:\n{log}");
    }
    panic!("no free port for Postgres");
}

fn settings(dir: &Path, port: u16, options: &Options) -> String {
    let mut text = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
         fsync = off\nfull_page_writes = off\nshared_buffers = '16MB'\n\
         max_connections = 60\nautovacuum = off\nlogging_collector = off\nlog_destination = 'stderr'\n\
         log_timezone = 'UTC'\ntimezone = 'UTC'\nwal_level = minimal\nmax_wal_senders = 0\n",
        dir.display()
    );
    if options.log_all {
        text.push_str("log_statement = 'all'\nlog_min_duration_statement = 0\n");
        text.push_str("shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = 'all'\n");
        text.push_str("log_error_verbosity = 'verbose'\nlog_parameter_max_length_on_error = -1\n");
    }
    if options.tls.is_some() {
        text.push_str("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
    }
    text.push_str(&options.settings);
    text
}
