//! SoftHSM2, in a directory of its own. Its library reads its place from the environment, once per process: so each test
//! runs again in a process of its own.

use crate::conformance::conforms;
use crate::ids::Generation;
use crate::support::gateway::{PROGRAM, Setup};
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, row};
use paravent::keys::GenerationKey;
use paravent::roots::{Pkcs11Roots, RootError, RootProvider};
use std::path::{Path, PathBuf};
use std::process::Command;

const INSIDE: &str = "PARAVENT_TEST_HSM";
const PIN: &str = "987654";

fn module() -> PathBuf {
    let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    places.iter().map(PathBuf::from).find(|path| path.exists()).expect("softhsm2 is installed (`make deps`)")
}

/// A new token in this directory; the configuration's path.
fn token(dir: &Path) -> PathBuf {
    std::fs::create_dir(dir.join("tokens")).unwrap();
    let config = dir.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        dir.join("tokens").display()
    );
    std::fs::write(&config, text).unwrap();
    let out = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "test token", "--so-pin", "123456", "--pin", PIN])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .expect("softhsm2-util is installed (`make deps`)");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    config
}

/// Runs the test of that name again, in a process that finds a new token; true inside of it.
fn inside(name: &str) -> bool {
    if std::env::var(INSIDE).is_ok() {
        return true;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("hsm::{name}"), "--nocapture"])
        .env("SOFTHSM2_CONF", token(dir.path()))
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
    false
}

fn open(prefix: &str) -> Pkcs11Roots {
    Pkcs11Roots::open(&module(), "test token", prefix, PIN).unwrap()
}

#[test]
fn an_hsm_conforms() {
    if inside("an_hsm_conforms") {
        conforms(&open("suite"));
        assert!(open("suite").destruction_is_proven());
    }
}

#[test]
fn root_keys_of_two_prefixes_do_not_know_each_other() {
    if inside("root_keys_of_two_prefixes_do_not_know_each_other") {
        let (one, two) = (open("one"), open("two"));
        one.create(Generation(1)).unwrap();
        assert!(two.list().unwrap().is_empty());
        two.create(Generation(1)).unwrap();
        let wrapped = one.wrap(&GenerationKey::generate(Generation(1))).unwrap();
        assert!(matches!(two.unwrap(Generation(1), &wrapped), Err(RootError::WrongRoot(Generation(1)))));
    }
}

#[test]
fn a_wrong_pin_token_or_module_is_told_and_the_pin_is_not() {
    if inside("a_wrong_pin_token_or_module_is_told_and_the_pin_is_not") {
        let (module, none) = (module(), PathBuf::from("/nonexistent.so"));
        for (module, token, pin) in
            [(&module, "test token", "111111"), (&module, "other", PIN), (&none, "test token", PIN)]
        {
            let error = Pkcs11Roots::open(module, token, "p", pin).err().unwrap();
            let text = error.to_string();
            assert!(matches!(error, RootError::Provider { .. }) && !text.contains(pin), "{text}");
        }
    }
}

/// A key never leaves: the token's own rules say so of what was made.
#[test]
fn a_root_key_is_sensitive_and_not_extractable() {
    use cryptoki::context::Pkcs11;
    use cryptoki::object::{Attribute, AttributeType, ObjectClass};
    use cryptoki::session::UserType;
    use cryptoki::types::AuthPin;
    if inside("a_root_key_is_sensitive_and_not_extractable") {
        let roots = open("p");
        roots.create(Generation(1)).unwrap();
        let context = Pkcs11::new(module()).unwrap();
        let slot = context.get_slots_with_initialized_token().unwrap()[0];
        let session = context.open_ro_session(slot).unwrap();
        let _ = session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned())));
        let keys = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap();
        assert_eq!(keys.len(), 1);
        let asked = [
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::AlwaysSensitive,
            AttributeType::NeverExtractable,
            AttributeType::Value,
        ];
        let found = session.get_attributes(keys[0], &asked).unwrap();
        for expected in [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::AlwaysSensitive(true),
            Attribute::NeverExtractable(true),
        ] {
            assert!(found.contains(&expected), "{expected:?} of {found:?}");
        }
        assert!(
            !found.iter().any(|attribute| matches!(attribute, Attribute::Value(_))),
            "its value is readable"
        );
    }
}

#[test]
fn a_gateway_serves_with_its_root_key_in_an_hsm_and_refuses_to_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = token(dir.path());
    let pg = Postgres::with(&Options::default());
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.env.push(("SOFTHSM2_CONF".into(), config.display().to_string()));
    setup.env.push(("PARAVENT_PKCS11_PIN".into(), PIN.into()));
    let home = crate::support::gateway::Home::new(setup);
    let toml = std::fs::read_to_string(home.path("paravent.toml")).unwrap();
    let address = format!("pkcs11:token=test%20token;object=gw?module-path={}", module().display());
    let toml = toml.replace("root = \"file:keys\"", &format!("root = \"{address}\""));
    assert!(toml.contains("pkcs11:"));
    std::fs::write(home.path("paravent.toml"), toml).unwrap();
    std::fs::remove_file(home.path("keys")).unwrap();
    std::fs::remove_file(home.path("receipt.key")).unwrap();
    let generate = Command::new(PROGRAM)
        .current_dir(home.path("."))
        .args(["keys", "generate", "--config", "paravent.toml"])
        .env("SOFTHSM2_CONF", &config)
        .env("PARAVENT_PKCS11_PIN", PIN)
        .output()
        .unwrap();
    assert!(generate.status.success(), "{}", String::from_utf8_lossy(&generate.stderr));
    assert!(!home.path("keys").exists());
    let mut gateway = Gateway::at(home);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows("INSERT INTO people (email, first_name) VALUES ('a@b.example', 'Ana')");
    gateway.restart();
    let mut client = Raw::connect(gateway.port(), "app");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    gateway.kill();
    std::fs::rename(dir.path().join("tokens"), dir.path().join("gone")).unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let (code, told) = gateway.home.refused();
    assert!(code != 0 && told.contains("pkcs11"), "{code}: {told}");
}
