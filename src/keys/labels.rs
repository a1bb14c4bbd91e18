//! Every label of the hierarchy. A label is never reused, never changed, and never the prefix of another,
//! so that two uses of one key can't meet on the same input.

/// S → key id.
pub const KEY_ID: &[u8] = b"paravent/v1/key-id";
/// S → user key.
pub const USER_KEY: &[u8] = b"paravent/v1/user-key";
/// S → key of one sealed body.
pub const BODY_KEY: &[u8] = b"paravent/v1/body";
/// G → key that wraps one subject secret.
pub const WRAP: &[u8] = b"paravent/v1/wrap";
/// G → key that wraps one domain secret.
pub const DOMAIN_WRAP: &[u8] = b"paravent/v1/domain-wrap";
/// D → lookup key.
pub const LOOKUP_KEY: &[u8] = b"paravent/v1/lookup-key";
/// D → key of the marks of erased subjects.
pub const MARK_KEY: &[u8] = b"paravent/v1/mark-key";
/// S → what the audit log calls its subject.
pub const STAND_IN: &[u8] = b"paravent/v1/stand-in";
/// Subject → the mark against its lost creations (HMAC message prefix).
pub const LOST: &[u8] = b"paravent/v1/lost";
/// Root key → what it is known by.
pub const ROOT_ID: &[u8] = b"paravent/v1/root-id";
/// Root key → key that wraps its generation key.
pub const ROOT_WRAP: &[u8] = b"paravent/v1/root-wrap";
/// Field name → field tag (SHA-256).
pub const FIELD: &[u8] = b"paravent/v1/field";
/// G → key that seals one erased subject until its places are swept.
pub const SWEEP: &[u8] = b"paravent/v1/sweep";
/// Identifier as it is → lookup (HMAC message prefix).
pub const EXACT: &[u8] = b"paravent/v1/exact";
/// Folded identifier → lookup (HMAC message prefix).
pub const FOLD: &[u8] = b"paravent/v1/fold";

/// All of them, for the test and for reviewers.
pub const ALL: [&[u8]; 15] = [
    BODY_KEY,
    KEY_ID,
    USER_KEY,
    WRAP,
    DOMAIN_WRAP,
    LOOKUP_KEY,
    MARK_KEY,
    LOST,
    ROOT_ID,
    ROOT_WRAP,
    FIELD,
    SWEEP,
    EXACT,
    FOLD,
    STAND_IN,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_prefix_free() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !b.starts_with(a), "{} starts {}", a.escape_ascii(), b.escape_ascii());
            }
        }
    }

    #[test]
    fn all_lists_every_label_of_this_file() {
        let declared = include_str!("labels.rs").lines().filter(|line| line.ends_with(r#"";"#)).count();
        assert_eq!(declared, ALL.len());
    }
}
