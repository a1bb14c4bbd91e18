//! Every message truncated at every byte, and mutated at random: readers answer, and never panic.

use super::*;
use crate::pg::value::Format;
use proptest::prelude::*;

type Read = fn(&[u8]) -> bool;

/// A sample of every message (its body) with its reader, which says whether the body read.
fn samples() -> Vec<(&'static str, Vec<u8>, Read)> {
    vec![
        ("startup", startup_body(), |b| startup::read(b).is_ok()),
        ("cancel", cancel_body(), |b| startup::read(b).is_ok()),
        ("parse", made(|o| parse_msg::write(o, b"s", b"SELECT $1", &[25, 23])), |b| {
            parse_msg::read(b).is_ok()
        }),
        ("bind", bind_body(), read_bind),
        ("row", row_body(), |b| row::cells(b).is_ok_and(|mut c| c.all(|x| x.is_ok()))),
        ("description", description_body(), |b| describe::read(b).is_ok()),
        ("params", made(|o| describe::write_params(o, &[1, 2, 3])), |b| describe::read_params(b).is_ok()),
        ("error", error_body(), read_error),
        ("describe", made(|o| simple::describe(o, simple::Target::Statement(b"s"))), |b| {
            simple::read_target(b).is_ok()
        }),
        ("execute", made(|o| simple::execute(o, b"p", 3)), |b| simple::read_execute(b).is_ok()),
        ("query", made(|o| simple::query(o, b"SELECT 1")), |b| simple::read_query(b).is_ok()),
        ("status", made(|o| simple::parameter_status(o, b"a", b"b")), |b| {
            simple::read_parameter_status(b).is_ok()
        }),
        ("tag", made(|o| simple::command_complete(o, b"INSERT 0 1")), |b| {
            simple::read_command_complete(b).is_ok()
        }),
        ("key", vec![0, 0, 0, 7, 1, 2, 3, 4], |b| simple::read_backend_key(b).is_ok()),
        ("ready", b"T".to_vec(), |b| simple::read_ready(b).is_ok()),
    ]
}

fn made(write: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    out.split_off(frame::HEADER)
}

fn startup_body() -> Vec<u8> {
    let mut out = Vec::new();
    startup::write(&mut out, startup::VERSION_3_0, [(&b"user"[..], &b"bob"[..])]).unwrap();
    out.split_off(4)
}

fn cancel_body() -> Vec<u8> {
    let mut out = Vec::new();
    startup::cancel_request(&mut out, 7, &[1, 2, 3, 4]).unwrap();
    out.split_off(4)
}

fn bind_body() -> Vec<u8> {
    made(|o| {
        let mut w = bind::BindWriter::begin(o, b"p", b"s", &[Format::Text, Format::Binary])?;
        w.value(b"hello")?;
        w.null()?;
        w.finish(&[Format::Binary, Format::Text])
    })
}

fn row_body() -> Vec<u8> {
    made(|o| {
        let mut w = row::RowWriter::begin(o);
        w.cell(b"hello")?;
        w.null()?;
        w.cell(b"")?;
        w.finish()
    })
}

fn description_body() -> Vec<u8> {
    let c = describe::Column {
        name: b"id",
        table: 1,
        attnum: 1,
        oid: 23,
        len: 4,
        typmod: -1,
        format: 0,
        fixed_at: 0,
    };
    made(|o| describe::write(o, &[c, c]))
}

fn error_body() -> Vec<u8> {
    made(|o| {
        let report =
            error::Report { code: "0A000", message: "no", position: Some(3), ..error::Report::default() };
        error::write(o, &report);
        Ok(())
    })
}

fn read_bind(body: &[u8]) -> bool {
    let Ok(b) = bind::read(body) else { return false };
    (0..b.values.len() + 2).for_each(|i| {
        let _ = (b.value(i), b.formats.at(i), b.results.at(i));
    });
    true
}

fn read_error(body: &[u8]) -> bool {
    let _ = (error::code(body), error::position(body));
    let mut out = Vec::new();
    let ok = error::rewrite(&mut out, b'E', body, |_, _| error::Change::Keep).is_ok();
    assert_eq!(ok, !out.is_empty());
    ok
}

#[test]
fn whole_messages_read() {
    for (name, body, read) in samples() {
        assert!(read(&body), "{name}");
    }
}

/// A truncated message is refused wherever it is cut (a cancel or backend key of 8 bytes is the shortest).
#[test]
fn refuses_every_message_truncated_at_every_byte() {
    for (name, body, read) in samples() {
        for end in 0..body.len() {
            assert!(!read(&body[..end]), "{name} cut at {end}");
        }
    }
}

#[test]
fn refuses_every_message_with_a_byte_too_many() {
    for (name, mut body, read) in samples() {
        body.push(0);
        assert_eq!(read(&body), matches!(name, "cancel" | "key"), "{name}");
    }
}

proptest! {
    #[test]
    fn no_mutation_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for (_, mut body, read) in samples() {
            for (at, byte) in &flips {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            read(&body);
        }
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, _, read) in samples() {
            read(&body);
        }
        let _ = frame::header(&body, frame::LARGE);
        let _ = startup::length(&body);
    }
}
