//! A listener: accepts, spreads connections over worker threads, drains.
//!
//! Each worker runs its sessions on one thread, so that a statement's way through the gateway never
//! changes threads; system calls, not code, are most of a relay's cost.

use super::catalog::Catalogs;
use super::login::Roles;
use super::metrics::Metrics;
use super::net::backends::Backends;
use super::net::connect::Connector;
use super::net::stream::Plain;
use super::net::tls;
use super::session::{Failure, Session, Shared};
use super::startup::{self, Entrance, Refused};
use crate::config::PostgresConfig;
use crate::net::drain::Drain;
use crate::net::listen::{self, Accepted, Listener};
use crate::protect::{Door, Peer};
use aho_corasick::AhoCorasick;
use parking_lot::RwLock;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Stack of a worker: the planner's walk is recursive (bounded by its own depth), and the parser's too.
const STACK: usize = 64 << 20;

/// Words without which a text can't change which relation an unqualified name means.
const PATH_WORDS: [&str; 7] =
    ["search_path", "role", "authorization", "schema", "discard", "reset", "set_config"];

/// What every connection of a listener needs; replaced as a whole when the policy is reloaded.
#[derive(Clone)]
struct Context {
    shared: Arc<Shared>,
    catalogs: Arc<Catalogs>,
    entrance: Arc<Entrance>,
    /// As the audit log names this listener.
    via: Arc<str>,
    open: Arc<AtomicU32>,
    drain: Arc<Drain>,
}

/// A listener that runs.
pub struct Gateway {
    /// Its bound address, as `listening …` prints it.
    pub address: String,
    /// Ends once the listener stopped and its connections are over.
    pub task: JoinHandle<()>,
    /// Changes the policy of connections made from now on.
    pub reload: Reload,
}

/// Changes a running listener's policy.
#[derive(Clone)]
pub struct Reload {
    context: Arc<RwLock<Context>>,
    tables: usize,
}

impl Reload {
    /// Connections made from now on see this door's policy.
    pub fn policy(&self, door: Door) {
        let mut context = self.context.write();
        let tables = door.policy().postgres.get(self.tables).cloned().unwrap_or_default();
        context.catalogs = Arc::new(context.catalogs.renewed(tables.into()));
        let old = &context.shared;
        context.shared = Arc::new(Shared {
            door,
            limits: old.limits.clone(),
            metrics: Metrics::new(),
            search_path: old.search_path.clone(),
        });
    }
}

/// Starts a listener; it accepts when this returns. It stops when `drain` becomes true, and its
/// connections end as soon as they are idle.
///
/// # Errors
/// The address is taken, or certificates can't be read.
pub async fn serve(
    config: PostgresConfig,
    door: Door,
    backends: &Backends,
    drain: watch::Receiver<bool>,
) -> io::Result<Gateway> {
    let (listener, address) = listen::bind(&config.listen).await?;
    let connector = Connector::new(config.upstream)?.counted_by(backends);
    let tls = config.tls.as_ref().map(|files| tls::server(files, config.tls_required)).transpose()?;
    let roles = config.verifiers.as_ref().map(|verifiers| Roles::new(verifiers, &connector));
    let tables = door.policy().postgres.get(config.tables).cloned().unwrap_or_default();
    let search_path =
        AhoCorasick::builder().ascii_case_insensitive(true).build(PATH_WORDS).map_err(io::Error::other)?;
    let context = Context {
        catalogs: Arc::new(Catalogs::new(connector.clone(), tables.into(), Handle::current())),
        shared: Arc::new(Shared { door, limits: config.limits, metrics: Metrics::new(), search_path }),
        via: format!("postgres {address}").into(),
        entrance: Arc::new(Entrance { tls, roles, connector }),
        open: Arc::default(),
        drain: Arc::default(),
    };
    let context = Arc::new(RwLock::new(context));
    let reload = Reload { context: Arc::clone(&context), tables: config.tables };
    let workers = workers()?;
    let task = tokio::spawn(accept(listener, context, workers, drain));
    Ok(Gateway { address, task, reload })
}

type Job = (Accepted, Context);

/// A thread for every two cores, each with a runtime of its own: as a sidecar, the gateway shares them
/// with the application or the database, and a busy thread takes more from each system call than two
/// that sleep in between.
fn workers() -> io::Result<Vec<mpsc::UnboundedSender<Job>>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (0..cores.div_ceil(2))
        .map(|i| {
            let (send, mut jobs) = mpsc::unbounded_channel::<Job>();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("pg-{i}")).stack_size(STACK);
            thread.spawn(move || {
                runtime.block_on(async move {
                    let mut open = JoinSet::new();
                    loop {
                        tokio::select! {
                            job = jobs.recv() => match job {
                                Some((accepted, context)) => drop(open.spawn(connection(accepted, context))),
                                None => break,
                            },
                            Some(_) = open.join_next() => {}
                        }
                    }
                    // The listener is gone; its connections end by themselves.
                    while open.join_next().await.is_some() {}
                });
            })?;
            Ok(send)
        })
        .collect()
}

async fn accept(
    listener: Listener,
    context: Arc<RwLock<Context>>,
    workers: Vec<mpsc::UnboundedSender<Job>>,
    mut drain: watch::Receiver<bool>,
) {
    let open = Arc::clone(&context.read().open);
    let refresher = tokio::spawn(refresh(Arc::clone(&context)));
    let recovery = tokio::spawn(super::recovery::run(
        Arc::clone(&context.read().catalogs),
        context.read().shared.door.clone(),
    ));
    for worker in workers.iter().cycle() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drained(&mut drain) => break,
        };
        match accepted {
            Ok(accepted) => {
                let context = context.read().clone();
                if worker.send((accepted, context)).is_err() {
                    break;
                }
            }
            Err(error) => {
                // Descriptors or memory ran out: other connections go on, this listener tries again.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    context.read().drain.begin();
    refresher.abort();
    recovery.abort();
    while open.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn refresh(context: Arc<RwLock<Context>>) {
    loop {
        let catalogs = Arc::clone(&context.read().catalogs);
        catalogs.refresh().await;
    }
}

async fn drained(drain: &mut watch::Receiver<bool>) {
    while !*drain.borrow_and_update() {
        if drain.changed().await.is_err() {
            return;
        }
    }
}

/// Counts a connection as open for as long as it lives.
struct Open(Context);

impl Open {
    fn new(context: Context) -> Self {
        context.open.fetch_add(1, Ordering::AcqRel);
        context.shared.metrics.connections.increment(1);
        Self(context)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.shared.metrics.connections.decrement(1);
    }
}

async fn connection(accepted: Accepted, context: Context) {
    let client = match &accepted {
        Accepted::Tcp(stream, _) => stream.peer_addr().ok().map(|address| address.ip()),
        Accepted::Unix(_) => None,
    };
    let plain = match accepted {
        Accepted::Tcp(stream, _) => TcpStream::from_std(stream).map(Plain::Tcp),
        Accepted::Unix(stream) => UnixStream::from_std(stream).map(Plain::Unix),
    };
    let Ok(plain) = plain else { return };
    let open = Open::new(context);
    let context = &open.0;
    let full = context.open.load(Ordering::Acquire) > context.shared.limits.connections;
    let started = startup::start(plain, &context.entrance);
    let refused = match tokio::time::timeout(startup::LIMIT, started).await {
        Err(_) => return,
        Ok(Ok(ready)) if full => {
            let failure = Failure::new(
                "53300",
                "connections",
                "paravent: too many connections",
                "raise limits.connections in paravent.toml, or open fewer",
            );
            Refused::Failure(Box::new((ready.io.client, failure)))
        }
        Ok(Ok(ready)) => match session(ready, context, client).await {
            Ok(session) => {
                session.run(Arc::clone(&context.drain)).await;
                return;
            }
            Err(refused) => refused,
        },
        Ok(Err(refused)) => refused,
    };
    if let Refused::Failure(boxed) = refused {
        let (mut client, failure) = *boxed;
        client.output.append_with(|out| failure.write(out, "FATAL"));
        let _ = tokio::time::timeout(startup::LIMIT, client.close()).await;
    }
}

/// The session, once its database's catalog is known.
async fn session(
    mut ready: startup::Ready,
    context: &Context,
    client: Option<IpAddr>,
) -> Result<Session, Refused> {
    let database = context.catalogs.database(&ready.database);
    let snapshot = match database.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::warn!(%error, "the catalog could not be read");
            let failure = Failure::new(
                "58030",
                "catalog-unavailable",
                "paravent: the catalog could not be read",
                "the gateway's own login must reach the database that you named; see its log",
            );
            return Err(Refused::Failure(Box::new((ready.io.client, failure))));
        }
    };
    ready.io.client.output.append_with(|out| {
        super::wire::simple::ready(out, super::wire::simple::Status::Idle);
    });
    let peer = Peer {
        user: &ready.user,
        application: &ready.application,
        address: client,
        database: &ready.database,
        via: &context.via,
    };
    let shared = Arc::new(context.shared.of(&peer));
    Ok(Session::new(ready.io, shared, database, snapshot, ready.settings, ready.backend))
}
