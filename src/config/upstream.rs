//! `upstream`: the cluster, and what it is shown.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::quantity;

mod credential;
mod host;
mod ssl;

pub use self::{
    credential::{
        Credential, GrantType, IdentityKind, Jwt, JwtAlgorithm, Oauth2, SecureUrl, SecureUrlError, Service, TokenWire,
    },
    host::{HostUrl, HostUrlError},
    ssl::{UpstreamSsl, UpstreamSslError, VerificationMode},
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

/// Nodes of one cluster. A request keeps one bit each to say which it has tried.
pub const MAX_HOSTS: usize = 64;
