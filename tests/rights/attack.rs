//! Nothing comes back. The attacker holds everything at rest: the database's data directory with its write-ahead log, dumps
//! from before and after, the keystore with its `-wal`, three keystore backups of different ages, the ledger, and today's
//! root keys. A thousand people were erased, and their receipts are final.

use super::last::{all, may_sweep};
use crate::support::gateway::Setup;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw};
use paravent::envelope::{EnvelopeRef, FieldName, dearmour, open};
use paravent::ids::{Generation, KeyId, Subject};
use paravent::keys::{Binding, DomainSecret, GenerationKey, LookupKey, Purpose, SubjectSecret, Wrapped};
use paravent::roots::{FileRoots, RootProvider, RootWrapped};
use rusqlite::{Connection, OpenFlags};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

const PEOPLE: usize = 1_250;
const ERASED: usize = 1_000;

fn email(n: usize) -> String {
    format!("p{n}@attack.example")
}

/// Everything that lies anywhere.
struct Loot {
    folder: tempfile::TempDir,
    /// Keystores: the live one and three backups.
    stores: Vec<PathBuf>,
    /// Every other file, in whatever form.
    files: Vec<PathBuf>,
    /// The root key of the first generation, which somebody kept although it was destroyed: what shows that the attack
    /// itself works.
    kept: PathBuf,
    /// First names as they were stored before the erasures: id, envelope.
    envelopes: Vec<(String, Vec<u8>)>,
    tokens: HashMap<String, String>,
}

fn insert(client: &mut Raw) {
    for chunk in (1..=PEOPLE).collect::<Vec<_>>().chunks(50) {
        let rows: Vec<String> =
            chunk.iter().map(|n| format!("('{}', 'Nom {n}', 'Famille {n}')", email(*n))).collect();
        client.rows(&format!("INSERT INTO people (email, first_name, last_name) VALUES {}", rows.join(", ")));
    }
}

fn plunder() -> (Loot, Gateway, Postgres) {
    let pg = Postgres::start();
    make_tables(&pg);
    may_sweep(&pg);
    let mut setup = Setup::new(&pg);
    setup.log = "info".to_owned();
    setup.keys = "rotate_every = \"never\"\nbackup = \"backups\"\n".to_owned();
    let mut gateway = Gateway::with(setup);
    insert(&mut Raw::connect(gateway.port(), "app"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut direct = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "app")]);
    let stored = direct.rows("SELECT id, first_name, email FROM people ORDER BY id");
    let cell = |row: &[Option<String>], at: usize| row[at].clone().unwrap();
    let envelopes =
        stored.iter().map(|row| (cell(row, 0), dearmour(cell(row, 1).as_bytes()).unwrap())).collect();
    let tokens = stored.iter().map(|row| (cell(row, 0), cell(row, 2))).collect();
    fs::write(path("before.sql"), pg.dump("app")).unwrap();
    fs::copy(gateway.home.path("keys"), path("kept")).unwrap();
    let back_up = |gateway: &mut Gateway, to: &Path| {
        assert_eq!(gateway.terminate(), Some(0));
        let made = gateway.home.run(&["keystore", "backup", to.to_str().unwrap()]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        gateway.restart();
    };
    back_up(&mut gateway, &path("oldest"));
    for id in 1..=ERASED / 2 {
        gateway.admin().erase(id);
    }
    back_up(&mut gateway, &path("middle"));
    for id in ERASED / 2 + 1..=ERASED {
        gateway.admin().erase(id);
    }
    gateway.home.setup.keys = "rotate_every = \"1s\"\nbackup = \"backups\"\n".to_owned();
    gateway.home.write();
    gateway.restart();
    all(&gateway, "final", ERASED);
    fs::write(path("after.sql"), pg.dump("app")).unwrap();
    gateway.kill();
    pg.stop();
    for name in ["paravent.keystore", "paravent.keystore-wal", "paravent.ledger", "keys"] {
        if gateway.home.path(name).exists() {
            fs::copy(gateway.home.path(name), path(name)).unwrap();
        }
    }
    let made = fs::read_dir(gateway.home.path("backups")).unwrap().map(|e| e.unwrap().path());
    let newest = made.filter(|path| path.extension().is_some_and(|e| e == "keystore")).max().unwrap();
    fs::copy(newest, path("newest")).unwrap();
    let stores: Vec<PathBuf> = ["oldest", "middle", "newest", "paravent.keystore"].map(path).to_vec();
    let mut files: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| !file.ends_with("kept"));
    files.extend(below(&pg.data()));
    let kept = path("kept");
    (Loot { folder, stores, files, kept, envelopes, tokens }, gateway, pg)
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// A keystore as it lies there, its write-ahead log beside it; a copy, so that reading it changes nothing of the loot.
fn read(store: &Path) -> (tempfile::TempDir, Connection) {
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("k");
    fs::copy(store, &to).unwrap();
    let wal = PathBuf::from(format!("{}-wal", store.display()));
    if wal.exists() {
        fs::copy(wal, copy.path().join("k-wal")).unwrap();
    }
    let conn = Connection::open_with_flags(&to, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    (copy, conn)
}

struct Row {
    key: KeyId,
    subject: Option<Subject>,
    purpose: String,
    wrapped: Vec<u8>,
}

fn secrets(conn: &Connection) -> Vec<Row> {
    let mut statement =
        conn.prepare("SELECT key_id, realm, class, id, purpose, wrapped FROM secrets").unwrap();
    let rows = statement.query_map([], |row| {
        let id: Option<String> = row.get(3)?;
        let class: Option<String> = row.get(2)?;
        let subject = id.zip(class).map(|(id, class)| Subject::new(class, id));
        Ok(Row { key: KeyId(row.get(0)?), subject, purpose: row.get(4)?, wrapped: row.get(5)? })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The generation keys that open with those root keys, of every keystore.
fn generations(loot: &Loot, roots: &FileRoots) -> Vec<GenerationKey> {
    let mut keys = Vec::new();
    for store in &loot.stores {
        let (_copy, conn) = read(store);
        let mut statement =
            conn.prepare("SELECT number, wrapped FROM generations WHERE wrapped <> x''").unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
        for (number, wrapped) in rows.map(Result::unwrap) {
            let wrapped = RootWrapped::from_bytes(&wrapped).unwrap();
            keys.extend(roots.unwrap(Generation(number), &wrapped));
        }
    }
    keys
}

/// Every secret, of any keystore, that opens under those generation keys.
fn opened(loot: &Loot, keys: &[GenerationKey]) -> HashMap<KeyId, SubjectSecret> {
    let mut found = HashMap::new();
    for store in &loot.stores {
        let (_copy, conn) = read(store);
        for row in secrets(&conn) {
            let wrapped = Wrapped::from_bytes(&row.wrapped).unwrap();
            let binding = row.subject.as_ref().map_or(Binding::Unbound, Binding::To);
            for key in keys {
                let purpose = Purpose::new(row.purpose.as_str()).unwrap();
                if let Ok(secret) = SubjectSecret::unwrap(&wrapped, key, binding, purpose, row.key) {
                    found.insert(row.key, secret);
                }
            }
        }
    }
    found
}

/// First names that the secrets open, by id.
fn names(loot: &Loot, secrets: &HashMap<KeyId, SubjectSecret>) -> HashMap<usize, String> {
    let field = FieldName::new("first_name").unwrap();
    let mut names = HashMap::new();
    for (id, envelope) in &loot.envelopes {
        let envelope = EnvelopeRef::parse(envelope).unwrap();
        let Some(secret) = secrets.get(&envelope.key_id()) else { continue };
        let mut clear = Vec::new();
        if open(&secret.user_key(), field, envelope, &mut clear).is_ok() {
            names.insert(id.parse().unwrap(), String::from_utf8(clear).unwrap());
        }
    }
    names
}

/// Lookup keys that open under those generation keys.
fn lookup_keys(loot: &Loot, keys: &[GenerationKey]) -> Vec<LookupKey> {
    let mut found = Vec::new();
    for store in &loot.stores {
        let (_copy, conn) = read(store);
        let mut statement = conn.prepare("SELECT domain, wrapped FROM domains").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)));
        for (domain, wrapped) in rows.unwrap().map(Result::unwrap) {
            let wrapped = Wrapped::from_bytes(&wrapped).unwrap();
            let open = keys.iter().filter_map(|key| DomainSecret::unwrap(&wrapped, key, &domain).ok());
            found.extend(open.map(|secret| secret.lookup_key()));
        }
    }
    found
}

/// Whose tokens a dictionary of all addresses finds, in any lookup table.
fn dictionary(loot: &Loot, keys: &[LookupKey]) -> HashSet<usize> {
    let mut tables = HashSet::<[u8; 32]>::new();
    for store in &loot.stores {
        let (_copy, conn) = read(store);
        for table in ["lookups", "folded"] {
            let mut statement = conn.prepare(&format!("SELECT hmac FROM {table}")).unwrap();
            tables.extend(
                statement.query_map([], |row| row.get::<_, [u8; 32]>(0)).unwrap().map(Result::unwrap),
            );
        }
    }
    let hit = |n: &usize| {
        let address = email(*n);
        keys.iter()
            .any(|key| tables.contains(&key.exact(&address).0) || tables.contains(&key.fold(&address).0))
    };
    (1..=PEOPLE).filter(hit).collect()
}

/// HKDF-Expand's first block, by another implementation than the gateway's.
fn expand(secret: &[u8], info: &[u8]) -> [u8; 32] {
    use aws_lc_rs::hmac;
    let mut message = info.to_vec();
    message.push(1);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &message);
    tag.as_ref().try_into().unwrap()
}

/// What a window of 32 bytes must be to be worth something.
struct Wanted {
    /// Of erased secrets.
    keys: HashSet<[u8; 16]>,
    /// Of root keys that once wrapped a generation.
    roots: HashSet<[u8; 8]>,
}

/// Windows of 32 bytes that are a secret of somebody erased, or a root key. A window of mostly zeros, or of mostly text, is
/// no random key (less than one in a thousand million of them is).
fn windows(bytes: &[u8], wanted: &Wanted, found: &mut Vec<[u8; 32]>, tried: &mut HashSet<[u8; 32]>) {
    let text = |byte: u8| usize::from((0x20..0x7f).contains(&byte));
    let (mut zeros, mut texts) = (0, 0);
    for (end, byte) in bytes.iter().enumerate() {
        zeros += usize::from(*byte == 0);
        texts += text(*byte);
        if end < 31 {
            continue;
        }
        let window: [u8; 32] = bytes[end - 31..=end].try_into().unwrap();
        if zeros < 6 && texts < 28 && tried.insert(window) {
            let key: [u8; 16] =
                expand(&window, b"paravent/v1/key-id\x00\x07default")[..16].try_into().unwrap();
            let root: [u8; 8] = expand(&window, b"paravent/v1/root-id")[..8].try_into().unwrap();
            if wanted.keys.contains(&key) || wanted.roots.contains(&root) {
                found.push(window);
            }
        }
        let first = bytes[end - 31];
        zeros -= usize::from(first == 0);
        texts -= text(first);
    }
}

/// Places of 65 bytes that have the form of a wrapped secret, tried as one of everybody erased under every key of today.
fn wrapped_windows(loot: &Loot, keys: &[GenerationKey], erased: &[(KeyId, Subject)]) -> usize {
    let mut forms = HashSet::<[u8; 65]>::new();
    for file in &loot.files {
        let bytes = fs::read(file).unwrap();
        for window in bytes.windows(65).filter(|w| w[0] == 1 && w[1..4] == [0, 0, 0]) {
            let generation = Generation(u32::from(window[4]));
            if keys.iter().any(|key| key.number() == generation) {
                forms.insert(window.try_into().unwrap());
            }
        }
    }
    let recovered = |form: &[u8; 65]| {
        let Ok(wrapped) = Wrapped::from_bytes(form) else { return false };
        keys.iter().any(|key| {
            erased.iter().any(|(id, subject)| {
                let purpose = Purpose::default();
                SubjectSecret::unwrap(&wrapped, key, Binding::To(subject), purpose, *id).is_ok()
            })
        })
    };
    forms.iter().filter(|form| recovered(form)).count()
}

#[test]
fn nothing_comes_back_of_a_thousand_erased_people() {
    let (loot, mut gateway, mut pg) = plunder();
    let erased_ids: HashSet<usize> = (1..=ERASED).collect();
    let today = FileRoots::open(loot.folder.path().join("keys")).unwrap();
    let first = FileRoots::open(&loot.kept).unwrap();

    // The attack itself works: with the root key that was destroyed, the oldest backup gives everybody back.
    let old = generations(&loot, &first);
    let all_back = opened(&loot, &old);
    assert_eq!(
        names(&loot, &all_back).len(),
        PEOPLE,
        "the oldest backup and the first root key open everything"
    );
    assert_eq!(dictionary(&loot, &lookup_keys(&loot, &old)).len(), PEOPLE);

    // Without it, nobody comes back.
    let keys = generations(&loot, &today);
    assert!(!keys.is_empty() && keys.iter().all(|key| key.number() > Generation(1)));
    let mine = opened(&loot, &keys);
    let back = names(&loot, &mine);
    assert_eq!(back.len(), PEOPLE - ERASED, "today's keys open the survivors");
    assert!(back.keys().all(|id| !erased_ids.contains(id)));
    let found = dictionary(&loot, &lookup_keys(&loot, &keys));
    assert_eq!(found.len(), PEOPLE - ERASED, "a dictionary finds the survivors");
    assert!(found.is_disjoint(&erased_ids));

    // Nor does any window of any file.
    let (_copy, oldest) = read(&loot.stores[0]);
    let owner = |row: &Row| row.subject.clone().filter(|s| erased_ids.contains(&s.id.parse().unwrap()));
    let erased: Vec<(KeyId, Subject)> =
        secrets(&oldest).iter().filter_map(|row| Some((row.key, owner(row)?))).collect();
    assert_eq!(erased.len(), ERASED);
    let roots = ["oldest", "paravent.keystore"].iter().flat_map(|name| {
        let (_copy, conn) = read(&loot.folder.path().join(name));
        let mut statement = conn.prepare("SELECT wrapped FROM generations WHERE wrapped <> x''").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        rows.map(|row| <[u8; 8]>::try_from(&row.unwrap()[1..9]).unwrap()).collect::<Vec<_>>()
    });
    let wanted = Wanted { keys: erased.iter().map(|(key, _)| key.0).collect(), roots: roots.collect() };
    let (mut hits, mut tried) = (Vec::new(), HashSet::new());
    for file in &loot.files {
        windows(&fs::read(file).unwrap(), &wanted, &mut hits, &mut tried);
    }
    assert!(hits.is_empty(), "{} windows are keys", hits.len());
    assert!(tried.len() > 100_000, "only {} windows were tried", tried.len());
    assert_eq!(wrapped_windows(&loot, &keys, &erased), 0);

    // The search would have known one: a root key in a file is found.
    let text = fs::read_to_string(&loot.kept).unwrap();
    let root = hex::decode(text.trim().rsplit(' ').next().unwrap()).unwrap();
    windows(&[&[7; 40][..], &root, &[9; 40]].concat(), &wanted, &mut hits, &mut tried);
    assert_eq!(hits.len(), 1, "the first root key, had it been there");

    // And every survivor still reads.
    pg.start_again();
    gateway.home.setup.upstream = pg.upstream();
    gateway.home.write();
    gateway.restart();
    let rows =
        Raw::connect(gateway.port(), "app").rows("SELECT id, email, first_name FROM people ORDER BY id");
    for row in rows {
        let n: usize = row[0].as_ref().unwrap().parse().unwrap();
        let shown = (row[1].as_deref().unwrap(), row[2].as_deref());
        if erased_ids.contains(&n) {
            assert_eq!(shown, ("", None));
        } else {
            assert_eq!(shown, (email(n).as_str(), Some(format!("Nom {n}").as_str())));
        }
    }
    assert_eq!(loot.tokens.len(), PEOPLE);
}
