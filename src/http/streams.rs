//! Streams of an HTTP/2 connection, in time: one whose answer the client doesn't take ends.
//!
//! HTTP/1.1 shows that at its socket. Here the socket goes on while one stream waits for its window to open, and its
//! body isn't even asked for its next piece: whoever runs the stream has to look at the clock.

use super::timer::Timer;
use hyper::rt::Executor;
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

tokio::task_local! {
    static TURN: Arc<Turn>;
}

/// Whose turn it is in one stream.
#[derive(Default)]
pub(super) struct Turn(Mutex<Option<Instant>>);

impl Turn {
    /// That of the stream that is being run; none on HTTP/1.1.
    pub(super) fn current() -> Option<Arc<Self>> {
        TURN.try_with(Arc::clone).ok()
    }

    /// The client has a piece to take, from now.
    pub(super) fn of_the_client(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// The client took all that was there; limits of others hold.
    pub(super) fn of_others(&self) {
        *self.0.lock() = None;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock()
    }
}

/// Runs the streams of a connection.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    /// So long the client may take for a piece.
    idle: Duration,
}

impl Streams {
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (turn, idle) = (Arc::<Turn>::default(), self.idle);
        tokio::spawn(TURN.scope(Arc::clone(&turn), in_time(stream, turn, idle)));
    }
}

/// Runs a stream; dropped early, it is reset, and its connection to the service is closed.
async fn in_time(stream: impl Future, turn: Arc<Turn>, idle: Duration) {
    let mut stream = pin!(stream);
    let mut timer = Timer::default();
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match turn.since() {
            Some(since) => timer.poll(cx, since + idle),
            None => Poll::Pending,
        }
    })
    .await;
}
