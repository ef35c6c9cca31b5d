//! TLS to the cluster.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{CertificateFiles, text};

/// TLS to the cluster.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "RawUpstreamSsl", into = "RawUpstreamSsl")]
#[schemars(with = "RawUpstreamSsl")]
pub struct UpstreamSsl {
    /// CA files; empty = the system's.
    pub certificate_authorities: Vec<PathBuf>,
    /// What is checked.
    pub verification_mode: VerificationMode,
    /// SHA-256 of a CA certificate to trust, hexadecimal.
    pub ca_trusted_fingerprint: Option<[u8; 32]>,
    /// Client certificate shown to the cluster.
    pub client: Option<CertificateFiles>,
}

/// TLS material that does not belong together.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum UpstreamSslError {
    /// One of `certificate` and `key` without the other.
    #[error("`certificate` and `key` belong together")]
    Half,
}

/// What is checked of the cluster's certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerificationMode {
    /// Chain only, not the name.
    Certificate,
    /// Chain and name.
    #[default]
    Full,
    /// Nothing.
    None,
}

/// TLS to the cluster as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "UpstreamSsl")]
struct RawUpstreamSsl {
    /// CA files; empty = the system's.
    certificate_authorities: Vec<PathBuf>,
    /// What is checked of the cluster's certificate.
    verification_mode: VerificationMode,
    /// SHA-256 of a CA certificate to trust, hexadecimal; empty = none.
    ca_trusted_fingerprint: Fingerprint,
    /// Client certificate shown to the cluster; empty = none.
    #[serde(with = "text::optional_path")]
    #[schemars(with = "String")]
    certificate: Option<PathBuf>,
    /// Its key.
    #[serde(with = "text::optional_path")]
    #[schemars(with = "String")]
    key: Option<PathBuf>,
}

/// SHA-256 of a certificate in hexadecimal, with or without colons, or nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
struct Fingerprint(Option<[u8; 32]>);

impl TryFrom<RawUpstreamSsl> for UpstreamSsl {
    type Error = UpstreamSslError;

    fn try_from(raw: RawUpstreamSsl) -> Result<Self, UpstreamSslError> {
        let client = match (raw.certificate, raw.key) {
            (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(UpstreamSslError::Half),
        };
        Ok(Self {
            certificate_authorities: raw.certificate_authorities,
            verification_mode: raw.verification_mode,
            ca_trusted_fingerprint: raw.ca_trusted_fingerprint.0,
            client,
        })
    }
}

impl From<UpstreamSsl> for RawUpstreamSsl {
    fn from(ssl: UpstreamSsl) -> Self {
        let (certificate, key) = ssl.client.map(|client| (client.certificate, client.key)).unzip();
        Self {
            certificate_authorities: ssl.certificate_authorities,
            verification_mode: ssl.verification_mode,
            ca_trusted_fingerprint: Fingerprint(ssl.ca_trusted_fingerprint),
            certificate,
            key,
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let wrong = "no SHA-256 fingerprint\nwrite 64 hexadecimal digits, with or without colons";
        let digits: Vec<u32> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()
            .filter(|digits: &Vec<u32>| digits.len() == 64)
            .ok_or(wrong)?;
        let bytes = digits.chunks_exact(2).filter_map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        });
        let bytes: Vec<u8> = bytes.collect();
        bytes.try_into().map(|bytes| Self(Some(bytes))).map_err(|_| wrong)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        let digits = fingerprint.0.iter().flatten().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}
