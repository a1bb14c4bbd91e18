//! Which of a server's processes serve this gateway: those of its clients' connections and of its own logins. Any other
//! may carry what an earlier process of the gateway, or a connection that was lost, sent last.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Server (by its address) and process id of every open connection. Cheap to clone; one for a gateway.
#[derive(Debug, Clone, Default)]
pub struct Backends(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// Process ids, each with the connections that name it: another server behind the same address may use one twice.
    processes: HashMap<Box<str>, HashMap<i32, u32>>,
    /// Which server gave a client this key to cancel with (BackendKeyData's body).
    keys: HashMap<Box<[u8]>, Box<str>>,
}

/// An open connection's server process. Let go of before anything that waits for the connection's outcome.
#[derive(Debug)]
pub struct Backend {
    all: Backends,
    server: Box<str>,
    pid: i32,
    key: Option<Box<[u8]>>,
}

impl Backends {
    /// A connection to that server is open.
    pub(super) fn register(&self, server: &str, pid: i32) -> Backend {
        *self.0.lock().processes.entry(server.into()).or_default().entry(pid).or_default() += 1;
        Backend { all: self.clone(), server: server.into(), pid, key: None }
    }

    /// The same of a client's connection, which that key cancels.
    pub(super) fn register_client(&self, server: &str, pid: i32, key: &[u8]) -> Backend {
        let mut backend = self.register(server, pid);
        self.0.lock().keys.insert(key.into(), server.into());
        backend.key = Some(key.into());
        backend
    }

    /// The processes of that server's open connections.
    pub(super) fn of(&self, server: &str) -> HashSet<i32> {
        let all = self.0.lock();
        all.processes.get(server).map(|open| open.keys().copied().collect()).unwrap_or_default()
    }

    /// The server whose connection that key cancels.
    pub(super) fn server_of(&self, key: &[u8]) -> Option<Box<str>> {
        self.0.lock().keys.get(key).cloned()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(key) = &self.key {
            all.keys.remove(key);
        }
        let Some(open) = all.processes.get_mut(&self.server) else { return };
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

    #[test]
    fn a_key_leads_to_its_server_for_as_long_as_its_connection_is_open() {
        let backends = Backends::default();
        let client = backends.register_client("b", 8, b"\0\0\0\x08key");
        assert_eq!(backends.server_of(b"\0\0\0\x08key").as_deref(), Some("b"));
        assert_eq!(backends.of("b"), HashSet::from([8]));
        drop(client);
        assert_eq!(backends.server_of(b"\0\0\0\x08key"), None);
        assert!(backends.of("b").is_empty());
    }
}
