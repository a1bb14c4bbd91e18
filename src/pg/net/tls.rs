//! TLS on either leg, by rustls: what libpq's `sslmode` promises, no more and no less.

use crate::config::{SslMode, TlsFiles, Upstream};
use crate::net::tls::{self, certificates, invalid, private_key, provider, roots};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use std::io;
use std::sync::Arc;

/// The protocol name of Postgres in TLS (direct negotiation, Postgres 17).
pub const ALPN: &[u8] = b"postgresql";

/// TLS towards clients.
#[derive(Clone)]
pub struct ServerTls {
    /// What the handshake needs.
    pub config: Arc<ServerConfig>,
    /// The certificate that clients see.
    pub leaf: CertificateDer<'static>,
    /// Clients without it are refused.
    pub required: bool,
}

/// Reads the files of a listener.
///
/// # Errors
/// Files that can't be read or don't fit together, with their path.
pub fn server(files: &TlsFiles, required: bool) -> io::Result<ServerTls> {
    let config = tls::server(files, &[ALPN])?;
    let leaf = certificates(&files.cert)?.swap_remove(0);
    Ok(ServerTls { config, leaf, required })
}

/// TLS towards the server; `None` where `sslmode` asks for none.
///
/// # Errors
/// A certificate or key that is missing or can't be read.
pub fn client(upstream: &Upstream) -> io::Result<Option<Arc<ClientConfig>>> {
    let verifier: Arc<dyn ServerCertVerifier> = match (upstream.sslmode, &upstream.sslrootcert) {
        (SslMode::Disable, _) => return Ok(None),
        (SslMode::Require, None) => Arc::new(Unverified(provider())),
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
            return Err(invalid(
                "sslmode=verify-ca and verify-full need sslrootcert=FILE in the upstream URL",
            ));
        }
        (mode, Some(path)) => {
            let chain = WebPkiServerVerifier::builder_with_provider(roots(path)?, provider());
            let chain = chain.build().map_err(invalid)?;
            if mode == SslMode::VerifyFull { chain } else { Arc::new(AnyName(chain)) }
        }
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &upstream.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|e| invalid(format!("{}: {e}", cert.display())))?,
    };
    if upstream.direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(Some(Arc::new(config)))
}

/// `verify-ca`: the chain must hold, the name may be another.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(leaf, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `require` without a root: encrypted, against whoever answers (as libpq).
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
