//! `listeners` and `admin`: where clients and operators connect.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::{
    text,
    upstream::{Credential, IdentityKind},
};

/// One address that clients connect to.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "RawListener", into = "RawListener")]
#[schemars(with = "RawListener")]
pub struct Listener {
    /// `host:port` or `unix:PATH`.
    pub address: ListenAddress,
    /// What this listener is for.
    pub shape: Shape,
    /// TLS; absent = plain text.
    pub ssl: Option<ListenerSsl>,
    /// Plain text on a non-loopback address is meant.
    pub insecure: bool,
    /// Expect a PROXY header from `trusted_proxies`.
    pub proxy_protocol: bool,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Sidecar: names taken in `Host`.
    pub hosts: Vec<String>,
    /// In place of the upstream's.
    pub credential: Option<Credential>,
    /// In place of the upstream's.
    pub identity: Option<IdentityKind>,
}

/// Where to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// Unix socket.
    Unix {
        /// Path of the socket.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
}

/// An address that cannot be listened on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum AddressError {
    /// Neither an IP address with a port nor a socket path.
    #[error("no address to listen on\nwrite 127.0.0.1:9200, [::]:9200, localhost:9200 or unix:/run/searchgate.sock")]
    Address,
    /// No octal number of permission bits.
    #[error("no permission bits\nwrite them in octal, for example \"0660\"")]
    Mode,
    /// `mode` without a Unix socket.
    #[error("`mode` belongs to a Unix socket")]
    ModeOfTcp,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Sessions over rotating token pairs.
    Broker,
    /// Callers judged here.
    #[default]
    Gate,
    /// No credentials asked; loopback only.
    Sidecar,
}

/// A listener's TLS.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
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

/// The admin listener.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Its address.
    #[serde(with = "socket_address")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
}

/// A listener as written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Listener")]
struct RawListener {
    /// `host:port`, `[::]:port` or `unix:/path`.
    #[serde(with = "text::parsed")]
    #[schemars(with = "String")]
    address: ListenAddress,
    /// Permission bits of a Unix socket, octal; 0660 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// What this listener is for.
    #[serde(default)]
    shape: Shape,
    /// TLS; absent = plain text.
    #[serde(default)]
    ssl: Option<ListenerSsl>,
    /// Plain text on a non-loopback address is meant.
    #[serde(default)]
    insecure: bool,
    /// Expect a PROXY header, and only from `trusted_proxies`.
    #[serde(default)]
    proxy_protocol: bool,
    /// Networks whose `X-Forwarded-*`, `Forwarded` and `X-Original-*` are believed.
    #[serde(default, with = "networks")]
    #[schemars(with = "Vec<String>")]
    trusted_proxies: Vec<IpNet>,
    /// Sidecar: names taken in `Host` besides localhost and loopback addresses.
    #[serde(default)]
    hosts: Vec<String>,
    /// In place of the upstream's.
    #[serde(default)]
    credential: Option<Credential>,
    /// In place of the upstream's.
    #[serde(default)]
    identity: Option<IdentityKind>,
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

impl Listener {
    /// A gate in plain text on `address`.
    #[must_use]
    pub fn plain(address: ListenAddress) -> Self {
        Self {
            address,
            shape: Shape::default(),
            ssl: None,
            insecure: false,
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            hosts: Vec::new(),
            credential: None,
            identity: None,
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self::plain(ListenAddress::Tcp(loopback(9200)))
    }
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => is_loopback(address.ip()),
            Self::Unix { .. } => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(AddressError::Address),
            Some(path) => Ok(Self::Unix { path: path.into(), mode: DEFAULT_MODE }),
            None => parse_socket(text).map(Self::Tcp),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: loopback(9600) }
    }
}

impl TryFrom<RawListener> for Listener {
    type Error = AddressError;

    fn try_from(raw: RawListener) -> Result<Self, AddressError> {
        let address = match (raw.address, raw.mode) {
            (ListenAddress::Unix { path, .. }, Some(mode)) => {
                ListenAddress::Unix { path, mode: parse_mode(&mode).ok_or(AddressError::Mode)? }
            }
            (ListenAddress::Tcp(_), Some(_)) => return Err(AddressError::ModeOfTcp),
            (address, None) => address,
        };
        Ok(Self {
            address,
            shape: raw.shape,
            ssl: raw.ssl,
            insecure: raw.insecure,
            proxy_protocol: raw.proxy_protocol,
            trusted_proxies: raw.trusted_proxies,
            hosts: raw.hosts,
            credential: raw.credential,
            identity: raw.identity,
        })
    }
}

impl From<Listener> for RawListener {
    fn from(listener: Listener) -> Self {
        let mode = match &listener.address {
            ListenAddress::Tcp(_) => None,
            ListenAddress::Unix { mode, .. } => Some(format!("{mode:04o}")),
        };
        Self {
            address: listener.address,
            mode,
            shape: listener.shape,
            ssl: listener.ssl,
            insecure: listener.insecure,
            proxy_protocol: listener.proxy_protocol,
            trusted_proxies: listener.trusted_proxies,
            hosts: listener.hosts,
            credential: listener.credential,
            identity: listener.identity,
        }
    }
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

/// Whether the address is of this machine only, an IPv4 one written as IPv6 included.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn parse_socket(text: &str) -> Result<SocketAddr, AddressError> {
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(loopback).map_err(|_| AddressError::Address),
        None => text.parse().map_err(|_| AddressError::Address),
    }
}

fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn both_versions() -> Vec<TlsVersion> {
    vec![TlsVersion::V12, TlsVersion::V13]
}

mod socket_address {
    use super::{Deserialize, Deserializer, Serializer, SocketAddr, de, parse_socket};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        parse_socket(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    pub(super) fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }
}

/// Networks as `10.0.0.0/8`, or a single address.
mod networks {
    use super::{Deserialize, Deserializer, IpAddr, IpNet, Serializer};
    use crate::config::text::parsed;

    #[derive(Deserialize)]
    struct Network(#[serde(with = "parsed")] Parsed);

    struct Parsed(IpNet);

    impl std::str::FromStr for Parsed {
        type Err = &'static str;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map(Self)
                .map_err(|_| "no network\nwrite 10.0.0.0/8, fd00::/8 or a single address")
        }
    }

    impl std::fmt::Display for Parsed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.fmt(f)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        Ok(Vec::<Network>::deserialize(deserializer)?.into_iter().map(|network| network.0.0).collect())
    }

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(networks.iter().map(ToString::to_string))
    }
}

const DEFAULT_MODE: u32 = 0o660;
