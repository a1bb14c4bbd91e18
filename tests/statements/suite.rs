//! Where the suite lies: it is fetched once, with the script that runs it in whole.

use super::split::{Statement, statements};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder `src/test/regress` of the server's sources.
pub fn folder() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        find().unwrap_or_else(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/regress");
            let fetched = Command::new(script).arg("sources").output().unwrap();
            let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
            assert!(fetched.status.success(), "the suite's sources could not be fetched: {said}");
            find().expect("scripts/regress fetches them there")
        })
    })
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/regress")
}

fn find() -> Option<PathBuf> {
    let entries = std::fs::read_dir(kept()).ok()?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path().join("src/test/regress"))
        .filter(|p| p.join("sql").is_dir())
        .collect();
    found.sort();
    found.pop()
}

/// A file's statements, and its name.
pub struct File {
    pub name: String,
    pub statements: Vec<Statement>,
}

/// The files that run through a server of their own need: other encodings, a crash, another program.
const ELSEWHERE: [&str; 3] = ["tablespace", "subscription", "psql"];

/// Every file of the suite, by name.
pub fn files() -> Vec<File> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder().join("sql")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let sql = paths.into_iter().filter(|p| p.extension().is_some_and(|e| e == "sql"));
    sql.map(|p| file(p.file_stem().unwrap().to_str().unwrap())).collect()
}

/// Those that run by themselves.
pub fn runnable() -> Vec<String> {
    let names = files().into_iter().map(|f| f.name);
    names.filter(|n| n != "test_setup" && !ELSEWHERE.contains(&n.as_str())).collect()
}

/// One file.
pub fn file(name: &str) -> File {
    let text = std::fs::read(folder().join("sql").join(format!("{name}.sql"))).unwrap();
    // Some are in other encodings: what matters here is ASCII.
    let text = String::from_utf8_lossy(&text).into_owned();
    File { name: name.to_owned(), statements: statements(&text, folder(), &kept().join("lib")) }
}

/// Another one each time, unless it is given.
pub fn seed() -> u64 {
    let given = std::env::var("PARAVENT_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| {
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() % 1_000_000_007)
            .unwrap()
    });
    println!("PARAVENT_SEED={seed}");
    seed
}

/// Everything, not a sample.
pub fn whole() -> bool {
    std::env::var("PARAVENT_SUITE").is_ok_and(|s| s == "whole")
}

/// Just these files: `PARAVENT_SUITE=update,triggers`.
pub fn named() -> Option<Vec<String>> {
    let list = std::env::var("PARAVENT_SUITE").ok().filter(|s| !s.is_empty() && s != "whole")?;
    Some(list.split(',').map(str::to_owned).collect())
}
