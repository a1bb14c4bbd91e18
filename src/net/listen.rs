//! A listening socket: TCP, or a Unix socket that replaces one left from an earlier run.

use crate::config::Listen;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// A connection in std's form, so that it can change threads.
pub enum Accepted {
    /// TCP, with the other side's address; Nagle's delay is off.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// A bound socket.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix socket.
    Unix(UnixListener),
}

/// Binds, and says where in the form of `listening …` lines.
///
/// # Errors
/// The address is taken, or can't be bound.
pub async fn bind(listen: &Listen) -> io::Result<(Listener, String)> {
    match listen {
        Listen::Tcp { host, port } => {
            let listener = TcpListener::bind((host.as_str(), *port)).await?;
            let address = listener.local_addr()?.to_string();
            Ok((Listener::Tcp(listener), address))
        }
        Listen::Unix(path) => {
            // A socket that nobody answers on is left from an earlier run.
            if path.exists() && UnixStream::connect(path).await.is_err() {
                std::fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
            Ok((Listener::Unix(listener), format!("unix:{}", path.display())))
        }
    }
}

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// Descriptors or memory ran out, or the connection was gone again.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream.into_std()?, peer))
            }
            Self::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}
