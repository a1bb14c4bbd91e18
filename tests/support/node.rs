//! Node with packages of its own, in a directory that is kept between runs until the packages change.

use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// A directory in which these packages (name, version) are installed.
pub fn modules(name: &str, packages: &[(&str, &str)]) -> PathBuf {
    install(name, &serde_json::json!({"private": true, "dependencies": dependencies(packages)}), &[])
}

/// Packages as a manifest names them.
pub fn dependencies(packages: &[(&str, &str)]) -> serde_json::Value {
    packages.iter().map(|(name, version)| ((*name).to_owned(), serde_json::Value::from(*version))).collect()
}

/// A directory in which what `manifest` (a package.json) asks for is installed, with more options for npm.
pub fn install(name: &str, manifest: &serde_json::Value, options: &[&str]) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let digest = hex::encode(Sha256::digest(manifest.to_string()));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", &digest[..16]));
    if kept.join("complete").exists() {
        return kept;
    }
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("package.json"), manifest.to_string()).unwrap();
    let mut npm = Command::new("npm");
    npm.current_dir(&kept).args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).args(options);
    let out = npm.output().expect("npm is installed (`make deps`)");
    assert!(out.status.success(), "npm: {}", String::from_utf8_lossy(&out.stderr));
    fs::write(kept.join("complete"), "").unwrap();
    kept
}

/// A process of node's; ended when dropped.
pub struct Node(Child);

impl Node {
    /// Runs a command of the packages; what it says goes to `log`.
    pub fn start(modules: &Path, command: &str, args: &[&str], home: &Path, env: &[(&str, String)]) -> Self {
        let log = fs::File::create(home.join("service.log")).unwrap();
        let mut node = Command::new(modules.join("node_modules/.bin").join(command));
        node.args(args).current_dir(home).envs(env.iter().map(|(k, v)| (k, v)));
        node.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(node.spawn().unwrap())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
