//! A timer that is moved as rarely as possible: setting one for every request would cost more than asking the clock.

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// Fires at a deadline that may move.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready once `until` has passed. The sleep itself may be set for earlier: it is moved when it fires.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}

/// Timers of one client's connection, for its next request to use again.
#[derive(Clone, Default)]
pub(super) struct Timers(Arc<Mutex<Vec<Timer>>>);

/// One of them; goes back when dropped.
pub(super) struct Lent {
    timer: Timer,
    home: Timers,
}

impl Timers {
    /// A timer.
    pub(super) fn lend(&self) -> Lent {
        let timer = self.0.lock().pop().unwrap_or_default();
        Lent { timer, home: self.clone() }
    }
}

impl Lent {
    /// As [`Timer::poll`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        self.timer.poll(cx, until)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.0.lock().push(std::mem::take(&mut self.timer));
    }
}
