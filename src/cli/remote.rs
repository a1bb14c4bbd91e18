//! A running gateway, asked through its admin API.

use super::args::{AdminTls, Api};
use super::{Stop, block_on};
use crate::admin::client::{Answer, Client, ClientError, Credentials};
use hyper::Method;

/// An admin API, and what is shown to it.
pub(super) struct Remote(Client);

impl Remote {
    pub(super) fn new(url: &str, tls: AdminTls) -> Result<Self, Stop> {
        let certificate = tls.admin_cert.zip(tls.admin_key);
        let token = std::env::var("PARAVENT_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
        if token.is_none() && certificate.is_none() {
            return Err(Stop::usage(
                "PARAVENT_ADMIN_TOKEN holds no token; `paravent admin token` makes one (or show a certificate: --admin-cert)",
            ));
        }
        let credentials = Credentials { token: token.map(Into::into), certificate };
        Client::new(url, credentials, tls.ca).map(Self).map_err(stop)
    }

    pub(super) fn of(api: Api) -> Result<Self, Stop> {
        Self::new(&api.admin, api.tls)
    }

    /// Asks; any status is an answer.
    pub(super) fn send(&self, method: Method, path: &str) -> Result<Answer, Stop> {
        block_on(async { self.0.send(method, path).await.map_err(stop) })
    }

    /// The text of an answer to a request that succeeded.
    pub(super) fn text(&self, method: Method, path: &str) -> Result<String, Stop> {
        let answer = self.send(method, path)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(Stop::failed(problem(answer.status, &answer.body)))
    }

    /// The same, read.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<serde_json::Value, Stop> {
        serde_json::from_str(&self.text(method, path)?).map_err(|_| Stop::failed("the answer is not JSON"))
    }
}

/// A problem+json as one line.
fn problem(status: u16, body: &str) -> String {
    let Ok(problem) = serde_json::from_str::<serde_json::Value>(body) else {
        return format!("the admin API answered {status}");
    };
    let text = |key: &str| problem.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    format!("{}: {} ({status}, {})", text("title"), text("detail"), text("type"))
}

fn stop(error: ClientError) -> Stop {
    match error {
        ClientError::Usage(_) => Stop::usage(error),
        ClientError::Failed(_) => Stop::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_one_line() {
        let body = r#"{"type":"docs/errors.md#x","title":"No","status":403,"detail":"why"}"#;
        assert_eq!(problem(403, body), "No: why (403, docs/errors.md#x)");
        assert_eq!(problem(502, "<html>"), "the admin API answered 502");
    }
}
