//! Providers of root keys: one suite for all, against a software HSM and a server that speaks KMS.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// What the suite, which is the library's own, names.
use paravent::roots::{RootError, RootProvider, RootWrapped};
use paravent::{ids, keys};

#[path = "../src/roots/conformance.rs"]
mod conformance;
#[path = "support/mod.rs"]
mod support;

#[path = "roots/hsm.rs"]
mod hsm;
#[path = "roots/kms.rs"]
mod kms;
