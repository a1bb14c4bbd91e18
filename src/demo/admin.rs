//! The admin API, as an operator's tool calls it.

use super::gateway::Gateway;
use super::{DemoError, Result};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Calls one path. Returns the status and the JSON that came back.
pub(super) async fn call(gateway: &Gateway, method: Method, path: &str) -> Result<(u16, Value)> {
    let failed = |e: &dyn std::fmt::Display| DemoError::Program(format!("{path}: {e}"));
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", gateway.admin))
        .header("authorization", format!("Bearer {}", gateway.token))
        .body(Empty::<Bytes>::new())
        .map_err(|e| failed(&e))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|e| failed(&e))?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|e| failed(&e))?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
