//! The whole gateway in one process: opens keys, starts listeners, reloads, drains.
//!
//! [`Gateway`] is what `serve` runs and what tests run in-process.

mod harden;

pub use harden::harden;

use crate::admin;
use crate::config::{self, Config, ConfigError};
use crate::fault::Exit;
use crate::policy;
use crate::telemetry;
use std::fmt;
use std::io;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

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
}

/// A running gateway.
pub struct Gateway {
    config: Config,
    listening: Vec<(&'static str, String)>,
    health: admin::Health,
    stop: watch::Sender<bool>,
    tasks: JoinSet<String>,
}

impl Gateway {
    /// Opens keys and starts every listener; they accept when this returns.
    ///
    /// # Errors
    /// Keys that can't be opened, an address that is taken, files that can't be read.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        let metrics = telemetry::install_metrics().map_err(AppError::failed)?;
        let (stop, stopped) = watch::channel(false);
        let health = admin::Health::default();
        health.set_policy(policy::hash(&config.policy));
        let _ = (metrics, stopped);
        Ok(Self { config, listening: Vec::new(), health, stop, tasks: JoinSet::new() })
    }

    /// `postgres` or `admin`, and the bound address, in file order.
    pub fn listening(&self) -> &[(&'static str, String)] {
        &self.listening
    }

    /// Adds a warning to `/readyz`.
    pub fn warn(&self, warning: String) {
        self.health.warn(warning);
    }

    /// Waits for a listener to end that nobody asked to; says which. Never ends otherwise.
    pub async fn failed(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Ok(what)) => format!("the {what} listener ended unexpectedly"),
            Some(Err(error)) => format!("a listener ended unexpectedly: {error}"),
            None => std::future::pending().await,
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
        ] {
            if !same {
                return Err(ReloadError::Restart(what));
            }
        }
        self.health.set_policy(policy::hash(&new.policy));
        self.config = new;
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
