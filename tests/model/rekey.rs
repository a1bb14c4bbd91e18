//! Re-keying one person, as a model whose every state is visited: with writers, copies inside the database, readers, an
//! erasure, a crash, and a keystore and database restored from before.
//!
//! `src/jobs/rekey.rs`, `src/rights/rekey.rs`, `src/rights/replay.rs` and `src/pg/sweep` are what it models; `docs/decisions/0009`
//! says why each thing is waited for. A model that waits for one of them less must lose a value: the last test shows it.

use stateright::{Checker, HasDiscoveries, Model, Property};
use std::hash::Hash;

/// The person's secrets: the first, the one that takes its place, and the one that a restored keystore makes instead.
type Key = usize;
const OLD: Key = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Absent,
    Live,
    /// Destroyed by the re-keying: what it sealed is not erased, and can't be read.
    Replaced,
    Erased,
}

/// The keystore.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Store {
    keys: [Fate; 3],
    sealing: Key,
    rekeying: bool,
    /// Under which secret the person's address is held.
    held: Option<Key>,
    /// How many entries of the ledger it has seen.
    seen: usize,
}

/// What the database has committed: under which key each of two rows lies, and how often a client has written the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Rows {
    first: (Key, u8),
    copy: Option<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Entry {
    /// These secrets were replaced by those.
    Rekey(Vec<Key>, Vec<Key>),
    Intent(Vec<Key>),
}

/// A client's transaction that writes the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Writer {
    None,
    /// Sealed in the gateway, not sent yet.
    Sealed(Key),
    /// On its way to a process of the server, gateway or not.
    Sent(Key),
    /// Written, not committed: the row is locked.
    Open(Key),
    Over,
}

/// A transaction inside the database that copies what its snapshot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Copier {
    None,
    Snapshot(Key),
    Written(Key),
    Over,
}

/// A client's statement that reads the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    None,
    Snapshot(Key),
    /// The gateway has the bytes, and has not opened them yet.
    Answer(Key),
    Over,
}

/// How far the job of this process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    None,
    /// The new secret is durable; the cache still seals under the old one.
    Begun,
    /// The cache has forgotten it.
    Purged,
    /// Waits for the transactions of this process that began before.
    Units(bool),
    /// Waits for what was on its way to the server.
    Sent(bool),
    /// Waits for transactions that may still write: the writer's, the copier's. It saves passes: what is needed is the
    /// later wait.
    Open(bool, bool),
    /// Goes through the rows.
    Pass,
    /// Has read the first row, as it was.
    InHand((Key, u8)),
    /// Waits for those whose snapshot may be older than the pass: the writer, the copier, the reader.
    Snapshots(bool, bool, bool),
    /// Goes through the rows once more.
    Second,
    /// Waits for answers on their way.
    Answers(bool),
    End,
    /// The ledger has it.
    Written,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    store: Store,
    rows: Rows,
    ledger: Vec<Entry>,
    /// The keystore and the database as they once were.
    backup: Option<(Store, Rows)>,
    writer: Writer,
    copier: Copier,
    reader: Reader,
    job: Job,
    /// What this process seals under, without asking.
    cache: Option<Key>,
    up: bool,
    /// An intent is written, and the fence is not.
    erasing: bool,
    /// The erasure was answered.
    erased: bool,
    /// How often a client was told that its value is stored.
    acknowledged: u8,
    /// A reader was told that a living person's value can't be read.
    broken: bool,
    begun: bool,
    restored: bool,
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Seal,
    Send,
    Arrive,
    Commit,
    Abort,
    Copy,
    Read,
    Begin,
    Step,
    MoveHolder,
    Intent,
    Fence,
    Backup,
    Crash,
    Start,
    Restore,
}

/// Rules that can be left out, to see that they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// What began before is counted after the cache has forgotten the old secret.
    PurgeFirst,
    Units,
    Sent,
    /// A row is sealed again only if it is still what was read.
    CompareAndSet,
    /// A second pass, once all snapshots are younger than the first.
    Snapshots,
    SecondPass,
    Answers,
    /// The end refuses while an identifier is held under the old secret.
    Held,
    /// An erasure destroys what the secrets that it names took the place of.
    Followed,
    /// A restored keystore re-keys again, instead of destroying at the start.
    Again,
    /// The ledger's entry comes before the deletion.
    LedgerFirst,
}

/// Without a rule, and with a copier or a reader beside the writer: one at a time, or there are too many states.
struct Rekeying(Without, With);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Copier,
    Reader,
}

impl Store {
    fn lives(&self, key: Key) -> bool {
        self.keys[key] == Fate::Live
    }
}

impl Rekeying {
    fn keeps(&self, rule: Without) -> bool {
        self.0 != rule
    }

    /// The old secrets of a re-keying: all that are live and don't seal.
    fn old(store: &Store) -> Vec<Key> {
        (0..3).filter(|key| store.keys[*key] == Fate::Live && *key != store.sealing).collect()
    }

    fn live(store: &Store) -> Vec<Key> {
        (0..3).filter(|key| store.keys[*key] == Fate::Live).collect()
    }

    /// Whether nothing lies under another secret than the one that seals.
    fn clean(s: &State) -> bool {
        s.rows.first.0 == s.store.sealing && s.rows.copy.is_none_or(|key| key == s.store.sealing)
    }

    /// A new secret seals from now on.
    fn begin(store: &mut Store) -> bool {
        let Some(fresh) = (0..3).find(|key| store.keys[*key] == Fate::Absent) else { return false };
        store.keys[fresh] = Fate::Live;
        store.sealing = fresh;
        store.rekeying = true;
        true
    }

    fn step(&self, s: &mut State) -> Option<()> {
        let sealed = matches!(s.writer, Writer::Sealed(_));
        let open = matches!(s.writer, Writer::Open(_));
        let copying = matches!(s.copier, Copier::Snapshot(_) | Copier::Written(_));
        s.job = match s.job {
            Job::None => return None,
            Job::Begun if self.keeps(Without::PurgeFirst) => {
                s.cache = None;
                Job::Purged
            }
            // Counted, and then forgotten.
            Job::Begun => Job::Units(sealed),
            Job::Purged => Job::Units(sealed),
            Job::Units(counted) => {
                if counted && sealed && self.keeps(Without::Units) {
                    return None;
                }
                s.cache = None;
                Job::Sent(matches!(s.writer, Writer::Sent(_)))
            }
            Job::Sent(counted) => {
                if counted && matches!(s.writer, Writer::Sent(_)) && self.keeps(Without::Sent) {
                    return None;
                }
                Job::Open(open, copying)
            }
            Job::Open(writer, copier) => {
                if writer && open || copier && copying {
                    return None;
                }
                Job::Pass
            }
            Job::Pass | Job::Second if !Self::clean(s) => {
                if s.rows.first.0 != s.store.sealing {
                    Job::InHand(s.rows.first)
                } else {
                    // The copy is nobody's to write but this job's.
                    s.rows.copy = Some(s.store.sealing);
                    Job::Pass
                }
            }
            Job::InHand(read) => {
                if open {
                    return None;
                }
                if s.rows.first == read || !self.keeps(Without::CompareAndSet) {
                    s.rows.first = (s.store.sealing, read.1);
                }
                Job::Pass
            }
            Job::Pass => {
                let reading = matches!(s.reader, Reader::Snapshot(_));
                if self.keeps(Without::Snapshots) {
                    Job::Snapshots(open, copying, reading)
                } else {
                    Job::Second
                }
            }
            Job::Snapshots(writer, copier, reader) => {
                let reading = matches!(s.reader, Reader::Snapshot(_));
                if writer && open || copier && copying || reader && reading {
                    return None;
                }
                if self.keeps(Without::SecondPass) { Job::Second } else { self.readers(s) }
            }
            Job::Second => self.readers(s),
            Job::Answers(counted) => {
                if counted && matches!(s.reader, Reader::Answer(_)) {
                    return None;
                }
                Job::End
            }
            Job::End => {
                if s.erasing {
                    return None;
                }
                if s.store.held != Some(s.store.sealing) && self.keeps(Without::Held) {
                    return None;
                }
                let entry = Entry::Rekey(Self::old(&s.store), vec![s.store.sealing]);
                if self.keeps(Without::LedgerFirst) {
                    s.ledger.push(entry);
                } else {
                    Self::replace(&mut s.store, s.ledger.len());
                }
                Job::Written
            }
            Job::Written => {
                if self.keeps(Without::LedgerFirst) {
                    Self::replace(&mut s.store, s.ledger.len());
                } else {
                    s.ledger.push(Entry::Rekey(vec![OLD], vec![s.store.sealing]));
                    s.store.seen = s.ledger.len();
                }
                Job::None
            }
        };
        Some(())
    }

    fn readers(&self, s: &State) -> Job {
        let answering = matches!(s.reader, Reader::Answer(_));
        if self.keeps(Without::Answers) { Job::Answers(answering) } else { Job::End }
    }

    /// The old secrets are destroyed, and fenced as replaced.
    fn replace(store: &mut Store, seen: usize) {
        for key in Self::old(store) {
            store.keys[key] = Fate::Replaced;
        }
        store.rekeying = false;
        store.seen = seen;
    }

    /// These, and what they took the place of, by every entry of the ledger.
    fn followed(&self, ledger: &[Entry], mut keys: Vec<Key>) -> Vec<Key> {
        for _ in 0..ledger.len() {
            for entry in ledger {
                if let Entry::Rekey(old, new) = entry
                    && new.iter().any(|key| keys.contains(key))
                    && self.keeps(Without::Followed)
                {
                    keys.extend(old);
                }
            }
        }
        keys
    }

    /// A start brings the keystore up to its ledger.
    fn replay(&self, s: &mut State) {
        let intents = s.ledger.iter().filter_map(|entry| match entry {
            Entry::Intent(keys) => Some(keys.clone()),
            Entry::Rekey(..) => None,
        });
        let erased = self.followed(&s.ledger, intents.flatten().collect());
        for number in s.store.seen..s.ledger.len() {
            match s.ledger[number].clone() {
                Entry::Intent(keys) => {
                    for key in self.followed(&s.ledger, keys) {
                        s.store.keys[key] = Fate::Erased;
                    }
                    s.store.rekeying &= !Self::live(&s.store).is_empty();
                    s.store.held = s.store.held.filter(|key| s.store.keys[*key] == Fate::Live);
                }
                Entry::Rekey(old, _) if !old.iter().any(|key| erased.contains(key)) => {
                    let live = old.iter().any(|key| s.store.keys[*key] == Fate::Live);
                    if live && !s.store.rekeying {
                        // What is fenced as another's is never issued again.
                        Self::begin(&mut s.store);
                    }
                    if live && !self.keeps(Without::Again) {
                        Self::replace(&mut s.store, number + 1);
                    }
                }
                Entry::Rekey(..) => {}
            }
            s.store.seen = number + 1;
        }
    }
}

impl Model for Rekeying {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let keys = [Fate::Live, Fate::Absent, Fate::Absent];
        let store = Store { keys, sealing: OLD, rekeying: false, held: Some(OLD), seen: 0 };
        vec![State {
            store,
            rows: Rows { first: (OLD, 0), copy: None },
            ledger: Vec::new(),
            backup: None,
            writer: Writer::None,
            copier: if self.1 == With::Copier { Copier::None } else { Copier::Over },
            reader: if self.1 == With::Reader { Reader::None } else { Reader::Over },
            job: Job::None,
            cache: Some(OLD),
            up: true,
            erasing: false,
            erased: false,
            acknowledged: 0,
            broken: false,
            begun: false,
            restored: false,
            crashes: 0,
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Arrive, Action::Commit, Action::Abort, Action::Copy, Action::Read]);
        if s.up {
            actions.extend([Action::Seal, Action::Send, Action::Begin, Action::Step, Action::MoveHolder]);
            actions.extend([Action::Intent, Action::Fence, Action::Backup, Action::Crash]);
        } else {
            actions.extend([Action::Start, Action::Restore]);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut s = before.clone();
        match action {
            // An erased person has a mark, and nothing more is sealed.
            Action::Seal => {
                if s.writer != Writer::None || s.erasing || Self::live(&s.store).is_empty() {
                    return None;
                }
                let key = *s.cache.get_or_insert(s.store.sealing);
                s.writer = Writer::Sealed(key);
            }
            Action::Send => match s.writer {
                Writer::Sealed(key) => s.writer = Writer::Sent(key),
                _ => return None,
            },
            Action::Arrive => match s.writer {
                Writer::Sent(key) => s.writer = Writer::Open(key),
                _ => return None,
            },
            Action::Commit => match (s.writer, s.copier) {
                (Writer::Open(key), _) => {
                    s.acknowledged = s.rows.first.1 + 1;
                    s.rows.first = (key, s.acknowledged);
                    s.writer = Writer::Over;
                }
                _ => return None,
            },
            Action::Abort => match s.writer {
                Writer::Sent(_) | Writer::Open(_) => s.writer = Writer::Over,
                _ => return None,
            },
            Action::Copy => {
                s.copier = match s.copier {
                    Copier::None => Copier::Snapshot(s.rows.first.0),
                    Copier::Snapshot(key) => Copier::Written(key),
                    Copier::Written(key) => {
                        s.rows.copy = Some(key);
                        Copier::Over
                    }
                    Copier::Over => return None,
                };
            }
            Action::Read => {
                s.reader = match s.reader {
                    Reader::None if s.up => Reader::Snapshot(s.rows.first.0),
                    Reader::Snapshot(key) if s.up => Reader::Answer(key),
                    Reader::Answer(key) if s.up => {
                        s.broken |= s.store.keys[key] == Fate::Replaced && !Self::live(&s.store).is_empty();
                        Reader::Over
                    }
                    _ => return None,
                };
            }
            Action::Begin => {
                if s.begun || s.erasing || s.store.rekeying || Self::live(&s.store).is_empty() {
                    return None;
                }
                s.begun = true;
                Self::begin(&mut s.store);
                s.job = Job::Begun;
            }
            Action::Step => {
                // A job of a subject that was erased meanwhile is over.
                if !s.store.rekeying && s.job != Job::Written {
                    s.job = Job::None;
                } else {
                    self.step(&mut s)?;
                }
            }
            Action::MoveHolder => {
                let moves = s.store.rekeying && s.store.held.is_some_and(|key| key != s.store.sealing);
                if !moves {
                    return None;
                }
                s.store.held = Some(s.store.sealing);
            }
            // One erasure or end of a re-keying at a time.
            Action::Intent => {
                if s.erasing || s.job == Job::Written || Self::live(&s.store).is_empty() {
                    return None;
                }
                s.ledger.push(Entry::Intent(Self::live(&s.store)));
                s.erasing = true;
            }
            Action::Fence => {
                if !s.erasing {
                    return None;
                }
                for key in Self::live(&s.store) {
                    s.store.keys[key] = Fate::Erased;
                }
                (s.store.rekeying, s.store.held, s.cache) = (false, None, None);
                s.store.seen = s.ledger.len();
                (s.erasing, s.erased) = (false, true);
            }
            Action::Backup => {
                // The database's copy has what is committed.
                if s.backup.is_some() || s.restored {
                    return None;
                }
                s.backup = Some((s.store.clone(), s.rows.clone()));
            }
            Action::Crash => {
                if s.crashes > 0 {
                    return None;
                }
                s.crashes += 1;
                (s.up, s.erasing, s.cache, s.job) = (false, false, None, Job::None);
                if matches!(s.writer, Writer::Sealed(_)) {
                    s.writer = Writer::Over;
                }
                if matches!(s.reader, Reader::Snapshot(_) | Reader::Answer(_)) {
                    s.reader = Reader::Over;
                }
            }
            Action::Start => {
                if s.store.seen > s.ledger.len() {
                    return None;
                }
                self.replay(&mut s);
                s.up = true;
                s.erased |= s.ledger.iter().any(|entry| matches!(entry, Entry::Intent(_)));
                if s.store.rekeying {
                    s.job = Job::Purged;
                }
            }
            Action::Restore => {
                if s.restored {
                    return None;
                }
                (s.store, s.rows) = s.backup.clone()?;
                s.restored = true;
                s.acknowledged = s.rows.first.1;
                (s.writer, s.copier, s.reader) = (Writer::Over, Copier::Over, Reader::Over);
            }
        }
        (s != *before).then_some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing of a living person lies under a destroyed secret", |_, s: &State| {
                let rows = s.store.lives(s.rows.first.0) && s.rows.copy.is_none_or(|key| s.store.lives(key));
                !s.up || s.erasing || s.erased || rows
            }),
            Property::always("nobody's address is lost", |_, s: &State| {
                !s.up || s.erased || s.store.held.is_some_and(|key| s.store.lives(key))
            }),
            Property::always("what a client was told is stored is what is stored", |_, s: &State| {
                s.rows.first.1 == s.acknowledged
            }),
            Property::always("no reader meets a secret that was replaced", |_, s: &State| !s.broken),
            Property::always("nobody comes back", |_, s: &State| {
                !s.up || !s.erased || Rekeying::live(&s.store).is_empty()
            }),
            Property::always("a keystore is never ahead of its ledger", |_, s: &State| {
                s.up || s.job == Job::Written
                    || !s.store.keys.contains(&Fate::Replaced)
                    || s.ledger.iter().any(|entry| matches!(entry, Entry::Rekey(..)))
            }),
            Property::sometimes("a re-keying ends", |_, s: &State| {
                s.up && s.store.keys == [Fate::Replaced, Fate::Live, Fate::Absent]
            }),
            Property::sometimes("a restored keystore re-keys again, and that ends", |_, s: &State| {
                s.up && s.restored && s.store.keys[OLD] == Fate::Replaced && !s.store.rekeying
            }),
            Property::sometimes("a killed re-keying goes on", |_, s: &State| {
                s.crashes > 0 && !s.restored && s.store.keys[OLD] == Fate::Replaced
            }),
            Property::sometimes("a person is erased while re-keyed", |_, s: &State| {
                s.erased && s.job != Job::None
            }),
        ]
    }
}

#[test]
fn every_state_of_a_re_keying_keeps_every_promise() {
    for with in [With::Copier, With::Reader] {
        let checker = Rekeying(Without::Nothing, with).checker().threads(2).spawn_bfs().join();
        assert!(checker.unique_state_count() > 10_000, "{} states", checker.unique_state_count());
        checker.assert_properties();
    }
}

#[test]
fn what_a_re_keying_waits_for_is_needed() {
    for (rule, with, promise) in [
        (Without::PurgeFirst, With::Copier, "nothing of a living"),
        (Without::Units, With::Copier, "nothing of a living"),
        (Without::Sent, With::Copier, "nothing of a living"),
        (Without::CompareAndSet, With::Copier, "what a client was told"),
        (Without::Snapshots, With::Copier, "nothing of a living"),
        (Without::SecondPass, With::Copier, "nothing of a living"),
        (Without::Answers, With::Reader, "no reader"),
        (Without::Held, With::Copier, "nobody's address"),
        (Without::Followed, With::Copier, "nobody comes back"),
        (Without::Again, With::Copier, "nothing of a living"),
        (Without::LedgerFirst, With::Copier, "a keystore is never"),
    ] {
        let model = Rekeying(rule, with).checker().threads(2);
        let checker = model.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let broken: Vec<&str> = checker.discoveries().into_keys().collect();
        assert!(broken.iter().any(|name| name.starts_with(promise)), "{rule:?}: {broken:?}");
    }
}
