//! Tokens and identifiers: the formats on both sides of a pseudonym.
//!
//! A token is random, never derived from the identifier that it stands for. What maps one to the other
//! lives in the keystore alone.
//!
//! | kind | token | random bits |
//! |---|---|---|
//! | text | `psn_` and 26 characters of `a–z2–7` | 130 |
//! | email | `psn_`, the same 26 characters, `@p.invalid` (RFC 2606 §2: never delivered) | 130 |
//! | mailbox | the same, `@p.example.com` (RFC 2606 §3) | 130 |
//! | uuid | a version 4 UUID, lower case with hyphens (RFC 9562 §5.4) | 122 |
//! | integer | decimal, 1 to 2^63 - 1 | 63 |
//!
//! All are the same in upper and lower case comparisons, because they have one case only.

mod identifier;
mod token;

pub use identifier::{Identifier, IdentifierError, MAX_IDENTIFIER, fold, normalise};
pub use token::{Token, TokenError, max_token_len};
