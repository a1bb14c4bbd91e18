//! The `file` provider: the suite of all providers, and what only files have.

use super::super::conformance::conforms;
use super::*;
use crate::fault::{Exit, Fault};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn at(directory: &TempDir) -> PathBuf {
    directory.path().join("keys")
}

fn empty() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(at(&directory), "# none yet\n").unwrap();
    set_mode(&directory, 0o600);
    directory
}

fn set_mode(directory: &TempDir, mode: u32) {
    fs::set_permissions(at(directory), Permissions::from_mode(mode)).unwrap();
}

fn mode(directory: &TempDir) -> u32 {
    fs::metadata(at(directory)).unwrap().mode() & 0o7777
}

fn files(directory: &TempDir) -> usize {
    fs::read_dir(directory.path()).unwrap().count()
}

#[test]
fn conforms_to_the_suite_of_all_providers() {
    let directory = empty();
    conforms(&FileRoots::open(at(&directory)).unwrap());
    assert_eq!(files(&directory), 1, "no temporary file stays");
}

#[test]
fn generates_one_root_key_in_a_file_of_mode_0600() {
    let directory = TempDir::new().unwrap();
    let roots = FileRoots::generate(at(&directory)).unwrap();
    assert_eq!(mode(&directory), 0o600);
    assert_eq!(roots.list().unwrap()[0].generation, Generation(1));
    assert_eq!(files(&directory), 1);
    assert!(FileRoots::open(at(&directory)).is_ok());
}

#[test]
fn generates_another_key_each_time() {
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let roots = directories.each_ref().map(|directory| FileRoots::generate(at(directory)).unwrap());
    let key = GenerationKey::generate(Generation(1));
    let wrapped = roots[0].wrap(&key).unwrap();
    let error = roots[1].unwrap(Generation(1), &wrapped).unwrap_err();
    assert!(matches!(error, RootError::WrongRoot(Generation(1))));
}

#[test]
fn never_replaces_a_file_when_it_generates() {
    let directory = TempDir::new().unwrap();
    FileRoots::generate(at(&directory)).unwrap();
    let before = fs::read(at(&directory)).unwrap();
    assert!(matches!(FileRoots::generate(at(&directory)), Err(RootError::Io { .. })));
    assert_eq!(fs::read(at(&directory)).unwrap(), before);
    assert_eq!(files(&directory), 1);
}

#[test]
fn refuses_every_mode_that_others_could_use() {
    let directory = empty();
    for mode in [0o644, 0o640, 0o660, 0o604, 0o602, 0o610, 0o601, 0o700, 0o777, 0o4600] {
        set_mode(&directory, mode);
        let error = FileRoots::open(at(&directory)).unwrap_err();
        assert!(matches!(error, RootError::Mode { mode: found, .. } if found == mode), "{mode:o}");
        assert!(error.to_string().contains(&format!("{mode:04o}")));
        assert!(error.advice().contains("chmod 600"));
        assert_eq!(error.exit(), Exit::Usage);
    }
    for mode in [0o600, 0o400] {
        set_mode(&directory, mode);
        assert!(FileRoots::open(at(&directory)).is_ok(), "{mode:o}");
    }
}

#[test]
fn refuses_a_file_whose_mode_was_widened_later() {
    let directory = TempDir::new().unwrap();
    let roots = FileRoots::generate(at(&directory)).unwrap();
    set_mode(&directory, 0o644);
    let key = GenerationKey::generate(Generation(1));
    assert!(matches!(roots.wrap(&key), Err(RootError::Mode { .. })));
    assert!(matches!(roots.create(Generation(2)), Err(RootError::Mode { .. })));
}

#[test]
fn says_so_when_there_is_no_file() {
    let directory = TempDir::new().unwrap();
    let error = FileRoots::open(at(&directory)).unwrap_err();
    assert!(matches!(error, RootError::NoFile(_)));
    assert!(error.advice().contains("paravent keys generate"));
}

#[test]
fn refuses_a_directory_and_a_fifo() {
    let directory = TempDir::new().unwrap();
    assert!(matches!(FileRoots::open(directory.path()), Err(RootError::NotAFile(_))));
    let fifo = directory.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(matches!(FileRoots::open(fifo), Err(RootError::NotAFile(_))));
}

#[test]
fn refuses_the_value_of_keys_example_and_names_its_line() {
    let directory = empty();
    fs::write(at(&directory), include_str!("../../../keys.example")).unwrap();
    let error = FileRoots::open(at(&directory)).unwrap_err();
    assert!(matches!(error, RootError::Example { line, .. } if line > 1));
    assert!(error.to_string().contains("keys.example"));
}

#[test]
fn refuses_what_is_no_text_or_too_large() {
    let directory = empty();
    fs::write(at(&directory), b"\xff\xfe").unwrap();
    assert!(matches!(FileRoots::open(at(&directory)), Err(RootError::Io { .. })));
    fs::write(at(&directory), vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(matches!(FileRoots::open(at(&directory)), Err(RootError::Io { .. })));
}

#[test]
fn keeps_comments_and_mode_when_it_adds_and_destroys() {
    let directory = empty();
    fs::write(at(&directory), "# ours").unwrap();
    let roots = FileRoots::open(at(&directory)).unwrap();
    roots.create(Generation(1)).unwrap();
    roots.create(Generation(12)).unwrap();
    roots.destroy(Generation(1)).unwrap();
    let text = fs::read_to_string(at(&directory)).unwrap();
    assert!(text.starts_with("# ours\n12 "), "{text}");
    assert_eq!(mode(&directory), 0o600);
}

/// Another name of the old file stands for what a careless copy by link would keep.
#[test]
fn overwrites_the_old_file_when_it_destroys() {
    let directory = TempDir::new().unwrap();
    let roots = FileRoots::generate(at(&directory)).unwrap();
    let link = directory.path().join("link");
    fs::hard_link(at(&directory), &link).unwrap();
    roots.destroy(Generation(1)).unwrap();
    let left = fs::read(&link).unwrap();
    assert!(left.iter().all(|byte| *byte == b'0'));
    assert!(!roots.destruction_is_proven());
}

#[test]
fn many_at_once_lose_no_root_key() {
    let directory = empty();
    let roots = FileRoots::open(at(&directory)).unwrap();
    std::thread::scope(|scope| {
        for n in 1..=8 {
            let roots = &roots;
            scope.spawn(move || roots.create(Generation(n)).unwrap());
        }
    });
    assert_eq!(roots.list().unwrap().len(), 8);
}

#[test]
fn refuses_generation_zero() {
    let directory = empty();
    let roots = FileRoots::open(at(&directory)).unwrap();
    assert!(roots.create(Generation(0)).is_err());
    assert!(roots.list().unwrap().is_empty());
}

#[test]
fn neither_errors_nor_debug_show_a_key() {
    let directory = TempDir::new().unwrap();
    let roots = FileRoots::generate(at(&directory)).unwrap();
    let text = fs::read_to_string(at(&directory)).unwrap();
    let key = text.trim().rsplit(' ').next().unwrap().to_owned();
    fs::write(at(&directory), format!("{text}{text}")).unwrap();
    let error = roots.list().unwrap_err();
    let shown = format!("{error} {error:?} {roots:?} {}", error.advice());
    assert!(!shown.contains(&key[..8]), "{shown}");
}
