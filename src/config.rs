//! Configuration: every key of the outside contract, parsed once into types that cannot be wrong.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::secret::SecretText;

/// Everything that can be configured. [`Default`] is what an empty file means.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Health, metrics and version.
    pub admin: Admin,
    /// The cluster.
    pub upstream: Upstream,
    /// Who is who.
    pub authentication: Authentication,
    /// Access tokens.
    pub tokens: Tokens,
    /// API keys.
    pub api_keys: ApiKeys,
    /// Limits on what peers may send.
    pub limits: Limits,
    /// Durable state.
    pub store: StoreConfig,
    /// Logs and audit.
    pub logging: Logging,
    // sessions, reauthentication, invalidation, enrollment: helper adds them in the same manner.
}

/// One address that clients connect to.
#[derive(Clone, Debug)]
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

/// What a listener is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Sessions over rotating token pairs.
    Broker,
    /// Callers judged here.
    Gate,
    /// No credentials asked; loopback only.
    Sidecar,
}

/// A listener's TLS.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAuthentication {
    /// Not asked.
    None,
    /// Asked, not needed.
    Optional,
    /// Needed.
    Required,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Its address.
    pub address: SocketAddr,
}

/// The cluster.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostUrl {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// TLS to the cluster.
#[derive(Clone, Debug, Default)]
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

/// What is checked of the cluster's certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VerificationMode {
    /// Chain only, not the name.
    Certificate,
    /// Chain and name.
    #[default]
    Full,
    /// Nothing.
    None,
}

/// What the cluster is shown.
#[derive(Clone, Debug, Default)]
pub enum Credential {
    /// An API key (`encoded`) from a file.
    ApiKey {
        /// The file.
        api_key_file: PathBuf,
    },
    /// User and password.
    Basic {
        /// User name.
        username: String,
        /// File with the password.
        password_file: PathBuf,
    },
    /// A bearer token from a file.
    Bearer {
        /// The file.
        token_file: PathBuf,
    },
    /// Nothing.
    #[default]
    None,
    /// The caller's own header.
    Passthrough,
    // oauth2, session: parsed and kept, refused by `serve` until their issue lands.
}

/// How the cluster is told who calls.
#[derive(Clone, Debug, Default)]
pub enum IdentityKind {
    /// It is not.
    #[default]
    None,
    /// `x-proxy-user` and friends.
    ProxyHeaders,
    /// `es-security-runas-user`.
    RunAs,
}

/// What is rewritten for clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compatibility {
    /// Ask the cluster.
    Auto,
    /// Elasticsearch.
    Elasticsearch,
    /// Nothing, and no product header.
    Off,
    /// OpenSearch.
    Opensearch,
}

/// Who is who.
#[derive(Clone, Debug)]
pub struct Authentication {
    /// Asked in this order.
    pub realms: Vec<Realm>,
    /// The first password of `elastic`.
    pub bootstrap_password: Option<SecretText>,
    /// What callers without credentials are.
    pub anonymous: Anonymous,
    /// Slows password guessing.
    pub throttle: Throttle,
}

/// One realm.
#[derive(Clone, Debug)]
pub enum Realm {
    /// Users made through the API.
    Native {
        /// Its name.
        name: String,
    },
    /// The bootstrap superuser.
    Reserved,
    // file, jwt, pki, cluster: parsed and kept, refused by `serve` until their issue lands.
}

/// Anonymous access; off while `roles` is empty.
#[derive(Clone, Debug)]
pub struct Anonymous {
    /// Principal name.
    pub username: String,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Password throttling; off while `failures` is 0.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Wrong passwords for a user from one address within the window.
    pub failures: u32,
    /// The window.
    pub window: Duration,
    /// How long they are refused then.
    pub block: Duration,
}

/// Access tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Life of an access token.
    pub access_lifetime: Duration,
    /// Life of a refresh token.
    pub refresh_lifetime: Duration,
    /// Time in which a used refresh token gives the same pair.
    pub reuse_window: Duration,
    /// Time between removals.
    pub cleanup_interval: Duration,
}

/// API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// How long a dead key is listed.
    pub retention: Duration,
    /// Time between removals.
    pub cleanup_interval: Duration,
    /// Longest life.
    pub max_lifetime: Option<Duration>,
    /// Life when none is asked for.
    pub default_lifetime: Option<Duration>,
    /// Most live keys of an owner.
    pub max_per_owner: u64,
    /// Principals kept in memory.
    pub cache_entries: usize,
}

/// Limits on what peers may send.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A header block.
    pub header_bytes: u64,
    /// A body.
    pub body_bytes: u64,
    /// Open client connections.
    pub connections: usize,
    /// To send a header block.
    pub header_timeout: Duration,
    /// A silent connection.
    pub idle_timeout: Duration,
}

/// Durable state.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where.
    pub url: StoreUrl,
    /// Seals what must be readable again.
    pub master_key_file: Option<PathBuf>,
}

/// Where durable state lives.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// Nowhere: for tests and `demo`.
    Memory,
    /// A PostgreSQL server; the text may hold a password.
    Postgres(SecretText),
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// Logs and audit.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Shape of a line.
    pub format: LogFormat,
    /// A tracing filter.
    pub level: String,
    /// Where audit events go.
    pub audit: AuditTarget,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// Text on a terminal, ECS JSON otherwise.
    Auto,
    /// ECS JSON.
    Json,
    /// Text.
    Text,
}

/// Where audit events go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditTarget {
    /// A file, reopened on SIGUSR1.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
}
