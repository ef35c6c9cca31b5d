//! Shape broker: one handle over pairs that the cluster makes, and that a relay before it lets these tests see.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::sleep};

use super::{Cluster, LIFE, PASSWORD, VARIABLE, index, send, superuser, takes, work};
use crate::{
    real::ask,
    support::{
        client::with_body,
        process::{Client, Process, Setup, basic, elastic},
        relay::Relay,
        tls::{Made, TlsClient, self_signed},
    },
};

/// A broker before a relay before the cluster.
struct Bench {
    cluster: Cluster,
    relay: Relay,
    user: String,
    process: Process,
}

impl Bench {
    async fn start() -> Option<Self> {
        let cluster = Cluster::find(VARIABLE)?;
        let relay = Relay::start(cluster.address()).await;
        let (service, user) = (superuser(&cluster, "gate").await, superuser(&cluster, "alice").await);
        let process = broker(&relay, &service).serve();
        Some(Self { cluster, relay, user, process })
    }

    /// Logs the user in; their `Authorization`.
    async fn log_in(&self) -> String {
        let shown = basic(&self.user, PASSWORD);
        let answer = ask(&self.process, Method::POST, "/_gateway/session", &shown, &Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
    }

    /// The pair that the cluster gave last.
    fn pair(&self) -> (String, String) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let calls = self.relay.calls();
        let last = calls.iter().rev().find(|call| call.method == Method::POST && call.status == 200).unwrap();
        (text(&last.answered["access_token"]), text(&last.answered["refresh_token"]))
    }

    /// Waits until the cluster has been told to end both halves of a pair, and refuses them.
    async fn ended(&self, (access, refresh): &(String, String)) {
        let told = |half: &str, token: &str| {
            let calls = self.relay.calls();
            calls.iter().any(|call| call.method == Method::DELETE && call.asked[half] == token && call.status == 200)
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !told("refresh_token", refresh) {
            assert!(tokio::time::Instant::now() < deadline, "not revoked in time: {:?}", self.relay.calls());
            sleep(Duration::from_millis(20)).await;
        }
        // An access token that is over by itself needs no word.
        sleep(Duration::from_millis(100)).await;
        assert!(!takes(&self.cluster, access).await);
        let grant = json!({"grant_type": "refresh_token", "refresh_token": refresh});
        let service = format!("Basic {}", STANDARD.encode(format!("{}:{PASSWORD}", self.service())));
        let answer = self.cluster.ask(Method::POST, "/_security/oauth2/token", &service, &grant).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (400, &json!("invalid_grant")),
            "{}",
            answer.text()
        );
    }

    fn service(&self) -> String {
        std::fs::read_to_string(self.process.setup.path("service")).unwrap()
    }
}

/// A broker whose service identity is `service`.
fn broker(relay: &Relay, service: &str) -> Setup {
    let service_of = format!("{{kind: basic, username: {service}, password_file: DIR/password}}");
    Setup::new(&relay.url())
        .file("password", PASSWORD)
        .file("service", service)
        .with("listeners: [{address: 127.0.0.1:0, shape: broker}]")
        .with(&format!("upstream: {{credential: {{kind: session, service: {service_of}}}}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_outlives_three_tokens_and_ends_with_both_halves_of_the_last() {
    let Some(bench) = Bench::start().await else { return };
    let handle = bench.log_in().await;
    work(&bench.cluster, &[bench.process.address()], Some(&handle), LIFE * 3).await;
    let used = bench.relay.refreshes();
    let distinct: std::collections::HashSet<_> = used.iter().collect();
    assert!(used.len() >= 2 && distinct.len() == used.len(), "one refresh a generation: {used:?}");

    let answer = send(&mut bench.process.client().await, "/_security/_authenticate", Some(&handle), "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["username"]), (200, &json!(bench.user)));
    let pair = bench.pair();
    let answer = ask(&bench.process, Method::DELETE, "/_gateway/session", &handle, &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"ended": true})));
    bench.ended(&pair).await;
    let answer = send(&mut bench.process.client().await, "/_cluster/health", Some(&handle), "").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_unknown")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_access_token_was_revoked_is_renewed_and_whose_pair_was_revoked_says_so() {
    let Some(bench) = Bench::start().await else { return };
    let handle = bench.log_in().await;
    let mut client = bench.process.client().await;
    // That half only: the cluster's own log-out of one token.
    let (access, _) = bench.pair();
    let target = "/_security/oauth2/token";
    bench.cluster.administrate(Method::DELETE, target, &json!({"token": access})).await;
    let lines = "{\"create\":{\"_id\":\"1\"}}\n{\"a\":1}\n";
    let index = index(&bench.cluster).await;
    let answer = send(&mut client, &format!("/{index}/_bulk"), Some(&handle), lines).await;
    assert!(answer.status == 200 && answer.json()["errors"] == false, "{} {}", answer.status, answer.text());

    bench
        .cluster
        .administrate(Method::DELETE, target, &json!({"realm_name": "default_native", "username": bench.user}))
        .await;
    let answer = send(&mut client, "/_cluster/health", Some(&handle), "").await;
    // By the cluster's word, or by a renewal ahead of the end that came just before.
    let facts = (answer.status.as_u16(), answer.header("x-auth-reason"));
    assert_eq!(facts, (401, Some("session_expired")), "{}", answer.text());
    if answer.header("x-auth-source") == Some("upstream") {
        assert_eq!(answer.header("www-authenticate"), None);
    }
    bench.cluster.administrate(Method::DELETE, &format!("/{index}"), &Value::Null).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administration_ends_sessions_and_their_tokens_at_the_cluster() {
    let Some(bench) = Bench::start().await else { return };
    let handle = bench.log_in().await;
    let pair = bench.pair();
    let body = json!({"match": "query", "query": {"provider": {"type": "token"}, "username": bench.user}});
    let answer = ask(&bench.process, Method::POST, "/_gateway/sessions/_invalidate", &elastic(), &body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"total": 1})));
    bench.ended(&pair).await;
    let answer = send(&mut bench.process.client().await, "/_cluster/health", Some(&handle), "").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_unknown")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t25_a_scroll_goes_on_after_a_refresh() {
    let Some(bench) = Bench::start().await else { return };
    let handle = bench.log_in().await;
    let (index, mut client) = (index(&bench.cluster).await, bench.process.client().await);
    let line = |id| format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n{{\"a\":1}}\n");
    let lines: String = (0..30).map(line).collect();
    assert_eq!(send(&mut client, &format!("/{index}/_bulk?refresh=true"), Some(&handle), &lines).await.status, 200);
    let mut page = send(&mut client, &format!("/{index}/_search?scroll=1m&size=15"), Some(&handle), "").await.json();
    let mut seen = 0;
    while let hits @ 1.. = page["hits"]["hits"].as_array().unwrap().len() {
        seen += hits;
        sleep(LIFE + Duration::from_millis(200)).await; // of the token that the last page was got with
        let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
        let answer = ask(&bench.process, Method::POST, "/_search/scroll", &handle, &next).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        page = answer.json();
    }
    assert_eq!((seen, bench.relay.refreshes().len() >= 2), (30, true));
    bench.cluster.administrate(Method::DELETE, &format!("/{index}"), &Value::Null).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t24_an_answer_that_streams_past_the_end_of_its_token_is_not_cut() {
    let Some(bench) = Bench::start().await else { return };
    let handle = bench.log_in().await;
    let (index, mut client) = (index(&bench.cluster).await, bench.process.client().await);
    // More than all buffers between the cluster and the client hold.
    let long = "x".repeat(100_000);
    for part in 0..6 {
        let line = |id| format!("{{\"create\":{{\"_id\":\"{part}-{id}\"}}}}\n{{\"long\":\"{long}\"}}\n");
        let lines: String = (0..50).map(line).collect();
        assert_eq!(send(&mut client, &format!("/{index}/_bulk?refresh=true"), Some(&handle), &lines).await.status, 200);
    }
    let before = bench.pair();
    let stream = TcpStream::connect(bench.process.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let target = format!("/{index}/_search?size=300");
    let response =
        sender.send_request(with_body(Method::GET, &target, &[("authorization", &handle)], "")).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let (mut text, begun) = (Vec::new(), tokio::time::Instant::now());
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(frame.unwrap().data_ref().unwrap());
        if begun.elapsed() < LIFE + Duration::from_secs(1) {
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(begun.elapsed() > LIFE && !takes(&bench.cluster, &before.0).await, "its token is over");
    let found: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(found["hits"]["hits"].as_array().unwrap().len(), 300);
    assert!(text.len() > 30_000_000);
    bench.cluster.administrate(Method::DELETE, &format!("/{index}"), &Value::Null).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_t20_a_session_of_a_certificate_lives_by_it_and_ends_without_it() {
    let Some(cluster) = Cluster::find(VARIABLE) else { return };
    let pem = std::fs::read_to_string(std::env::var(format!("{VARIABLE}_CLIENT")).unwrap()).unwrap();
    let rules = json!({"roles": ["superuser"], "enabled": true, "rules": {"field": {"realm.name": "clients"}}});
    cluster.administrate(Method::PUT, "/_security/role_mapping/clients", &rules).await;
    let (relay, server) = (Relay::start(cluster.address()).await, self_signed("localhost"));
    let ssl = "{certificate: DIR/server.crt, key: DIR/server.key, client_authentication: optional, \
               certificate_authorities: [DIR/clients.pem]}";
    let authority = std::env::var(format!("{VARIABLE}_CLIENT")).unwrap().replace("client.pem", "ca.pem");
    let process = broker(&relay, &superuser(&cluster, "gate").await)
        .file("server.crt", &server.certificate)
        .file("server.key", &server.key)
        .file("clients.pem", std::fs::read(authority).unwrap())
        .with(&format!("listeners: [{{address: 127.0.0.1:0, shape: broker, ssl: {ssl}}}]"))
        .serve();
    let stranger = TlsClient::trusting(&process.setup.path("server.crt"));
    let holder =
        TlsClient::trusting(&process.setup.path("server.crt")).identity(&Made { certificate: pem.clone(), key: pem });
    let mut client = Client::over(holder.connect(process.address(), "localhost").await.unwrap()).await;
    let opened = client.send(with_body(Method::POST, "/_gateway/session", &[], "")).await.unwrap();
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert_eq!(opened.json()["session"]["provider"]["type"], "pki");
    let handle = format!("Bearer {}", opened.json()["access_token"].as_str().unwrap());
    let end = tokio::time::Instant::now() + LIFE * 3;
    while tokio::time::Instant::now() < end {
        let answer = send(&mut client, "/_cluster/health", Some(&handle), "").await;
        assert_eq!(answer.status, 200, "{:?} {}", answer.headers, answer.text());
        sleep(Duration::from_millis(100)).await;
    }
    let delegated = relay.calls().iter().filter(|call| call.path == "/_security/delegate_pki").count();
    assert!(delegated >= 2 && relay.refreshes().is_empty(), "{delegated}");

    let mut thief = Client::over(stranger.connect(process.address(), "localhost").await.unwrap()).await;
    for client in [&mut thief, &mut client] {
        let answer = send(client, "/_cluster/health", Some(&handle), "").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-reason")), (401, Some("session_unknown")));
    }
    let calls = relay.calls();
    let last = calls.iter().rev().find(|call| call.path == "/_security/delegate_pki").unwrap();
    assert!(!takes(&cluster, last.answered["access_token"].as_str().unwrap()).await);
}
