//! The thread that jobs run on: apart from traffic, since they read and write for long.

use super::AppError;
use crate::jobs::Jobs;
use tokio::sync::watch;

/// How much lower than everything else's the jobs' priority is (`nice`): a tenth of a processor, where others want all.
const POLITE: i32 = 10;

/// A thread that goes on with the jobs until it is stopped.
pub(super) struct Work {
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Work {
    /// Starts it.
    pub(super) fn start(jobs: Jobs) -> Result<Self, AppError> {
        let (stop, mut stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(AppError::failed)?;
        let thread = std::thread::Builder::new().name("jobs".into()).spawn(move || {
            // Of this thread alone, on Linux: whoever asks goes first.
            if let Err(error) = rustix::process::nice(POLITE) {
                tracing::debug!(%error, "jobs run at the priority of everything else");
            }
            runtime.block_on(async {
                tokio::select! {
                    () = jobs.run() => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        });
        Ok(Self { stop, thread: Some(thread.map_err(AppError::failed)?) })
    }

    /// Until it let go of the keys. What it was about goes on at the next start.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the thread of the jobs ended unexpectedly");
            }
        }
    }
}
