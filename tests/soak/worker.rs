//! One client: the same steps on a connection to the clear copy and on one through the gateway.

use crate::statements::Source;
use crate::steps::{self, Prepared, Step};
use crate::support::{Message, Raw, raw};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What all clients know.
pub struct Shared {
    direct: u16,
    through: u16,
    until: Instant,
    /// Odd while the database is being crashed: connections may be lost now.
    crash: AtomicU64,
    compared: AtomicU64,
    messages: AtomicU64,
    cancelled: AtomicU64,
    cut: AtomicU64,
    lost: AtomicU64,
}

impl Shared {
    pub fn new(direct: u16, through: u16, until: Instant) -> Self {
        let none = || AtomicU64::new(0);
        Self {
            direct,
            through,
            until,
            crash: none(),
            compared: none(),
            messages: none(),
            cancelled: none(),
            cut: none(),
            lost: none(),
        }
    }

    /// Marks the time in which connections may be lost.
    pub fn crashing(&self, crash: impl FnOnce()) {
        self.crash.fetch_add(1, Ordering::SeqCst);
        crash();
        self.crash.fetch_add(1, Ordering::SeqCst);
    }

    pub fn counts(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} steps and {} messages compared, {} cancelled, {} cut off, {} lost with the database",
            of(&self.compared),
            of(&self.messages),
            of(&self.cancelled),
            of(&self.cut),
            of(&self.lost)
        )
    }

    /// A soak in which little happened shows nothing.
    pub fn assert_enough(&self, connections: u64, crashes: u64) {
        for (count, least) in [
            (&self.compared, 20 * connections),
            (&self.messages, 100 * connections),
            (&self.cancelled, connections / 4),
            (&self.cut, connections / 4),
            (&self.lost, connections.min(connections * crashes)),
        ] {
            assert!(count.load(Ordering::Relaxed) >= least, "too little: {}", self.counts());
        }
    }
}

/// The two connections, and what is prepared on both.
struct Pair {
    direct: Raw,
    through: Raw,
    prepared: Prepared,
    /// The count of crashes when they were made.
    crash: u64,
}

pub struct Worker {
    shared: Arc<Shared>,
    source: Source,
    number: u64,
    /// What was sent last through the gateway, to tell how a difference came about.
    history: VecDeque<String>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, number: u64, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        Self { shared, source: Source::new(number, random), number, history: VecDeque::new() }
    }

    pub fn run(mut self) {
        let mut pair = self.fresh();
        while Instant::now() < self.shared.until {
            let before = pair.crash;
            if self.turn(&mut pair).is_none() {
                // Only a crash of the database explains it. What it left is not known: all begins anew.
                assert!(self.crashed_since(before), "client {}: a connection was lost", self.number);
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                pair = self.fresh();
            }
        }
        pair.direct.try_send(&raw::terminate()).ok();
        pair.through.try_send(&raw::terminate()).ok();
    }

    fn crashed_since(&self, before: u64) -> bool {
        self.shared.crash.load(Ordering::SeqCst) != before
    }

    /// Connections to both, with nothing of this client's in either database.
    fn fresh(&mut self) -> Pair {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(pair) = self.connect().and_then(|pair| self.cleaned(pair)) {
                return pair;
            }
            assert!(Instant::now() < end, "client {}: no connection in two minutes", self.number);
            std::thread::yield_now();
        }
    }

    fn connect(&self) -> Option<Pair> {
        let crash = self.shared.crash.load(Ordering::SeqCst);
        if crash % 2 == 1 {
            return None;
        }
        let direct = Raw::try_connect(self.shared.direct, "clear")?;
        let through = Raw::try_connect(self.shared.through, "app")?;
        Some(Pair { direct, through, prepared: Prepared::new(), crash })
    }

    fn cleaned(&self, mut pair: Pair) -> Option<Pair> {
        for sql in self.source.clean() {
            for client in [&mut pair.direct, &mut pair.through] {
                let answers = exchange(client, &raw::query(&sql), 1)?;
                assert!(answers[0].tag == b'C', "client {}: {sql}: {answers:?}", self.number);
            }
        }
        Some(pair)
    }

    /// One step of any kind. `None` when a connection was lost.
    fn turn(&mut self, pair: &mut Pair) -> Option<()> {
        let source = &mut self.source;
        let step = match source.random.random_range(0..40) {
            0 => return self.cancel(pair),
            1 => return self.cut(pair),
            2..8 => steps::simple(source),
            8..12 => steps::script(source),
            12..22 => steps::pipeline(source),
            22..32 => steps::named(source, &mut pair.prepared),
            32..34 => steps::portal(source),
            34..37 => steps::block(source),
            _ => steps::copy(source),
        };
        self.remember(&step);
        let direct = exchange(&mut pair.direct, &step.direct, step.readies)?;
        let through = exchange(&mut pair.through, &step.through, step.readies)?;
        self.compare(&step, &direct, &through);
        Some(())
    }

    fn remember(&mut self, step: &Step) {
        let shown = |b: &u8| if b.is_ascii_graphic() || *b == b' ' || *b >= 0x80 { *b } else { b'.' };
        let text: Vec<u8> = step.through.iter().map(shown).collect();
        self.history.push_back(format!("{}: {}", step.what, String::from_utf8_lossy(&text)));
        if self.history.len() > 40 {
            self.history.pop_front();
        }
    }

    fn compare(&self, step: &Step, direct: &[Message], through: &[Message]) {
        let lines = |messages: &[Message]| messages.iter().filter_map(seen).collect::<Vec<_>>();
        let (one, other) = (lines(direct), lines(through));
        assert!(
            one == other,
            "client {}: {} differs.\ndirect:\n  {}\nthrough:\n  {}\nsent:\n{}",
            self.number,
            step.what,
            one.join("\n  "),
            other.join("\n  "),
            Vec::from(self.history.clone()).join("\n")
        );
        self.shared.compared.fetch_add(1, Ordering::Relaxed);
        self.shared.messages.fetch_add(one.len() as u64, Ordering::Relaxed);
    }

    /// A statement that takes long, cancelled by another connection: again until it has begun.
    fn cancel(&mut self, pair: &mut Pair) -> Option<()> {
        let step = steps::endless();
        let mut answers = Vec::new();
        for (client, port, bytes) in [
            (&mut pair.direct, self.shared.direct, &step.direct),
            (&mut pair.through, self.shared.through, &step.through),
        ] {
            client.try_send(bytes).ok()?;
            // Again and again: a cancel that comes before the statement has begun is lost, as Postgres has it.
            std::thread::scope(|scope| {
                let (done, over) = std::sync::mpsc::channel::<()>();
                let key = client.key.clone();
                scope.spawn(move || {
                    let pause = Duration::from_millis(20);
                    while over.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                        if let Ok(mut other) = Raw::try_dial(port) {
                            other.try_send(&raw::cancel(&key)).ok();
                            other.drain();
                        }
                    }
                });
                let read = until(client, 1);
                drop(done);
                read
            })
            .map(|read| answers.push(read))?;
        }
        // Whether it came so far as to describe its columns is chance.
        answers.iter_mut().for_each(|read: &mut Vec<Message>| read.retain(|message| message.tag != b'T'));
        self.compare(&step, &answers[0], &answers[1]);
        self.shared.cancelled.fetch_add(1, Ordering::Relaxed);
        // One that is still under way may hit what comes next.
        self.reconnect(pair)?;
        Some(())
    }

    /// Hangs up in the middle of something, and comes back to what was before it.
    fn cut(&mut self, pair: &mut Pair) -> Option<()> {
        let step = steps::cut_off(&mut self.source);
        self.remember(&step);
        pair.direct.try_send(&step.direct).ok()?;
        pair.through.try_send(&step.through).ok()?;
        self.reconnect(pair)?;
        self.shared.cut.fetch_add(1, Ordering::Relaxed);
        Some(())
    }

    /// Hangs up on both sides and connects again, once neither backend is left: they would hold locks yet.
    fn reconnect(&self, pair: &mut Pair) -> Option<()> {
        let process = |client: &Raw| i32::from_be_bytes(client.key[..4].try_into().unwrap());
        let left = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid IN ({}, {})",
            process(&pair.direct),
            process(&pair.through)
        );
        *pair = self.connect()?;
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let answers = exchange(&mut pair.direct, &raw::query(&left), 1)?;
            if answers.iter().any(|m| m.tag == b'D' && m.texts() == [Some("0".to_owned())]) {
                return Some(());
            }
            assert!(Instant::now() < end, "client {}: a backend outlives its client", self.number);
        }
    }
}

fn exchange(client: &mut Raw, bytes: &[u8], readies: usize) -> Option<Vec<Message>> {
    client.try_send(bytes).ok()?;
    until(client, readies)
}

fn until(client: &mut Raw, mut readies: usize) -> Option<Vec<Message>> {
    let mut messages = Vec::new();
    while readies > 0 {
        let message = client.read()?;
        readies -= usize::from(message.tag == b'Z');
        messages.push(message);
    }
    Some(messages)
}

/// A message as it is compared. What is refused is another error on a direct connection; of a row that fails a constraint
/// the DETAIL is left out.
fn seen(message: &Message) -> Option<String> {
    match message.tag {
        b'N' | b'S' => None,
        b'E' => {
            let fields = message.fields();
            let refused = fields.get(&'H').is_some_and(|hint| hint.contains("docs/errors.md#whole-row"));
            let missing = fields[&'M'].contains("no_such_column");
            if refused || missing {
                return Some("Error: refused".to_owned());
            }
            let detail = fields.get(&'D').filter(|detail| !detail.starts_with("Failing row"));
            Some(format!("Error {} {} {detail:?}", fields[&'C'], fields[&'M']))
        }
        _ => Some(message.line()),
    }
}
