//! Puts the stages together: what is made once, in order, before anything listens.

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::{
    api::Api,
    authorize::Authorizer,
    broker::{self, Broker, Parts},
    clock::Clock,
    cluster::{Authenticated, CallError, Cluster},
    config::{Config, Credential, Listener, Realm, Shape, StoreConfig, StoreUrl},
    credential::{Credentials, Means},
    forward::identity::{Identity, KeyError},
    gateway::{Shared, Site},
    identify::{AskCluster, AskError, Asking, RealmError, Realms, Registers, Told, cache::Revocations},
    keys::Keys,
    listener::tls::{Reloading, ServerTlsError},
    passwords::Passwords,
    replay::Replays,
    sealing::{MasterKeyError, MasterKeys},
    sessions::Sessions,
    store::{AnyStore, StoreError, memory::Memory, postgres::Postgres, sqlite::Sqlite},
    telemetry::{Telemetry, audit::Audit, metrics::Metrics},
    tokens::Tokens,
    upstream::{Upstream, UpstreamError},
    users::{Users, UsersError},
};

/// A gateway, whole but not listening.
#[derive(Debug)]
pub struct Built {
    /// What the data threads share.
    pub shared: Arc<Shared>,
    /// A site and its TLS for each listener, in the order of the configuration.
    pub sites: Vec<Served>,
    /// The sessions of listeners of shape broker, each once; one suffices for what is done about all.
    pub brokers: Vec<Broker>,
    /// What the cluster is shown where a listener does not say otherwise.
    pub credentials: Arc<Credentials>,
    /// Durable state.
    pub store: AnyStore,
    /// Seal what of it must be readable again.
    pub master_keys: MasterKeys,
    /// API keys.
    pub keys: Arc<Keys>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Sessions over token pairs of the cluster.
    pub sessions: Arc<Sessions>,
    /// Users.
    pub users: Arc<Users>,
    /// What of it was revoked here and elsewhere.
    pub revocations: Arc<Revocations>,
    /// Hashes their passwords.
    pub passwords: Passwords,
    /// The log.
    pub telemetry: Telemetry,
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit file cannot be written.
    #[error("the audit stream cannot be opened")]
    Audit(#[source] io::Error),
    /// The first password of `elastic` cannot be read.
    #[error("the bootstrap password cannot be read")]
    BootstrapFile(#[source] io::Error),
    /// The key of an `identity` cannot be used.
    #[error("identity `jwt`")]
    IdentityKey(#[from] KeyError),
    /// An address cannot be listened on.
    #[error("cannot listen on [{address}]")]
    Listen {
        /// As configured.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The master key cannot be used.
    #[error("the master key cannot be used")]
    MasterKey(#[from] MasterKeyError),
    /// The user `elastic` has no password yet, and none is configured.
    #[error(
        "user [elastic] has no password yet: set SEARCHGATE_BOOTSTRAP_PASSWORD or authentication.bootstrap.password_file \
         for the first start"
    )]
    NoBootstrapPassword,
    /// A realm cannot be served as configured.
    #[error(transparent)]
    Realm(#[from] RealmError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The system refuses signals, threads or sockets.
    #[error("the system refuses what a server needs")]
    System(#[source] io::Error),
    /// TLS material of a listener.
    #[error("TLS of listener [{address}]")]
    Tls {
        /// As configured.
        address: String,
        /// What is wrong.
        #[source]
        source: ServerTlsError,
    },
    /// The cluster as configured cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The bootstrap user cannot be made.
    #[error("user [elastic] cannot be given its first password")]
    Users(#[source] UsersError),
}

/// Makes all stages of a gateway over its store.
///
/// # Errors
///
/// [`StartError`]; nothing is left behind.
pub fn build(config: &Config, store: AnyStore, clock: &Clock, telemetry: Telemetry) -> Result<Built, StartError> {
    let master_keys = master_keys(&config.store)?;
    let audit = Audit::open(&config.logging.audit, clock.clone()).map_err(StartError::Audit)?;
    let passwords = Passwords::start(hashing_threads(), HASHING_QUEUE);
    let metrics = Metrics::new(&config.upstream.hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
    telemetry.observe(&metrics);
    if let Some(lost) = audit.lost() {
        metrics.lost_lines("audit", lost);
    }
    let limits = Arc::new(ArcSwap::from_pointee(config.limits.clone()));
    let upstream = Arc::new(Upstream::new(&config.upstream, Arc::clone(&metrics))?);
    let revocations = Arc::new(Revocations::default());
    let sessions = Arc::new(Sessions::new(
        store.clone(),
        master_keys.clone(),
        clock.clone(),
        config.sessions.clone(),
        config.invalidation.claim_ttl,
        revocations.announce(),
        broker::ended(audit.clone(), Arc::clone(&metrics)),
    ));
    let means = Means { config, clock, metrics: &metrics, sessions: &sessions };
    let credentials = Arc::new(Credentials::new(&config.upstream.credential, &means));
    let cluster =
        Cluster::new(Arc::clone(&upstream), Arc::clone(&credentials), config.reauthentication.refresh_timeout);
    let registers = Registers::new(&store, &revocations, passwords.clone(), ask(cluster, config), clock, config);
    let Registers { users, keys, tokens, roles, documents, service_accounts, .. } = registers.clone();
    let realms = Arc::new(Realms::new(
        &config.authentication,
        config.api_keys.cache_entries,
        registers,
        clock.clone(),
        Arc::clone(&metrics),
        audit.clone(),
    )?);
    let replays = Replays::new(&config.reauthentication);
    metrics.gauge("searchgate_replay_buffer_bytes", "Bytes of request bodies kept in memory to be sent again.", {
        let replays = Arc::clone(&replays);
        move || replays.held()
    });
    let authorizer = Authorizer::new(audit.clone(), clock.clone(), master_keys.clone());
    let identities = identities(config)?;
    let shared = Arc::new(Shared {
        realms: Arc::clone(&realms),
        authorizer: authorizer.clone(),
        api: Api {
            authorizer,
            keys: Arc::clone(&keys),
            users: Arc::clone(&users),
            tokens: Arc::clone(&tokens),
            roles,
            documents,
            service_accounts,
            sessions: Arc::clone(&sessions),
            realms,
            issuers: identities.iter().filter_map(Identity::issuer).map(Arc::clone).collect(),
            audit: audit.clone(),
            clock: clock.clone(),
            limits: Arc::clone(&limits),
        },
        clock: clock.clone(),
        metrics: Arc::clone(&metrics),
        audit,
        upstream,
        replays,
        recovery: config.reauthentication.clone(),
        compatibility: config.upstream.compatibility,
        limits,
    });
    let office = Office { sessions: &sessions, revocations: &revocations, shared: &shared, means: &means };
    let (sites, brokers) = office.sites(&credentials, identities)?;
    Ok(Built {
        shared,
        sites,
        brokers,
        credentials,
        store,
        master_keys,
        keys,
        tokens,
        sessions,
        users,
        revocations,
        passwords,
        telemetry,
    })
}

impl Built {
    /// Gives `elastic` its first password, where somebody may have to prove who they are.
    ///
    /// # Errors
    ///
    /// [`StartError::NoBootstrapPassword`] when there is none, and those of the store.
    pub async fn bootstrap(&self, config: &Config) -> Result<(), StartError> {
        let asked = config.authentication.realms.iter().any(|realm| matches!(realm, Realm::Reserved))
            && config.listeners.iter().any(|listener| listener.shape != Shape::Sidecar);
        if !asked || self.users.is_bootstrapped().await? {
            return Ok(());
        }
        let password = config.authentication.bootstrap.read().map_err(StartError::BootstrapFile)?;
        let password = password.ok_or(StartError::NoBootstrapPassword)?;
        self.users.bootstrap(&password).await.map_err(StartError::Users)?;
        Ok(())
    }

    /// Every credential once: the common one, then those that listeners have of their own.
    pub fn credentials(&self) -> impl Iterator<Item = &Arc<Credentials>> {
        let own = self.sites.iter().map(|(site, _)| &site.credentials);
        let services = self.brokers.iter().map(Broker::service);
        std::iter::once(&self.credentials).chain(own.filter(|own| !Arc::ptr_eq(own, &self.credentials))).chain(services)
    }

    /// The `Authorization` that probes show the cluster. None where callers pass through: a probe must then learn
    /// whether the cluster refuses strangers.
    #[must_use]
    pub fn probe_credential(&self) -> Option<HeaderValue> {
        let passing = |site: &Site| site.credentials.is_passthrough() || site.broker.is_some();
        if self.sites.iter().any(|(site, _)| passing(site)) { None } else { self.credentials.held().header().cloned() }
    }
}

/// What sites are made of.
struct Office<'a> {
    sessions: &'a Arc<Sessions>,
    revocations: &'a Arc<Revocations>,
    shared: &'a Shared,
    means: &'a Means<'a>,
}

impl Office<'_> {
    /// The site of each listener, and every broker once.
    fn sites(
        &self,
        credentials: &Arc<Credentials>,
        identities: Vec<Identity>,
    ) -> Result<(Vec<Served>, Vec<Broker>), StartError> {
        let config = self.means.config;
        let common = self.broker(&config.upstream.credential);
        let mut brokers: Vec<Broker> = common.iter().cloned().collect();
        let mut sites = Vec::new();
        for (listener, identity) in config.listeners.iter().zip(identities) {
            let tls = listener
                .ssl
                .clone()
                .map(Reloading::new)
                .transpose()
                .map_err(|source| StartError::Tls { address: listener.address.to_string(), source })?;
            let (credentials, broker) = match &listener.credential {
                None => (Arc::clone(credentials), common.clone()),
                Some(own) => (Arc::new(Credentials::new(own, self.means)), self.broker(own)),
            };
            if listener.credential.is_some() {
                brokers.extend(broker.clone());
            }
            let broker = broker.filter(|_| listener.shape == Shape::Broker);
            let site = Site { shape: listener.shape, credentials, broker, identity, hosts: listener.hosts.clone() };
            sites.push((Arc::new(site), tls.map(Arc::new)));
        }
        Ok((sites, brokers))
    }

    /// The broker of a credential `session`.
    fn broker(&self, credential: &Credential) -> Option<Broker> {
        let Credential::Session { service } = credential else { return None };
        let Self { sessions, revocations, shared, means: Means { config, .. } } = self;
        let service = Arc::new(Credentials::service(service));
        let patience = config.reauthentication.refresh_timeout;
        let cluster = Cluster::new(Arc::clone(&shared.upstream), Arc::clone(&service), patience);
        let parts = Parts {
            service,
            revocations: Arc::clone(revocations),
            clock: shared.clock.clone(),
            metrics: Arc::clone(&shared.metrics),
            audit: shared.audit.clone(),
            sessions: config.sessions.clone(),
            renewal: config.reauthentication.clone(),
            throttle: config.authentication.throttle.clone(),
            capacity: config.api_keys.cache_entries,
        };
        Some(Broker::new(Arc::clone(sessions), cluster, parts))
    }
}

/// A site, and its TLS.
type Served = (Arc<Site>, Option<Arc<Reloading>>);

/// Opens the store, whose connections live as long as the current runtime.
///
/// # Errors
///
/// [`StartError::Store`].
pub async fn open(url: &StoreUrl) -> Result<AnyStore, StartError> {
    Ok(match url {
        StoreUrl::Memory => AnyStore::Memory(Arc::new(Memory::default())),
        StoreUrl::Sqlite(path) => AnyStore::Sqlite(Arc::new(Sqlite::open(path)?)),
        StoreUrl::Postgres(url) => AnyStore::Postgres(Arc::new(Postgres::open(url).await?)),
    })
}

/// The configured keys, or those beside a SQLite store, or some that end with a store in memory.
fn master_keys(store: &StoreConfig) -> Result<MasterKeys, MasterKeyError> {
    match (&store.master_key_file, &store.url) {
        (Some(file), _) => MasterKeys::read(file),
        (None, StoreUrl::Sqlite(database)) => {
            let mut file = database.clone().into_os_string();
            file.push(".key");
            MasterKeys::read_or_make(file.as_ref())
        }
        // With PostgreSQL a file is required.
        (None, StoreUrl::Memory | StoreUrl::Postgres(_)) => Ok(MasterKeys::ephemeral()),
    }
}

/// How realms ask the cluster whom it takes somebody for.
fn ask(cluster: Cluster, config: &Config) -> AskCluster {
    let cluster = Arc::new(cluster);
    let own = config.signing().map(|(_, jwt)| jwt.issuer.as_str().into()).collect();
    let ask = move |authorization: HeaderValue| -> Asking {
        let cluster = Arc::clone(&cluster);
        Box::pin(async move {
            match cluster.authenticate(&authorization).await {
                Ok(Authenticated { identity, document, .. }) => Ok(Told { identity, document }),
                Err(CallError::Refused) => Err(AskError::Refused),
                Err(CallError::Transient(trouble)) => Err(AskError::Silent(trouble.into())),
            }
        })
    };
    AskCluster::new(ask, own)
}

/// What each listener tells the cluster of its callers. Those without an identity of their own share the upstream's.
///
/// # Errors
///
/// [`KeyError`].
fn identities(config: &Config) -> Result<Vec<Identity>, KeyError> {
    let tokens = config.api_keys.cache_entries;
    let shared = Identity::new(&config.upstream.identity, tokens)?;
    let of =
        |listener: &Listener| listener.identity.as_ref().map_or(Ok(shared.clone()), |own| Identity::new(own, tokens));
    config.listeners.iter().map(of).collect()
}

/// Half the cores: a flood of passwords must leave the data threads theirs.
fn hashing_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// At 28 ms a hash, the last in the queue waits for about two seconds; a longer wait would outlast clients' patience.
const HASHING_QUEUE: usize = 64;
