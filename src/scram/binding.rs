//! What an exchange is bound to.

use crate::crypto::certificate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The channel's own mark: the hash of the server's certificate (`tls-server-end-point`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

impl Binding {
    /// Of a channel whose server shows that DER certificate; none where the certificate has no such hash.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        certificate::end_point(certificate).map(Self)
    }
}

/// What a client says of the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// It can't bind.
    Unbound,
    /// It could, and the server did not offer it.
    NotOffered,
    /// It does.
    Bound(Binding),
}

impl Channel {
    /// The GS2 header.
    pub(super) fn header(&self) -> &'static str {
        match self {
            Self::Unbound => "n,,",
            Self::NotOffered => "y,,",
            Self::Bound(_) => "p=tls-server-end-point,,",
        }
    }

    /// What `c=` must hold.
    pub(super) fn told(&self) -> String {
        let mut bytes = self.header().as_bytes().to_vec();
        if let Self::Bound(Binding(mark)) = self {
            bytes.extend_from_slice(mark);
        }
        STANDARD.encode(bytes)
    }
}
