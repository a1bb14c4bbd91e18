//! The admin API, called as `paravent subject erase` calls it.

use super::gateway::Gateway;
use super::{DemoError, Result};
use crate::admin::client::Client;
use hyper::Method;
use serde_json::Value;

/// Calls one path. Returns the status and the JSON that came back.
pub(super) async fn call(gateway: &Gateway, method: Method, path: &str) -> Result<(u16, Value)> {
    with(gateway, &gateway.token, method, path).await
}

/// The same as an operator, who runs the gateway.
pub(super) async fn operate(gateway: &Gateway, method: Method, path: &str) -> Result<(u16, Value)> {
    with(gateway, &gateway.operator, method, path).await
}

async fn with(gateway: &Gateway, token: &str, method: Method, path: &str) -> Result<(u16, Value)> {
    let failed = |e: &dyn std::fmt::Display| DemoError::Program(format!("{path}: {e}"));
    let url = format!("http://{}", gateway.admin);
    let client = Client::new(&url, token.to_owned(), None).map_err(|e| failed(&e))?;
    let answer = client.send(method, path).await.map_err(|e| failed(&e))?;
    Ok((answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null)))
}
