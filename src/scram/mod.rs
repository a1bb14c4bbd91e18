//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as Postgres speaks it, from both ends: towards a client, against a verifier as
//! `pg_authid` has it, and towards the server, with the key that the client's proof gave away.
//!
//! Texts in, texts out: no input or output, and no key is lent to anybody. A password is never known, so SASLprep isn't
//! needed here.

mod binding;
mod client;
mod file;
mod message;
mod server;
#[cfg(test)]
mod tests;
mod verifier;

pub use binding::{Binding, Channel};
pub use client::{Answered, Challenge, Login};
pub use file::{Unreadable, look_up};
pub use server::{Challenged, First, Proven};
pub use verifier::Verifier;

/// The mechanism.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The same, bound to a TLS channel.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Why an exchange ends. Texts are Postgres's own where it has them; none holds what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Not what the RFCs say.
    #[error("malformed SCRAM message")]
    Malformed,
    /// A mechanism that was not offered.
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    /// The client wants to act as another.
    #[error("client uses authorization identity, but it is not supported")]
    Identity,
    /// It asks for an extension that must be understood.
    #[error("client requires an unsupported SCRAM extension")]
    Extension,
    /// It could bind to the channel, and says that this was not offered: somebody took the offer away.
    #[error("SCRAM channel binding negotiation error")]
    Negotiation,
    /// Another way of binding than to the end point's certificate.
    #[error("unsupported SCRAM channel-binding type")]
    BindingType,
    /// It is bound to another channel: somebody is in between.
    #[error("SCRAM channel binding check failed")]
    Binding,
    /// The proof is of another password, or there is nobody of that name.
    #[error("password authentication failed")]
    Proof,
    /// Who answers does not know what the server of this password knows.
    #[error("the server does not prove that it knows the role")]
    Server,
}
