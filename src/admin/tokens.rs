//! Admin tokens: a file of `name role sha256:HEX`, one a line. The tokens themselves are stored nowhere. A line
//! `name role cert-sha256:HEX` names a client certificate instead (SHA-256 of its DER form).
//!
//! A token has 256 random bits, so that one SHA-256 of it can't be searched backwards; no slow hash is
//! needed. Blank lines and lines that begin with `#` are passed over.

use crate::crypto::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a token's bearer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Runs the gateway: keys, policy, jobs; may erase and restrict.
    Operator,
    /// Serves subjects' rights: erases, exports, restricts; reads the audit log.
    Privacy,
    /// Reads states, receipts, the policy and the audit log.
    Auditor,
}

impl Role {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "operator" => Self::Operator,
            "privacy" => Self::Privacy,
            "auditor" => Self::Auditor,
            _ => return None,
        })
    }
}

/// As the file writes it.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "operator",
            Self::Privacy => "privacy",
            Self::Auditor => "auditor",
        })
    }
}

/// What somebody shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Token,
    Certificate,
}

impl Proof {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "sha256:",
            Self::Certificate => "cert-sha256:",
        }
    }
}

/// A line of the file.
struct Line {
    bearer: Bearer,
    proof: Proof,
    hash: [u8; 32],
}

/// Whom a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The name on its line.
    pub name: String,
    /// Its role.
    pub role: Role,
}

/// Why the token file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It can't be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// A line does not read.
    #[error("{}:{}: {}", .0.display(), .1, .2)]
    Line(PathBuf, usize, &'static str),
    /// Others than its owner may write it: they could give themselves a role.
    #[error("{}: others may write it; chmod 600 it", .0.display())]
    Writable(PathBuf),
    /// The name can't stand on a line, or stands there already.
    #[error("the name \"{0}\" {1}")]
    Name(String, &'static str),
}

/// A token file. It is read again at every request, so that a new line or a removed one counts at once.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Every line of the file; none where there is no file.
    ///
    /// # Errors
    /// A file that can't be read, is writable by others, or has a line that does not read.
    fn read(&self) -> Result<Vec<Line>, TokensError> {
        let io = |error| TokensError::Io(self.path.clone(), error);
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        if std::fs::metadata(&self.path).map_err(io)?.mode() & 0o022 != 0 {
            return Err(TokensError::Writable(self.path.clone()));
        }
        let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
        lines
            .map(|(n, line)| parse(line).map_err(|m| TokensError::Line(self.path.clone(), n + 1, m)))
            .collect()
    }

    /// Checks the file and counts its tokens.
    ///
    /// # Errors
    /// As [`TokenFile::find`].
    pub fn count(&self) -> Result<usize, TokensError> {
        Ok(self.read()?.len())
    }

    /// Whom a token belongs to. Takes the same time for every token, whichever line matches.
    ///
    /// # Errors
    /// A file that can't be read, is writable by others, or has a line that does not read.
    pub fn find(&self, token: &str) -> Result<Option<Bearer>, TokensError> {
        self.holder(Proof::Token, &Sha256::digest(token.as_bytes()).into())
    }

    /// Whom a client certificate belongs to, by the SHA-256 of its DER form. That it is valid, TLS has checked.
    ///
    /// # Errors
    /// As [`TokenFile::find`].
    pub fn find_certificate(&self, fingerprint: &[u8; 32]) -> Result<Option<Bearer>, TokensError> {
        self.holder(Proof::Certificate, fingerprint)
    }

    fn holder(&self, proof: Proof, hash: &[u8; 32]) -> Result<Option<Bearer>, TokensError> {
        let mut found = None;
        for line in self.read()? {
            if bool::from(line.hash.ct_eq(hash)) && line.proof == proof {
                found = Some(line.bearer);
            }
        }
        Ok(found)
    }

    /// Makes a token and appends its line; a new file gets mode 0600. The token is returned once and
    /// kept nowhere.
    ///
    /// # Errors
    /// A name that is taken or malformed; a file that can't be read or written.
    pub fn add(&self, name: &str, role: Role) -> Result<Zeroizing<String>, TokensError> {
        let secret = random::<32>();
        let token = Zeroizing::new(format!("pvt_{}", URL_SAFE_NO_PAD.encode(secret)));
        self.add_line(name, role, Proof::Token, &Sha256::digest(token.as_bytes()).into())?;
        Ok(token)
    }

    /// Appends the line of a client certificate, by the SHA-256 of its DER form.
    ///
    /// # Errors
    /// As [`TokenFile::add`].
    pub fn add_certificate(&self, name: &str, role: Role, der: &[u8]) -> Result<(), TokensError> {
        self.add_line(name, role, Proof::Certificate, &Sha256::digest(der).into())
    }

    fn add_line(&self, name: &str, role: Role, proof: Proof, hash: &[u8; 32]) -> Result<(), TokensError> {
        if name.is_empty()
            || name.starts_with('#')
            || name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(TokensError::Name(name.to_owned(), "is empty or has spaces or a leading #"));
        }
        if self.read()?.iter().any(|line| line.bearer.name == name) {
            return Err(TokensError::Name(name.to_owned(), "has a line already; remove it first"));
        }
        let line = format!("{name} {role} {}{}\n", proof.prefix(), hex::encode(hash));
        self.append(&line).map_err(|error| TokensError::Io(self.path.clone(), error))
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let unended =
            std::fs::read(&self.path).is_ok_and(|text| text.last().is_some_and(|byte| *byte != b'\n'));
        let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        file.write_all(format!("{}{line}", if unended { "\n" } else { "" }).as_bytes())?;
        file.sync_all()?;
        // The name of a new file, too.
        let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(parent)?.sync_all()
    }
}

fn parse(line: &str) -> Result<Line, &'static str> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(role), Some(hash), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("expected \"name role sha256:HEX\"");
    };
    let role = Role::parse(role).ok_or("the role is operator, privacy or auditor")?;
    let mut proofs = [Proof::Token, Proof::Certificate].into_iter();
    let (proof, digits) = proofs
        .find_map(|proof| Some((proof, hash.strip_prefix(proof.prefix())?)))
        .ok_or("the hash begins with sha256: or cert-sha256:")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| "the hash has 64 hexadecimal digits")?;
    Ok(Line { bearer: Bearer { name: name.to_owned(), role }, proof, hash: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file() -> (tempfile::TempDir, TokenFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("admin.tokens"));
        (dir, file)
    }

    #[test]
    fn a_new_token_is_found_and_its_text_is_stored_nowhere() {
        let (_dir, file) = file();
        let token = file.add("alice", Role::Privacy).unwrap();
        let found = file.find(&token).unwrap().unwrap();
        assert_eq!(found, Bearer { name: "alice".into(), role: Role::Privacy });
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert!(
            text.starts_with("alice privacy sha256:") && !text.contains(&token["pvt_".len()..]),
            "{text}"
        );
        assert_eq!(std::fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn any_other_token_is_nobody_s() {
        let (_dir, file) = file();
        let token = file.add("alice", Role::Auditor).unwrap();
        let hash = hex::encode(Sha256::digest(token.as_bytes()));
        for wrong in ["", "pvt_", &token[1..], &hash, &format!("{}x", *token)] {
            assert_eq!(file.find(wrong).unwrap(), None);
        }
    }

    #[test]
    fn a_certificate_is_no_token_and_a_token_no_certificate() {
        let (_dir, file) = file();
        file.add_certificate("alice", Role::Auditor, b"der").unwrap();
        let token = file.add("bob", Role::Privacy).unwrap();
        let hash = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
        assert_eq!(file.find_certificate(&hash(b"der")).unwrap().unwrap().name, "alice");
        assert_eq!(file.find_certificate(&hash(token.as_bytes())).unwrap(), None);
        assert_eq!(file.find("der").unwrap(), None);
    }

    #[test]
    fn a_removed_line_ends_its_token_at_once() {
        let (_dir, file) = file();
        let token = file.add("alice", Role::Auditor).unwrap();
        std::fs::write(&file.path, "# nobody\n\n").unwrap();
        assert_eq!(file.find(&token).unwrap(), None);
    }

    #[test]
    fn a_line_is_added_after_one_without_an_end() {
        let (_dir, file) = file();
        file.add("alice", Role::Auditor).unwrap();
        let text = std::fs::read_to_string(&file.path).unwrap();
        std::fs::write(&file.path, text.trim_end()).unwrap();
        file.add("bob", Role::Operator).unwrap();
        assert_eq!(file.count().unwrap(), 2);
    }

    #[test]
    fn a_name_is_one_word_and_taken_once() {
        let (_dir, file) = file();
        file.add("alice", Role::Auditor).unwrap();
        for name in ["alice", "", "a b", "#a", "a\nb operator sha256:00"] {
            assert!(matches!(file.add(name, Role::Operator), Err(TokensError::Name(..))), "{name}");
        }
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let (_dir, file) = file();
        let token = file.add("alice", Role::Auditor).unwrap();
        std::fs::set_permissions(&file.path, PermissionsExt::from_mode(0o622)).unwrap();
        assert!(matches!(file.find(&token), Err(TokensError::Writable(_))));
    }

    #[test]
    fn a_line_that_does_not_read_is_named() {
        let (_dir, file) = file();
        for line in
            ["alice", "alice root sha256:00", "alice operator sha256:zz", "alice operator 00", "a b c d"]
        {
            std::fs::write(&file.path, format!("# tokens\n{line}\n")).unwrap();
            let message = file.count().unwrap_err().to_string();
            assert!(message.contains("admin.tokens:2: "), "{message}");
        }
    }
}
