//! Connections to the service: TCP or a Unix socket, TLS over it, and the choice of protocol.

use crate::config::{HttpAddress, HttpScheme, HttpUpstream, HttpUpstreamTls};
use crate::http::io::{Plain, Wire};
use crate::net::tls::{certificates, invalid, private_key, provider, roots};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// Where distributions keep the certificates that a system trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// How to reach the service; made once per listener.
pub(in crate::http) struct Connector {
    address: HttpAddress,
    scheme: HttpScheme,
    tls: Option<Tls>,
}

struct Tls {
    name: ServerName<'static>,
    /// Offers HTTP/2 and HTTP/1.1.
    any: TlsConnector,
    /// Offers HTTP/1.1 only: HTTP/2 has no upgrades.
    one: TlsConnector,
}

impl Connector {
    /// Reads certificates.
    ///
    /// # Errors
    /// A file that can't be read, or a name that is none.
    pub(in crate::http) fn new(upstream: &HttpUpstream) -> io::Result<Self> {
        let tls = match upstream.scheme {
            HttpScheme::Https => Some(Tls::new(upstream)?),
            HttpScheme::Http | HttpScheme::H2c => None,
        };
        Ok(Self { address: upstream.address.clone(), scheme: upstream.scheme, tls })
    }

    /// Whether a connection may speak HTTP/2.
    pub(super) fn may_two(&self) -> bool {
        self.scheme != HttpScheme::Http
    }

    /// Whether connections are encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether every connection speaks HTTP/2: then upgrades can't be passed on.
    pub(super) fn only_two(&self) -> bool {
        self.scheme == HttpScheme::H2c
    }

    /// A fresh connection, and what it speaks; HTTP/1.1 for `upgrade`.
    ///
    /// # Errors
    /// The service can't be reached, or shows a certificate that doesn't hold.
    pub(super) async fn connect(&self, upgrade: bool) -> io::Result<(Wire, Protocol)> {
        let plain = match &self.address {
            HttpAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Plain::Tcp(stream)
            }
            HttpAddress::Unix(path) => Plain::Unix(UnixStream::connect(path).await?),
        };
        let Some(tls) = &self.tls else {
            let protocol = if self.only_two() { Protocol::Two } else { Protocol::One };
            return Ok((Wire::Plain(plain), protocol));
        };
        let connector = if upgrade { &tls.one } else { &tls.any };
        let stream = connector.connect(tls.name.clone(), plain).await?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Two,
            _ => Protocol::One,
        };
        Ok((Wire::TlsClient(Box::new(stream)), protocol))
    }
}

impl Tls {
    fn new(upstream: &HttpUpstream) -> io::Result<Self> {
        let name = match (&upstream.tls.name, &upstream.address) {
            (Some(name), _) => name.clone(),
            (None, HttpAddress::Tcp { host, .. }) => host.clone(),
            (None, HttpAddress::Unix(_)) => "localhost".into(),
        };
        let name = ServerName::try_from(name).map_err(|_| invalid("upstream_tls.name is no host name"))?;
        let any = client(&upstream.tls, &[b"h2", b"http/1.1"])?;
        let one = client(&upstream.tls, &[b"http/1.1"])?;
        Ok(Self { name, any: any.into(), one: one.into() })
    }
}

/// What the system trusts. A certificate of a bundle that can't be read is passed over, as others do.
fn system_roots() -> io::Result<Arc<RootCertStore>> {
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.exists()).ok_or_else(|| {
        invalid("an https upstream needs upstream_tls = { ca = \"file.pem\" }: this system has no bundle")
    })?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates(bundle)?);
    Ok(Arc::new(store))
}

fn client(files: &HttpUpstreamTls, alpn: &[&[u8]]) -> io::Result<Arc<ClientConfig>> {
    let roots = match &files.ca {
        Some(ca) => roots(ca)?,
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_root_certificates(roots);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(invalid)?
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
