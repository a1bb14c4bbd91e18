//! What a process has used, from `/proc`.

/// CPU time (user and system) of a process so far, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Fields count from 1; the second, in brackets, may hold spaces. 14 and 15: utime, stime.
    let after: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = after[11].parse::<f64>().unwrap() + after[12].parse::<f64>().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "100")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    ticks / per_second
}

/// A figure of `/proc/PID/status`, in KiB.
pub(crate) fn memory(pid: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
