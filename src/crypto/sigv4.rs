//! AWS Signature Version 4 (AWS General Reference, "Create a signed AWS API request"), for a POST to `/` without a query.

use super::kdf::hmac_of;
use super::sha256;
use zeroize::Zeroizing;

/// Who signs, and for what.
pub struct Signer<'a> {
    /// Access key id.
    pub access: &'a str,
    /// Secret access key.
    pub secret: &'a str,
    /// `eu-west-1`.
    pub region: &'a str,
    /// `kms`.
    pub service: &'a str,
    /// `20260102T030405Z`.
    pub time: &'a str,
}

impl Signer<'_> {
    /// The value of the `Authorization` header. `headers` are lower-case names with their values, sorted by name.
    pub fn authorisation(&self, headers: &[(&str, &str)], body: &[u8]) -> String {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = String::from("POST\n/\n\n");
        for (name, value) in headers {
            canonical.push_str(&format!("{name}:{}\n", value.trim()));
        }
        canonical.push_str(&format!("\n{names}\n{}", hex::encode(sha256(&[body]))));
        let day = self.time.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let hashed = hex::encode(sha256(&[canonical.as_bytes()]));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", self.time);
        let first = Zeroizing::new(format!("AWS4{}", self.secret));
        let mut key = Zeroizing::new(hmac_of(first.as_bytes(), day.as_bytes()));
        for part in [self.region, self.service, "aws4_request"] {
            key = Zeroizing::new(hmac_of(&*key, part.as_bytes()));
        }
        let signature = hex::encode(hmac_of(&*key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` of the AWS Signature Version 4 test suite.
    #[test]
    fn signs_as_the_test_suite_shows() {
        let signer = Signer {
            access: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
            time: "20150830T123600Z",
        };
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        assert_eq!(
            signer.authorisation(&headers, b""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}
