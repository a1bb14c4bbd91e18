//! Python with packages of its own, in a virtual environment that is kept between runs until its requirements change.

use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The interpreter of an environment with these requirements (lines as in `requirements.txt`).
pub fn python(name: &str, requirements: &str) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let digest = hex::encode(Sha256::digest(requirements));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", &digest[..16]));
    let python = kept.join("bin/python");
    if kept.join("complete").exists() {
        return python;
    }
    let run = |program: &Path, args: &[&str]| {
        let out = Command::new(program).args(args).output().expect("python3 is installed (`make deps`)");
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", kept.to_str().unwrap()]);
    let list = kept.join("requirements.txt");
    std::fs::write(&list, requirements).unwrap();
    run(&python, &["-m", "pip", "install", "--quiet", "-r", list.to_str().unwrap()]);
    std::fs::write(kept.join("complete"), "").unwrap();
    python
}
