//! A listener's TLS.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::text;

/// A listener's TLS.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(from = "RawSsl", into = "RawSsl")]
#[schemars(with = "RawSsl")]
pub struct ListenerSsl {
    /// The default certificate first, then those of `certificates`.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show certificates.
    pub client_authentication: ClientAuthentication,
    /// CAs of client certificates.
    pub certificate_authorities: Vec<PathBuf>,
    /// Versions taken.
    pub supported_protocols: Vec<TlsVersion>,
}

/// A certificate chain and its key, both PEM files.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    #[serde(with = "text::path")]
    #[schemars(with = "String")]
    pub certificate: PathBuf,
    /// Private key.
    #[serde(with = "text::path")]
    #[schemars(with = "String")]
    pub key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuthentication {
    /// Not asked.
    #[default]
    None,
    /// Asked, not needed.
    Optional,
    /// Needed.
    Required,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    V13,
}

/// A listener's TLS as written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ListenerSsl")]
struct RawSsl {
    /// PEM file with the certificate chain, leaf first.
    #[serde(with = "text::path")]
    #[schemars(with = "String")]
    certificate: PathBuf,
    /// PEM file with its private key.
    #[serde(with = "text::path")]
    #[schemars(with = "String")]
    key: PathBuf,
    /// More of them, chosen by SNI.
    #[serde(default)]
    certificates: Vec<CertificateFiles>,
    /// Whether clients show certificates.
    #[serde(default)]
    client_authentication: ClientAuthentication,
    /// PEM files with the CAs of client certificates.
    #[serde(default)]
    certificate_authorities: Vec<PathBuf>,
    /// Versions taken.
    #[serde(default = "both_versions")]
    supported_protocols: Vec<TlsVersion>,
}

impl From<RawSsl> for ListenerSsl {
    fn from(raw: RawSsl) -> Self {
        let mut certificates = vec![CertificateFiles { certificate: raw.certificate, key: raw.key }];
        certificates.extend(raw.certificates);
        Self {
            certificates,
            client_authentication: raw.client_authentication,
            certificate_authorities: raw.certificate_authorities,
            supported_protocols: raw.supported_protocols,
        }
    }
}

impl From<ListenerSsl> for RawSsl {
    fn from(ssl: ListenerSsl) -> Self {
        let mut certificates = ssl.certificates.into_iter();
        let (certificate, key) = certificates.next().map(|first| (first.certificate, first.key)).unwrap_or_default();
        Self {
            certificate,
            key,
            certificates: certificates.collect(),
            client_authentication: ssl.client_authentication,
            certificate_authorities: ssl.certificate_authorities,
            supported_protocols: ssl.supported_protocols,
        }
    }
}

fn both_versions() -> Vec<TlsVersion> {
    vec![TlsVersion::V12, TlsVersion::V13]
}
