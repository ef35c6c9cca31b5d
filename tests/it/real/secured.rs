//! Clusters with security of their own: who the cluster takes a request to be from.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use super::{Cluster, add_user, ask, unique};
use crate::support::process::{Process, basic, elastic, replace};

pub(super) const ELASTICSEARCH: &str = "SEARCHGATE_TEST_ELASTICSEARCH_SECURED";
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

/// The name, realm, type of authentication and roles that the gateway takes a caller for, or its refusal.
async fn taken_for(process: &Process, authorization: &str) -> (u16, [Value; 4]) {
    let answer = ask(process, Method::GET, "/_security/_authenticate", authorization, &Value::Null).await;
    let (status, said) = (answer.status.as_u16(), answer.json());
    (
        status,
        ["/username", "/authentication_realm/type", "/authentication_type", "/roles"]
            .map(|path| said.pointer(path).cloned().unwrap_or_default()),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_elasticsearch_are_users_of_the_gate_with_its_own_roles() {
    let Some(cluster) = Cluster::find(ELASTICSEARCH) else { return };
    let service = user(&cluster, "service-password").await;
    let upstream =
        format!("upstream: {{credential: {{kind: basic, username: {service}, password_file: DIR/password}}}}");
    let process = cluster
        .setup()
        .file("password", "service-password")
        .with(&upstream)
        .with("authentication: {realms: [{type: reserved}, {type: native}, {type: cluster, cache: 1s}]}")
        .serve();
    let (name, role) = (unique("user"), unique("watcher"));
    let body = json!({"password": "their-own-password", "roles": [role]});
    cluster.administrate(Method::PUT, &format!("/_security/user/{name}"), &body).await;
    let body = json!({"cluster": ["monitor"]});
    assert_eq!(ask(&process, Method::PUT, &format!("/_security/role/{role}"), &elastic(), &body).await.status, 200);

    let known = |way: &str| (200, [json!(name), json!("cluster"), json!(way), json!([role])]);
    let password = basic(&name, "their-own-password");
    assert_eq!(taken_for(&process, &password).await, known("realm"));
    let grant = json!({"grant_type": "password", "username": name, "password": "their-own-password"});
    let granted = cluster.administrate(Method::POST, "/_security/oauth2/token", &grant).await.json();
    let token = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    assert_eq!(taken_for(&process, &token).await, known("token"));
    for authorization in [&password, &token] {
        assert_eq!(search(&process, authorization).await.0, 200, "the role is defined here alone");
        let answer = ask(&process, Method::GET, "/_all/_count", authorization, &Value::Null).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (403, Some("gateway")));
    }

    let body = json!({"name": unique("key"), "role_descriptors": {}});
    let created = cluster.administrate(Method::POST, "/_security/api_key", &body).await.json();
    let key = format!("ApiKey {}", created["encoded"].as_str().unwrap());
    // A key has no roles of its own there, so it may do nothing here.
    let administrator = json!(std::env::var(format!("{ELASTICSEARCH}_USER")).unwrap());
    assert_eq!(taken_for(&process, &key).await, (200, [administrator, json!("cluster"), json!("api_key"), json!([])]));
    assert_eq!(search(&process, &key).await.0, 403);

    assert_eq!(taken_for(&process, &basic(&name, "not-their-password")).await.0, 401);
    assert_eq!(taken_for(&process, "Bearer nonsense").await.0, 401);
    cluster.administrate(Method::PUT, &format!("/_security/user/{name}/_disable"), &Value::Null).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(taken_for(&process, &password).await.0, 401, "a verdict lives no longer than it is configured to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_elasticsearch_pass_through_and_are_known_to_the_gates_own_paths() {
    let Some(cluster) = Cluster::find(ELASTICSEARCH) else { return };
    let process = cluster
        .setup()
        .with("upstream: {credential: {kind: passthrough}}")
        .with("authentication: {realms: [{type: native}, {type: cluster}]}")
        .serve();
    let name = user(&cluster, "their-own-password").await;
    let shown = basic(&name, "their-own-password");
    for _ in 0..2 {
        assert_eq!(search(&process, &shown).await.0, 200);
        assert_eq!(taken_for(&process, &shown).await.1[0], json!(name));
    }
    let wrong = basic(&name, "not-their-password");
    let answer = ask(&process, Method::GET, "/_cluster/health", &wrong, &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-source")), (401, Some("upstream")));
    assert_eq!(taken_for(&process, &wrong).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_opensearch_are_users_of_the_gate() {
    let Some(cluster) = Cluster::find(OPENSEARCH) else { return };
    let process = cluster
        .setup()
        .with("upstream: {credential: {kind: passthrough}}")
        .with("authentication: {realms: [{type: native}, {type: cluster}]}")
        .serve();
    let (_, administrator) = cluster.secured.as_ref().unwrap();
    let (status, [name, kind, way, _]) = taken_for(&process, administrator).await;
    assert_eq!((status, name, kind, way), (200, json!("admin"), json!("cluster"), json!("realm")));
    assert_eq!(taken_for(&process, &basic("admin", "wrong-one")).await.0, 401);
}

/// Lets OpenSearch be told by a token that `jack` calls, and with which roles.
async fn jack_is_told_of(process: &Process) {
    let caller = add_user(process, "jack", "password-here", &["superuser", "admin"]).await;
    let answer = ask(process, Method::GET, "/_plugins/_security/authinfo", &caller, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let info = answer.json();
    let roles = info["backend_roles"].as_array().unwrap();
    assert!(roles.len() == 2 && roles.contains(&json!("superuser")) && roles.contains(&json!("admin")), "{info}");
    assert_eq!(info["user_name"], "jack", "{info}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensearch_reads_who_calls_from_a_token_signed_with_a_shared_secret() {
    let Some(cluster) = Cluster::find(OPENSEARCH) else { return };
    let encoded = std::fs::read_to_string(std::env::var(format!("{OPENSEARCH}_JWT_KEY")).unwrap()).unwrap();
    let identity = "{kind: jwt, key_file: DIR/secret, algorithm: HS384, issuer: gate, audience: cluster}";
    let process = cluster
        .setup()
        .file("secret", STANDARD.decode(encoded.trim()).unwrap())
        .with(&format!("upstream: {{identity: {identity}}}"))
        .serve();
    jack_is_told_of(&process).await;

    // A token that the cluster refuses is the gateway's fault, and no 401.
    replace(&process.setup.path("secret"), "another-secret-that-the-cluster-does-not-know-of-at-all");
    process.running.signal("HUP");
    process.running.stderr.wait_for("reload", |line| line.contains("key of the identity reloaded"));
    let (_, key) = process.key("caller").await;
    let answer = ask(&process, Method::GET, "/_cluster/health", &key, &Value::Null).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "upstream_credential_rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensearch_fetches_the_published_key_of_who_signs() {
    let Some(cluster) = Cluster::find(OPENSEARCH) else { return };
    // OpenSearch 2.19 takes no other public keys than those of RSA from a key set.
    let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let identity = "{kind: jwt, key_file: DIR/key.pem, algorithm: RS256, issuer: gate, audience: cluster}";
    let process = cluster
        .setup()
        .file("key.pem", pair.serialize_pem())
        .with(&format!("upstream: {{identity: {identity}}}"))
        .serve();
    let target = "/_plugins/_security/api/securityconfig";
    let mut config = cluster.administrate(Method::GET, target, &Value::Null).await.json()["config"].take();
    let before = config.clone();
    config["dynamic"]["authc"]["published"] = json!({
        "http_enabled": true, "transport_enabled": false, "order": -1, "authentication_backend": {"type": "noop", "config": {}},
        "http_authenticator": {"type": "openid", "challenge": false, "config": {
            "jwks_uri": format!("http://{}/_gateway/jwks", process.address()), "subject_key": "sub", "roles_key": "roles",
        }},
    });
    cluster.administrate(Method::PUT, &format!("{target}/config"), &config).await;
    jack_is_told_of(&process).await;
    cluster.administrate(Method::PUT, &format!("{target}/config"), &before).await;
}
