//! moto's server, which speaks AWS KMS.

use crate::conformance::conforms;
use crate::ids::Generation;
use crate::support::python::python;
use paravent::keys::GenerationKey;
use paravent::roots::{Endpoint, KmsOptions, KmsRoots, RootError, RootProvider};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use zeroize::Zeroizing;

struct Moto {
    server: Child,
    port: u16,
}

impl Moto {
    fn start() -> Self {
        let python = python("moto", "moto[server,kms]>=5,<6\n");
        // moto takes no port 0, and one that was free a moment ago may be taken: by another moto, too.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let server = Command::new(python.parent().unwrap().join("moto_server"))
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut moto = Self { server, port };
            if moto.runs() {
                return moto;
            }
        }
        panic!("moto found no port");
    }

    /// Waits until it says that it runs; false where it ends instead.
    fn runs(&mut self) -> bool {
        let (send, runs) = mpsc::channel();
        let said = BufReader::new(self.server.stderr.take().unwrap());
        // Reads on to the end: it logs every request.
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok).filter(|line| line.contains("Running on")) {
                drop(send.send(line));
            }
        });
        match runs.recv_timeout(Duration::from_secs(60)) {
            Ok(_) => true,
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("moto neither runs nor ends"),
        }
    }

    fn options(&self, prefix: &str) -> KmsOptions {
        KmsOptions {
            endpoint: Endpoint::new(&format!("http://127.0.0.1:{}", self.port), None).unwrap(),
            region: "eu-west-1".into(),
            prefix: prefix.into(),
            access: "AKIDEXAMPLE".into(),
            secret: Zeroizing::new("secret".into()),
            session: None,
        }
    }

    fn open(&self, prefix: &str) -> KmsRoots {
        KmsRoots::open(self.options(prefix)).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn kms_conforms() {
    let moto = Moto::start();
    conforms(&moto.open("suite"));
}

#[test]
fn a_scheduled_deletion_opens_nothing_and_is_not_final() {
    let moto = Moto::start();
    let (one, two) = (moto.open("one"), moto.open("two"));
    one.create(Generation(3)).unwrap();
    assert!(two.list().unwrap().is_empty(), "of another prefix");
    let wrapped = one.wrap(&GenerationKey::generate(Generation(3))).unwrap();
    one.destroy(Generation(3)).unwrap();
    assert_eq!(one.list().unwrap().len(), 1, "listed until it is gone");
    assert!(matches!(one.unwrap(Generation(3), &wrapped), Err(RootError::Missing(_))));
    two.create(Generation(3)).unwrap();
    assert!(two.unwrap(Generation(3), &wrapped).is_err());
}

#[test]
fn a_kms_that_is_down_is_told_and_clear_http_goes_nowhere_else() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Moto { server: Command::new("true").spawn().unwrap(), port };
    let error = KmsRoots::open(nobody.options("p")).err().unwrap();
    assert!(matches!(error, RootError::Provider { provider: "aws-kms", .. }), "{error}");
    assert!(Endpoint::new("http://kms.example.com", None).is_err());
    assert!(Endpoint::new("https://kms.example.com", None).is_err(), "no roots to trust");
}
