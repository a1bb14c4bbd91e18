//! What the gateway costs beside nginx and haproxy: `cargo bench --bench http_relay -- --seconds 3 --rounds 3`.
//!
//! wrk asks for the same documents directly, through nginx, haproxy and hyper alone (connections to the service kept), and
//! through the gateway, in rounds that take turns, so that a busy machine is busy for all of them. The figure that
//! counts is each proxy's CPU time per request, read from `/proc`. Prints Markdown for `docs/performance.md`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench stops at any fault"
)]
#![allow(clippy::print_stderr, reason = "progress; the figures go to stdout")]

mod bare;
mod documents;
mod endurance;
#[path = "../support/figures.rs"]
mod figures;
mod gateway;
mod load;
mod others;
#[path = "../support/process.rs"]
mod process;
mod report;

use bare::Bare;
use clap::Parser;
use documents::Size;
use figures::Runs;
use gateway::Gateway;
use others::{Haproxy, Nginx};
use report::Cell;
use std::os::unix::fs::PermissionsExt;

/// The HTTP relay bench.
#[derive(Parser)]
struct Options {
    /// Seconds of each run of wrk.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections of wrk, on one thread.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Seconds of the run with 256 connections; 0 leaves it out.
    #[arg(long, default_value_t = 60)]
    endurance: u32,
    /// Leaves out the gibibyte.
    #[arg(long)]
    no_memory: bool,
    /// Is the proxy of hyper alone: on that port, before that one.
    #[arg(long, hide = true, num_args = 2)]
    bare_proxy: Option<Vec<u16>>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    if let Some([port, service]) = options.bare_proxy.as_deref() {
        return bare::run(*port, *service);
    }
    let scratch = tempfile::Builder::new().prefix("paravent-http-").tempdir().unwrap();
    // nginx's workers run as another user.
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let service = Nginx::files(scratch.path());
    let home = scratch.path().join("gateway");
    documents::write(scratch.path(), &home);
    let gateway = Gateway::start(&home, service.port);
    let nginx = Nginx::proxy(scratch.path(), service.port);
    let haproxy = Haproxy::start(scratch.path(), service.port);
    let bare = Bare::start(service.port);
    let targets = [
        load::Target { name: "direct", port: service.port, pid: None, path: "plain" },
        load::Target { name: "nginx", port: nginx.port, pid: Some(nginx.worker()), path: "plain" },
        load::Target { name: "haproxy", port: haproxy.port, pid: Some(haproxy.pid()), path: "plain" },
        load::Target { name: "hyper alone", port: bare.port, pid: Some(bare.pid()), path: "plain" },
        load::Target { name: "gateway", port: gateway.port, pid: Some(gateway.pid()), path: "plain" },
        load::Target { name: "four fields", port: gateway.port, pid: Some(gateway.pid()), path: "people" },
    ];
    let mut runs = Runs::default();
    for round in 0..options.rounds {
        for size in [Size::Small, Size::Large] {
            for target in &targets {
                eprintln!("round {} of {}: {size:?}, {}", round + 1, options.rounds, target.name);
                let measured = load::run(target, size, options.connections, options.seconds);
                runs.add(Cell { size, target: target.name }, measured);
            }
        }
    }
    println!("{}", report::markdown(&runs));
    if options.endurance > 0 {
        println!("{}", endurance::many_connections(&gateway, options.endurance));
    }
    if !options.no_memory {
        // A process of its own: the high-water mark of this work and no other.
        drop(gateway);
        println!("{}", endurance::gibibyte(scratch.path()));
    }
}
