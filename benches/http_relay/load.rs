//! One run of wrk.

use crate::documents::Size;
use crate::process::cpu_seconds;
use std::process::Command;

/// What is asked.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// The proxy's process; none for the service itself.
    pub(crate) pid: Option<u32>,
    /// The documents' directory.
    pub(crate) path: &'static str,
}

/// What came of it.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    /// Requests per second.
    pub(crate) rate: f64,
    /// CPU of the proxy per request, in µs.
    pub(crate) cpu: Option<f64>,
}

/// Asks for one document again and again over `connections` kept connections.
pub(crate) fn run(target: &Target, size: Size, connections: u32, seconds: u32) -> Measured {
    let url = format!("http://127.0.0.1:{}/{}/{}", target.port, target.path, size.name());
    // Pools and caches are filled before anything counts.
    wrk(&url, connections, 1);
    let before = target.pid.map(cpu_seconds);
    let (requests, rate) = wrk(&url, connections, seconds);
    let cpu = target.pid.zip(before).map(|(pid, before)| (cpu_seconds(pid) - before) * 1e6 / requests);
    Measured { rate, cpu }
}

/// Requests in all, and per second. Any answer but 2xx, and any error of a socket, ends the bench.
pub(crate) fn wrk(url: &str, connections: u32, seconds: u32) -> (f64, f64) {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), url])
        .output()
        .expect("wrk: make http-bench installs it");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "wrk: {text}");
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{url}: {text}");
    let number = |line: &str, at: usize| line.split_whitespace().nth(at).unwrap().parse::<f64>().unwrap();
    let requests = text.lines().find(|line| line.contains("requests in")).expect("wrk counts");
    let rate = text.lines().find(|line| line.starts_with("Requests/sec:")).expect("wrk divides");
    (number(requests, 0), number(rate, 1))
}
