//! Erasure, rotation and start-up on the disk that `TMPDIR` names. Prints figures: `cargo bench --bench rights [SUBJECTS]`
//! (1,000,000 unless given).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at any fault, and prints"
)]

use paravent::crypto::SigningKey;
use paravent::ids::{Generation, Subject};
use paravent::keyring::{Keyring, KeyringError, Options};
use paravent::keys::Purpose;
use paravent::keystore::StoreError;
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::{GenerationState, Scope, Settle, UnitId};
use paravent::rights::{Ledger, Rights};
use paravent::roots::FileRoots;
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Subjects that share a write while the store is filled.
const TOGETHER: u64 = 2_000;
const ERASURES: u64 = 500;

async fn open(folder: &Path) -> (Keyring, Rights) {
    let store = Arc::new(Embedded::open(&folder.join("k")).unwrap());
    let roots = FileRoots::open(folder.join("keys")).unwrap();
    let keyring = Keyring::open(store, &roots, Options::default()).await.unwrap();
    let ledger = Ledger::open(&folder.join("ledger")).unwrap();
    let rights = Rights::open(keyring.clone(), ledger, SigningKey::generate().unwrap()).await.unwrap();
    (keyring, rights)
}

fn person(n: u64) -> Subject {
    Subject::new("person", n.to_string())
}

/// Secrets for so many subjects from `from` on, settled.
async fn fill(keyring: &Keyring, from: u64, count: u64) {
    let unit = UnitId(u128::from(from + 1).to_be_bytes());
    let fresh = |n| keyring.fresh(&Purpose::default(), Some(&person(n)), true).unwrap().row;
    // As the door does: a rotation may begin between making a secret and writing it.
    loop {
        let secrets = (from..from + count).map(fresh).collect();
        match keyring.write(unit, &"bench".into(), secrets, Vec::new()).await {
            Err(KeyringError::Store(StoreError::Stale)) => {}
            other => break drop(other.unwrap()),
        }
    }
    let (sender, done) = tokio::sync::oneshot::channel();
    let settle = Settle { unit, scope: Scope::All, committed: true };
    keyring.store().settle(settle, Box::new(move |outcome| drop(sender.send(outcome))));
    done.await.unwrap().unwrap();
}

fn cpu(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap()
}

fn quantile(times: &mut [Duration], of: f64) -> Duration {
    times.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = ((times.len() - 1) as f64 * of) as usize;
    times[at]
}

/// Writes about new people, one after the other, as long as it is asked to: their times.
async fn traffic(keyring: Keyring, from: u64, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        fill(&keyring, from + times.len() as u64, 1).await;
        times.push(begun.elapsed());
    }
    times
}

async fn measure(subjects: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    FileRoots::generate(path.join("keys")).unwrap();
    let (keyring, rights) = open(path).await;
    let begun = Instant::now();
    for from in (0..subjects).step_by(usize::try_from(TOGETHER).unwrap()) {
        fill(&keyring, from, TOGETHER.min(subjects - from)).await;
    }
    println!("filled with {subjects} subjects in {:.1?}", begun.elapsed());
    drop((keyring, rights));

    let begun = Instant::now();
    let (keyring, rights) = open(path).await;
    println!("start-up: {:.1?}", begun.elapsed());

    let mut times = Vec::new();
    for n in 0..ERASURES.min(subjects / 2) {
        let begun = Instant::now();
        rights.erase(&person(n * 2), "bench").await.unwrap();
        times.push(begun.elapsed());
    }
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    println!("erase: p50 {p50:.2?}, p99 {p99:.2?}, of {}", times.len());

    let over = Arc::new(AtomicBool::new(false));
    let alone = tokio::spawn(traffic(keyring.clone(), 1 << 40, over.clone()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    over.store(true, Ordering::Relaxed);
    let mut alone = alone.await.unwrap();

    println!("a write alone: p50 {:.2?}, p99 {:.2?}", quantile(&mut alone, 0.5), quantile(&mut alone, 0.99));

    // Of fresh rows, and of rows that were wrapped again before.
    let roots = FileRoots::open(path.join("keys")).unwrap();
    rotation(&keyring, &roots, Generation(2)).await;
    let store = keyring.store();
    keyring.close_domains(Generation(1)).await.unwrap();
    keyring.reseal_subjects(Generation(1)).await.unwrap();
    store.advance(Generation(1), GenerationState::Empty).await.unwrap();
    store.advance(Generation(1), GenerationState::Destroyed).await.unwrap();
    rotation(&keyring, &roots, Generation(3)).await;
}

/// Wraps every secret under a new generation, while somebody writes about new people.
async fn rotation(keyring: &Keyring, roots: &FileRoots, to: Generation) {
    let over = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(traffic(keyring.clone(), u64::from(to.0) << 41, over.clone()));
    let begun = Instant::now();
    let from = keyring.active_generation();
    keyring.begin_rotation(roots, to).await.unwrap();
    let worker = keyring.clone();
    // On a thread of its own and of a lower priority, as the gateway's jobs are.
    let before = cpu(ClockId::ProcessCPUTime);
    let thread = std::thread::Builder::new().name("jobs".into()).spawn(move || {
        rustix::process::nice(10).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let moved = runtime.block_on(async {
            worker.open_domains(from).await.unwrap();
            worker.rewrap(from, |_| Duration::ZERO).await.unwrap().moved
        });
        (moved, cpu(ClockId::ThreadCPUTime))
    });
    let thread = thread.unwrap();
    let (moved, own) = tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    let took = begun.elapsed();
    let all = cpu(ClockId::ProcessCPUTime) - before;
    over.store(true, Ordering::Relaxed);
    let mut beside = beside.await.unwrap();
    #[allow(clippy::cast_precision_loss)]
    let rate = moved as f64 / took.as_secs_f64();
    println!("rotation: {moved} secrets in {took:.1?}, {rate:.0} a second");
    #[allow(clippy::cast_precision_loss)]
    let each = |time: Duration| time.as_secs_f64() * 1e6 / moved as f64;
    println!(
        "CPU time for each: {:.2} µs to read, open and wrap it, {:.2} µs for the rest, the writes meanwhile included",
        each(own),
        each(all - own)
    );
    println!(
        "a write meanwhile: p50 {:.2?}, p99 {:.2?}",
        quantile(&mut beside, 0.5),
        quantile(&mut beside, 0.99)
    );
}

fn main() {
    let given = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(given.unwrap_or(1_000_000)));
}
