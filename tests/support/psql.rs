//! `psql`, and with it libpq: passwords, TLS and sockets as most clients do them.

use super::postgres::psql;
use std::process::{Command, Output};

/// Runs statements by `psql`, one after the other, as the role `app`, with these connection words.
pub fn run(words: &str, password: &str, sql: &str) -> Output {
    Command::new(psql())
        .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .args(sql.split("; ").flat_map(|one| ["-c", one]))
        .arg(format!("user=app dbname=app connect_timeout=20 {words}"))
        .env("PGPASSWORD", password)
        .output()
        .unwrap()
}

/// What it printed.
pub fn text(out: &Output) -> String {
    assert!(out.status.success(), "psql: {}", said(out));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// What it complained of.
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}
