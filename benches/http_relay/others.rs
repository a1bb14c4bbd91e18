//! nginx as the service and as a proxy, haproxy as a proxy: one worker each, connections kept on both sides.

use rustix::process::Signal;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until somebody accepts there.
pub(crate) fn wait_for(what: &str, port: u16) {
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < end, "{what} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// nginx in the foreground.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
}

impl Nginx {
    /// Serves the files under `www`.
    pub(crate) fn files(scratch: &Path) -> Self {
        let www = scratch.join("www");
        fs::create_dir_all(&www).unwrap();
        Self::start(
            scratch,
            "files",
            &format!("root {};\n default_type application/json;", www.display()),
            "",
        )
    }

    /// Passes everything on.
    pub(crate) fn proxy(scratch: &Path, service: u16) -> Self {
        let upstream = format!(
            "upstream service {{ server 127.0.0.1:{service}; keepalive 64; keepalive_requests 100000000; }}"
        );
        let location = "location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                        proxy_set_header Host $host; }";
        Self::start(scratch, "proxy", location, &upstream)
    }

    fn start(scratch: &Path, name: &str, server: &str, http: &str) -> Self {
        let home = scratch.join(format!("nginx-{name}"));
        fs::create_dir(&home).unwrap();
        let port = free_port();
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let config = format!(
            "{user} worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; client_max_body_size 0;\n\
             client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;\n\
             scgi_temp_path {home}/s; {http}\n server {{ listen 127.0.0.1:{port}; {server} }} }}\n",
            home = home.display()
        );
        fs::write(home.join("nginx.conf"), config).unwrap();
        let mut command = Command::new(program("nginx"));
        command
            .arg("-p")
            .arg(&home)
            .arg("-c")
            .arg(home.join("nginx.conf"))
            .arg("-e")
            .arg(home.join("start.log"));
        let child = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let nginx = Self { child, port };
        wait_for("nginx", port);
        nginx
    }

    /// The process that does the work.
    pub(crate) fn worker(&self) -> u32 {
        let master = self.child.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children.split_whitespace().next().expect("nginx has a worker").parse().unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::TERM);
    }
}

/// haproxy in the foreground.
pub(crate) struct Haproxy {
    child: Child,
    pub(crate) port: u16,
}

impl Haproxy {
    pub(crate) fn start(scratch: &Path, service: u16) -> Self {
        let port = free_port();
        let config = format!(
            "global\n maxconn 4096\n nbthread 1\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             \x20http-reuse always\nfrontend in\n bind 127.0.0.1:{port}\n default_backend service\nbackend service\n\
             \x20server s 127.0.0.1:{service}\n"
        );
        let path = scratch.join("haproxy.cfg");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(program("haproxy"));
        command.arg("-db").arg("-f").arg(&path).stdin(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().unwrap();
        let haproxy = Self { child, port };
        wait_for("haproxy", port);
        haproxy
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::TERM);
    }
}

fn program(name: &str) -> PathBuf {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|p| p.exists());
    found.unwrap_or_else(|| panic!("{name}: make http-bench installs it"))
}

/// Sends a signal, and waits.
pub(crate) fn stop(child: &mut Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
    let _ = child.wait();
}
