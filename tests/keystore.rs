//! The keystore from outside: what every backend must do, and what a crash, a full disk, a broken disk, a second
//! process and a damaged file must not.

// Helpers of tests are tests: a failure there should be loud.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "keystore/conformance.rs"]
mod conformance;
#[path = "keystore/crash.rs"]
mod crash;
#[path = "keystore/files.rs"]
mod files;
#[path = "keystore/versions.rs"]
mod versions;

use paravent::keystore::embedded::Embedded;

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_keystore_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    conformance::all(|| {
        number += 1;
        Box::new(Embedded::open(&folder.path().join(format!("{number}.keystore"))).unwrap())
    })
    .await;
}
