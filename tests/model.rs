//! The protocol of erasure, rotation, leases and restore, as a model whose every state is visited.
//!
//! What the code does in steps that a crash may separate is a step each here; what it does in one durable change is one
//! step. `src/rights/erase.rs`, `src/rights/replay.rs`, `src/jobs/rotate.rs` and `src/jobs/finals.rs` are what it models.
//! A model that leaves one rule out must fail: the last tests show that each rule is needed.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "model/rekey.rs"]
mod rekey;

use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::BTreeSet;
use std::hash::Hash;

/// A wrapping generation: 1, 2, 3.
type Generation = u8;

/// The keystore, as far as one subject and one neighbour go. What a backup copies, whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Store {
    /// The generation that wraps the subject's secret; none: it is not there.
    secret: Option<Generation>,
    /// The same of somebody who is never erased.
    neighbour: Generation,
    fenced: bool,
    active: Generation,
    /// The generation that is left, until it is destroyed.
    closing: Option<Generation>,
    /// How many entries of the ledger it has seen.
    seen: u8,
    /// The highest generation whose backup was verified.
    backed_up: Generation,
}

/// A reader's cache: the subject's key, and when it last asked the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Replica {
    cached: bool,
    /// Ticks left of its lease.
    lease: u8,
    /// Whether the fence reaches it (the network may be cut).
    reachable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    store: Store,
    /// Entries of the ledger: intents.
    ledger: u8,
    /// Intents that are done.
    done: u8,
    /// Root keys at the provider.
    roots: BTreeSet<Generation>,
    backups: BTreeSet<Store>,
    replica: Replica,
    /// The gateway serves (else it must start first).
    up: bool,
    /// What the erasure's caller was told.
    answered: bool,
    /// The highest generation at the fence, as the ledger has it.
    highest: Generation,
    last: bool,
    /// The subject's row was read for wrapping again, as of that generation.
    in_hand: Option<Generation>,
    restores: u8,
    writes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Write,
    Intent,
    Fence,
    Done,
    Answer,
    Cut,
    Tick,
    Ask,
    Rotate,
    ReadForWrap,
    Wrap,
    WrapNeighbour,
    Backup,
    Destroy,
    Finish,
    Crash,
    Start,
    Restore(Store),
}

/// Rules that can be left out, to see that they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A start applies the ledger before it serves.
    Replay,
    /// Wrapping again changes a row that is there, and never inserts.
    UpdateOnly,
    /// A generation is destroyed only when nothing depends on it.
    Emptiness,
    /// And after a backup under its successor.
    BackupFirst,
    /// The answer waits for every replica, or its lease.
    Lease,
    /// Final waits for every generation up to the fence's.
    EveryGeneration,
}

struct Protocol(Without);

const LEASE: u8 = 2;
const GENERATIONS: Generation = 3;

impl Protocol {
    fn keeps(&self, rule: Without) -> bool {
        self.0 != rule
    }
}

impl Store {
    fn depends(&self, generation: Generation) -> bool {
        self.secret == Some(generation) || self.neighbour == generation
    }

    /// Whether it opens with those root keys: every secret's, and the active generation.
    fn opens(&self, roots: &BTreeSet<Generation>) -> bool {
        roots.contains(&self.active)
            && roots.contains(&self.neighbour)
            && self.secret.is_none_or(|generation| roots.contains(&generation))
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let store = Store {
            secret: None,
            neighbour: 1,
            fenced: false,
            active: 1,
            closing: None,
            seen: 0,
            backed_up: 0,
        };
        vec![State {
            store,
            ledger: 0,
            done: 0,
            roots: BTreeSet::from([1]),
            backups: BTreeSet::new(),
            replica: Replica { cached: false, lease: 0, reachable: true },
            up: true,
            answered: false,
            highest: 0,
            last: false,
            in_hand: None,
            restores: 0,
            writes: 0,
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        if !s.up {
            actions.push(Action::Start);
            if s.restores < 1 {
                actions.extend(s.backups.iter().cloned().map(Action::Restore));
            }
            return;
        }
        actions.extend([Action::Write, Action::Intent, Action::Fence, Action::Done, Action::Answer]);
        actions.extend([Action::Cut, Action::Tick, Action::Ask]);
        actions.extend([Action::Rotate, Action::ReadForWrap, Action::Wrap, Action::WrapNeighbour]);
        actions.extend([Action::Backup, Action::Destroy, Action::Finish, Action::Crash]);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut s = before.clone();
        match action {
            // A mark refuses new data about who was erased: one secret is all there ever is.
            Action::Write => {
                if s.writes > 0 || s.store.fenced || s.ledger > 0 {
                    return None;
                }
                s.writes = 1;
                s.store.secret = Some(s.store.active);
            }
            Action::Intent => {
                if s.ledger > 0 || s.store.secret.is_none() {
                    return None;
                }
                s.ledger = 1;
                s.highest = s.store.active;
            }
            Action::Fence => {
                if s.ledger == 0 || s.store.seen > 0 {
                    return None;
                }
                // The intent named the highest generation of its time; after a rotation another one is written.
                if s.highest != s.store.active {
                    s.highest = s.store.active;
                }
                s.store.secret = None;
                s.store.fenced = true;
                s.store.seen = 1;
                if s.replica.reachable {
                    s.replica.cached = false;
                }
            }
            Action::Done => {
                if s.store.seen == 0 || s.done > 0 {
                    return None;
                }
                s.done = 1;
            }
            Action::Answer => {
                let forgotten = !s.replica.cached || s.replica.lease == 0;
                if s.done == 0 || s.answered || (self.keeps(Without::Lease) && !forgotten) {
                    return None;
                }
                s.answered = true;
            }
            Action::Cut => {
                if !s.replica.reachable {
                    return None;
                }
                s.replica.reachable = false;
            }
            Action::Tick => {
                if s.replica.lease == 0 {
                    return None;
                }
                s.replica.lease -= 1;
            }
            // Reads the subject: what it hears of the store, it hears now.
            Action::Ask => {
                if !s.replica.reachable {
                    return None;
                }
                s.replica.lease = LEASE;
                s.replica.cached = s.store.secret.is_some() && !s.store.fenced;
            }
            Action::Rotate => {
                let next = s.roots.iter().max().copied().unwrap_or(0).max(s.store.active) + 1;
                if s.store.closing.is_some() || next > GENERATIONS {
                    return None;
                }
                s.roots.insert(next);
                s.store.closing = Some(s.store.active);
                s.store.active = next;
            }
            Action::ReadForWrap => {
                if s.in_hand.is_some() || s.store.closing.is_none() || s.store.secret != s.store.closing {
                    return None;
                }
                s.in_hand = s.store.secret;
            }
            Action::Wrap => {
                let read = s.in_hand.take()?;
                if s.store.secret == Some(read) || !self.keeps(Without::UpdateOnly) {
                    s.store.secret = Some(s.store.active);
                    if !self.keeps(Without::UpdateOnly) {
                        s.store.fenced = false;
                    }
                }
            }
            Action::WrapNeighbour => {
                if s.store.closing != Some(s.store.neighbour) {
                    return None;
                }
                s.store.neighbour = s.store.active;
            }
            Action::Backup => {
                if s.backups.len() > 1 {
                    return None;
                }
                let complete = s.store.closing.is_none_or(|left| !s.store.depends(left));
                if complete {
                    s.store.backed_up = s.store.active;
                }
                s.backups.insert(s.store.clone());
            }
            Action::Destroy => {
                let left = s.store.closing?;
                if self.keeps(Without::Emptiness) && s.store.depends(left) {
                    return None;
                }
                // A complete backup under the successor says by itself that nothing depends on this one.
                let rules = self.keeps(Without::BackupFirst) && self.keeps(Without::Emptiness);
                if rules && s.store.backed_up < s.store.active {
                    return None;
                }
                s.roots.remove(&left);
                s.store.closing = None;
            }
            Action::Finish => {
                if s.last || s.done == 0 {
                    return None;
                }
                let gone = |g: &Generation| !s.roots.contains(g);
                let needed: Vec<Generation> =
                    if self.keeps(Without::EveryGeneration) { (1..=s.highest).collect() } else { vec![1] };
                if !needed.iter().all(gone) {
                    return None;
                }
                s.last = true;
            }
            Action::Crash => {
                s.up = false;
                s.in_hand = None;
                s.replica = Replica { cached: false, lease: 0, ..s.replica };
            }
            Action::Start => {
                if !s.store.opens(&s.roots) || s.store.seen > s.ledger {
                    return None;
                }
                if self.keeps(Without::Replay) && (s.store.seen < s.ledger || s.done < s.ledger) {
                    s.highest = s.highest.max(s.store.active);
                    s.store.secret = None;
                    s.store.fenced = true;
                    s.store.seen = s.ledger;
                    s.done = s.ledger;
                }
                // The provider's part may be done before the store says so.
                if let Some(left) = s.store.closing
                    && !s.roots.contains(&left)
                {
                    s.store.closing = None;
                }
                s.up = true;
                s.replica.reachable = true;
            }
            Action::Restore(backup) => {
                s.store = backup;
                s.restores += 1;
            }
        }
        (s != *before).then_some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "nobody reads an erased subject once the erasure was answered",
                |_, s: &State| {
                    let stored = s.up && s.store.secret.is_some() && !s.store.fenced;
                    let cached = s.replica.cached && s.replica.lease > 0;
                    !s.answered || (!stored && !cached)
                },
            ),
            Property::always(
                "nothing is lost: every live secret's generation has its root key",
                |_, s: &State| {
                    let store = &s.store;
                    !s.up
                        || (s.roots.contains(&store.neighbour)
                            && store.secret.is_none_or(|generation| s.roots.contains(&generation)))
                },
            ),
            Property::always("a live subject is not erased by anything but an erasure", |_, s: &State| {
                s.ledger > 0 || !s.store.fenced
            }),
            Property::always("final means that no copy opens with the root keys of today", |_, s: &State| {
                let opens =
                    |store: &Store| store.secret.is_some_and(|generation| s.roots.contains(&generation));
                !s.last || !s.backups.iter().any(opens)
            }),
            Property::always(
                "once a root key is destroyed, a backup opens with those of today",
                |_, s: &State| s.roots.contains(&1) || s.backups.iter().any(|backup| backup.opens(&s.roots)),
            ),
            Property::sometimes("an erasure becomes final", |_, s: &State| s.last),
            Property::sometimes("a restored keystore serves again", |_, s: &State| {
                s.up && s.restores > 0 && s.answered
            }),
            Property::sometimes("two rotations end", |_, s: &State| {
                s.store.active == GENERATIONS && s.store.closing.is_none()
            }),
        ]
    }
}

/// The properties that the model without that rule breaks: all of them, or those that are found first.
fn broken(without: Without, until: HasDiscoveries) -> Vec<&'static str> {
    let checker = Protocol(without).checker().threads(2).finish_when(until).spawn_bfs().join();
    assert!(checker.unique_state_count() > 1_000, "{} states", checker.unique_state_count());
    let mut names: Vec<&'static str> = Vec::new();
    for property in Protocol(without).properties() {
        let found = checker.discovery(property.name).is_some();
        let sometimes = matches!(property.expectation, stateright::Expectation::Sometimes);
        if found != sometimes {
            names.push(property.name);
        }
    }
    names
}

#[test]
fn every_state_of_the_protocol_keeps_every_promise() {
    assert_eq!(broken(Without::Nothing, HasDiscoveries::All), Vec::<&str>::new());
}

#[test]
fn each_rule_is_needed() {
    for (rule, promise) in [
        (Without::Replay, "nobody reads"),
        (Without::UpdateOnly, "nobody reads"),
        (Without::Emptiness, "nothing is lost"),
        (Without::Lease, "nobody reads"),
        (Without::BackupFirst, "once a root key"),
        (Without::EveryGeneration, "final means"),
    ] {
        let broken = broken(rule, HasDiscoveries::AnyFailures);
        assert!(broken.iter().any(|name| name.starts_with(promise)), "{rule:?}: {broken:?}");
    }
}
