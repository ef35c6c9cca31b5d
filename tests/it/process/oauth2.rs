//! Credential `oauth2`: the binary between an application that knows nothing of tokens, a token endpoint and a cluster.

use std::{fs, time::Duration};

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::{
    client::{Answer, request},
    issuer::Issuer,
    process::{PATIENCE, Process, Setup},
};

/// A sidecar with a credential of `issuer`, which is configured with `keys` besides.
fn sidecar(issuer: &Issuer, keys: &str) -> Setup {
    let credential = format!("kind: oauth2, token_url: '{}', client_id: gate, {keys}", issuer.token_url());
    Setup::new(&issuer.url())
        .with("listeners: [{address: 127.0.0.1:0, shape: sidecar, hosts: [gate.test]}]")
        .with(&format!("upstream: {{credential: {{{credential}, client_secret_file: DIR/secret}}}}"))
        .file("secret", "canary-secret")
}

async fn get(process: &Process) -> Answer {
    process.send(request(Method::GET, "/index/_search", &[])).await
}

/// Asks until the cluster answers.
async fn served(process: &Process) {
    let begun = Instant::now();
    while get(process).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "no token in time");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn status(process: &Process) -> Value {
    let status = process.admin(Method::GET, "/status", "").await;
    assert!(!status.text().contains("canary"), "{}", status.text());
    status.json()["credentials"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_starts_without_its_issuer_and_nobody_sees_a_token_expire() {
    for (wire, kind, body) in [
        ("elasticsearch", "application/json", r#"{"grant_type":"client_credentials"}"#),
        ("rfc6749", "application/x-www-form-urlencoded", "grant_type=client_credentials"),
    ] {
        let issuer = Issuer::away(Duration::from_secs(1));
        let process = sidecar(&issuer, &format!("grant_type: client_credentials, wire: {wire}")).serve();
        let answer = get(&process).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("5")), "{}", answer.text());
        let waiting = status(&process).await;
        assert_eq!((&waiting["kind"], &waiting["available"]), (&"oauth2".into(), &false.into()), "{waiting}");
        assert!(waiting["problem"].as_str().unwrap().contains("cannot connect"), "{waiting}");

        issuer.arrive();
        served(&process).await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(3500) {
            assert_eq!(get(&process).await.status, 200);
            sleep(Duration::from_millis(5)).await;
        }
        let (granted, denied, refused) = issuer.counts();
        assert!((3..=6).contains(&granted) && denied == 0, "{granted} {denied}");
        // Were none replaced ahead, each would be refused; a machine that stands still for a tenth of a second is late once.
        assert!(refused <= 1, "tokens are replaced before they expire, {refused} of {granted} were not");
        let running = status(&process).await;
        assert!(running["available"] == true && running["problem"].is_null(), "{running}");
        assert!(running["expires_in_ms"].as_u64().unwrap() <= 1000 && running["generation"].as_u64().unwrap() >= 3);
        let asked = issuer.asked().pop().unwrap();
        assert_eq!((asked.content_type.as_str(), asked.body.as_str()), (kind, body));
        assert!(asked.authorization.starts_with("Basic "));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_replaced_behind_the_callers_back_once_for_all() {
    let issuer = Issuer::away(Duration::from_secs(1000));
    issuer.arrive();
    let process = sidecar(&issuer, "grant_type: client_credentials, wire: rfc6749").serve();
    served(&process).await;
    assert_eq!(issuer.counts().0, 1);
    issuer.revoke();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = process.client().await;
        callers.spawn(async move { client.send(request(Method::GET, "/index/_search", &[])).await.unwrap().status });
    }
    assert!(callers.join_all().await.into_iter().all(|status| status == 200));
    assert_eq!(issuer.counts().0, 2);
    let metrics = process.admin(Method::GET, "/metrics", "").await;
    assert!(metrics.text().contains("searchgate_reauth_refresh_seconds_count 2"), "{}", metrics.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_rotates_survives_restarts_and_lies_sealed() {
    let issuer = Issuer::away(Duration::from_secs(1)).rotating("refresh-0");
    issuer.arrive();
    let grant = "grant_type: refresh_token, wire: rfc6749, refresh_token_file: DIR/refresh";
    let mut process = sidecar(&issuer, grant).file("refresh", "refresh-0\n").serve();
    for _ in 0..3 {
        served(&process).await;
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(get(&process).await.status, 200);
        process = process.again();
    }
    served(&process).await;
    let (granted, denied, _) = issuer.counts();
    assert!(granted >= 4 && denied == 0, "{granted} {denied}");
    let files = fs::read_dir(process.setup.path(".")).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("gate.db")) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", file.display());
    }
}
