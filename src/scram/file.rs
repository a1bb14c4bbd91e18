//! A file of verifiers: lines `role SCRAM-SHA-256$…`, of mode 0600. A role in double quotes may hold anything, as in SQL.

use super::verifier::Verifier;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The largest file that is read.
const MAX_FILE: u64 = 16 << 20;

/// Why a file is not used. Names the file and the line, never what stands there.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system says why.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Others may read it.
    #[error("its mode is {0:o}: it must be readable by its owner alone (chmod 600)")]
    Mode(u32),
    /// Too large, or no regular file.
    #[error("it is no file, or larger than 16 MiB")]
    Kind,
    /// A line of another form.
    #[error("line {0}: expected a role and its verifier as pg_authid has it (SCRAM-SHA-256$…)")]
    Line(usize),
    /// Two lines for one role.
    #[error("line {0}: the role has a line already")]
    Twice(usize),
}

/// The verifier of a role in that file, if it has one. The whole file is read each time, so that a changed one counts at
/// once, and no answer comes sooner than another.
///
/// # Errors
/// The file can't be read, may be read by others, or has a line of another form.
pub fn look_up(path: &Path, role: &str) -> Result<Option<Verifier>, Unreadable> {
    let text = read(path)?;
    let mut found = None;
    let mut roles = std::collections::HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = name(line).ok_or(Unreadable::Line(number + 1))?;
        let verifier = Verifier::parse(rest.trim()).ok_or(Unreadable::Line(number + 1))?;
        if name == role {
            found = Some(verifier);
        }
        if !roles.insert(name) {
            return Err(Unreadable::Twice(number + 1));
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Zeroizing<String>, Unreadable> {
    // Not blocking: a FIFO of that name must not hold a log-in.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.size() > MAX_FILE {
        return Err(Unreadable::Kind);
    }
    let mode = about.mode() & 0o7777;
    if mode & !0o600 != 0 {
        return Err(Unreadable::Mode(mode));
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(about.size()).unwrap_or(0) + 1));
    Read::by_ref(&mut file).take(about.size()).read_to_string(&mut text)?;
    Ok(text)
}

/// The role that a line begins with, and the rest of it.
fn name(line: &str) -> Option<(String, &str)> {
    let Some(mut rest) = line.strip_prefix('"') else {
        let (name, rest) = line.split_once(char::is_whitespace)?;
        return Some((name.to_owned(), rest));
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn finds_a_role_by_its_exact_name() {
        let one = |salt: &str| format!("SCRAM-SHA-256$4096:{salt}${KEY}:{KEY}");
        let text = format!("# roles\n\napp {}\n\"two \"\"words\" {}\n", one("YQ=="), one("Yg=="));
        let file = file(&text, 0o600);
        let salt = |role: &str, salt: &str| {
            look_up(file.path(), role).unwrap().is_some_and(|verifier| verifier.is_asked_for(salt, 4096))
        };
        assert!(salt("app", "YQ==") && salt("two \"words", "Yg=="));
        assert!(
            look_up(file.path(), "ap").unwrap().is_none() && look_up(file.path(), "APP").unwrap().is_none()
        );
    }

    #[test]
    fn refuses_a_file_that_others_may_read_or_that_holds_something_else() {
        let good = format!("app SCRAM-SHA-256$4096:YQ==${KEY}:{KEY}\n");
        assert!(matches!(look_up(file(&good, 0o640).path(), "app"), Err(Unreadable::Mode(0o640))));
        assert!(matches!(look_up(file("app md5abc\n", 0o600).path(), "app"), Err(Unreadable::Line(1))));
        assert!(matches!(
            look_up(file(&format!("{good}{good}"), 0o600).path(), "x"),
            Err(Unreadable::Twice(2))
        ));
        assert!(matches!(look_up(Path::new("/nowhere/at/all"), "app"), Err(Unreadable::Io(_))));
        assert!(matches!(look_up(Path::new("/dev/null"), "app"), Err(Unreadable::Kind)));
    }
}
