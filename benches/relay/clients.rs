//! pgbench and psql.

use crate::process::cpu_seconds;
use crate::proxies::{Gateway, Target};
use crate::server::{ROLE, Server};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// pgbench's `-M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Simple,
    Prepared,
}

/// What the clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// `pgbench -S`: one row by key, of a table that holds nothing protected.
    Accounts,
    /// One row by key with four protected fields. Opened by the gateway; the others pass the ciphertext.
    Sealed,
}

/// What one run came to.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    /// Statements a second.
    pub(crate) tps: f64,
    /// The proxy's CPU time per statement, in microseconds.
    pub(crate) cpu: Option<f64>,
}

/// Runs pgbench.
pub(crate) struct Bench {
    pgbench: PathBuf,
    seconds: u32,
    sealed: PathBuf,
}

impl Bench {
    pub(crate) fn new(scratch: &Path, server: &Server, seconds: u32, rows: u32) -> Self {
        let sealed = scratch.join("sealed.sql");
        let script = format!(
            "\\set id random(1, {rows})\nSELECT last_name, first_name, phone, address FROM sealed WHERE id = :id;\n"
        );
        std::fs::write(&sealed, script).unwrap();
        Self { pgbench: server.bin.join("pgbench"), seconds, sealed }
    }

    pub(crate) fn run(&self, target: &Target, script: Script, protocol: Protocol, clients: u32) -> Measured {
        let before = target.pid.map(cpu_seconds);
        let mut command = Command::new(&self.pgbench);
        command.args(["-n", "-h", "127.0.0.1", "-U", ROLE, "-p", &target.port.to_string()]);
        command.args(["-j", "2", "-c", &clients.to_string(), "-T", &self.seconds.to_string()]);
        command.args(["-M", if protocol == Protocol::Simple { "simple" } else { "prepared" }]);
        match script {
            Script::Accounts => command.arg("-S"),
            Script::Sealed => command.arg("-f").arg(&self.sealed),
        };
        let output = command.arg("bench").stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "pgbench, {}: {}",
            target.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let done: f64 = number_after(&text, "number of transactions actually processed: ");
        let cpu = before.zip(target.pid).map(|(b, pid)| (cpu_seconds(pid) - b) * 1e6 / done);
        Measured { tps: number_after(&text, "tps = "), cpu }
    }
}

fn number_after(text: &str, label: &str) -> f64 {
    let rest = text.split_once(label).unwrap_or_else(|| panic!("pgbench says no {label:?}: {text}")).1;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

/// pgbench's own tables directly; the protected table through the gateway.
pub(crate) fn fill(server: &Server, gateway: &Target, rows: u32) {
    let init = Command::new(server.bin.join("pgbench"))
        .args([
            "-i",
            "-q",
            "-s",
            "10",
            "-h",
            "127.0.0.1",
            "-U",
            ROLE,
            "-p",
            &server.port.to_string(),
            "bench",
        ])
        .output()
        .unwrap();
    assert!(init.status.success(), "pgbench -i: {}", String::from_utf8_lossy(&init.stderr));
    let table = "CREATE TABLE sealed (id integer PRIMARY KEY, last_name text, first_name text, phone text, address text)";
    psql(server, gateway.port, "bench", table);
    let mut sql = String::from("BEGIN;\n");
    for from in (1..=rows).step_by(100) {
        let values: Vec<String> = (from..(from + 100).min(rows + 1))
            .map(|id| format!("({id}, 'Lefèvre {id}', 'Zoë', '+33 6 39 98 {id:05}', '{id}, rue des Tanneurs, 42000 Saint-Étienne')"))
            .collect();
        sql.push_str(&format!("INSERT INTO sealed VALUES {};\n", values.join(", ")));
    }
    sql.push_str("COMMIT;\n");
    psql(server, gateway.port, "bench", &sql);
    // What the benches compare must be what they say it is.
    let seen = |port| psql(server, port, "bench", "SELECT first_name FROM sealed WHERE id = 1");
    assert_eq!(seen(gateway.port).trim(), "Zoë", "the gateway opens");
    assert!(seen(server.port).trim().starts_with("pv1."), "the database holds envelopes");
    server.psql("bench", "VACUUM ANALYZE");
}

/// Passes a million rows, unprotected and (through a join) protected; returns (what, KiB) each.
pub(crate) fn million_rows(server: &Server, gateway: &Gateway) -> Vec<(&'static str, u64)> {
    let port = gateway.target().port;
    psql(server, port, "bench", "SELECT 1");
    let idle = ("after one statement", gateway.high_water());
    discard(server, port, "SELECT g, repeat('x', 80) FROM generate_series(1, 1000000) g");
    let plain = ("a million rows with nothing protected", gateway.high_water());
    // Ten branches' hundred tellers, each with every protected row.
    let join =
        "SELECT s.last_name, s.first_name, s.phone, s.address FROM sealed s CROSS JOIN pgbench_tellers t";
    discard(server, port, join);
    let sealed = ("a million rows with four fields opened in each", gateway.high_water());
    vec![idle, plain, sealed]
}

/// Runs SQL and returns what came back, unaligned.
pub(crate) fn psql(server: &Server, port: u16, database: &str, sql: &str) -> String {
    use std::io::Write;
    let mut command = client(server, port, database);
    let mut child =
        command.args(["-At", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "psql failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn discard(server: &Server, port: u16, sql: &str) {
    let status = client(server, port, "bench").args(["-At", "-o", "/dev/null", "-c", sql]).status().unwrap();
    assert!(status.success(), "psql failed: {sql}");
}

fn client(server: &Server, port: u16, database: &str) -> Command {
    let mut command = Command::new(server.bin.join("psql"));
    command.args(["-qX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", ROLE, "-d", database]);
    command.args(["-p", &port.to_string()]);
    command
}
