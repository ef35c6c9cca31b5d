//! `listeners` and `admin`: where clients and operators connect.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::{
    text,
    upstream::{Credential, IdentityKind},
};

mod address;
mod ssl;

use self::address::{loopback, parse_mode, parse_socket};
pub use self::{
    address::{AddressError, ListenAddress, is_loopback},
    ssl::{CertificateFiles, ClientAuthentication, ListenerSsl, TlsVersion},
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
    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Network(IpNet);

    impl TryFrom<String> for Network {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, Self::Error> {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map(Self)
                .map_err(|_| "no network\nwrite 10.0.0.0/8, fd00::/8 or a single address")
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        Ok(Vec::<Network>::deserialize(deserializer)?.into_iter().map(|network| network.0).collect())
    }

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(networks.iter().map(ToString::to_string))
    }
}
