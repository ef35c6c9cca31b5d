//! Shape sidecar, credential `oauth2`: the cluster's own token endpoint in each of its grants.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use super::{Cluster, LIFE, PASSWORD, VARIABLE, send, superuser, work};
use crate::support::{
    process::{Client, Process, Setup, replace},
    relay::Relay,
};

/// A sidecar before a relay, with the tokens that `user` gets by `grant`.
fn sidecar(relay: &Relay, user: &str, grant: &str) -> Setup {
    let endpoint = format!("{}/_security/oauth2/token", relay.url());
    let client = format!("client_id: {user}, client_secret_file: DIR/secret");
    let grant = match grant {
        // Whoever asks for a user's token is a client, too.
        "password" => format!("grant_type: password, username: {user}, password_file: DIR/secret, {client}"),
        "refresh_token" => format!("grant_type: refresh_token, refresh_token_file: DIR/refresh, {client}"),
        grant => format!("grant_type: {grant}, {client}"),
    };
    Setup::new(&relay.url())
        .file("secret", PASSWORD)
        .with("listeners: [{address: 127.0.0.1:0, shape: sidecar, hosts: [gate.test]}]")
        .with(&format!("upstream: {{credential: {{kind: oauth2, token_url: '{endpoint}', {grant}}}}}"))
}

/// The first refresh token of a chain, as an operator would get one.
async fn refresh_token(cluster: &Cluster, user: &str) -> String {
    let client = format!("Basic {}", STANDARD.encode(format!("{user}:{PASSWORD}")));
    let grant = json!({"grant_type": "password", "username": user, "password": PASSWORD});
    let granted = cluster.ask(Method::POST, "/_security/oauth2/token", &client, &grant).await;
    assert_eq!(granted.status, 200, "{}", granted.text());
    granted.json()["refresh_token"].as_str().unwrap().to_owned()
}

/// Once it has a token.
async fn ready(process: &Process) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while send(&mut process.client().await, "/_cluster/health", None, "").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "no token in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_lives_of_a_token_are_one_to_the_caller() {
    let Some(cluster) = Cluster::find(VARIABLE) else { return };
    tokio::join!(three_lives(&cluster, "password"), three_lives(&cluster, "client_credentials"));
}

async fn three_lives(cluster: &Cluster, grant: &str) {
    let (user, relay) = (superuser(cluster, "three-lives").await, Relay::start(cluster.address()).await);
    let process = sidecar(&relay, &user, grant).serve();
    ready(&process).await;
    work(cluster, &[process.address()], None, LIFE * 3).await;
    // Ahead of the expiry, and not for each request; after a password by the refresh token.
    let granted: Vec<_> = relay.calls().iter().map(|call| call.asked["grant_type"].to_string()).collect();
    assert!((3..=8).contains(&granted.len()), "{granted:?}");
    assert_eq!(granted.iter().skip(1).all(|kind| kind == "\"refresh_token\""), grant == "password", "{granted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_refresh_tokens_goes_on_where_a_killed_process_left_it() {
    let Some(cluster) = Cluster::find(VARIABLE) else { return };
    let (user, relay) = (superuser(&cluster, "chain").await, Relay::start(cluster.address()).await);
    let first = refresh_token(&cluster, &user).await;
    let process = sidecar(&relay, &user, "refresh_token").file("refresh", &first).serve();
    ready(&process).await;
    work(&cluster, &[process.address()], None, LIFE * 3).await;
    let process = process.again();
    ready(&process).await;
    work(&cluster, &[process.address()], None, LIFE).await;
    let used = relay.refreshes();
    assert_eq!(used.iter().filter(|token| **token == first).count(), 1, "the first is used up, and not gone back to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_share_a_refresh_token_but_no_store_live_in_the_reuse_window() {
    let Some(cluster) = Cluster::find(VARIABLE) else { return };
    let (user, relay) = (superuser(&cluster, "window").await, Relay::start(cluster.address()).await);
    let first = refresh_token(&cluster, &user).await;
    let [one, other] = [(), ()].map(|()| sidecar(&relay, &user, "refresh_token").file("refresh", &first).serve());
    ready(&one).await;
    ready(&other).await;
    work(&cluster, &[one.address(), other.address()], None, LIFE * 3).await;
    let calls = relay.calls();
    let pairs: std::collections::HashSet<_> = calls
        .iter()
        .map(|call| (call.asked["refresh_token"].to_string(), call.answered["access_token"].to_string()))
        .collect();
    assert!(pairs.len() < calls.len(), "the same refresh token gave the same pair to both");
    assert!(calls.iter().all(|call| call.status == 200), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_tokens_are_replaced_behind_the_callers_back_where_they_can_be() {
    let Some(cluster) = Cluster::find(VARIABLE) else { return };
    let (user, relay) = (superuser(&cluster, "revoked").await, Relay::start(cluster.address()).await);
    let process = sidecar(&relay, &user, "password").serve();
    ready(&process).await;
    let mut client = Client::tcp(process.address()).await;
    for all in [json!({"username": user}), json!({"realm_name": "default_native", "username": user})] {
        cluster.administrate(Method::DELETE, "/_security/oauth2/token", &all).await;
        let (index, document) = (super::unique("revoked"), "{\"create\":{\"_id\":\"1\"}}\n{\"a\":1}\n");
        let answer = send(&mut client, &format!("/{index}/_bulk?refresh=true"), None, document).await;
        assert!(answer.status == 200 && answer.json()["errors"] == false, "{} {}", answer.status, answer.text());
        cluster.administrate(Method::DELETE, &format!("/{index}"), &Value::Null).await;
        // A token that is refused in the first second of its life is no reason to ask for another.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_chain_is_an_operators_affair_and_never_a_401() {
    let Some(cluster) = Cluster::find(VARIABLE) else { return };
    let (user, relay) = (superuser(&cluster, "broken").await, Relay::start(cluster.address()).await);
    let first = refresh_token(&cluster, &user).await;
    let process = sidecar(&relay, &user, "refresh_token").file("refresh", &first).serve();
    ready(&process).await;
    cluster.administrate(Method::DELETE, "/_security/oauth2/token", &json!({"username": user})).await;
    let mut client = Client::tcp(process.address()).await;
    let answer = send(&mut client, "/_cluster/health", None, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (502, Some("gateway")), "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "upstream_credential_rejected");
    let metrics = process.admin(Method::GET, "/metrics", "").await.text().to_owned();
    assert!(!metrics.contains("searchgate_upstream_credential_rejected_total 0"), "alertable");
    replace(&process.setup.path("refresh"), refresh_token(&cluster, &user).await);
    ready(&process).await;
}
