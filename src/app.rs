//! The whole gateway in one process: opens keys, starts listeners, reloads, drains.
//!
//! [`Gateway`] is what `serve` runs and what tests run in-process.

mod backend;
mod harden;
mod offline;
mod open;
mod roots;
#[cfg(test)]
mod tests;
mod trust;
mod work;

pub use harden::harden;
pub use offline::{back_up, restore};
pub use roots::open_roots;

use crate::admin;
use crate::audit::Audit;
use crate::config::{self, Config, ConfigError};
use crate::fault::Exit;
use crate::http;
use crate::jobs::Jobs;
use crate::pg;
use crate::policy;
use crate::protect::places::Places;
use crate::protect::{Door, ProtectError};
use crate::rights::Rights;
use crate::telemetry;
use backend::{Current, Office, ReloadRequest};
use open::Opened;
use parking_lot::RwLock;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use work::Work;

/// Why the gateway did not start.
#[derive(Debug)]
pub struct AppError {
    exit: Exit,
    message: String,
}

impl AppError {
    /// Failed at run time.
    fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    /// The configuration asks for what can't be.
    fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// A listener that did not start: files that are wrong are wrong usage.
    fn listener(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput => Self::usage(format!("{what}: {error}")),
            _ => Self::failed(format!("{what}: {error}")),
        }
    }

    /// What the command ends with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AppError {}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The new file changes what only a restart can change.
    #[error("{0} changed: that needs a restart")]
    Restart(&'static str),
    /// A file that the new policy names can't be read.
    #[error("{0}")]
    Files(io::Error),
    /// The keys can't serve the new policy.
    #[error(transparent)]
    Keys(#[from] ProtectError),
}

/// A running gateway.
pub struct Gateway {
    config: Config,
    listening: Vec<(&'static str, String)>,
    health: admin::Health,
    door: Door,
    rights: Rights,
    backends: pg::Backends,
    reloads: Vec<pg::Reload>,
    http_reloads: Vec<http::Reload>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<String>,
    lease: JoinHandle<()>,
    jobs: Jobs,
    work: Work,
    audit: Audit,
    /// What the admin API knows of `config` and `door`.
    current: Arc<RwLock<Current>>,
    /// Reloads that the admin API asked for.
    asked: mpsc::Receiver<ReloadRequest>,
}

impl Gateway {
    /// Opens keys and starts every listener; they accept when this returns.
    ///
    /// # Errors
    /// Keys that can't be opened, an address that is taken, files that can't be read.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        let metrics = telemetry::install_metrics().map_err(AppError::failed)?;
        let Opened { keyring, door, rights, jobs, roots, audit } = open::open(&config).await?;
        let (stop, stopped) = watch::channel(false);
        let health = admin::Health::default();
        health.set_policy(policy::hash(&config.policy));
        let asked = jobs.clone();
        health.ask(move || asked.waiting());
        let lease = open::keep_lease(keyring.clone(), config.keys.lease);
        let watch = open::watch_roots(roots, keyring.clone(), config.keys.root_lease, health.clone());
        let lease = tokio::spawn(async move {
            tokio::join!(lease, watch);
        });
        let current = Arc::new(RwLock::new(Current { config: config.clone(), door: door.clone() }));
        let (reloads, asked) = mpsc::channel(4);
        let office = Office {
            rights: rights.clone(),
            keyring,
            audit: audit.clone(),
            jobs: jobs.clone(),
            current: current.clone(),
            reloads,
        };
        let mut gateway = Self {
            config,
            listening: Vec::new(),
            health,
            door,
            rights,
            backends: pg::Backends::default(),
            reloads: Vec::new(),
            http_reloads: Vec::new(),
            stop,
            tasks: JoinSet::new(),
            lease,
            work: Work::start(jobs.clone())?,
            jobs,
            audit,
            current,
            asked,
        };
        gateway.jobs.set_places(places(&gateway.config, &gateway.door, &gateway.backends)?);
        gateway.listen_postgres(&stopped).await?;
        gateway.listen_http(&stopped).await?;
        gateway.listen_admin(office, metrics, stopped).await?;
        gateway.health.set_accepts(true);
        Ok(gateway)
    }

    async fn listen_postgres(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), AppError> {
        for config in self.config.postgres.clone() {
            trust::refuse(&config).await?;
            let what = format!("postgres {}", config.listen);
            let listener = pg::serve(config, self.door.clone(), &self.backends, stopped.clone())
                .await
                .map_err(|error| AppError::listener(&what, &error))?;
            self.listening.push(("postgres", listener.address));
            self.reloads.push(listener.reload);
            self.keep("postgres", listener.task);
        }
        Ok(())
    }

    async fn listen_http(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), AppError> {
        for config in self.config.http.clone() {
            let what = format!("http {}", config.listen);
            let listener = http::serve(config, self.door.clone(), stopped.clone())
                .await
                .map_err(|error| AppError::listener(&what, &error))?;
            self.listening.push(("http", listener.address));
            self.http_reloads.push(listener.reload);
            self.keep("http", listener.task);
        }
        Ok(())
    }

    async fn listen_admin(
        &mut self,
        office: Office,
        metrics: telemetry::Recorder,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), AppError> {
        let Some(config) = &self.config.admin else { return Ok(()) };
        let server = admin::bind(config).await.map_err(|error| AppError::listener("admin", &error))?;
        self.listening.push(("admin", server.address.clone()));
        let task = tokio::spawn(server.serve(Arc::new(office), self.health.clone(), metrics, stopped));
        self.keep("admin", task);
        Ok(())
    }

    /// `postgres`, `http` or `admin`, and the bound address, in file order.
    pub fn listening(&self) -> &[(&'static str, String)] {
        &self.listening
    }

    /// Adds a warning to `/readyz`.
    pub fn warn(&self, warning: String) {
        self.health.warn(warning);
    }

    /// Waits for a listener to end that nobody asked to; says which. Never ends otherwise. Meanwhile reloads
    /// that the admin API asks for are carried out.
    pub async fn failed(&mut self) -> String {
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => return match ended {
                    Some(Ok(what)) => format!("the {what} listener ended unexpectedly"),
                    Some(Err(error)) => format!("a listener ended unexpectedly: {error}"),
                    None => std::future::pending().await,
                },
                Some(answer) = self.asked.recv() => {
                    let outcome = self.reload().map(|()| hex::encode(policy::hash(&self.config.policy)));
                    // Who asked may have gone.
                    let _ = answer.send(outcome.map_err(|error| error.to_string()));
                }
            }
        }
    }

    /// Reads the file again. The new policy holds for connections made from now on.
    ///
    /// # Errors
    /// The new file is wrong, or changes more than the policy: the old policy stays in force.
    pub fn reload(&mut self) -> Result<(), ReloadError> {
        let new = config::load(&self.config.path, &|name| std::env::var(name).ok())?;
        for (what, same) in [
            ("[keys]", new.keys == self.config.keys),
            ("[admin]", new.admin == self.config.admin),
            ("[limits]", new.limits == self.config.limits),
            ("a [[postgres]] listener", new.postgres == self.config.postgres),
            ("a [[http]] listener", new.http == self.config.http),
        ] {
            if !same {
                return Err(ReloadError::Restart(what));
            }
        }
        let door = self.door.with_policy(new.policy.clone())?;
        // The only step that can fail, so that listeners never differ.
        let http = self.http_reloads.iter().map(|reload| reload.prepare(door.clone()));
        let http = http.collect::<io::Result<Vec<_>>>().map_err(ReloadError::Files)?;
        open::set_policy(&self.rights, &new.policy);
        http.into_iter().for_each(http::Prepared::apply);
        for reload in &self.reloads {
            reload.policy(door.clone());
        }
        self.health.set_policy(policy::hash(&new.policy));
        if let Ok(places) = places(&new, &door, &self.backends) {
            self.jobs.set_places(places);
        }
        self.jobs.set_door(door.clone());
        *self.current.write() = Current { config: new.clone(), door: door.clone() };
        (self.door, self.config) = (door, new);
        Ok(())
    }

    /// Stops accepting, lets connections end for `limits.drain`, then ends them.
    pub async fn stop(&mut self) {
        self.health.set_accepts(false);
        self.stop.send_replace(true);
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.limits.drain, drained).await.is_err() {
            tracing::warn!("connections were still open after {:?}", self.config.limits.drain);
            self.tasks.shutdown().await;
        }
        self.work.stop().await;
        let audit = self.audit.clone();
        if tokio::task::spawn_blocking(move || audit.close()).await.is_err() {
            tracing::error!("the audit log could not be closed in order");
        }
        self.lease.abort();
        // Until it let go of the keys.
        let _ = (&mut self.lease).await;
    }

    /// Keeps a listener's task.
    fn keep(&mut self, what: &'static str, task: JoinHandle<()>) {
        self.tasks.spawn(async move {
            match task.await {
                Ok(()) => what.to_owned(),
                Err(error) => format!("{what} ({error})"),
            }
        });
    }
}

/// Every table of every listener, and every service.
fn places(config: &Config, door: &Door, backends: &pg::Backends) -> Result<Vec<Arc<dyn Places>>, AppError> {
    let sweeper = |listener: &config::PostgresConfig| {
        let made = pg::Sweeper::new(listener.upstream.clone(), door.clone(), listener.tables, backends);
        let sweeper = made.map_err(|error| AppError::listener("upstream", &error))?;
        Ok(Arc::new(sweeper) as Arc<dyn Places>)
    };
    let mut places = config.postgres.iter().map(sweeper).collect::<Result<Vec<_>, _>>()?;
    for listener in &config.http {
        let name = listener.listen.to_string();
        places.push(Arc::new(http::Services::new(name, door.policy().clone(), listener.routes)));
    }
    Ok(places)
}
