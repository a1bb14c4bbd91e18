//! moto's server, which speaks AWS KMS.

use crate::conformance::conforms;
use crate::ids::Generation;
use crate::support::eventually;
use crate::support::python::python;
use paravent::keys::GenerationKey;
use paravent::roots::{Endpoint, KmsOptions, KmsRoots, RootError, RootProvider};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use zeroize::Zeroizing;

struct Moto {
    server: Child,
    port: u16,
}

impl Moto {
    fn start() -> Self {
        let python = python("moto", "moto[server,kms]>=5,<6\n");
        // moto takes no port 0, and one that was free a moment ago may be taken: by a connection on its way, too.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let server = Command::new(python.parent().unwrap().join("moto_server"))
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut moto = Self { server, port };
            if eventually("moto accepts, or ends", || moto.accepts()) {
                return moto;
            }
        }
        panic!("moto found no port");
    }

    /// Whether it came up or ended; `None` while neither is known.
    fn accepts(&mut self) -> Option<bool> {
        if self.server.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let to = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // Where nobody listens, a connection may be given that very port, and so reach itself.
        (to.local_addr().ok()? != to.peer_addr().ok()?).then_some(true)
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
