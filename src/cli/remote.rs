//! A running gateway, asked through its admin API.

use super::{Stop, block_on};
use crate::admin::client::{Client, ClientError};
use hyper::Method;
use std::path::PathBuf;

/// An admin API and the token for it.
pub(super) struct Remote(Client);

impl Remote {
    pub(super) fn new(url: &str, ca: Option<PathBuf>) -> Result<Self, Stop> {
        let token = std::env::var("PARAVENT_ADMIN_TOKEN").map_err(|_| {
            Stop::usage("PARAVENT_ADMIN_TOKEN holds no token; `paravent admin token` makes one")
        })?;
        Client::new(url, token, ca).map(Self).map_err(stop)
    }

    /// Asks, and reads the answer of a request that succeeded.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<serde_json::Value, Stop> {
        let answer = block_on(async { self.0.send(method, path).await.map_err(stop) })?;
        if !(200..300).contains(&answer.status) {
            return Err(Stop::failed(problem(answer.status, &answer.body)));
        }
        serde_json::from_str(&answer.body).map_err(|_| Stop::failed("the answer is not JSON"))
    }
}

/// A problem+json as one line.
pub(super) fn problem(status: u16, body: &str) -> String {
    let Ok(problem) = serde_json::from_str::<serde_json::Value>(body) else {
        return format!("the admin API answered {status}");
    };
    let text = |key: &str| problem.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    format!("{}: {} ({status}, {})", text("title"), text("detail"), text("type"))
}

pub(super) fn stop(error: ClientError) -> Stop {
    match error {
        ClientError::Usage(_) => Stop::usage(error),
        ClientError::Failed(_) => Stop::failed(error),
    }
}
