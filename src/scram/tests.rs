//! Both ends against each other, and what each of them refuses.

use super::*;
use crate::crypto::{hmac_sha256, sha256};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

/// A password's keys, and the verifier that a server keeps of it.
fn keys(password: &[u8]) -> (Secret<32>, String) {
    let mut salted = [0; 32];
    aws_lc_rs::pbkdf2::derive(
        aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
        4096.try_into().unwrap(),
        &STANDARD.decode(SALT).unwrap(),
        password,
        &mut salted,
    );
    let client = hmac_sha256(&Secret::new(salted), &[b"Client Key"]);
    let server = hmac_sha256(&Secret::new(salted), &[b"Server Key"]);
    let stored = STANDARD.encode(sha256(&[&client]));
    let text = format!("SCRAM-SHA-256$4096:{SALT}${stored}:{}", STANDARD.encode(server));
    (Secret::new(client), text)
}

fn verifier(password: &[u8]) -> Option<Verifier> {
    Verifier::parse(&keys(password).1)
}

/// What a client of that password sends last.
fn last(password: &[u8], first: &str, challenge: &[u8], told: &str) -> Vec<u8> {
    let (client, _) = keys(password);
    let challenge = std::str::from_utf8(challenge).unwrap();
    let nonce = challenge.strip_prefix("r=").unwrap().split(',').next().unwrap();
    let unsigned = format!("c={told},r={nonce}");
    let signed = format!("{first},{challenge},{unsigned}");
    let stored = Secret::new(sha256(&[client.expose()]));
    let proof = crate::crypto::scram::proof(&client, &stored, &[signed.as_bytes()]);
    format!("{unsigned},p={}", STANDARD.encode(proof)).into_bytes()
}

fn begun(own: Option<&Binding>, mechanism: &str, header: &str) -> Result<First, Wrong> {
    First::read(mechanism.as_bytes(), format!("{header}n=,r=abc").as_bytes(), own)
}

fn some_binding() -> Binding {
    let key = rcgen::KeyPair::generate().unwrap();
    let made =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    Binding::of(made.der()).unwrap()
}

#[test]
fn a_proof_gives_the_key_that_logs_in_elsewhere() {
    let own = some_binding();
    for (channel, own, header) in [
        (Channel::Unbound, None, "n,,"),
        (Channel::NotOffered, None, "y,,"),
        (Channel::Bound(own.clone()), Some(&own), "p=tls-server-end-point,,"),
    ] {
        let mechanism = if own.is_some() { PLUS } else { PLAIN };
        let (challenge, challenged) = begun(own, mechanism, header).unwrap().challenge(SALT, 4096);
        let sent = last(b"pencil", "n=,r=abc", &challenge, &channel.told());
        let proven = challenged.check(&sent, verifier(b"pencil")).unwrap();
        assert!(proven.message().starts_with(b"v="));

        // The server, played by the other end of this room.
        let login = Login::new(Channel::Unbound);
        let first = First::read(login.mechanism().as_bytes(), &login.message(), None).unwrap();
        let (challenge, challenged) = first.challenge(SALT, 4096);
        let challenge = login.challenged(&challenge).unwrap();
        assert_eq!((challenge.salt(), challenge.iterations()), (SALT, 4096));
        let (sent, answered) = challenge.answer(proven);
        let server = challenged.check(&sent, verifier(b"pencil")).unwrap();
        answered.check(server.message()).unwrap();
    }
}

#[test]
fn another_password_and_an_unknown_role_fail_alike() {
    for known in [verifier(b"pen"), None] {
        let (challenge, challenged) = begun(None, PLAIN, "n,,").unwrap().challenge(SALT, 4096);
        let sent = last(b"pencil", "n=,r=abc", &challenge, "biws");
        assert_eq!(challenged.check(&sent, known).err(), Some(Wrong::Proof));
    }
}

#[test]
fn a_channel_that_is_another_or_was_hidden_is_found_out() {
    let (own, other) = (some_binding(), some_binding());
    assert_eq!(begun(Some(&own), PLAIN, "y,,").err(), Some(Wrong::Negotiation));
    assert_eq!(begun(Some(&own), PLUS, "n,,").err(), Some(Wrong::Malformed));
    assert_eq!(begun(Some(&own), PLUS, "p=tls-unique,,").err(), Some(Wrong::BindingType));
    assert_eq!(begun(None, PLUS, "p=tls-server-end-point,,").err(), Some(Wrong::Mechanism));
    assert_eq!(begun(None, PLAIN, "p=tls-server-end-point,,").err(), Some(Wrong::Malformed));
    let (challenge, challenged) =
        begun(Some(&own), PLUS, "p=tls-server-end-point,,").unwrap().challenge(SALT, 4096);
    let sent = last(b"pencil", "n=,r=abc", &challenge, &Channel::Bound(other).told());
    assert_eq!(challenged.check(&sent, verifier(b"pencil")).err(), Some(Wrong::Binding));
}

#[test]
fn messages_of_another_form_are_refused() {
    for (message, why) in [
        ("", Wrong::Malformed),
        ("n", Wrong::Malformed),
        ("x,,n=,r=abc", Wrong::Malformed),
        ("n,a=admin,n=,r=abc", Wrong::Identity),
        ("n,,m=must,n=,r=abc", Wrong::Extension),
        ("n,,r=abc", Wrong::Malformed),
        ("n,,n=", Wrong::Malformed),
        ("n,,n=,r=", Wrong::Malformed),
        ("n,,n=,r=a\u{e9}", Wrong::Malformed),
        ("n,,n=,r=a b", Wrong::Malformed),
    ] {
        assert_eq!(First::read(PLAIN.as_bytes(), message.as_bytes(), None).err(), Some(why), "{message}");
    }
    assert_eq!(First::read(b"SCRAM-SHA-1", b"n,,n=,r=abc", None).err(), Some(Wrong::Mechanism));
    for message in ["", "c=biws", "c=biws,r=other,p=AAAA", "c=biws,r=abc,p=!", "e=other-error"] {
        let (_, challenged) = begun(None, PLAIN, "n,,").unwrap().challenge(SALT, 4096);
        assert!(challenged.check(message.as_bytes(), None).is_err(), "{message}");
    }
    for message in ["", "r=x,s=YQ==,i=4096", "e=other-error"] {
        assert!(Login::new(Channel::Unbound).challenged(message.as_bytes()).is_err(), "{message}");
    }
    let login = Login::new(Channel::Unbound);
    let own = String::from_utf8(login.message()).unwrap();
    let nonce = own.strip_prefix("n,,n=,r=").unwrap();
    assert!(
        login.challenged(format!("r={nonce},s=YQ==,i=4096").as_bytes()).is_err(),
        "the server adds nothing"
    );
}

#[test]
fn a_server_that_does_not_know_the_role_is_found_out() {
    let (challenge, challenged) = begun(None, PLAIN, "n,,").unwrap().challenge(SALT, 4096);
    let sent = last(b"pencil", "n=,r=abc", &challenge, "biws");
    let proven = challenged.check(&sent, verifier(b"pencil")).unwrap();
    let login = Login::new(Channel::Unbound);
    let first = First::read(PLAIN.as_bytes(), &login.message(), None).unwrap();
    let (challenge, _) = first.challenge(SALT, 4096);
    let (_, answered) = login.challenged(&challenge).unwrap().answer(proven);
    let made_up = format!("v={}", STANDARD.encode([7; 32]));
    assert_eq!(answered.check(made_up.as_bytes()), Err(Wrong::Server));
}
