//! The hand-over: a record per batch, a bound, and a flag that says when it is reached.

use super::entry::event;
use super::segment::Segments;
use super::waiting::Waiting;
use super::writer::Writer;
use super::{AuditError, Entry, Head, Openings, Principal, Resolver};
use crate::crypto::SigningKey;
use crate::ids::{FieldId, KeyId};
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Openings of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Who.
    pub who: &'a Arc<Principal>,
    /// When the batch was released.
    pub at: Timestamp,
    /// The policy's field names, by [`FieldId`].
    pub fields: &'a Arc<[Arc<str>]>,
    /// What was opened.
    pub opened: &'a Openings,
    /// Values that could not be shown.
    pub faults: &'a [Found],
}

/// A stored value that could not be shown.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Why: the anchor of its entry in `docs/errors.md`.
    pub fault: &'static str,
    /// As which field it was asked for.
    pub field: FieldId,
    /// The key that it names, if it is an envelope.
    pub key: Option<KeyId>,
}

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory.
    pub path: PathBuf,
    /// Files whose last entry is older are deleted; none keeps all.
    pub keep: Option<Duration>,
    /// A file begins anew at this size, in bytes.
    pub segment: u64,
    /// What comes within this time is written, and made durable, together.
    pub moment: Duration,
    /// Values that may wait to be written; beyond it openings stop.
    pub most: usize,
    /// How much of a client's address is kept.
    pub clients: Clients,
}

/// How much of a client's address the log keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clients {
    /// All of it.
    #[default]
    Full,
    /// Its network: /24 of IPv4, /48 of IPv6.
    Network,
    /// Nothing.
    None,
}

/// Values can't be released: the log is behind by more than its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log can't be written, so that nothing is opened: {0}")]
pub struct Unwritable(pub String);

pub(super) struct Shared {
    pub(super) waiting: Mutex<Waiting>,
    /// To the writer: there is something.
    pub(super) wake: Condvar,
    /// From the writer: something is durable, or failed.
    pub(super) done: Condvar,
    /// The bound is reached.
    pub(super) over: AtomicBool,
    pub(super) options: Options,
}

/// The log, open for writing. Cheap to clone; the last one closes it.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    key: Arc<SigningKey>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the log, or begins one (mode 0700), and notes the start.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn open(options: Options, key: Arc<SigningKey>, resolver: impl Resolver) -> Result<Self, AuditError> {
        let path = options.path.clone();
        let segments = Segments::open(&options, key.clone())?;
        let unclean = segments.unclean();
        let head = segments.head();
        let waiting = Mutex::new(Waiting::after(head));
        let (wake, done) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { waiting, wake, done, over: AtomicBool::new(false), options });
        let writer = Writer { shared: shared.clone(), segments, resolver: Box::new(resolver) };
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run())
            .map_err(|source| AuditError::Io { path, source })?;
        let audit = Self { inner: Arc::new(Owner { shared, key, thread: Mutex::new(Some(thread)) }) };
        audit.note(Entry {
            unclean: Some(unclean),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..Entry::new(event::STARTED)
        });
        Ok(audit)
    }

    /// Takes openings that have happened. On an error they are on record all the same, and must not be released.
    ///
    /// # Errors
    /// [`Unwritable`].
    pub fn record(&self, record: &Record<'_>) -> Result<(), Unwritable> {
        let shared = &self.inner.shared;
        let mut waiting = shared.waiting.lock();
        let first = waiting.is_empty();
        waiting.gather(record.who, record.fields, record.at, record.opened, record.faults);
        let over = waiting.values > shared.options.most;
        if over {
            shared.over.store(true, Ordering::Release);
        }
        drop(waiting);
        // The writer lets a moment pass from the first record on, and is not woken for those after it.
        if first || over {
            shared.wake.notify_one();
        }
        self.accepts()
    }

    /// Whether values may be opened.
    ///
    /// # Errors
    /// [`Unwritable`].
    pub fn accepts(&self) -> Result<(), Unwritable> {
        let shared = &self.inner.shared;
        if !shared.over.load(Ordering::Acquire) {
            return Ok(());
        }
        let failed = shared.waiting.lock().failed.clone();
        Err(Unwritable(failed.unwrap_or_else(|| "it is behind".to_owned())))
    }

    /// An address as the log writes it.
    pub fn client(&self, address: IpAddr) -> String {
        match (self.inner.shared.options.clients, address) {
            (Clients::Full, address) => address.to_string(),
            (Clients::Network, IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            (Clients::Network, IpAddr::V6(address)) => {
                let [a, b, c, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
            (Clients::None, _) => String::new(),
        }
    }

    /// Takes another entry; its number and time are given when it is written.
    pub fn note(&self, entry: Entry) {
        let shared = &self.inner.shared;
        let mut waiting = shared.waiting.lock();
        waiting.note(entry);
        drop(waiting);
        shared.wake.notify_one();
    }

    /// Writes what waits, notes the stop, and opens nothing any more. Blocks.
    pub fn close(&self) {
        self.inner.close();
    }

    /// The newest durable entry, as it is now.
    pub fn head(&self) -> Head {
        self.inner.shared.waiting.lock().head.clone()
    }

    /// Waits until all that was handed over is durable, and gives the head, signed. Blocks.
    ///
    /// # Errors
    /// [`Unwritable`] when that takes longer than `patience`.
    pub fn flush(&self, patience: Duration) -> Result<Head, Unwritable> {
        let (shared, end) = (&self.inner.shared, Instant::now() + patience);
        let mut waiting = shared.waiting.lock();
        let wanted = waiting.given;
        while waiting.written < wanted {
            waiting.flush = true;
            shared.wake.notify_one();
            if shared.done.wait_until(&mut waiting, end).timed_out() && waiting.written < wanted {
                let why = waiting.failed.clone().unwrap_or_else(|| "it is slow".to_owned());
                return Err(Unwritable(why));
            }
        }
        let head = waiting.head.clone();
        drop(waiting);
        let mut hash = [0; 32];
        // Only ever a hash that was written as hex.
        let _ = hex::decode_to_slice(&head.hash, &mut hash);
        Ok(Head::new(head.sequence, &hash, crate::clock::wall_text(), &self.inner.key))
    }
}

impl Owner {
    fn close(&self) {
        self.shared.waiting.lock().closed = true;
        self.shared.over.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}
