//! Unmodified applications and client programs in front of the gateway.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "clients/django.rs"]
mod django;
#[path = "clients/drivers.rs"]
mod drivers;
#[path = "clients/dump.rs"]
mod dump;
#[path = "clients/introspection.rs"]
mod introspection;
#[path = "clients/libpq.rs"]
mod libpq;
#[path = "clients/psql.rs"]
mod psql;
#[path = "clients/rust.rs"]
mod rust;
#[path = "clients/sqlalchemy.rs"]
mod sqlalchemy;
