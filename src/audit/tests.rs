use super::*;
use crate::crypto::SigningKey;
use crate::ids::FieldId;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Knows every key but those of erased people; may be down.
#[derive(Clone, Default)]
struct Known {
    erased: Arc<Mutex<Vec<KeyId>>>,
    down: Arc<Mutex<bool>>,
}

impl Resolver for Known {
    fn stand_ins(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, StandIn>, String> {
        if *self.down.lock() {
            return Err("the keystore does not answer".into());
        }
        let erased = self.erased.lock();
        let live = keys.iter().filter(|key| !erased.contains(key));
        Ok(live.map(|key| (*key, StandIn([key.0[0]; 12]))).collect())
    }
}

struct House {
    dir: tempfile::TempDir,
    key: Arc<SigningKey>,
    known: Known,
}

impl House {
    fn new() -> Self {
        let key = Arc::new(SigningKey::generate().unwrap());
        Self { dir: tempfile::tempdir().unwrap(), key, known: Known::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    fn options(&self) -> Options {
        let moment = Duration::from_millis(1);
        Options {
            path: self.path(),
            keep: None,
            segment: 1 << 20,
            moment,
            most: 1000,
            clients: Clients::Full,
        }
    }

    fn open(&self) -> Audit {
        Audit::open(self.options(), self.key.clone(), self.known.clone()).unwrap()
    }

    fn verify(&self) -> Result<Verified, Broken> {
        let expected = Expected { key: Some(self.key.public()), ..Expected::default() };
        verify(&self.path(), &expected)
    }

    fn entries(&self) -> Vec<Entry> {
        let mut walk = verify::Walk::of_all(&self.path()).unwrap();
        std::iter::from_fn(|| walk.next_entry().unwrap()).collect()
    }
}

fn key(n: u8) -> KeyId {
    KeyId([n; 16])
}

fn stand_in(n: u8) -> String {
    gather::text(StandIn([n; 12]))
}

fn who(user: &str) -> Arc<Principal> {
    Arc::new(Principal { user: user.into(), via: "postgres 127.0.0.1:1".into(), ..Principal::default() })
}

/// What a batch opened.
struct Batch {
    who: Arc<Principal>,
    at: Timestamp,
    fields: Arc<[Arc<str>]>,
    opened: Openings,
    faults: Vec<Found>,
}

impl Batch {
    fn to(&self, audit: &Audit) -> Result<(), Unwritable> {
        let Self { who, at, fields, opened, faults } = self;
        audit.record(&Record { who, at: *at, fields, opened, faults })
    }
}

/// `opened` are pairs of a key and a field: 0 is the name, 1 the e-mail address.
fn record(user: &str, at: &str, opened: &[(u8, u16)]) -> Batch {
    let mut openings = Openings::default();
    opened.iter().for_each(|(k, field)| openings.add(key(*k), FieldId(*field)));
    Batch {
        who: who(user),
        at: at.parse().unwrap(),
        fields: ["name", "email"].map(Arc::from).to_vec().into(),
        opened: openings,
        faults: Vec::new(),
    }
}

#[test]
fn what_could_not_be_shown_is_an_entry_with_whom_it_was_about_and_who_asked() {
    let house = House::new();
    let audit = house.open();
    let found = |fault, k: Option<u8>| Found { fault, field: FieldId(0), key: k.map(key) };
    let faults = vec![
        found("wrong-subject", Some(1)),
        found("wrong-subject", Some(2)),
        found("wrong-subject", Some(1)),
        found("in-clear", None),
    ];
    Batch { faults, ..record("app", NOON, &[]) }.to(&audit).unwrap();
    record("app", NOON, &[(3, 0)]).to(&audit).unwrap();
    drop(audit);
    let entries = house.entries();
    let told: Vec<&Entry> = entries.iter().filter(|e| e.event == event::FAULT).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((&*told[0].by.as_ref().unwrap().user, told[0].values), ("app", None));
    let of = |fault: &str, values, subjects: &[String]| Faults {
        fault: fault.into(),
        field: "name".into(),
        values,
        subjects: subjects.to_vec(),
    };
    let expected = [of("in-clear", 1, &[]), of("wrong-subject", 3, &[stand_in(1), stand_in(2)])];
    assert_eq!(told[0].faults, expected);
    let opened: Vec<&Entry> = entries.iter().filter(|e| e.event == event::OPENED).collect();
    assert_eq!((opened.len(), opened[0].values), (1, Some(1)), "openings are counted apart");
}

#[test]
fn what_one_principal_opens_is_joined_as_it_comes_and_never_over_a_note() {
    let house = House::new();
    // Nothing is written before the end.
    let options = Options { moment: PATIENCE, ..house.options() };
    let audit = Audit::open(options, house.key.clone(), house.known.clone()).unwrap();
    let mut batch = record("app", NOON, &[(1, 0), (2, 0)]);
    batch.to(&audit).unwrap();
    (batch.at, batch.opened) = (ONE.parse().unwrap(), Openings::default());
    batch.opened.add(key(2), FieldId(1));
    batch.to(&audit).unwrap();
    audit.note(Entry::new(event::ADMIN));
    batch.to(&audit).unwrap();
    drop(audit);
    let told: Vec<Entry> = house.entries().into_iter().filter(|e| e.event != event::SEGMENT).collect();
    let events: Vec<&str> = told.iter().map(|e| &*e.event).collect();
    assert_eq!(events, [event::STARTED, event::OPENED, event::ADMIN, event::OPENED, event::STOPPED]);
    let counts = |entry: &Entry| (entry.batches, entry.values, entry.from.clone(), entry.until.clone());
    assert_eq!(counts(&told[1]), (Some(2), Some(3), Some(NOON.into()), Some(ONE.into())));
    assert_eq!(counts(&told[3]), (Some(1), Some(1), Some(ONE.into()), Some(ONE.into())));
}

const NOON: &str = "2026-01-02T12:00:00.000Z";
const ONE: &str = "2026-01-02T13:00:00.000Z";

#[test]
fn openings_of_a_moment_are_one_entry_for_each_principal() {
    let house = House::new();
    let audit = house.open();
    record("app", NOON, &[(1, 0), (1, 1), (2, 0), (2, 1)]).to(&audit).unwrap();
    record("app", ONE, &[(3, 0), (1, 0)]).to(&audit).unwrap();
    record("cron", NOON, &[(1, 1)]).to(&audit).unwrap();
    drop(audit);
    let opened: Vec<Entry> = house.entries().into_iter().filter(|e| e.event == event::OPENED).collect();
    let values: u64 = opened.iter().filter_map(|e| e.values).sum();
    assert_eq!(values, 7);
    let all: Vec<Group> = opened.iter().flat_map(|e| e.opened.clone()).collect();
    assert!(all.iter().any(|g| g.fields == ["email", "name"] && g.subjects.contains(&stand_in(2))));
    assert!(all.iter().any(|g| g.fields == ["name"] && g.subjects == [stand_in(3)]));
    assert!(opened.iter().all(|e| e.from <= e.until));
    let last = house.entries().pop().unwrap();
    assert_eq!(last.event, event::STOPPED);
    assert_eq!(house.verify().unwrap().last, last.seq);
}

#[test]
fn goes_on_where_it_stopped_and_tells_a_run_that_did_not_stop_in_order() {
    let house = House::new();
    drop(house.open());
    let first = house.verify().unwrap();
    drop(house.open());
    let second = house.verify().unwrap();
    assert!(second.last > first.last);
    let unclean: Vec<_> = house.entries().into_iter().filter_map(|e| e.unclean).collect();
    assert_eq!(unclean, [false, false]);
    // A crash: without the last line, and with half of another.
    let file = house.path().join("00000001.log");
    let text = fs::read_to_string(&file).unwrap();
    let kept = text.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&file, format!("{}{{\"seq\":9", &text[..kept])).unwrap();
    fs::remove_file(house.path().join("heads")).unwrap();
    assert!(house.verify().unwrap().cut);
    drop(house.open());
    let unclean: Vec<_> = house.entries().into_iter().filter_map(|e| e.unclean).collect();
    assert_eq!(unclean, [false, false, true]);
    let told = report(&house.path(), &Filter::default()).unwrap().uncertainty;
    assert!(told.iter().any(|line| line.contains("did not stop in order")), "{told:?}");
}

#[test]
fn only_one_may_write_it() {
    let house = House::new();
    let _audit = house.open();
    let second = Audit::open(house.options(), house.key, house.known);
    assert!(matches!(second, Err(AuditError::Locked(_))));
}

fn log_of(house: &House, records: u8) -> Vec<String> {
    let audit = house.open();
    for n in 1..=records {
        record("app", NOON, &[(n, 0)]).to(&audit).unwrap();
        audit.flush(PATIENCE).unwrap();
    }
    drop(audit);
    let text = fs::read_to_string(house.path().join("00000001.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn finds_a_line_that_was_changed_removed_added_or_moved() {
    let house = House::new();
    let lines = log_of(&house, 5);
    let file = house.path().join("00000001.log");
    let check = |what: &str, lines: &[String]| {
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        assert!(house.verify().is_err(), "{what}");
    };
    for n in 0..lines.len() {
        let mut changed = lines.clone();
        changed[n] = changed[n].replacen("2026", "2027", 1);
        check(&format!("changed line {n}"), &changed);
        let mut removed = lines.clone();
        removed.remove(n);
        check(&format!("removed line {n}"), &removed);
        let mut added = lines.clone();
        added.insert(n, lines[n].clone());
        check(&format!("repeated line {n}"), &added);
        if n > 0 {
            let mut moved = lines.clone();
            moved.swap(n, n - 1);
            check(&format!("moved line {n}"), &moved);
        }
    }
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    house.verify().unwrap();
}

#[test]
fn finds_what_was_cut_off_or_written_anew_given_a_later_head() {
    let house = House::new();
    let lines = log_of(&house, 5);
    let whole = house.verify().unwrap();
    let file = house.path().join("00000001.log");
    fs::write(&file, lines[..4].join("\n") + "\n").unwrap();
    let found = house.verify().unwrap_err();
    assert!(found.why.contains("cut off"), "by its own heads: {found}");
    // Who can change the directory can take the heads away, too; not one that was kept elsewhere.
    fs::remove_file(house.path().join("heads")).unwrap();
    house.verify().unwrap();
    let mut expected = Expected { heads: vec![(whole.last, whole.hash.clone())], key: None };
    assert!(verify(&house.path(), &expected).unwrap_err().why.contains("cut off"));
    // A whole other log, which holds together.
    let other = House::new();
    log_of(&other, 6);
    expected.heads = vec![(whole.last - 1, whole.hash)];
    assert!(verify(&other.path(), &expected).is_err());
}

#[test]
fn a_head_that_another_key_signed_is_found_out() {
    let house = House::new();
    log_of(&house, 2);
    let other = SigningKey::generate().unwrap();
    let expected = Expected { key: Some(other.public()), ..Expected::default() };
    assert!(verify(&house.path(), &expected).unwrap_err().path.ends_with("heads"));
}

#[test]
fn new_files_go_on_in_one_chain_and_a_missing_one_is_found() {
    let house = House::new();
    let options = Options { segment: 500, ..house.options() };
    let audit = Audit::open(options, house.key.clone(), house.known.clone()).unwrap();
    for n in 1..=20 {
        record("app", NOON, &[(n, 0)]).to(&audit).unwrap();
        audit.flush(PATIENCE).unwrap();
    }
    drop(audit);
    let files = verify::files(&house.path()).unwrap();
    assert!(files.len() > 5);
    house.verify().unwrap();
    let (_, middle) = &files[2];
    let text = fs::read(middle).unwrap();
    fs::remove_file(middle).unwrap();
    assert!(house.verify().is_err());
    fs::write(middle, text).unwrap();
    fs::remove_file(&files[0].1).unwrap();
    let found = house.verify().unwrap_err();
    assert!(found.why.contains("begins at entry"), "{found}");
}

#[test]
fn what_the_retention_period_deletes_leaves_the_rest_verifiable() {
    let house = House::new();
    let options = Options { segment: 500, keep: Some(Duration::from_secs(3600)), ..house.options() };
    let old = |path: &Path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).unwrap();
    };
    let audit = Audit::open(options, house.key.clone(), house.known.clone()).unwrap();
    let write = |n| {
        record("app", NOON, &[(n, 0)]).to(&audit).unwrap();
        audit.flush(PATIENCE).unwrap();
    };
    (1..=6).for_each(write);
    let before = verify::files(&house.path()).unwrap();
    old(&before[0].1);
    old(&before[1].1);
    (7..=12).for_each(write);
    drop(audit);
    assert!(!before[0].1.exists() && !before[1].1.exists() && before[2].1.exists());
    let verified = house.verify().unwrap();
    assert!(verified.first > 1);
    // One more, that nobody said anything about.
    fs::remove_file(&before[2].1).unwrap();
    assert!(house.verify().is_err());
}

#[test]
fn while_it_can_not_be_written_openings_go_on_to_a_bound_and_no_further() {
    let house = House::new();
    *house.known.down.lock() = true;
    let options = Options { most: 10, ..house.options() };
    let audit = Audit::open(options, house.key.clone(), house.known.clone()).unwrap();
    for n in 1..=10 {
        record("app", NOON, &[(n, 0)]).to(&audit).unwrap();
    }
    assert!(audit.accepts().is_ok());
    assert!(record("app", NOON, &[(11, 0)]).to(&audit).is_err());
    assert!(audit.accepts().is_err());
    assert!(audit.flush(Duration::from_millis(1)).is_err());
    *house.known.down.lock() = false;
    audit.flush(PATIENCE).unwrap();
    assert!(audit.accepts().is_ok(), "it goes on");
    drop(audit);
    let values: u64 = house.entries().iter().filter_map(|e| e.values).sum();
    assert_eq!(values, 11, "nothing was lost");
}

#[test]
fn a_report_tells_whose_fields_were_opened_when_and_by_whom() {
    let house = House::new();
    house.known.erased.lock().push(key(9));
    let audit = house.open();
    for (user, at, opened) in
        [("app", NOON, &[(1, 0), (2, 0), (2, 1)][..]), ("cron", ONE, &[(1, 0), (9, 1)][..])]
    {
        record(user, at, opened).to(&audit).unwrap();
        audit.flush(PATIENCE).unwrap();
    }
    audit.note(Entry { before: Some(stand_in(2)), after: Some(stand_in(7)), ..Entry::new(event::LINKED) });
    drop(audit);
    let asked = |filter: Filter| report(&house.path(), &filter).unwrap();
    let all = asked(Filter::default());
    let people: Vec<&str> = all.people.iter().map(|p| p.stand_in.as_str()).collect();
    assert_eq!(people, [stand_in(1), stand_in(7)], "re-keyed people go by their newest stand-in");
    let name = &all.people[0].fields["name"];
    assert_eq!((name.first.as_str(), name.last.as_str(), name.by.len()), (NOON, ONE, 2));
    assert_eq!((all.values, all.erased_at_once, all.principals.len()), (5, 1, 2));
    let cron = asked(Filter { principal: Some("cron".into()), ..Filter::default() });
    assert_eq!(cron.people.len(), 1);
    let email = asked(Filter { field: Some("email".into()), ..Filter::default() });
    assert_eq!(email.people.iter().map(|p| p.stand_in.clone()).collect::<Vec<_>>(), [stand_in(7)]);
    let later = asked(Filter { from: Some("2026-01-02T12:30:00.000Z".into()), ..Filter::default() });
    assert_eq!(later.people.len(), 1);
    assert_eq!(later.people[0].fields["name"].first, ONE);
    assert!(
        asked(Filter { to: Some("2026-01-01T00:00:00.000Z".into()), ..Filter::default() }).people.is_empty()
    );
    let early = asked(Filter { from: Some("1999-01-01T00:00:00.000Z".into()), ..Filter::default() });
    assert!(early.uncertainty.iter().any(|line| line.contains("the log begins at")), "{early:?}");
}

#[test]
fn no_key_and_no_address_stands_in_the_files() {
    let house = House::new();
    let audit = house.open();
    record("app", NOON, &[(0x5A, 0)]).to(&audit).unwrap();
    drop(audit);
    let text = fs::read_to_string(house.path().join("00000001.log")).unwrap();
    assert!(!text.contains(&hex::encode([0x5A; 16])) && text.contains(&stand_in(0x5A)));
    assert!(Timestamp::now() > NOON.parse().unwrap());
}
