//! What may come before a session begins.

use crate::support::{Raw, World, raw, row};

/// The gateway still serves, and has not grown.
fn well(world: &mut World) {
    assert!(world.gateway.alive());
    assert_eq!(world.through().rows("SELECT 1"), [row(["1"])]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.gateway.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 400_000, "resident: {kib} KiB");
}

#[test]
fn answers_or_drops_every_unknown_start() {
    let mut world = World::new();
    let port = world.gateway.port();
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for code in [0, 1, 65_536, 131_072, 196_607, 262_144, 80_877_101, 80_877_105, u32::MAX, 0x1603_0100] {
        packets.push(raw::startup(code, &[("user", "app"), ("database", "app")]));
    }
    for len in [0_u32, 1, 3, 4, 7, 8, 10_001, 1 << 24, 1 << 30, i32::MAX as u32, u32::MAX] {
        packets.push([&len.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0app\0\0"].concat());
    }
    packets.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    packets.push(vec![0; 100]);
    packets.push(vec![0xff; 10_000]);
    packets.push(Vec::new());
    // Parameters that don't end, have no value, or name no user.
    for body in [
        &b"user"[..],
        b"user\0",
        b"user\0app",
        b"user\0app\0database",
        b"\0",
        b"database\0app\0\0",
        b"user\0\xff\xfe\0\0",
    ] {
        let len = u32::try_from(body.len() + 8).unwrap();
        packets.push([&len.to_be_bytes()[..], &196_608_u32.to_be_bytes(), body].concat());
    }
    for packet in packets {
        let mut client = Raw::dial(port);
        client.try_send(&packet).ok();
        client.finish();
        let answer = client.drain();
        let session = answer.windows(6).any(|w| w == b"Z\0\0\0\x05I");
        assert!(!session, "{packet:?} began a session");
    }
    well(&mut world);
}

#[test]
fn every_start_may_break_off_anywhere() {
    let mut world = World::new();
    let port = world.gateway.port();
    let start = raw::startup(196_608, &[("user", "app"), ("database", "app"), ("application_name", "x")]);
    for packet in [start, raw::ssl_request().to_vec(), raw::gss_request().to_vec(), raw::cancel(&[0; 8])] {
        for len in 0..packet.len() {
            let mut client = Raw::dial(port);
            client.try_send(&packet[..len]).ok();
            client.finish();
            client.drain();
        }
    }
    well(&mut world);
}

#[test]
fn declines_tls_and_gss_and_goes_on_in_clear() {
    let world = World::new();
    let mut client = Raw::dial(world.gateway.port());
    client.send(&raw::gss_request());
    assert_eq!(client.byte(), Some(b'N'));
    client.send(&raw::ssl_request());
    assert_eq!(client.byte(), Some(b'N'));
    client.start(&[("user", "app"), ("database", "app")]);
    assert_eq!(client.rows("SELECT 2"), [row(["2"])]);
}

#[test]
fn drops_what_was_sent_in_clear_behind_a_request_for_tls() {
    let world = World::new();
    let mut client = Raw::dial(world.gateway.port());
    let stuffed =
        [&raw::ssl_request()[..], &raw::startup(196_608, &[("user", "app"), ("database", "app")])].concat();
    client.send(&stuffed);
    // Declined here, since this listener has no TLS: what follows is then read in clear, as Postgres does.
    assert_eq!(client.byte(), Some(b'N'));
}

#[test]
fn negotiates_a_newer_minor_version_and_unknown_options() {
    let world = World::new();
    for (code, options) in [(196_608 + 9, vec![]), (196_608, vec![("_pq_.unknown", "1")])] {
        let mut client = Raw::dial(world.gateway.port());
        let mut parameters = vec![("user", "app"), ("database", "app")];
        parameters.extend(options);
        client.send(&raw::startup(code, &parameters));
        let answers = client.until_ready();
        assert_eq!(answers.iter().filter(|m| m.tag == b'v').count(), 1, "{answers:?}");
        assert_eq!(answers.last().unwrap().line(), "ReadyForQuery I");
        assert_eq!(client.rows("SELECT 3"), [row(["3"])]);
    }
}

#[test]
fn refuses_replication() {
    let world = World::new();
    let mut client = Raw::dial(world.gateway.port());
    client.send(&raw::startup(196_608, &[("user", "app"), ("database", "app"), ("replication", "database")]));
    let answers = client.until_ready();
    let error = answers.iter().find(|m| m.tag == b'E').expect("an error");
    assert_eq!(error.sqlstate(), "0A000");
    assert!(!answers.iter().any(|m| m.tag == b'Z'));
}

#[test]
fn refuses_start_up_options_that_change_how_statements_read() {
    let world = World::new();
    for parameters in [
        [("client_encoding", "SJIS")],
        [("options", "-c standard_conforming_strings=off")],
        [("standard_conforming_strings", "off")],
    ] {
        let mut client = Raw::dial(world.gateway.port());
        let all = [&[("user", "app"), ("database", "app")][..], &parameters].concat();
        client.send(&raw::startup(196_608, &all));
        let answers = client.until_ready();
        let error =
            answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{parameters:?}: {answers:?}"));
        assert_eq!(error.sqlstate(), "0A000", "{parameters:?}");
    }
}

#[test]
fn unknown_databases_and_roles_get_the_server_s_own_answer() {
    let world = World::new();
    for (user, database, code) in [("app", "nowhere", "3D000"), ("nobody", "app", "28000")] {
        let mut client = Raw::dial(world.gateway.port());
        client.send(&raw::startup(196_608, &[("user", user), ("database", database)]));
        let answers = client.until_closed();
        assert_eq!(answers.last().unwrap().sqlstate(), code);
    }
    assert_eq!(world.through().rows("SELECT 1"), [row(["1"])]);
}

#[test]
fn clients_that_never_speak_keep_nobody_out() {
    let mut world = World::new();
    let port = world.gateway.port();
    let silent: Vec<Raw> = (0..200).map(|_| Raw::dial(port)).collect();
    well(&mut world);
    drop(silent);
}

#[test]
fn a_wrong_cancel_key_cancels_nobody() {
    let world = World::new();
    let mut client = world.through();
    let mut key = client.key.clone();
    *key.last_mut().unwrap() ^= 1;
    client.send(&raw::query("SELECT pg_sleep(0.2), 'whole'"));
    let mut other = Raw::dial(world.gateway.port());
    other.send(&raw::cancel(&key));
    assert!(other.drain().is_empty());
    let answers = client.until_ready();
    assert!(answers.iter().any(|m| m.tag == b'D'), "{answers:?}");
}
