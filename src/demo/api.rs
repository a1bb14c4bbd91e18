//! The directory's small HTTP API, as a colleague might have written it: it reads the database, and knows nothing of
//! any gateway.

use super::{DemoError, Result, io_error};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Row};

const COLUMNS: &str = "SELECT id, last_name, first_name, email, job_title, active FROM people";

/// The API, which runs until it is dropped.
pub(super) struct Api {
    /// Where it listens.
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Api {
    /// On a connection to the database of its own.
    pub(super) async fn start(database: Client) -> Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.map_err(io_error("starting the HTTP API"))?;
        let address = listener.local_addr().map_err(io_error("starting the HTTP API"))?;
        let routes = Router::new()
            .route("/people", get(list))
            .route("/people/{id}", get(one))
            .with_state(Arc::new(database));
        let task = tokio::spawn(async move {
            // Ends with the demo.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, task })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn one(State(database): State<Arc<Client>>, Path(id): Path<i64>) -> Response {
    match database.query_opt(&format!("{COLUMNS} WHERE id = $1"), &[&id]).await {
        Ok(Some(row)) => answer(&person(&row)),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Deserialize)]
struct Filter {
    email: String,
}

async fn list(State(database): State<Arc<Client>>, Query(filter): Query<Filter>) -> Response {
    match database.query(&format!("{COLUMNS} WHERE email = $1"), &[&filter.email]).await {
        Ok(rows) => answer(&Value::Array(rows.iter().map(person).collect())),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn person(row: &Row) -> Value {
    json!({
        "id": row.get::<_, i64>(0),
        "last_name": row.get::<_, &str>(1),
        "first_name": row.get::<_, &str>(2),
        "email": row.get::<_, &str>(3),
        "job_title": row.get::<_, Option<&str>>(4),
        "active": row.get::<_, bool>(5),
    })
}

/// One GET; the status and the JSON that came back.
pub(super) async fn read(address: SocketAddr, path: &str) -> Result<(u16, Value)> {
    let failed = |e: &dyn std::fmt::Display| DemoError::Program(format!("GET {path}: {e}"));
    let stream = tokio::net::TcpStream::connect(address).await.map_err(io_error(format!("GET {path}")))?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| failed(&e))?;
    let running = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header(header::HOST, "directory.example")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let status = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.map_err(|e| failed(&e))?;
    running.abort();
    Ok((status, serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null)))
}
