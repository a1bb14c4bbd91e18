//! What the gateway costs beside pgbouncer: `cargo bench --bench relay -- --seconds 3 --rounds 2`.
//!
//! pgbench runs the same statements directly, through pgbouncer (session mode) and through the
//! gateway, in rounds that take turns, so that a busy machine is busy for all of them. The figure
//! that counts is each proxy's CPU time per statement, read from `/proc`. Prints Markdown for
//! `docs/performance.md`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench stops at any fault"
)]
#![allow(clippy::print_stderr, reason = "progress; the figures go to stdout")]

mod clients;
#[path = "../support/figures.rs"]
mod figures;
#[path = "../support/process.rs"]
mod process;
mod proxies;
mod report;
mod server;

use clap::Parser;
use clients::{Bench, Protocol, Script};
use figures::Runs;
use proxies::{Gateway, Pgbouncer};
use report::Cell;
use server::Server;

/// The relay bench.
#[derive(Parser)]
struct Options {
    /// Seconds of each pgbench run.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32])]
    clients: Vec<u32>,
    /// The proxies reach the server over `tcp` or `unix`.
    #[arg(long, default_value = "tcp")]
    leg: server::Leg,
    /// Rows of the protected table.
    #[arg(long, default_value_t = 10_000)]
    rows: u32,
    /// Leaves out the million rows.
    #[arg(long)]
    no_memory: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let scratch = tempfile::Builder::new().prefix("paravent-relay-").tempdir().unwrap();
    let server = Server::start(scratch.path());
    let pgbouncer = Pgbouncer::start(scratch.path(), &server, options.leg);
    let home = scratch.path().join("gateway");
    let gateway = Gateway::start(&home, &server, options.leg);
    eprintln!("filling the tables: {} rows with four protected fields, through the gateway", options.rows);
    clients::fill(&server, &gateway.target(), options.rows);

    let bench = Bench::new(scratch.path(), &server, options.seconds, options.rows);
    let targets = [server.target(), pgbouncer.target(), gateway.target()];
    let mut runs = Runs::default();
    for round in 0..options.rounds {
        for (protocol, clients) in combinations(&options.clients) {
            eprintln!("round {} of {}: {protocol:?}, {clients} clients", round + 1, options.rounds);
            for script in [Script::Accounts, Script::Sealed] {
                for target in &targets {
                    let measured = bench.run(target, script, protocol, clients);
                    runs.add(Cell { protocol, clients, script, target: target.name }, measured);
                }
            }
        }
    }
    println!("{}", report::markdown(&runs, &options.clients));
    if !options.no_memory {
        // A process of its own: the high-water mark of this work and no other.
        let fresh = gateway.restart(&home);
        println!("{}", report::memory(&clients::million_rows(&server, &fresh)));
    }
}

fn combinations(clients: &[u32]) -> impl Iterator<Item = (Protocol, u32)> {
    [Protocol::Simple, Protocol::Prepared].into_iter().flat_map(|p| clients.iter().map(move |c| (p, *c)))
}
