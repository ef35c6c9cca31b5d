//! A gateway made as `serve` makes one, but for its sockets: clients and the cluster are at the other end of pipes.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use searchgate::{
    clock::Clock,
    config::{Config, StoreUrl},
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
    store::Creator,
    telemetry::Telemetry,
    upstream::client::{Dial, Pool},
    users::Users,
};
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use crate::support::{
    client::{Answer, Client},
    upstream::Upstream,
};

/// A gateway in front of an [`Upstream`].
pub struct Gateway {
    pub built: Built,
    pub draining: CancellationToken,
    core: Rc<Core>,
    door: Rc<Door>,
    terms: Rc<Terms>,
    ended: Rc<RefCell<Vec<std::io::Result<()>>>>,
}

impl Gateway {
    /// One with the defaults, in front of a cluster of one host.
    pub async fn spawn(upstream: &Upstream) -> Self {
        Self::with(upstream, |_| ()).await
    }

    /// One with other settings than the defaults.
    pub async fn with(upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.store.url = StoreUrl::Memory;
        change(&mut config);
        let built = build::build(&config, Clock::anchored(START), Telemetry::off()).await.unwrap();
        let dial = Dial::Pipe(Rc::new({
            let upstream = upstream.clone();
            move |host| upstream.dial(host)
        }));
        let pool = Pool::new(Arc::clone(&built.shared.upstream), dial);
        let core = Core::new(Arc::clone(&built.shared), pool, built.shared.metrics.core(), built.telemetry.access_log());
        let (site, tls) = &built.sites[0];
        let door = Door::new(Rc::clone(&core), Arc::clone(site));
        let listener = &config.listeners[0];
        let terms = Rc::new(Terms {
            tls: tls.clone(),
            proxy_protocol: listener.proxy_protocol,
            trusted_proxies: listener.trusted_proxies.as_slice().into(),
            limits: Arc::clone(&built.shared.limits),
        });
        Self { draining: CancellationToken::new(), core, door, terms, built, ended: Rc::default() }
    }

    /// A bare connection from [`CLIENT`].
    pub fn connect(&self) -> DuplexStream {
        self.connect_from(Peer::at(CLIENT.parse().unwrap(), false))
    }

    /// A bare connection from somebody else.
    pub fn connect_from(&self, peer: Peer) -> DuplexStream {
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
    pub async fn client(&self) -> Client {
        Client::over(self.connect()).await
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Answer {
        self.client().await.send(request).await.unwrap()
    }

    /// Connections that have ended.
    pub fn ended(&self) -> usize {
        self.ended.borrow().len()
    }

    /// The data thread's share.
    pub fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// The value of an `Authorization` header: a fresh key of a superuser.
    pub async fn superuser(&self) -> String {
        let roles = ["superuser".into()];
        let key = self
            .built
            .keys
            .create(NewKey {
                name: "test".into(),
                life: None,
                role_descriptors: serde_json::Map::new(),
                limited_by: Users::descriptors(&roles),
                metadata: serde_json::Map::new(),
                creator: Creator {
                    identity: Identity { username: "elastic".into(), roles: roles.into(), ..Identity::default() },
                    realm: RealmRef { name: "reserved".into(), kind: "reserved".into() },
                },
            })
            .await
            .unwrap();
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", key.id, key.secret.expose()));
        format!("ApiKey {encoded}")
    }
}

/// Where clients come from unless a test says otherwise.
pub const CLIENT: &str = "192.0.2.7:40000";
/// When tests begin.
pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
