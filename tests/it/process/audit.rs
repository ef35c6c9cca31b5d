//! The audit stream as auditors read it: JSON lines with Elasticsearch's names, in a file that may be rotated.

use std::fs;

use http::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    client::{request, with_body},
    process::{PATIENCE, Setup, basic, elastic, until},
    server::Server,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_has_elasticsearchs_names() {
    let process = Setup::new(&Server::start().url()).serve();
    let (id, key) = process.key("audited").await;
    let headers = [("authorization", &*elastic()), ("content-type", "application/json")];
    let jack = with_body(Method::PUT, "/_security/user/jack", &headers, r#"{"password":"jack-secret","roles":[]}"#);
    assert_eq!(process.send(jack).await.status, 200);
    let mut client = process.client().await;
    assert_eq!(client.get("/logs/_search?q=hidden", &key).await.status, 200);
    assert_eq!(client.get("/logs/_search", &basic("elastic", "wrong-one")).await.status, 401);
    assert_eq!(client.get("/logs/_search", &basic("jack", "jack-secret")).await.status, 403);
    let delete = with_body(Method::DELETE, "/_security/api_key", &headers, &json!({"ids": [id]}).to_string());
    assert_eq!(process.send(delete).await.status, 200);

    let created = process.audited("create_apikey", |event| event["event.action"] == "create_apikey");
    assert_eq!(created["type"], "audit");
    assert_eq!(created["event.type"], "security_config_change");
    assert_eq!(created["create"]["apikey"]["name"], "audited");
    process.audited("put_user", |event| event["event.action"] == "put_user");
    let success = process.audited("authentication_success", |event| {
        event["event.action"] == "authentication_success" && event["apikey.id"] == *id
    });
    assert_eq!(success["authentication.type"], "API_KEY");
    assert_eq!(success["request.method"], "GET");
    assert_eq!(success["url.path"], "/logs/_search");
    let failed = process.audited("authentication_failed", |event| event["event.action"] == "authentication_failed");
    assert_eq!(failed["user.name"], "elastic");
    assert_eq!(failed["event.type"], "rest");
    let denied = process.audited("access_denied", |event| event["event.action"] == "access_denied");
    assert_eq!(denied["user.name"], "jack");
    assert_eq!(denied["origin.address"], "127.0.0.1");
    let invalidated = process.audited("invalidate_apikeys", |event| event["event.action"] == "invalidate_apikeys");
    assert_eq!(invalidated["invalidate"]["apikeys"]["ids"], json!([id]));
    assert!(!fs::read_to_string(process.setup.path("audit.json")).unwrap().contains("hidden"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_file_is_opened_again_on_sigusr1() {
    let process = Setup::new(&Server::start().url()).serve();
    let (file, old) = (process.setup.path("audit.json"), process.setup.path("audit.json.1"));
    process.key("before").await;
    process.audited("the first key", |event| event["create"]["apikey"]["name"] == "before");
    fs::rename(&file, &old).unwrap();
    process.key("between").await;
    until("the event in the old file", || fs::read_to_string(&old).unwrap().contains("between").then_some(()));
    process.running.signal("USR1");
    // The file is opened again when there is something to write.
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < deadline, "no new file");
        process.key("after").await;
    }
    process.key("rotated").await;
    process.audited("the last key", |event| event["create"]["apikey"]["name"] == "rotated");
    let old = fs::read_to_string(&old).unwrap();
    assert!(old.contains("between") && !old.contains("rotated"), "{old}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_output_takes_audit_events_and_standard_error_the_log() {
    let process = Setup::new(&Server::start().url()).with("logging: {audit: stdout}").serve();
    process.key("audited").await;
    process.running.stdout.wait_for("the event", |line| line.contains("create_apikey"));
    process
        .running
        .stderr
        .wait_for("the access event", |line| line.contains("request finished") && line.contains("/_security/api_key"));
    for line in process.running.stdout.text().lines().chain(process.running.stderr.text().lines()) {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(!process.running.stderr.text().contains("create_apikey"));
    assert_eq!(process.send(request(Method::GET, "/", &[])).await.status, 401);
}
