//! tokio-postgres clients, direct and through the gateway.

use super::{Gateway, Postgres, postgres::PASSWORD};
use tokio_postgres::{Client, Config, NoTls};

async fn connect(port: u16, database: &str, user: &str) -> Client {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(user).password(PASSWORD).dbname(database);
    let (client, connection) = config.connect(NoTls).await.expect("the connection is accepted");
    tokio::spawn(connection);
    client
}

/// What the database really holds: as the superuser, past the gateway.
pub async fn direct(pg: &Postgres) -> Client {
    connect(pg.port(), "app", "postgres").await
}

/// The clear copy, as the application's role.
pub async fn clear_copy(pg: &Postgres) -> Client {
    connect(pg.port(), "clear", "app").await
}

/// As the application sees it.
pub async fn through(gateway: &Gateway) -> Client {
    connect(gateway.port(), "app", "app").await
}
