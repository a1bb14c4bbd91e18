//! `paravent demo`, as a colleague runs it: it tells its story to the end, fits the page, and
//! leaves nothing behind, however it ends.
#![allow(clippy::unwrap_used, reason = "a test stops at any fault")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Few people: the story is the same, and the time goes into servers that start.
const PEOPLE: &str = "120";

fn demo(temporary: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_paravent"))
        .args(["demo", "--people", PEOPLE])
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A short path: the demo puts a Unix socket under it. Open to the account that Postgres runs as.
fn temporary() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn tells_the_whole_story_in_a_hundred_columns_and_leaves_nothing_behind() {
    let temporary = temporary();
    let output = demo(temporary.path()).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in text.lines() {
        assert!(console::measure_text_width(line) <= 100, "{line}");
        assert!(!line.contains('\u{1b}'), "no colours in a pipe: {line}");
    }
    // The row that is read, in clear on one side and sealed on the other.
    let line = text.lines().find(|l| l.trim_start().starts_with("last_name")).unwrap();
    assert!(line.contains("Lefèvre") && line.contains("pv1."), "{line}");
    assert!(text.contains("23505") && text.contains("0A000") && text.contains("HINT"), "{text}");
    assert!(text.contains("in the restored backup: every field of hers is empty"), "{text}");
    assert!(text.contains("through HTTP: every field of hers is empty"), "{text}");
    assert!(is_empty(temporary.path()));
}

#[test]
fn cleans_up_when_it_is_interrupted() {
    let temporary = temporary();
    let mut child = demo(temporary.path());
    // By its second act everything runs: the server, the gateway, connections.
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("2. ")), "{:?}", child.wait_with_output());
    assert!(!is_empty(temporary.path()));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert!(is_empty(temporary.path()), "servers and files are gone");
}
