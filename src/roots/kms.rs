//! Root keys in AWS KMS, over its HTTPS API ("AWS Key Management Service API Reference").
//!
//! A root key is a symmetric KMS key behind the alias `alias/PREFIX-GENERATION`. KMS encrypts the generation key under it, with the
//! generation as encryption context. The wrapped form: version 0x03, then KMS's own blob. A destruction is scheduled:
//! KMS waits 7 to 30 days, and lists the key until it is gone; it opens nothing meanwhile, and its owner can call the deletion
//! off, so that it is not final before.

use super::http::{Endpoint, HttpError};
use super::{RootError, RootInfo, RootProvider, RootWrapped};
use crate::crypto::sigv4::Signer;
use crate::ids::Generation;
use crate::keys::GenerationKey;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NAME: &str = "aws-kms";
const VERSION: u8 = 3;
/// The shortest that KMS allows.
const WINDOW_DAYS: u32 = 7;

/// Where KMS is and who asks.
pub struct KmsOptions {
    /// The service: `https://kms.eu-west-1.amazonaws.com`, unless it is another one.
    pub endpoint: Endpoint,
    /// `eu-west-1`.
    pub region: String,
    /// Aliases are `alias/PREFIX-GENERATION`.
    pub prefix: String,
    /// Access key id.
    pub access: String,
    /// Secret access key.
    pub secret: Zeroizing<String>,
    /// Session token of temporary credentials.
    pub session: Option<Zeroizing<String>>,
}

/// Root keys in KMS.
pub struct KmsRoots {
    options: KmsOptions,
}

/// What KMS says of a key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key_id: String,
    creation_date: f64,
    key_state: String,
}

impl Metadata {
    fn pending(&self) -> bool {
        self.key_state == "PendingDeletion"
    }
}

fn failed(reason: impl std::fmt::Display) -> RootError {
    RootError::Provider { provider: NAME, reason: reason.to_string() }
}

/// Why a call did not answer as hoped.
enum Refused {
    /// KMS says no, in a word: `NotFoundException`.
    Said(String),
    Failed(RootError),
}

impl From<Refused> for RootError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Said(word) => failed(word),
            Refused::Failed(error) => error,
        }
    }
}

impl KmsRoots {
    /// Asks KMS once, so that whatever is wrong shows at start.
    ///
    /// # Errors
    /// [`RootError::Provider`].
    pub fn open(options: KmsOptions) -> Result<Self, RootError> {
        let roots = Self { options };
        roots.list()?;
        Ok(roots)
    }

    fn alias(&self, generation: Generation) -> String {
        format!("alias/{}-{}", self.options.prefix, generation.0)
    }

    fn call(&self, action: &str, body: &Value) -> Result<Value, Refused> {
        let options = &self.options;
        let body = Zeroizing::new(body.to_string());
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let target = format!("TrentService.{action}");
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1"),
            ("host", options.endpoint.authority()),
            ("x-amz-date", &time),
        ];
        if let Some(session) = &options.session {
            headers.push(("x-amz-security-token", session));
        }
        headers.push(("x-amz-target", &target));
        let signer = Signer {
            access: &options.access,
            secret: &options.secret,
            region: &options.region,
            service: "kms",
            time: &time,
        };
        let authorisation = signer.authorisation(&headers, body.as_bytes());
        headers.push(("authorization", &authorisation));
        let answer = options.endpoint.post(&headers, body.as_bytes());
        let (status, body) = answer.map_err(|HttpError(why)| Refused::Failed(failed(why)))?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status == 200 {
            return Ok(answer);
        }
        // `com.amazonaws.kms#NotFoundException`, or the word alone.
        let word = answer["__type"].as_str().and_then(|word| word.rsplit('#').next());
        Err(match word {
            Some(word) => Refused::Said(word.to_owned()),
            None => Refused::Failed(failed(format!("{action}: HTTP {status}"))),
        })
    }

    fn describe(&self, key: &str) -> Result<Option<Metadata>, RootError> {
        match self.call("DescribeKey", &json!({ "KeyId": key })) {
            Ok(answer) => {
                let about = serde_json::from_str(&answer["KeyMetadata"].to_string());
                about.map(Some).map_err(|_| failed("DescribeKey answers in another form"))
            }
            Err(Refused::Said(word)) if word == "NotFoundException" => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// The key of a generation, if it can be used.
    fn usable(&self, generation: Generation) -> Result<Metadata, RootError> {
        let known = self.describe(&self.alias(generation))?;
        known.filter(|about| !about.pending()).ok_or(RootError::Missing(generation))
    }

    fn aliases(&self) -> Result<Vec<Generation>, RootError> {
        let begin = format!("alias/{}-", self.options.prefix);
        let (mut found, mut marker) = (Vec::new(), None::<String>);
        loop {
            let asked = marker.as_ref().map_or_else(|| json!({}), |marker| json!({ "Marker": marker }));
            let answer = self.call("ListAliases", &asked)?;
            for alias in answer["Aliases"].as_array().map(Vec::as_slice).unwrap_or_default() {
                let number =
                    alias["AliasName"].as_str().and_then(|name| name.strip_prefix(&begin)?.parse().ok());
                found.extend(number.map(Generation));
            }
            match (answer["Truncated"].as_bool(), answer["NextMarker"].as_str()) {
                (Some(true), Some(next)) => marker = Some(next.to_owned()),
                _ => break,
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn context(generation: Generation) -> Value {
    json!({ "paravent-generation": generation.0.to_string() })
}

impl RootProvider for KmsRoots {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A key whose deletion is scheduled is listed until it is gone.
    fn list(&self) -> Result<Vec<RootInfo>, RootError> {
        let mut listed = Vec::new();
        for generation in self.aliases()? {
            let Some(about) = self.describe(&self.alias(generation))? else { continue };
            #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
            let created = Timestamp::from_second(about.creation_date as i64).map_err(failed)?;
            listed.push(RootInfo { generation, created });
        }
        Ok(listed)
    }

    fn create(&self, generation: Generation) -> Result<(), RootError> {
        if generation.0 == 0 {
            return Err(RootError::Missing(generation));
        }
        let alias = self.alias(generation);
        if self.describe(&alias)?.is_some() {
            return Err(RootError::Exists(generation));
        }
        let about = json!({
            "Description": format!("Paravent root key, generation {}", generation.0),
            "KeyUsage": "ENCRYPT_DECRYPT",
        });
        let made = self.call("CreateKey", &about)?;
        let key = made["KeyMetadata"]["KeyId"].as_str().ok_or_else(|| failed("CreateKey names no key"))?;
        match self.call("CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": key })) {
            Ok(_) => Ok(()),
            Err(refused) => {
                // Nobody will ever find this key again: another process was first, or the alias is refused.
                let _ = self.schedule(key);
                match refused {
                    Refused::Said(word) if word == "AlreadyExistsException" => {
                        Err(RootError::Exists(generation))
                    }
                    other => Err(other.into()),
                }
            }
        }
    }

    fn wrap(&self, key: &GenerationKey) -> Result<RootWrapped, RootError> {
        let generation = key.number();
        let root = self.usable(generation)?;
        let clear = Zeroizing::new(STANDARD.encode(key.secret().expose()));
        let asked =
            json!({ "KeyId": root.key_id, "Plaintext": *clear, "EncryptionContext": context(generation) });
        let answer = self.call("Encrypt", &asked)?;
        let blob = answer["CiphertextBlob"].as_str().and_then(|text| STANDARD.decode(text).ok());
        let blob = blob.ok_or_else(|| failed("Encrypt gives no ciphertext"))?;
        RootWrapped::from_bytes(&[&[VERSION], blob.as_slice()].concat())
    }

    fn unwrap(&self, generation: Generation, wrapped: &RootWrapped) -> Result<GenerationKey, RootError> {
        let Some((&VERSION, blob)) = wrapped.as_bytes().split_first() else {
            return Err(RootError::Malformed);
        };
        let root = self.usable(generation)?;
        let asked = json!({
            "KeyId": root.key_id,
            "CiphertextBlob": STANDARD.encode(blob),
            "EncryptionContext": context(generation),
        });
        let answer = match self.call("Decrypt", &asked) {
            Ok(answer) => answer,
            Err(Refused::Said(word)) => {
                return Err(match word.as_str() {
                    "IncorrectKeyException" | "NotFoundException" => RootError::WrongRoot(generation),
                    "InvalidCiphertextException" | "ValidationException" => {
                        RootError::NotAuthentic(generation)
                    }
                    _ => failed(word),
                });
            }
            Err(refused) => return Err(refused.into()),
        };
        let clear = answer["Plaintext"].as_str().and_then(|text| STANDARD.decode(text).ok());
        let clear = Zeroizing::new(clear.ok_or_else(|| failed("Decrypt gives no key"))?);
        let key = Secret::from_slice(&clear).ok_or(RootError::Malformed)?;
        Ok(GenerationKey::from_parts(generation, key))
    }

    /// Schedules it; [`RootProvider::list`] names it until KMS has carried it out.
    fn destroy(&self, generation: Generation) -> Result<(), RootError> {
        let about = self.describe(&self.alias(generation))?.ok_or(RootError::Missing(generation))?;
        if about.pending() { Ok(()) } else { self.schedule(&about.key_id) }
    }

    fn destruction_is_proven(&self) -> bool {
        true
    }
}

impl KmsRoots {
    fn schedule(&self, key: &str) -> Result<(), RootError> {
        self.call("ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": WINDOW_DAYS }))?;
        Ok(())
    }
}
