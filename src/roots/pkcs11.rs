//! Root keys in an HSM, through PKCS#11: made there, never extractable, destroyed there by `C_DestroyObject`.
//!
//! A root key is an AES-256 token object, labelled `PREFIX/GENERATION/TIME`, with 8 random bytes as its id. It encrypts
//! the generation key with AES-GCM inside the HSM. The wrapped form: version 0x02, the id, 12 bytes of nonce, 32 of
//! ciphertext, 16 of tag; associated data: version and id, then the generation (u32, big endian).

use super::{RootError, RootInfo, RootProvider, RootWrapped};
use crate::crypto::random;
use crate::ids::Generation;
use crate::keys::GenerationKey;
use crate::secret::Secret;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::path::Path;
use zeroize::Zeroizing;

const NAME: &str = "pkcs11";
const VERSION: u8 = 2;
const ID: usize = 8;
const NONCE: usize = 12;

/// Root keys on a token.
pub struct Pkcs11Roots {
    context: Pkcs11,
    slot: Slot,
    prefix: String,
    pin: AuthPin,
    /// One at a time: a login belongs to the whole process.
    turn: Mutex<()>,
}

/// A root key on the token.
struct Found {
    handle: ObjectHandle,
    info: RootInfo,
    id: Vec<u8>,
}

fn failed(error: impl std::fmt::Display) -> RootError {
    RootError::Provider { provider: NAME, reason: error.to_string() }
}

impl Pkcs11Roots {
    /// Loads the module, finds the token by its label, and logs in once, so that whatever is wrong shows at start.
    ///
    /// # Errors
    /// [`RootError::Provider`].
    pub fn open(module: &Path, token: &str, prefix: &str, pin: &str) -> Result<Self, RootError> {
        let context = Pkcs11::new(module).map_err(|e| failed(format!("{}: {e}", module.display())))?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        let slots = context.get_slots_with_initialized_token().map_err(failed)?;
        let named = |slot: &&Slot| context.get_token_info(**slot).is_ok_and(|info| info.label() == token);
        let slot =
            *slots.iter().find(named).ok_or_else(|| failed(format!("there is no token \"{token}\"")))?;
        let pin = AuthPin::from(pin.to_owned());
        let roots = Self { context, slot, prefix: prefix.to_owned(), pin, turn: Mutex::new(()) };
        roots.list()?;
        Ok(roots)
    }

    /// Runs an operation in a session of its own, logged in.
    fn session<T>(&self, work: impl FnOnce(&Session) -> Result<T, RootError>) -> Result<T, RootError> {
        let _turn = self.turn.lock();
        let session = self.context.open_rw_session(self.slot).map_err(failed)?;
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        work(&session)
    }

    fn all(&self, session: &Session) -> Result<Vec<Found>, RootError> {
        let ours = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
        ];
        let mut found = Vec::new();
        for handle in session.find_objects(&ours).map_err(failed)? {
            let asked = [AttributeType::Label, AttributeType::Id];
            let (mut label, mut id) = (Vec::new(), Vec::new());
            for attribute in session.get_attributes(handle, &asked).map_err(failed)? {
                match attribute {
                    Attribute::Label(bytes) => label = bytes,
                    Attribute::Id(bytes) => id = bytes,
                    _ => {}
                }
            }
            if let Some(info) = self.read_label(&label) {
                found.push(Found { handle, info, id });
            }
        }
        found.sort_by_key(|found| found.info.generation);
        Ok(found)
    }

    fn read_label(&self, label: &[u8]) -> Option<RootInfo> {
        let rest = std::str::from_utf8(label).ok()?.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let (generation, created) = rest.split_once('/')?;
        Some(RootInfo { generation: Generation(generation.parse().ok()?), created: created.parse().ok()? })
    }

    fn one(&self, session: &Session, generation: Generation) -> Result<Found, RootError> {
        let mut found = self.all(session)?.into_iter().filter(|found| found.info.generation == generation);
        let first = found.next().ok_or(RootError::Missing(generation))?;
        // Two processes made one at the same time: neither may be used for anything.
        if found.next().is_some() {
            return Err(failed(format!(
                "there are two root keys of generation {}; remove one",
                generation.0
            )));
        }
        Ok(first)
    }
}

fn aad(id: &[u8], generation: Generation) -> Vec<u8> {
    [&[VERSION], id, &generation.0.to_be_bytes()].concat()
}

impl RootProvider for Pkcs11Roots {
    fn name(&self) -> &'static str {
        NAME
    }

    fn list(&self) -> Result<Vec<RootInfo>, RootError> {
        self.session(|session| Ok(self.all(session)?.into_iter().map(|found| found.info).collect()))
    }

    fn create(&self, generation: Generation) -> Result<(), RootError> {
        if generation.0 == 0 {
            return Err(RootError::Missing(generation));
        }
        self.session(|session| {
            match self.one(session, generation) {
                Err(RootError::Missing(_)) => {}
                Ok(_) => return Err(RootError::Exists(generation)),
                Err(other) => return Err(other),
            }
            let created = crate::clock::rfc3339(Timestamp::now());
            let label = format!("{}/{}/{created}", self.prefix, generation.0);
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::ValueLen(32.into()),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Modifiable(false),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::Label(label.into_bytes()),
                Attribute::Id(random::<ID>().to_vec()),
            ];
            session.generate_key(&Mechanism::AesKeyGen, &template).map_err(failed)?;
            Ok(())
        })
    }

    fn wrap(&self, key: &GenerationKey) -> Result<RootWrapped, RootError> {
        let generation = key.number();
        self.session(|session| {
            let root = self.one(session, generation)?;
            if root.id.len() != ID {
                return Err(failed("the root key has another id than was given to it"));
            }
            let (mut nonce, aad) = (random::<NONCE>(), aad(&root.id, generation));
            let fixed = nonce;
            let parameters = GcmParams::new(&mut nonce, &aad, 128.into()).map_err(failed)?;
            let sealed = session
                .encrypt(&Mechanism::AesGcm(parameters), root.handle, key.secret().expose())
                .map_err(failed)?;
            RootWrapped::from_bytes(&[&[VERSION], root.id.as_slice(), &fixed, &sealed].concat())
        })
    }

    fn unwrap(&self, generation: Generation, wrapped: &RootWrapped) -> Result<GenerationKey, RootError> {
        let bytes = wrapped.as_bytes();
        if bytes.len() != 1 + ID + NONCE + 32 + 16 || bytes[0] != VERSION {
            return Err(RootError::Malformed);
        }
        let (id, rest) = bytes[1..].split_at(ID);
        let (nonce, sealed) = rest.split_at(NONCE);
        self.session(|session| {
            let root = self.one(session, generation)?;
            if root.id != id {
                return Err(RootError::WrongRoot(generation));
            }
            let (mut nonce, aad) = (nonce.to_vec(), aad(id, generation));
            let parameters = GcmParams::new(&mut nonce, &aad, 128.into()).map_err(failed)?;
            let opened = session.decrypt(&Mechanism::AesGcm(parameters), root.handle, sealed);
            let opened = Zeroizing::new(match opened {
                Ok(opened) => opened,
                // The token says no: another module may use another word for it.
                Err(Error::Pkcs11(
                    RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
                    _,
                )) => return Err(RootError::NotAuthentic(generation)),
                Err(error) => return Err(failed(error)),
            });
            let key = Secret::from_slice(&opened).ok_or(RootError::Malformed)?;
            Ok(GenerationKey::from_parts(generation, key))
        })
    }

    fn destroy(&self, generation: Generation) -> Result<(), RootError> {
        self.session(|session| {
            let root = self.one(session, generation)?;
            session.destroy_object(root.handle).map_err(failed)
        })
    }

    /// A key that was made in the HSM and never left it is gone with its object. Backups that the HSM's own tools
    /// made of the token are its operator's.
    fn destruction_is_proven(&self) -> bool {
        true
    }
}
