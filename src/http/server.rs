//! A listener: accepts, spreads connections over worker threads, drains.
//!
//! As in the Postgres gateway, each worker runs its connections on one thread, each with its own connections to
//! the service: a request's way through never changes threads.

use super::connection::{self, Context};
use super::exchange::Gate;
use super::forward::{Connector, Forwarder, Pool};
use crate::config::{HttpLimits, HttpListener};
use crate::net::drain::Drain;
use crate::net::listen::{self, Accepted, Listener};
use crate::net::tls;
use crate::protect::Door;
use metrics::Gauge;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How often kept connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// A listener that runs.
pub struct Gateway {
    /// Its bound address, as `listening …` prints it.
    pub address: String,
    /// Ends once the listener stopped and its connections are over.
    pub task: JoinHandle<()>,
    /// Changes the policy of requests from now on.
    pub reload: Reload,
}

/// Changes a running listener's policy.
#[derive(Clone)]
pub struct Reload {
    forwarder: Arc<Forwarder>,
    config: Arc<HttpListener>,
}

/// A policy that requests will be decided by.
pub struct Prepared {
    forwarder: Arc<Forwarder>,
    gate: Gate,
}

impl Reload {
    /// Makes ready what requests need to be decided by this door's policy.
    ///
    /// # Errors
    /// A file that the policy names can't be read.
    pub fn prepare(&self, door: Door) -> io::Result<Prepared> {
        let gate = Gate::new(door, &self.config)?;
        Ok(Prepared { forwarder: Arc::clone(&self.forwarder), gate })
    }
}

impl Prepared {
    /// Requests from now on are decided by it, those of open connections too.
    pub fn apply(self) {
        self.forwarder.decide_by(self.gate);
    }
}

/// Counts a connection as open for as long as it lives.
pub(super) struct Open {
    count: Arc<AtomicU32>,
    gauge: Gauge,
}

impl Open {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        let gauge = metrics::gauge!(crate::telemetry::CONNECTIONS);
        gauge.increment(1);
        Self { count: Arc::clone(count), gauge }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.gauge.decrement(1);
    }
}

/// Starts a listener; it accepts when this returns. It stops when `drain` becomes true, and its connections end as
/// soon as their requests are answered.
///
/// # Errors
/// The address is taken, or certificates can't be read.
pub async fn serve(config: HttpListener, door: Door, drain: watch::Receiver<bool>) -> io::Result<Gateway> {
    let connector = Arc::new(Connector::new(&config.upstream)?);
    let tls = config.tls.as_ref().map(|files| tls::server(files, &[b"h2", b"http/1.1"])).transpose()?;
    let forwarder = Forwarder::new(&config, Gate::new(door, &config)?, pseudonym())?;
    let (listener, address) = listen::bind(&config.listen).await?;
    let reload = Reload { forwarder: Arc::new(forwarder), config: Arc::new(config) };
    let shared = Shared {
        reload: reload.clone(),
        tls: tls.map(Into::into),
        drain: Arc::default(),
        open: Arc::default(),
    };
    let workers = workers(&reload.config, &connector)?;
    let task = tokio::spawn(accept(listener, shared, workers, drain));
    Ok(Gateway { address, task, reload })
}

/// A name for `Via` that says nothing about the machine, and is this listener's alone.
fn pseudonym() -> String {
    format!("paravent-{:08x}", rand::random::<u32>())
}

struct Shared {
    reload: Reload,
    tls: Option<tokio_rustls::TlsAcceptor>,
    drain: Arc<Drain>,
    open: Arc<AtomicU32>,
}

type Job = (Accepted, Context);

/// A thread for every two cores, as in the Postgres gateway.
fn workers(config: &HttpListener, connector: &Arc<Connector>) -> io::Result<Vec<mpsc::UnboundedSender<Job>>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (0..cores.div_ceil(2)).map(|i| worker(i, config.timeouts, config.wire, Arc::clone(connector))).collect()
}

fn worker(
    i: usize,
    timeouts: crate::config::HttpTimeouts,
    limits: HttpLimits,
    connector: Arc<Connector>,
) -> io::Result<mpsc::UnboundedSender<Job>> {
    let (send, mut jobs) = mpsc::unbounded_channel::<Job>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("http-{i}")).spawn(move || {
        runtime.block_on(async move {
            let pool = Arc::new(Pool::new(connector, timeouts, limits));
            let mut open = JoinSet::new();
            let mut sweep = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    job = jobs.recv() => match job {
                        Some((accepted, context)) => {
                            open.spawn(connection::serve(accepted, context, Arc::clone(&pool)));
                        }
                        None => break,
                    },
                    Some(_) = open.join_next() => {}
                    _ = sweep.tick() => pool.sweep(),
                }
            }
            // The listener is gone; its connections end by themselves.
            while open.join_next().await.is_some() {}
        });
    })?;
    Ok(send)
}

async fn accept(
    listener: Listener,
    shared: Shared,
    workers: Vec<mpsc::UnboundedSender<Job>>,
    mut drain: watch::Receiver<bool>,
) {
    for worker in workers.iter().cycle() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drained(&mut drain) => break,
        };
        match accepted {
            // Those that are a few too many are told so; a flood is not.
            Ok(_) if shared.overflows() => {}
            Ok(accepted) => {
                if worker.send((accepted, shared.context())).is_err() {
                    break;
                }
            }
            Err(error) => {
                // Descriptors or memory ran out: other connections go on, this listener tries again.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    shared.drain.begin();
    while shared.open.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Shared {
    /// Whether twice as many connections are open as may be.
    fn overflows(&self) -> bool {
        self.open.load(Ordering::Acquire) / 2 > self.reload.config.limits.connections
    }

    fn context(&self) -> Context {
        let open = Open::new(&self.open);
        let limit = self.reload.config.limits.connections;
        Context {
            forwarder: Arc::clone(&self.reload.forwarder),
            config: Arc::clone(&self.reload.config),
            tls: self.tls.clone(),
            drain: Arc::clone(&self.drain),
            full: self.open.load(Ordering::Acquire) > limit,
            open: Arc::new(open),
        }
    }
}

async fn drained(drain: &mut watch::Receiver<bool>) {
    while !*drain.borrow_and_update() {
        if drain.changed().await.is_err() {
            return;
        }
    }
}
