//! The directory that everything of the demo lives in, and that goes away with it.

use super::{Result, io_error};
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A Unix socket's path must stay below 108 bytes, its own name included.
const LONGEST_BASE: usize = 60;

/// A directory that is removed when this is dropped.
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty one under the system's directory for temporary files.
    pub(super) fn new() -> Result<Self> {
        let mut base = std::env::temp_dir();
        if base.as_os_str().len() > LONGEST_BASE {
            base = PathBuf::from("/tmp");
        }
        let path = base.join(format!("paravent-demo-{:08x}", rand::random::<u32>()));
        make(&path, 0o711)?;
        Ok(Self { path })
    }

    /// A new directory inside, for its owner only.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        make(&path, 0o700)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A server that is still going down may write one more file.
        for _ in 0..3 {
            if fs::remove_dir_all(&self.path).is_ok() {
                break;
            }
        }
    }
}

fn make(path: &Path, mode: u32) -> Result<()> {
    let what = || io_error(format!("making {}", path.display()));
    DirBuilder::new().mode(mode).create(path).map_err(what())?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(what())
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.as_mut()
        .map_err(|e| std::io::Error::new(e.kind(), e.to_string()))
        .and_then(|f| f.write_all(text.as_bytes()))
        .map_err(io_error(format!("writing {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_nothing_behind() {
        let scratch = Scratch::new().unwrap();
        let inside = scratch.directory("inside").unwrap();
        write_private(&inside.join("secret"), "x").unwrap();
        let mode = fs::metadata(inside.join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let path = scratch.path.clone();
        drop(scratch);
        assert!(!path.exists());
    }
}
