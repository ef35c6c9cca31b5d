//! Shape broker from end to end, before a stand-in for a secured Elasticsearch: rows of section 14 of
//! `transparent-reauthentication.md`.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use searchgate::{
    broker::Broker,
    config::{Config, Credential, Service, Shape, StoreUrl},
    store::AnyStore,
};
use tempfile::TempDir;

use crate::support::{
    client::{Answer, request},
    gateway::Gateway,
    stand_in::{PASSWORD, SERVICE, StandIn},
};

mod ends;
mod log_in;
mod renewal;

/// Gateways over one store before one cluster.
struct Bench {
    cluster: StandIn,
    store: AnyStore,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), SERVICE).unwrap();
        std::fs::write(folder.path().join("master"), STANDARD.encode([7; 32])).unwrap();
        Self { cluster: StandIn::start(), store: AnyStore::Memory(Arc::default()), folder }
    }

    async fn gateway(&self) -> Gateway {
        self.gateway_with(|_| ()).await
    }

    async fn gateway_with(&self, change: impl FnOnce(&mut Config)) -> Gateway {
        let gateway = Gateway::over_network(self.store.clone(), |config| {
            config.store.url = StoreUrl::Memory;
            config.store.master_key_file = Some(self.folder.path().join("master"));
            config.upstream.hosts = vec![self.cluster.host()];
            config.listeners[0].shape = Shape::Broker;
            let password_file = self.folder.path().join("password");
            let service = Service::Basic { username: "gate".into(), password_file };
            config.upstream.credential = Credential::Session { service };
            change(config);
        });
        gateway.probe().await;
        gateway
    }
}

fn broker(gateway: &Gateway) -> Broker {
    gateway.built.brokers[0].clone()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Logs alice in; her `Authorization`.
async fn log_in(gateway: &Gateway) -> String {
    let basic = basic("alice", PASSWORD);
    let answer = gateway.send(request(Method::POST, "/_gateway/session", &[("authorization", &basic)])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
}

async fn get(gateway: &Gateway, path: &str, authorization: &str) -> Answer {
    gateway.send(request(Method::GET, path, &[("authorization", authorization)])).await
}

/// The caller's session, as stored.
async fn session(gateway: &Gateway, authorization: &str) -> searchgate::sessions::Session {
    let handle = authorization.strip_prefix("Bearer ").unwrap();
    let id = searchgate::sessions::SessionId::of_handle(handle).unwrap();
    gateway.built.sessions.get(&id).await.unwrap().unwrap()
}

/// Does what is due, as the control plane does it all the time.
async fn revoke(gateway: &Gateway) {
    while broker(gateway).revoke_some("test").await.unwrap() {}
}
