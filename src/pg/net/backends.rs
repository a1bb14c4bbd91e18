//! Which of a server's processes serve this gateway: those of its clients' connections and of its own logins. Any other
//! may carry what an earlier process of the gateway, or a connection that was lost, sent last.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Server (by its address) and process id of every open connection. Cheap to clone; one for a gateway.
#[derive(Debug, Clone, Default)]
pub struct Backends(Arc<Mutex<Open>>);

/// Process ids, each with the connections that name it: another server behind the same address may use one twice.
type Open = HashMap<Box<str>, HashMap<i32, u32>>;

/// An open connection's server process. Let go of before anything that waits for the connection's outcome.
#[derive(Debug)]
pub struct Backend {
    all: Backends,
    server: Box<str>,
    pid: i32,
}

impl Backends {
    /// A connection to that server is open.
    pub(super) fn register(&self, server: &str, pid: i32) -> Backend {
        *self.0.lock().entry(server.into()).or_default().entry(pid).or_default() += 1;
        Backend { all: self.clone(), server: server.into(), pid }
    }

    /// The processes of that server's open connections.
    pub(super) fn of(&self, server: &str) -> HashSet<i32> {
        self.0.lock().get(server).map(|open| open.keys().copied().collect()).unwrap_or_default()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        let Some(open) = all.get_mut(&self.server) else { return };
        if let Some(count) = open.get_mut(&self.pid) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_for_as_long_as_a_connection_names_it() {
        let backends = Backends::default();
        let (first, second) = (backends.register("a", 7), backends.register("a", 7));
        let other = backends.register("b", 8);
        drop(first);
        assert_eq!(backends.of("a"), HashSet::from([7]));
        drop(second);
        assert!(backends.of("a").is_empty());
        assert_eq!(backends.of("b"), HashSet::from([8]));
        drop(other);
    }
}
