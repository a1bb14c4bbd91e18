//! Heads: an entry named by number and hash, signed, to be kept elsewhere.

use crate::crypto::SigningKey;
use crate::crypto::signed::{Signature, sign};
use serde::{Deserialize, Serialize};

/// The `type` of every head.
pub(super) const TYPE: &str = "paravent/audit-head/v1";

/// The newest entry at some time. The file `heads` has a line for each that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// `paravent/audit-head/v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The entry's number; 0 where there is none.
    pub sequence: u64,
    /// Its hash, in hex.
    pub hash: String,
    /// When; RFC 3339, UTC.
    pub time: String,
    /// By the key that signs receipts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<Signature>,
}

impl Head {
    pub(super) fn new(sequence: u64, hash: &[u8; 32], time: String, key: &SigningKey) -> Self {
        let mut head =
            Self { kind: TYPE.to_owned(), sequence, hash: hex::encode(hash), time, signature: None };
        head.signature = sign(key, &head);
        head
    }
}
