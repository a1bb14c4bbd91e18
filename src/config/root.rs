//! `[keys] root`: where root keys are.

use super::Password;
use percent_encoding::percent_decode_str;
use std::path::{Path, PathBuf};

/// Where root keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// `file:path`.
    File(PathBuf),
    /// `pkcs11:…`.
    Pkcs11(Pkcs11),
    /// `aws-kms:…`.
    AwsKms(AwsKms),
}

/// `pkcs11:token=NAME;object=PREFIX?module-path=/lib.so&pin-source=file:pin` (RFC 7512, those attributes of it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11 {
    /// `module-path`: the HSM's library.
    pub module: PathBuf,
    /// `token`: its label.
    pub token: String,
    /// `object`: what the labels of root keys begin with (default `paravent`).
    pub prefix: String,
    /// `PARAVENT_PKCS11_PIN`.
    pub pin: Option<Password>,
    /// `pin-source`: a file with the PIN, read where the variable is not set.
    pub pin_file: Option<PathBuf>,
}

/// `aws-kms:PREFIX?region=R&endpoint=URL&ca=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKms {
    /// What aliases begin with: `alias/PREFIX-1`.
    pub prefix: String,
    /// `region`.
    pub region: String,
    /// `endpoint` (default the region's own).
    pub endpoint: String,
    /// `ca`: PEM file of accepted roots (default the system's).
    pub ca: PathBuf,
    /// `AWS_ACCESS_KEY_ID`.
    pub access: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: Password,
    /// `AWS_SESSION_TOKEN`.
    pub session: Option<Password>,
}

/// Debian's and most others' bundle.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Attributes by name, each once.
fn attributes<'a>(text: &'a str, between: char, known: &[&str]) -> Result<Vec<(&'a str, String)>, String> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for part in text.split(between).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("\"{part}\" is no name=value"))?;
        if !known.contains(&name) {
            return Err(format!("unknown attribute \"{name}\"; known are {}", known.join(", ")));
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err(format!("{name} stands there twice"));
        }
        let value = percent_decode_str(value).decode_utf8().map_err(|_| format!("{name} is not UTF-8"))?;
        found.push((name, value.into_owned()));
    }
    Ok(found)
}

fn get(attributes: &[(&str, String)], name: &str) -> Option<String> {
    attributes.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
}

impl Root {
    /// Reads an address; paths in it are taken from `base`.
    ///
    /// # Errors
    /// A sentence saying what is expected.
    pub fn parse(text: &str, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(base.join(path))),
            Some(("pkcs11", rest)) => {
                let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
                let path = attributes(path, ';', &["token", "object"])?;
                let query = attributes(query, '&', &["module-path", "pin-source"])?;
                let needed = |value: Option<String>, name| {
                    value
                        .filter(|value| !value.is_empty())
                        .ok_or_else(|| format!("a pkcs11: root needs {name}=…"))
                };
                let file = |text: String| base.join(text.strip_prefix("file:").unwrap_or(&text));
                let (pin, pin_file) = (set("PARAVENT_PKCS11_PIN"), get(&query, "pin-source").map(file));
                if pin.is_none() && pin_file.is_none() {
                    return Err(
                        "a pkcs11: root needs its PIN: set PARAVENT_PKCS11_PIN, or pin-source=file:…".into(),
                    );
                }
                Ok(Self::Pkcs11(Pkcs11 {
                    module: base.join(needed(get(&query, "module-path"), "module-path")?),
                    token: needed(get(&path, "token"), "token")?,
                    prefix: get(&path, "object").unwrap_or_else(|| "paravent".into()),
                    pin: pin.map(Password::new),
                    pin_file,
                }))
            }
            Some(("aws-kms", rest)) => {
                let (prefix, query) = rest.split_once('?').unwrap_or((rest, ""));
                let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-');
                if prefix.is_empty() || !prefix.chars().all(sound) {
                    return Err(
                        "an aws-kms: root names what its aliases begin with: aws-kms:paravent?region=…"
                            .into(),
                    );
                }
                let query = attributes(query, '&', &["region", "endpoint", "ca"])?;
                let region = get(&query, "region").or_else(|| set("AWS_REGION"));
                let region = region.ok_or("an aws-kms: root needs region=…, or AWS_REGION")?;
                let key = |name: &str| set(name).ok_or_else(|| format!("an aws-kms: root needs {name}"));
                Ok(Self::AwsKms(AwsKms {
                    prefix: prefix.to_owned(),
                    endpoint: get(&query, "endpoint")
                        .unwrap_or_else(|| format!("https://kms.{region}.amazonaws.com")),
                    ca: base.join(get(&query, "ca").unwrap_or_else(|| SYSTEM_ROOTS.into())),
                    region,
                    access: key("AWS_ACCESS_KEY_ID")?,
                    secret: Password::new(key("AWS_SECRET_ACCESS_KEY")?),
                    session: set("AWS_SESSION_TOKEN").map(Password::new),
                }))
            }
            Some((scheme @ ("gcp-kms" | "azure-kms" | "vault" | "kms"), _)) => Err(format!(
                "\"{scheme}:…\" is not in this version; use \"file:path\", \"pkcs11:…\" or \"aws-kms:…\""
            )),
            _ => Err("expected \"file:path\", \"pkcs11:…\" or \"aws-kms:…\"".into()),
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Pkcs11(_) | Self::AwsKms(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        matches!(name, "PARAVENT_PKCS11_PIN" | "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY")
            .then(|| name.into())
    }

    fn parse(text: &str) -> Result<Root, String> {
        Root::parse(text, Path::new("/etc/p"), &env)
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(parse("file:keys"), Ok(Root::File("/etc/p/keys".into())));
        let Ok(Root::Pkcs11(hsm)) =
            parse("pkcs11:token=My%20HSM;object=p?module-path=/lib/x.so&pin-source=file:pin")
        else {
            panic!()
        };
        assert_eq!((hsm.token.as_str(), hsm.prefix.as_str()), ("My HSM", "p"));
        assert_eq!((hsm.module, hsm.pin_file), ("/lib/x.so".into(), Some("/etc/p/pin".into())));
        let Ok(Root::AwsKms(kms)) = parse("aws-kms:paravent?region=eu-west-1") else { panic!() };
        assert_eq!(kms.endpoint, "https://kms.eu-west-1.amazonaws.com");
        assert!(!format!("{kms:?} {:?}", hsm.pin).contains("SECRET"), "no secret is printed");
    }

    #[test]
    fn what_is_missing_or_unknown_is_told() {
        for (text, told) in [
            ("keys", "expected"),
            ("vault:x", "not in this version"),
            ("pkcs11:object=p?module-path=/x", "token"),
            ("pkcs11:token=t", "module-path"),
            ("pkcs11:token=t;slot=1?module-path=/x", "unknown attribute"),
            ("pkcs11:token=t;token=u?module-path=/x", "twice"),
            ("aws-kms:?region=r", "aliases"),
            ("aws-kms:p", "region"),
            ("aws-kms:p?region=r&key=k", "unknown attribute"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(told), "{text}: {message}");
        }
        let nothing = |_: &str| None;
        let message = Root::parse("pkcs11:token=t?module-path=/x", Path::new(""), &nothing).unwrap_err();
        assert!(message.contains("PARAVENT_PKCS11_PIN"), "{message}");
        let message = Root::parse("aws-kms:p?region=r", Path::new(""), &nothing).unwrap_err();
        assert!(message.contains("AWS_ACCESS_KEY_ID"), "{message}");
    }
}
