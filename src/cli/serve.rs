//! `paravent serve`.

use super::args::ConfigFile;
use super::{Stop, load, say};
use crate::app::{self, Gateway};
use crate::fault::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) fn run(file: &ConfigFile) -> Result<Exit, Stop> {
    let config = load(&file.path)?;
    // Before any key is read.
    let warnings = app::harden();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Stop::failed)?;
    let exit = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut gateway =
            Gateway::start(config).await.map_err(|e| Stop { exit: e.exit(), message: e.to_string() })?;
        for warning in warnings {
            tracing::warn!("{warning}");
            gateway.warn(warning);
        }
        for (what, address) in gateway.listening() {
            say(&format!("listening {what} {address}"))?;
        }
        let outcome = signals.wait(&mut gateway).await;
        tokio::select! {
            () = gateway.stop() => {}
            // A second request is impatient.
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => {}
        }
        outcome
    });
    runtime.shutdown_background();
    exit
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Stop> {
        let on = |kind| signal(kind).map_err(Stop::failed);
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Until the gateway is asked to end, or can't go on.
    async fn wait(&mut self, gateway: &mut Gateway) -> Result<Exit, Stop> {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ok(Exit::Done),
                _ = self.interrupt.recv() => return Ok(Exit::Done),
                why = gateway.failed() => return Err(Stop::failed(why)),
                _ = self.hangup.recv() => match gateway.reload() {
                    Ok(()) => tracing::info!("the policy was loaded again"),
                    Err(error) => {
                        for line in error.to_string().lines() {
                            tracing::error!("{line}");
                        }
                        tracing::error!("the old policy stays in force");
                    }
                },
            }
        }
    }
}
