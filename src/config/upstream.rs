//! `upstream`: the cluster, and what it is shown.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{CertificateFiles, quantity, text};

mod credential;

pub use self::credential::{
    Credential, GrantType, IdentityKind, Jwt, JwtAlgorithm, Oauth2, SecureUrl, SecureUrlError, Service, TokenWire,
};

/// The cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(from = "RawUpstream", into = "RawUpstream")]
#[schemars(with = "RawUpstream")]
pub struct Upstream {
    /// Nodes; at least one.
    pub hosts: Vec<HostUrl>,
    /// TLS to them.
    pub ssl: UpstreamSsl,
    /// What they are shown.
    pub credential: Credential,
    /// How they are told who calls.
    pub identity: IdentityKind,
    /// What is rewritten for clients.
    pub compatibility: Compatibility,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// To the first byte of the answer.
    pub request_timeout: Duration,
    /// Time between probes.
    pub health_interval: Duration,
    /// Failures in a row that take a node out.
    pub eject_after: u32,
}

/// `http://host:port` or `https://host:port`, no path.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct HostUrl {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A text that names no node.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum HostUrlError {
    /// No host, or something that is none.
    #[error("no node of a cluster\nwrite http://host:9200 or https://host:9200")]
    Host,
    /// A path, query or fragment.
    #[error("a node has no path\nwrite http://host:9200 or https://host:9200")]
    Path,
    /// Neither `http://` nor `https://`.
    #[error("must start with http:// or https://")]
    Scheme,
    /// A user in the URL would be printed everywhere the node is.
    #[error("a node's URL must hold no user\nset upstream.credential instead")]
    User,
}

/// TLS to the cluster.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
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

/// What is rewritten for clients.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// Ask the cluster.
    #[default]
    Auto,
    /// Elasticsearch.
    Elasticsearch,
    /// Nothing, and no product header.
    Off,
    /// OpenSearch.
    Opensearch,
}

/// The cluster as written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Upstream")]
struct RawUpstream {
    /// Nodes, `http://host:port` or `https://host:port`.
    hosts: Vec<HostUrl>,
    /// TLS to them.
    ssl: UpstreamSsl,
    /// What they are shown.
    credential: Credential,
    /// How they are told who calls.
    identity: IdentityKind,
    /// What is rewritten for clients.
    compatibility: Compatibility,
    /// To open a connection.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    connect_timeout: Duration,
    /// To the first byte of the answer.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    request_timeout: Duration,
    /// Probes and ejection.
    health: Health,
}

/// Probes and ejection.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Health {
    /// Time between probes.
    #[serde(with = "quantity::duration")]
    #[schemars(with = "String")]
    interval: Duration,
    /// Failures in a row that take a node out.
    eject_after: u32,
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

impl Default for Upstream {
    fn default() -> Self {
        Self {
            hosts: vec![HostUrl { tls: false, host: "127.0.0.1".into(), port: 9201 }],
            ssl: UpstreamSsl::default(),
            credential: Credential::default(),
            identity: IdentityKind::default(),
            compatibility: Compatibility::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_mins(5),
            health_interval: Duration::from_secs(10),
            eject_after: 3,
        }
    }
}

impl Default for RawUpstream {
    fn default() -> Self {
        Upstream::default().into()
    }
}

impl Default for Health {
    fn default() -> Self {
        RawUpstream::default().health
    }
}

impl From<RawUpstream> for Upstream {
    fn from(raw: RawUpstream) -> Self {
        Self {
            hosts: raw.hosts,
            ssl: raw.ssl,
            credential: raw.credential,
            identity: raw.identity,
            compatibility: raw.compatibility,
            connect_timeout: raw.connect_timeout,
            request_timeout: raw.request_timeout,
            health_interval: raw.health.interval,
            eject_after: raw.health.eject_after,
        }
    }
}

impl From<Upstream> for RawUpstream {
    fn from(upstream: Upstream) -> Self {
        Self {
            hosts: upstream.hosts,
            ssl: upstream.ssl,
            credential: upstream.credential,
            identity: upstream.identity,
            compatibility: upstream.compatibility,
            connect_timeout: upstream.connect_timeout,
            request_timeout: upstream.request_timeout,
            health: Health { interval: upstream.health_interval, eject_after: upstream.eject_after },
        }
    }
}

impl FromStr for HostUrl {
    type Err = HostUrlError;

    fn from_str(text: &str) -> Result<Self, HostUrlError> {
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(HostUrlError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(HostUrlError::User);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(HostUrlError::Path);
        }
        let authority: http::uri::Authority = authority.parse().map_err(|_| HostUrlError::Host)?;
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().len() == authority.host().len() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return Err(HostUrlError::Host),
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || port == 0 {
            return Err(HostUrlError::Host);
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for HostUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for HostUrl {
    type Error = HostUrlError;

    fn try_from(text: String) -> Result<Self, HostUrlError> {
        text.parse()
    }
}

impl From<HostUrl> for String {
    fn from(url: HostUrl) -> Self {
        url.to_string()
    }
}

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
        fingerprint.0.iter().flatten().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Nodes of one cluster. A request keeps one bit each to say which it has tried.
pub const MAX_HOSTS: usize = 64;
