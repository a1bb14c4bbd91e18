//! The root key provider that the configuration names.

use crate::config::{AwsKms, Pkcs11, Root};
use crate::roots::{Endpoint, FileRoots, KmsOptions, KmsRoots, Pkcs11Roots, RootError, RootProvider};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Opens it, and asks it once: a provider that is down at start is found out here. Blocks.
///
/// # Errors
/// [`RootError`].
pub fn open_roots(root: &Root) -> Result<Arc<dyn RootProvider>, RootError> {
    Ok(match root {
        Root::File(path) => Arc::new(FileRoots::open(path)?),
        Root::Pkcs11(hsm) => Arc::new(open_hsm(hsm)?),
        Root::AwsKms(kms) => Arc::new(open_kms(kms)?),
    })
}

fn open_hsm(hsm: &Pkcs11) -> Result<Pkcs11Roots, RootError> {
    let failed = |reason: String| RootError::Provider { provider: "pkcs11", reason };
    let pin = match (&hsm.pin, &hsm.pin_file) {
        (Some(pin), _) => Zeroizing::new(pin.reveal().to_owned()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map(Zeroizing::new);
            let text = text.map_err(|error| failed(format!("{}: {error}", path.display())))?;
            Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => return Err(failed("no PIN".into())),
    };
    Pkcs11Roots::open(&hsm.module, &hsm.token, &hsm.prefix, &pin)
}

fn open_kms(kms: &AwsKms) -> Result<KmsRoots, RootError> {
    let failed = |reason: String| RootError::Provider { provider: "aws-kms", reason };
    let endpoint = Endpoint::new(&kms.endpoint, Some(&kms.ca)).map_err(failed)?;
    KmsRoots::open(KmsOptions {
        endpoint,
        region: kms.region.clone(),
        prefix: kms.prefix.clone(),
        access: kms.access.clone(),
        secret: Zeroizing::new(kms.secret.reveal().to_owned()),
        session: kms.session.as_ref().map(|token| Zeroizing::new(token.reveal().to_owned())),
    })
}
