//! TLS material from PEM files, for every listener and every upstream (rustls, aws-lc-rs).

use crate::config::TlsFiles;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The cryptography that rustls uses here.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// An error about a file or a setting: wrong usage, not a failure of the moment.
pub fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_string())
}

/// The certificates of a PEM file, in its order; at least one.
///
/// # Errors
/// The file can't be read, or holds none.
pub fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| invalid(format!("{}: {e}", path.display())))?
        .collect();
    match certs {
        Ok(certs) if certs.is_empty() => Err(invalid(format!("{}: holds no certificate", path.display()))),
        Ok(certs) => Ok(certs),
        Err(e) => Err(invalid(format!("{}: {e}", path.display()))),
    }
}

/// The first private key of a PEM file (PKCS#8, PKCS#1 or SEC1).
///
/// # Errors
/// The file can't be read, or holds none.
pub fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| invalid(format!("{}: {e}", path.display())))
}

/// A PEM file of accepted roots.
///
/// # Errors
/// The file can't be read, or a certificate in it is no root.
pub fn roots(path: &Path) -> io::Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for cert in certificates(path)? {
        store.add(cert).map_err(|e| invalid(format!("{}: {e}", path.display())))?;
    }
    Ok(Arc::new(store))
}

/// TLS towards clients, who choose among the protocols of `alpn` (RFC 7301).
///
/// # Errors
/// Files that can't be read or don't fit together, with their path.
pub fn server(files: &TlsFiles, alpn: &[&[u8]]) -> io::Result<Arc<ServerConfig>> {
    let key = private_key(&files.key)?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(invalid)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider()).build().map_err(invalid)?,
        ),
    };
    let mut config = builder
        .with_single_cert(certificates(&files.cert)?, key)
        .map_err(|e| invalid(format!("{}: {e}", files.cert.display())))?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
