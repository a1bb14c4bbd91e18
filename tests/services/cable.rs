//! The line between gateway and service, which a test may cut: the request arrives, its answer never does.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

const PASS: u8 = 0;
const CUT: u8 = 1;
const HOLD: u8 = 2;

/// A line to one service.
pub struct Cable {
    pub port: u16,
    mode: Arc<AtomicU8>,
    answers: Arc<AtomicU32>,
}

impl Cable {
    pub fn to(service: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, answers) = (Arc::new(AtomicU8::new(PASS)), Arc::new(AtomicU32::new(0)));
        let (of, count) = (mode.clone(), answers.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (of, count) = (of.clone(), count.clone());
                std::thread::spawn(move || carry(client, service, &of, &count));
            }
        });
        Self { port, mode, answers }
    }

    /// Answers come through.
    pub fn mend(&self) {
        self.mode.store(PASS, Ordering::SeqCst);
    }

    /// From here on an answer is lost, and its connection with it.
    pub fn cut(&self) {
        self.mode.store(CUT, Ordering::SeqCst);
    }

    /// From here on an answer stays on its way.
    pub fn hold(&self) {
        self.mode.store(HOLD, Ordering::SeqCst);
    }

    /// Answers that the service gave and that did not come through.
    pub fn lost(&self) -> u32 {
        self.answers.load(Ordering::SeqCst)
    }
}

fn carry(mut client: TcpStream, service: u16, mode: &AtomicU8, lost: &AtomicU32) {
    let Ok(mut service) = TcpStream::connect(("127.0.0.1", service)) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), service.try_clone().unwrap());
    std::thread::spawn(move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    let mut bytes = [0; 4096];
    while let Ok(n) = service.read(&mut bytes)
        && n > 0
    {
        match mode.load(Ordering::SeqCst) {
            PASS => {
                if client.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
            CUT => {
                lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            // The rest of it is read, and goes nowhere.
            _ => drop(lost.fetch_add(1, Ordering::SeqCst)),
        }
    }
    client.shutdown(Shutdown::Both).ok();
    service.shutdown(Shutdown::Both).ok();
}
