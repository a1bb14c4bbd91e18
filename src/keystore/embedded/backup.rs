//! A consistent copy while everything goes on: `VACUUM INTO` reads one snapshot and writes live rows only, so that
//! no deleted byte gets into it (<https://sqlite.org/lang_vacuum.html>).

use super::fail::{Fail, Op};
use crate::keystore::StoreError;
use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file appears under its name whole, or not at all.
pub(super) fn backup(conn: &Connection, to: &Path) -> Op<()> {
    if to.exists() {
        return Err(StoreError::Backup(format!("{} is there already", to.display())).into());
    }
    let mut draft = to.as_os_str().to_owned();
    draft.push(".part");
    let draft = Path::new(&draft);
    let written = write(conn, draft).and_then(|()| {
        File::open(draft).and_then(|file| file.sync_all()).map_err(|e| failed(draft, &e))?;
        std::fs::rename(draft, to).map_err(|e| failed(to, &e))?;
        let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed(folder, &e))
    });
    if written.is_err() {
        let _ = std::fs::remove_file(draft);
    }
    written
}

fn write(conn: &Connection, draft: &Path) -> Op<()> {
    // An empty file of its own, so that nobody else can ever read it; what a kill left of an earlier one goes.
    let _ = std::fs::remove_file(draft);
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(draft).map_err(|e| failed(draft, &e))?;
    let name =
        draft.to_str().ok_or_else(|| Fail::Answer(StoreError::Backup("its path is not UTF-8".into())))?;
    conn.execute("VACUUM INTO ?", [name])?;
    Ok(())
}

fn failed(path: &Path, e: &io::Error) -> Fail {
    Fail::Answer(StoreError::Backup(format!("{}: {e}", path.display())))
}
