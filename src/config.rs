//! Configuration: every key of the outside contract, parsed once into types that cannot be wrong.
//!
//! Files and environment become one tree in which every value knows its place (`tree`, `yaml`, `environment`); types
//! are read out of it (`read`), so that every problem is told with file, line, column and what to do. This module
//! never opens a socket, and nothing it prints holds a secret.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod effective;
mod environment;
mod files;
mod limits;
mod listen;
mod problem;
pub mod quantity;
mod read;
mod realms;
mod recovery;
mod rules;
mod store;
mod telemetry;
mod text;
mod tokens;
mod tree;
mod upstream;
mod yaml;

pub use self::{
    environment::Environment,
    limits::Limits,
    listen::{
        AddressError, Admin, CertificateFiles, ClientAuthentication, ListenAddress, Listener, ListenerSsl, Shape,
        TlsVersion, is_loopback,
    },
    problem::{Place, Problem, Problems},
    realms::{Anonymous, Authentication, Bootstrap, Jwks, JwtRealm, PrincipalFrom, Realm, Throttle},
    recovery::{Enrollment, ExpiredStatus, Invalidation, Reauthentication, TransientFailure},
    store::{StoreConfig, StoreUrl, StoreUrlError},
    telemetry::{AuditTarget, LogFormat, Logging},
    tokens::{ApiKeys, Sessions, Tokens},
    upstream::{
        Compatibility, Credential, GrantType, HostUrl, HostUrlError, IdentityKind, Jwt, JwtAlgorithm, MAX_HOSTS,
        Oauth2, SecureUrl, SecureUrlError, Service, TokenWire, Upstream, UpstreamSsl, UpstreamSslError,
        VerificationMode,
    },
};
use self::{read::Reader, tree::Node};

/// A look at a configuration that is well formed.
type Check = fn(&Config) -> Vec<Problem>;

/// Everything that can be configured. [`Default`] is what an empty file means.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
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
    /// Sessions over token pairs of the cluster.
    pub sessions: Sessions,
    /// Repair of expired credentials.
    pub reauthentication: Reauthentication,
    /// Retired keys.
    pub invalidation: Invalidation,
    /// Agents.
    pub enrollment: Enrollment,
    /// Limits on what peers may send.
    pub limits: Limits,
    /// Durable state.
    pub store: StoreConfig,
    /// Logs and audit.
    pub logging: Logging,
}

impl Config {
    /// Loads `files` in order, later ones over earlier ones, and the environment over all. A folder means its `*.yml`
    /// in name order. Without any file: the first of [`DEFAULT_FILES`] that exists, else the defaults.
    ///
    /// # Errors
    ///
    /// All problems that can be known without the network, and what is well formed but cannot be served by this
    /// version: a key is never ignored.
    pub fn load(files: &[PathBuf], environment: &Environment) -> Result<Self, Problems> {
        Self::assemble(files, environment, &[rules::check, files::check, rules::unsupported])
    }

    /// As [`Config::load`], but takes what another version serves, and demands the files that a server may start
    /// without, such as mounted credentials.
    ///
    /// # Errors
    ///
    /// All problems that can be known without the network.
    pub fn check(files: &[PathBuf], environment: &Environment) -> Result<Self, Problems> {
        Self::assemble(files, environment, &[rules::check, files::check, files::check_late])
    }

    fn assemble(files: &[PathBuf], environment: &Environment, checks: &[Check]) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut tree = Node::empty();
        for file in expand(files).map_err(|problem| Problems(vec![problem]))? {
            let name: Arc<str> = file.to_string_lossy().into();
            let start = Place::File { file: Arc::clone(&name), line: 1, column: 1 };
            let parsed = std::fs::read_to_string(&file)
                .map_err(|error| Problem { place: start, ..Problem::new(format!("cannot be read: {error}")) })
                .and_then(|text| yaml::parse(&text, &name));
            match parsed {
                // A file of comments alone says nothing.
                Ok(Node { value: tree::Value::Null, .. }) => {}
                Ok(node) => tree.merge(node),
                Err(problem) => problems.push(problem),
            }
        }
        environment.interpolate(&mut tree, &mut problems);
        environment.overlay(&mut tree, &mut problems);
        Self::from_tree(tree, environment, problems, checks)
    }

    /// Keys whose new value takes effect at the next start only.
    #[must_use]
    pub fn restart_needed(&self, new: &Self) -> Vec<String> {
        effective::restart_needed(self, new)
    }

    /// Whether the cluster hears the roles of every caller whom a listener of shape gate judges (contract section 4).
    #[must_use]
    pub fn tells_roles(&self) -> bool {
        let told = |listener: &Listener| {
            let identity = listener.identity.as_ref().unwrap_or(&self.upstream.identity);
            matches!(identity, IdentityKind::ProxyHeaders | IdentityKind::RunAs)
        };
        let mut gates = self.listeners.iter().filter(|listener| listener.shape == Shape::Gate).peekable();
        gates.peek().is_some() && gates.all(told)
    }

    /// Every identity `jwt` and its path.
    pub fn signing(&self) -> impl Iterator<Item = (String, &Jwt)> {
        let listeners = self.listeners.iter().enumerate();
        let own = listeners.filter_map(|(at, own)| Some((format!("listeners.{at}.identity"), own.identity.as_ref()?)));
        let upstream = ("upstream.identity".to_owned(), &self.upstream.identity);
        own.chain([upstream]).filter_map(|(path, kind)| match kind {
            IdentityKind::Jwt(jwt) => Some((path, jwt)),
            _ => None,
        })
    }

    /// The effective configuration as YAML, secrets as `[redacted]`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        effective::yaml(self)
    }

    /// JSON Schema of the configuration.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        effective::schema()
    }

    /// Reads the types out of the tree. What fails is reported and taken out, and the rest read again: so one run
    /// tells everything.
    fn from_tree(
        mut tree: Node,
        environment: &Environment,
        mut problems: Vec<Problem>,
        checks: &[Check],
    ) -> Result<Self, Problems> {
        for path in problems.iter().map(|problem| problem.path.clone()).filter(|path| !path.is_empty()) {
            tree.prune(&path);
        }
        let mut config = loop {
            let problem = match Self::deserialize(Reader::new(&tree)) {
                Ok(config) => break config,
                Err(problem) => problem,
            };
            let path = problem.path.clone();
            // A container that fails for want of what was taken out of it is no news.
            let consequence = problems.iter().any(|known| known.path.starts_with(&path) && known.path != path);
            let again = !path.is_empty() && tree.prune(&path) && problems.len() < MAX_PROBLEMS;
            if !consequence {
                problems.push(problem);
            }
            if !again {
                return Err(Problems::sorted(problems));
            }
        };
        environment.overlay_bootstrap(&mut config.authentication.bootstrap);
        // Of a section with problems of its own, nothing further can be said for sure.
        let broken: Vec<_> = problems.iter().filter_map(|problem| problem.path.first().cloned()).collect();
        let found = checks.iter().flat_map(|check| check(&config));
        problems.extend(found.filter(|problem| !problem.path.first().is_some_and(|first| broken.contains(first))).map(
            |problem| {
                let node = tree.nearest(&problem.path);
                Problem { place: node.place.clone(), text: node.shown(), ..problem }
            },
        ));
        if problems.is_empty() { Ok(config) } else { Err(Problems::sorted(problems)) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: vec![Listener::default()],
            admin: Admin::default(),
            upstream: Upstream::default(),
            authentication: Authentication::default(),
            tokens: Tokens::default(),
            api_keys: ApiKeys::default(),
            sessions: Sessions::default(),
            reauthentication: Reauthentication::default(),
            invalidation: Invalidation::default(),
            enrollment: Enrollment::default(),
            limits: Limits::default(),
            store: StoreConfig::default(),
            logging: Logging::default(),
        }
    }
}

/// The files that are meant, folders replaced by what is in them.
fn expand(files: &[PathBuf]) -> Result<Vec<PathBuf>, Problem> {
    if files.is_empty() {
        return Ok(DEFAULT_FILES.iter().map(PathBuf::from).find(|file| file.is_file()).into_iter().collect());
    }
    let mut expanded = Vec::new();
    for file in files {
        if file.is_dir() {
            expanded.extend(folder(file)?);
        } else {
            expanded.push(file.clone());
        }
    }
    Ok(expanded)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error| Problem::new(format!("{} cannot be read: {error}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "yml") && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Problem::new(format!("{} holds no *.yml", path.display())));
    }
    files.sort();
    Ok(files)
}

/// Read when no file is named: the first that exists.
pub const DEFAULT_FILES: &[&str] = &["config/searchgate.yml", "/etc/searchgate/searchgate.yml"];

/// Nobody reads more at once.
const MAX_PROBLEMS: usize = 100;

#[cfg(test)]
mod tests;
