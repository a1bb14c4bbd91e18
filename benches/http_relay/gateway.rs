//! `paravent serve` in front of the service, with one route of four fields.

use crate::others::stop;
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running gateway.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) port: u16,
}

impl Gateway {
    /// Makes its files (policy, root key), if they are not there, and starts it in front of that port.
    pub(crate) fn start(home: &Path, service: u16) -> Self {
        let config = home.join("paravent.toml");
        let fresh = !home.exists();
        fs::create_dir_all(home).unwrap();
        fs::write(&config, CONFIG.replace("PORT", &service.to_string())).unwrap();
        let program = env!("CARGO_BIN_EXE_paravent");
        if fresh {
            let keys =
                Command::new(program).args(["keys", "generate", "--config"]).arg(&config).output().unwrap();
            assert!(keys.status.success(), "keys generate: {}", String::from_utf8_lossy(&keys.stderr));
        }
        let log = fs::File::create(home.join("gateway.log")).unwrap();
        let mut command = Command::new(program);
        command
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.process_group(0).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.strip_prefix("listening http ") else {
            panic!("the gateway did not start: {}", fs::read_to_string(home.join("gateway.log")).unwrap())
        };
        let port = address.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::TERM);
    }
}

const CONFIG: &str = r#"
[keys]
root   = "file:keys"
store  = "file:paravent.keystore"
ledger = "file:paravent.ledger"

[fields]
last_name  = "encrypt"
first_name = "encrypt"
phone      = "encrypt"
address    = "encrypt"

[[http]]
listen   = "127.0.0.1:0"
upstream = "http://127.0.0.1:PORT"

[[http.routes]]
path    = "/people/{document}"
subject = "json:/*/id"
fields  = { "/*/last_name" = "last_name", "/*/first_name" = "first_name", "/*/phone" = "phone", "/*/address" = "address" }
"#;
