//! What must not grow: 256 connections for a while, and a gibibyte each way.

use crate::documents::Size;
use crate::gateway::Gateway;
use crate::load::wrk;
use crate::process::memory;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

const GIBIBYTE: usize = 1 << 30;
const PIECE: usize = 1 << 20;

/// Resident memory after a fifth of the time and at its end.
pub(crate) fn many_connections(gateway: &Gateway, seconds: u32) -> String {
    let url = format!("http://127.0.0.1:{}/plain/{}", gateway.port, Size::Small.name());
    wrk(&url, 256, (seconds / 5).max(1));
    let early = memory(gateway.pid(), "VmRSS:");
    let (requests, _) = wrk(&url, 256, seconds);
    let late = memory(gateway.pid(), "VmRSS:");
    assert!(late < early + (4 << 10), "it grew from {early} to {late} KiB");
    format!(
        "256 connections, {seconds} s: {requests:.0} requests, no error; resident {early} KiB, then {late} KiB\n"
    )
}

/// A gibibyte up and a gibibyte down through a fresh gateway; the most that it held.
pub(crate) fn gibibyte(scratch: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = std::thread::spawn(move || serve(&listener.accept().unwrap().0));
    let gateway = Gateway::start(&scratch.join("memory"), port);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port)).unwrap();
    write!(
        client,
        "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: {GIBIBYTE}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    send(&mut client);
    let mut head = [0; 15];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let mut received = 0;
    let mut buffer = vec![0; PIECE];
    loop {
        match client.read(&mut buffer).unwrap() {
            0 => break,
            n => received += n,
        }
    }
    assert!(received > GIBIBYTE, "the whole gibibyte came back");
    service.join().unwrap();
    let high = memory(gateway.pid(), "VmHWM:");
    assert!(high < 30 << 10, "{high} KiB");
    format!("1 GiB up and 1 GiB down: VmHWM {high} KiB\n")
}

fn serve(mut stream: &TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut buffer = vec![0; PIECE];
    let mut left = GIBIBYTE;
    while left > 0 {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the request broke off");
        left -= n;
    }
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIBIBYTE}\r\n\r\n").unwrap();
    send(&mut stream);
}

fn send(stream: &mut impl Write) {
    let piece = vec![b'x'; PIECE];
    (0..GIBIBYTE / PIECE).for_each(|_| stream.write_all(&piece).unwrap());
}
