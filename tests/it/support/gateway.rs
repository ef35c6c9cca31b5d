//! A gateway made as `serve` makes one, but for its sockets: clients and the cluster are at the other end of pipes.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex},
};

use base64::Engine as _;
use searchgate::{
    clock::Clock,
    config::{AuditTarget, Config, Shape, StoreUrl},
    gateway::{
        Core, Door,
        build::{self, Built},
    },
    keys::NewKey,
    listener::{
        Terms, converse,
        peer::Peer,
        socket::{Socket, Transport},
    },
    model::{Identity, RealmRef, Timestamp},
    store::{AnyStore, Creator, sqlite::Sqlite},
    telemetry::Telemetry,
    upstream::{
        client::{Dial, Pool},
        health::{self, ProbeCredential},
    },
    users::Users,
};
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use crate::support::{
    client::{Answer, Client},
    settle,
    upstream::Upstream,
};

/// A gateway in front of an [`Upstream`].
pub(crate) struct Gateway {
    pub(crate) built: Built,
    pub(crate) draining: CancellationToken,
    core: Rc<Core>,
    door: Rc<Door>,
    terms: Rc<Terms>,
    ended: Rc<RefCell<Vec<std::io::Result<()>>>>,
    log: Log,
}

/// Lines that the gateway wrote: access events.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Gateway {
    /// One with the defaults, in front of a cluster of one host.
    pub(crate) fn spawn(upstream: &Upstream) -> Self {
        Self::with(upstream, |_| ())
    }

    /// One with other settings than the defaults.
    pub(crate) fn with(upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.store.url = StoreUrl::Memory;
        change(&mut config);
        let store = match &config.store.url {
            StoreUrl::Sqlite(path) => AnyStore::Sqlite(Arc::new(Sqlite::open(path).unwrap())),
            StoreUrl::Memory | StoreUrl::Postgres(_) => AnyStore::Memory(Arc::default()),
        };
        let upstream = upstream.clone();
        Self::new(config, store, Dial::Pipe(Rc::new(move |host| upstream.dial(host))))
    }

    /// One in front of a cluster on sockets, over a store that others may share. Time must not be paused.
    pub(crate) fn over_network(store: AnyStore, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        Self::new(config, store, Dial::Network)
    }

    fn new(mut config: Config, store: AnyStore, dial: Dial) -> Self {
        config.logging.audit = AuditTarget::Off;
        let log = Log::default();
        let telemetry = Telemetry::detached(&config.logging, {
            let log = log.clone();
            move || Ok(Box::new(log.clone()))
        })
        .unwrap();
        let built = build::build(&config, store, &Clock::anchored(START), telemetry).unwrap();
        let pool = Pool::new(Arc::clone(&built.shared.upstream), dial);
        let core =
            Core::new(Arc::clone(&built.shared), pool, built.shared.metrics.core(), built.telemetry.access_log());
        let (site, tls) = &built.sites[0];
        let door = Door::new(Rc::clone(&core), Arc::clone(site));
        let listener = &config.listeners[0];
        let terms = Rc::new(Terms {
            tls: tls.clone(),
            proxy_protocol: listener.proxy_protocol,
            trusted_proxies: listener.trusted_proxies.as_slice().into(),
            limits: Arc::clone(&built.shared.limits),
        });
        Self { draining: CancellationToken::new(), core, door, terms, built, ended: Rc::default(), log }
    }

    /// A sidecar that takes [`client::request`](crate::support::client::request)s, with other settings than the defaults.
    pub(crate) fn sidecar(upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Self {
        Self::with(upstream, |config| {
            config.listeners[0].shape = Shape::Sidecar;
            config.listeners[0].hosts = vec!["gate.test".into()];
            change(config);
        })
    }

    /// Asks all hosts what they are, over sockets of their own. Time must not be paused.
    pub(crate) async fn probe(&self) {
        let credential: ProbeCredential = Arc::new({
            let header = self.built.probe_credential();
            move || header.clone()
        });
        health::probe_all(&self.built.shared.upstream, &credential).await;
    }

    /// A bare connection from [`CLIENT`].
    pub(crate) fn connect(&self) -> DuplexStream {
        self.connect_from(Peer::at(CLIENT.parse().unwrap(), false))
    }

    /// A bare connection from somebody else.
    pub(crate) fn connect_from(&self, peer: Peer) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (terms, door, draining, ended) =
            (Rc::clone(&self.terms), Rc::clone(&self.door), self.draining.clone(), Rc::clone(&self.ended));
        let metrics = Arc::clone(&self.built.shared.metrics);
        tokio::task::spawn_local(async move {
            let outcome = converse(Socket::new(Transport::Pipe(far)), peer, &terms, &draining, &metrics, door).await;
            ended.borrow_mut().push(outcome);
        });
        near
    }

    /// A client on a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::over(self.connect()).await
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn send(&self, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Answer {
        self.client().await.send(request).await.unwrap()
    }

    /// Connections that have ended.
    pub(crate) fn ended(&self) -> usize {
        self.ended.borrow().len()
    }

    /// All access events so far, one JSON line each.
    pub(crate) async fn events(&self) -> Vec<serde_json::Value> {
        settle().await; // the client may have its answer before the gateway has let go of it
        self.core.tick();
        tokio::time::resume(); // the thread that writes needs time of its own
        self.built.telemetry.flush().await;
        tokio::time::pause();
        let lines = self.log.0.lock().unwrap().clone();
        lines
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// All that was logged so far. Time must not be paused.
    pub(crate) async fn lines(&self) -> String {
        self.core.tick();
        self.built.telemetry.flush().await;
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// The data thread's share.
    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// The value of an `Authorization` header: a fresh key of a superuser.
    pub(crate) async fn superuser(&self) -> String {
        self.superuser_named("elastic").await
    }

    /// The same, of a superuser of that name.
    pub(crate) async fn superuser_named(&self, username: &str) -> String {
        self.key(username, serde_json::Map::new()).await
    }

    /// A key that may use these indices so, and nothing else.
    pub(crate) async fn limited(&self, names: &[&str], privileges: &[&str]) -> String {
        let descriptor = serde_json::json!({"indices": [{"names": names, "privileges": privileges}]});
        self.key("elastic", serde_json::Map::from_iter([("limited".to_owned(), descriptor)])).await
    }

    async fn key(&self, username: &str, role_descriptors: serde_json::Map<String, serde_json::Value>) -> String {
        let roles = ["superuser".into()];
        let key = self
            .built
            .keys
            .create(NewKey {
                access: None,
                name: "test".into(),
                life: None,
                role_descriptors,
                limited_by: Users::descriptors(&roles),
                metadata: serde_json::Map::new(),
                creator: Creator {
                    identity: Identity { username: username.into(), roles: roles.into(), ..Identity::default() },
                    realm: RealmRef { name: "reserved".into(), kind: "reserved".into() },
                },
            })
            .await
            .unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", key.id, key.secret.expose()));
        format!("ApiKey {encoded}")
    }
}

/// Where clients come from unless a test says otherwise.
pub(crate) const CLIENT: &str = "192.0.2.7:40000";
/// When tests begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
