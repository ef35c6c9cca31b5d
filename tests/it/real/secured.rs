//! Clusters with security of their own: who the cluster takes a request to be from.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use super::{Cluster, add_user, ask, unique};
use crate::support::process::{Process, basic, elastic, replace};

const ELASTICSEARCH: &str = "SEARCHGATE_TEST_ELASTICSEARCH_SECURED";
const OPENSEARCH: &str = "SEARCHGATE_TEST_OPENSEARCH_SECURED";

/// A user of Elasticsearch that may do everything.
async fn user(cluster: &Cluster, password: &str) -> String {
    let name = unique("service");
    let body = json!({"password": password, "roles": ["superuser"]});
    cluster.administrate(Method::PUT, &format!("/_security/user/{name}"), &body).await;
    name
}

/// What the cluster says of who asks.
async fn search(process: &Process, authorization: &str) -> (u16, Value) {
    let answer = ask(process, Method::GET, "/_cluster/health", authorization, &Value::Null).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_elasticsearch_go_through() {
    let Some(cluster) = Cluster::find(ELASTICSEARCH) else { return };
    let process = cluster.setup().with("upstream: {credential: {kind: passthrough}}").serve();
    let name = user(&cluster, "their-own-password").await;
    let body = json!({"name": unique("key")});
    let created = cluster.administrate(Method::POST, "/_security/api_key", &body).await.json();
    let key = format!("ApiKey {}", created["encoded"].as_str().unwrap());
    for authorization in [basic(&name, "their-own-password"), key] {
        let (status, health) = search(&process, &authorization).await;
        assert_eq!((status, &health["number_of_nodes"]), (200, &json!(1)), "{health}");
    }
    let answer =
        ask(&process, Method::GET, "/_cluster/health", &basic(&name, "not-their-password"), &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (401, Some("upstream")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_password_is_taken_up_behind_the_callers_back() {
    let Some(cluster) = Cluster::find(ELASTICSEARCH) else { return };
    let name = user(&cluster, "the-first-password").await;
    let credential =
        format!("upstream: {{credential: {{kind: basic, username: {name}, password_file: DIR/password}}}}");
    let process = cluster.setup().file("password", "the-first-password").with(&credential).serve();
    let (_, key) = process.key("caller").await;
    assert_eq!(search(&process, &key).await.0, 200);

    let target = format!("/_security/user/{name}/_password");
    cluster.administrate(Method::POST, &target, &json!({"password": "the-second-password"})).await;
    replace(&process.setup.path("password"), "the-second-password");
    let index = unique("rotated");
    let answer = ask(&process, Method::POST, &format!("/{index}/_doc"), &key, &json!({"a": 1})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(search(&process, &key).await.0, 200);

    cluster.administrate(Method::POST, &target, &json!({"password": "the-third-password"})).await;
    let answer = ask(&process, Method::GET, "/_cluster/health", &key, &Value::Null).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "upstream_credential_rejected");
    replace(&process.setup.path("password"), "the-third-password");
    assert_eq!(search(&process, &key).await.0, 200);
    cluster.administrate(Method::DELETE, &format!("/{index}?ignore_unavailable=true"), &Value::Null).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_of_the_cluster_is_shown_for_everybody() {
    let Some(cluster) = Cluster::find(ELASTICSEARCH) else { return };
    let body = json!({"name": unique("gateway")});
    let created = cluster.administrate(Method::POST, "/_security/api_key", &body).await.json();
    let process = cluster
        .setup()
        .file("key", created["encoded"].as_str().unwrap())
        .with("upstream: {credential: {kind: api_key, api_key_file: DIR/key}}")
        .serve();
    assert_eq!(search(&process, &elastic()).await.0, 200);

    let id = created["id"].as_str().unwrap();
    cluster.administrate(Method::DELETE, "/_security/api_key", &json!({"ids": [id]})).await;
    let created = cluster.administrate(Method::POST, "/_security/api_key", &body).await.json();
    let raw = format!("{}:{}", created["id"].as_str().unwrap(), created["api_key"].as_str().unwrap());
    replace(&process.setup.path("key"), STANDARD.encode(raw) + "\n");
    assert_eq!(search(&process, &elastic()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elasticsearch_is_told_who_calls() {
    let Some(cluster) = Cluster::find(ELASTICSEARCH) else { return };
    let service = user(&cluster, "service-password").await;
    let reader = unique("reader");
    let body = json!({"password": "not-used-here", "roles": ["viewer-of-nothing"]});
    cluster.administrate(Method::PUT, &format!("/_security/user/{reader}"), &body).await;
    let upstream = format!(
        "upstream: {{credential: {{kind: basic, username: {service}, password_file: DIR/password}}, identity: {{kind: run_as}}}}"
    );
    let process = cluster.setup().file("password", "service-password").with(&upstream).serve();
    // Superuser here, nobody there: the cluster decides by the name.
    let caller = add_user(&process, &reader, "password-here", &["superuser"]).await;
    let answer = ask(&process, Method::GET, "/_cluster/health", &caller, &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (403, Some("upstream")), "{}", answer.text());
    assert!(answer.text().contains(&reader), "{}", answer.text());
    assert_eq!(search(&process, &elastic()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_opensearch_go_through() {
    let Some(cluster) = Cluster::find(OPENSEARCH) else { return };
    let process = cluster.setup().with("upstream: {credential: {kind: passthrough}}").serve();
    let (_, administrator) = cluster.secured.as_ref().unwrap();
    assert_eq!(search(&process, administrator).await.0, 200);
    let answer = ask(&process, Method::GET, "/_cluster/health", &basic("admin", "wrong-one"), &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (401, Some("upstream")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensearch_is_told_who_calls_and_with_which_roles() {
    let Some(cluster) = Cluster::find(OPENSEARCH) else { return };
    let process = cluster.setup().with("upstream: {identity: {kind: proxy_headers}}").serve();
    let caller = add_user(&process, "jack", "password-here", &["superuser", "admin"]).await;
    let target = "/_plugins/_security/authinfo";
    let answer = ask(&process, Method::GET, target, &caller, &Value::Null).await;
    let info = answer.json();
    assert_eq!((answer.status.as_u16(), &info["user_name"]), (200, &json!("jack")), "{info}");
    let roles = info["backend_roles"].as_array().unwrap();
    assert!(roles.len() == 2 && roles.contains(&json!("superuser")) && roles.contains(&json!("admin")), "{info}");
    // What a client says of itself counts for nothing.
    let forged = [("authorization", &*caller), ("x-proxy-user", "admin"), ("x-proxy-roles", "all_access")];
    let forged = crate::support::client::with_body(Method::GET, target, &forged, "");
    assert_eq!(process.send(forged).await.json()["user_name"], "jack");
}
