//! Answers as Elasticsearch 8.19.21 gave them, to the letter; `tests/it/real/pairs.rs` asks it again.

use std::io::Write as _;

use serde_json::json;

use super::*;
use crate::{
    config::{self, Config, HostUrl},
    fetch::testing::Server,
    telemetry::metrics::Metrics,
};

/// A cluster of one scripted host, and the identity of the gateway there.
struct Scripted {
    server: Server,
    cluster: Cluster,
    password: tempfile::NamedTempFile,
}

impl Scripted {
    fn new() -> Self {
        let server = Server::start();
        let (cluster, password) = cluster(vec![server.port()]);
        Self { server, cluster, password }
    }

    fn answering(status: &str, body: &str) -> Self {
        let scripted = Self::new();
        scripted.server.answer(status, body);
        scripted
    }

    async fn refresh(status: &str, body: &str) -> Result<Granted, RefreshError> {
        Self::answering(status, body).cluster.refresh(&secret("r1")).await
    }

    async fn grant(status: &str, body: &str) -> Result<Granted, GrantError> {
        Self::answering(status, body).cluster.password_grant("sue", &secret("pw")).await
    }

    fn body(&self) -> Value {
        serde_json::from_str(&self.server.requests().last().unwrap().body).unwrap()
    }
}

fn cluster(ports: Vec<u16>) -> (Cluster, tempfile::NamedTempFile) {
    let mut password = tempfile::NamedTempFile::new().unwrap();
    password.write_all(b"gate-password").unwrap();
    let mut config = Config::default();
    config.upstream.hosts =
        ports.into_iter().map(|port| HostUrl { tls: false, host: "127.0.0.1".into(), port }).collect();
    let service = config::Service::Basic { username: "gate".into(), password_file: password.path().into() };
    let metrics = Metrics::new(&[]);
    let service = Credentials::service(&service);
    let upstream = Upstream::new(&config.upstream, metrics).unwrap();
    (Cluster::new(Arc::new(upstream), Arc::new(service), Duration::from_secs(5)), password)
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.into())
}

fn invalid_grant(description: &str) -> String {
    json!({"error": "invalid_grant", "error_description": description}).to_string()
}

fn security_exception(reason: &str, status: u16) -> String {
    let cause = json!({"type": "security_exception", "reason": reason});
    json!({"error": {"root_cause": [cause], "type": "security_exception", "reason": reason}, "status": status})
        .to_string()
}

const GRANTED: &str = r#"{"access_token":"iM+bBBj3=","type":"Bearer","expires_in":2,"refresh_token":"iM+bBBg9=","authentication":{"username":"plain","roles":[],"full_name":"Plain P","email":"p@x","metadata":{},"enabled":true,"authentication_realm":{"name":"default_native","type":"native"},"lookup_realm":{"name":"default_native","type":"native"},"authentication_type":"realm"}}"#;
const NONE_INVALIDATED: &str = r#"{"invalidated_tokens":0,"previously_invalidated_tokens":0,"error_count":0}"#;

#[tokio::test]
async fn a_password_becomes_a_pair_under_the_gateways_own_identity() {
    let scripted = Scripted::answering("200 OK", GRANTED);
    let granted = scripted.cluster.password_grant("sue", &secret("pw")).await.unwrap();
    assert_eq!((granted.access.expose(), granted.refresh.as_ref().unwrap().expose()), ("iM+bBBj3=", "iM+bBBg9="));
    assert_eq!((granted.expires_in, &granted.authentication["username"]), (Duration::from_secs(2), &json!("plain")));
    let seen = scripted.server.requests().remove(0);
    assert_eq!(seen.first, "POST /_security/oauth2/token HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Basic Z2F0ZTpnYXRlLXBhc3N3b3Jk"));
    assert_eq!(scripted.body(), json!({"grant_type": "password", "username": "sue", "password": "pw"}));
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_wrong_service_identity() {
    let of_user = security_exception(
        "unable to authenticate user [plain] for action [cluster:admin/xpack/security/token/create]",
        401,
    );
    assert!(matches!(Scripted::grant("401 Unauthorized", &of_user).await, Err(GrantError::Denied)));
    let of_service =
        security_exception("unable to authenticate user [svc1] for REST request [/_security/oauth2/token]", 401);
    assert!(matches!(Scripted::grant("401 Unauthorized", &of_service).await, Err(GrantError::Rejected)));
    // Whoever chooses a name chooses no verdict.
    let named = security_exception(
        "unable to authenticate user [x] for action [y] for REST request [/_security/oauth2/token]",
        401,
    );
    assert!(matches!(Scripted::grant("401 Unauthorized", &named).await, Err(GrantError::Rejected)));
    let named = security_exception(
        "unable to authenticate user [x] for REST request [y] for action [cluster:admin/xpack/security/token/create]",
        401,
    );
    assert!(matches!(Scripted::grant("401 Unauthorized", &named).await, Err(GrantError::Denied)));
}

#[tokio::test]
async fn grants_fail_for_the_user_for_the_gateway_or_for_the_moment() {
    let missing = r#"{"error":"invalid_request","error_description":"Validation Failed: 1: password is missing;"}"#;
    assert!(matches!(Scripted::grant("400 Bad Request", missing).await, Err(GrantError::Denied)));
    let off =
        r#"{"error":{"type":"feature_not_enabled_exception","reason":"security tokens are not enabled"},"status":400}"#;
    assert!(matches!(Scripted::grant("400 Bad Request", off).await, Err(GrantError::Transient(_))));
    let forbidden = security_exception(
        "action [cluster:admin/xpack/security/token/create] is unauthorized for user [plain] with effective roles [], \
         this action is granted by the cluster privileges [manage_token,manage_security,all]",
        403,
    );
    assert!(matches!(Scripted::grant("403 Forbidden", &forbidden).await, Err(GrantError::Rejected)));
    for (status, body) in [
        ("429 Too Many Requests", ""),
        ("503 Service Unavailable", ""),
        ("302 Found\r\nlocation: /", ""),
        ("200 OK", "<html>"),
        ("200 OK", r#"{"access_token":"a","type":"Bearer"}"#),
    ] {
        assert!(matches!(Scripted::grant(status, body).await, Err(GrantError::Transient(_))), "{status} {body}");
    }
}

#[tokio::test]
async fn a_refresh_asks_with_the_token_and_gets_the_next_pair() {
    let scripted = Scripted::answering("200 OK", GRANTED);
    assert_eq!(scripted.cluster.refresh(&secret("r1")).await.unwrap().access.expose(), "iM+bBBj3=");
    assert_eq!(scripted.body(), json!({"grant_type": "refresh_token", "refresh_token": "r1"}));
}

#[tokio::test]
async fn f4_a_refresh_token_that_is_gone_is_told_from_one_that_may_not_be() {
    for description in [
        "token has been invalidated",
        "token document has expired",
        "token has already been refreshed more than 30 seconds in the past",
    ] {
        let outcome = Scripted::refresh("400 Bad Request", &invalid_grant(description)).await;
        assert!(matches!(outcome, Err(RefreshError::Ended { ambiguous: false })), "{description}: {outcome:?}");
    }
    for description in ["could not refresh the requested token", "something that a later version says"] {
        let outcome = Scripted::refresh("400 Bad Request", &invalid_grant(description)).await;
        assert!(matches!(outcome, Err(RefreshError::Ended { ambiguous: true })), "{description}: {outcome:?}");
    }
}

#[tokio::test]
async fn f6_another_client_and_a_refused_identity_are_told_apart() {
    let other = invalid_grant("tokens must be refreshed by the creating client");
    assert!(matches!(Scripted::refresh("400 Bad Request", &other).await, Err(RefreshError::OtherClient)));
    for status in ["401 Unauthorized", "403 Forbidden"] {
        assert!(matches!(Scripted::refresh(status, "{}").await, Err(RefreshError::Rejected)), "{status}");
    }
}

#[tokio::test]
async fn f5_everything_else_may_pass() {
    let wrong = r#"{"error":"invalid_request","error_description":"refresh_token is missing"}"#;
    for (status, body) in [
        ("400 Bad Request", wrong),
        ("400 Bad Request", "<html>"),
        ("404 Not Found", ""),
        ("429 Too Many Requests", ""),
        ("500 Internal Server Error", ""),
        ("503 Service Unavailable", ""),
        ("200 OK", "{}"),
    ] {
        let outcome = Scripted::refresh(status, body).await;
        assert!(matches!(outcome, Err(RefreshError::Transient(_))), "{status} {body}: {outcome:?}");
    }
    let gone = cluster(vec![1]).0.refresh(&secret("r1")).await;
    assert!(matches!(gone, Err(RefreshError::Transient(Trouble::Unreachable))), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn f5_a_cluster_that_keeps_silent_is_left_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (cluster, _password) = cluster(vec![silent.local_addr().unwrap().port()]);
    let outcome = cluster.refresh(&secret("r1")).await;
    assert!(matches!(outcome, Err(RefreshError::Transient(Trouble::Fetch(FetchError::TimedOut)))), "{outcome:?}");
}

#[tokio::test]
async fn a_host_that_is_down_is_passed_over_but_nothing_is_asked_twice() {
    let server = Server::start();
    let (cluster, _password) = cluster(vec![1, server.port()]);
    server.answer("200 OK", GRANTED);
    for _ in 0..4 {
        cluster.refresh(&secret("r1")).await.unwrap();
    }
    assert_eq!(server.asked().len(), 4);
    server.answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    let outcome = cluster.refresh(&secret("r1")).await;
    assert!(matches!(outcome, Err(RefreshError::Transient(_))), "{outcome:?}");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn a_new_password_of_the_gateways_is_read_when_the_old_one_is_refused() {
    let scripted = Scripted::new();
    scripted.server.then("401 Unauthorized", "{}");
    scripted.server.answer("200 OK", GRANTED);
    std::fs::write(scripted.password.path(), "fresh").unwrap();
    scripted.cluster.refresh(&secret("r1")).await.unwrap();
    let shown: Vec<_> =
        scripted.server.requests().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(shown, ["Basic Z2F0ZTpnYXRlLXBhc3N3b3Jk", "Basic Z2F0ZTpmcmVzaA=="]);
    assert_eq!(scripted.body()["refresh_token"], "r1");
}

#[tokio::test]
async fn invalidation_ends_one_half_and_is_content_when_it_is_gone() {
    let scripted = Scripted::new();
    for (status, body) in [
        ("200 OK", r#"{"invalidated_tokens":1,"previously_invalidated_tokens":0,"error_count":0}"#),
        ("200 OK", r#"{"invalidated_tokens":0,"previously_invalidated_tokens":1,"error_count":0}"#),
        ("404 Not Found", NONE_INVALIDATED),
    ] {
        scripted.server.answer(status, body);
        scripted.cluster.invalidate(Half::Refresh, &secret("r1")).await.unwrap();
        assert_eq!(scripted.body(), json!({"refresh_token": "r1"}));
        scripted.cluster.invalidate(Half::Access, &secret("a1")).await.unwrap();
        assert_eq!(scripted.body(), json!({"token": "a1"}));
    }
    assert!(scripted.server.asked().iter().all(|first| first == "DELETE /_security/oauth2/token HTTP/1.1"));
    for (status, body) in [
        ("200 OK", r#"{"invalidated_tokens":0,"previously_invalidated_tokens":0,"error_count":1}"#),
        ("200 OK", "<html>"),
        ("404 Not Found", "<html>"),
        ("400 Bad Request", &security_exception("failed to invalidate token", 400)),
        ("503 Service Unavailable", &security_exception("unable to perform requested action", 503)),
    ] {
        scripted.server.answer(status, body);
        let outcome = scripted.cluster.invalidate(Half::Access, &secret("a1")).await;
        assert!(matches!(outcome, Err(CallError::Transient(_))), "{status} {body}: {outcome:?}");
    }
    scripted.server.answer("403 Forbidden", "{}");
    assert!(matches!(scripted.cluster.invalidate(Half::Access, &secret("a1")).await, Err(CallError::Refused)));
}

#[tokio::test]
async fn the_token_store_answers_with_a_200_or_by_never_having_been() {
    let missing =
        r#"{"error":{"type":"index_not_found_exception","reason":"no such index [.security-tokens]"},"status":404}"#;
    for (status, body, answers) in [
        ("200 OK", NONE_INVALIDATED, true),
        ("404 Not Found", missing, true),
        ("503 Service Unavailable", "", false),
        ("401 Unauthorized", "", false),
        ("403 Forbidden", "", false),
    ] {
        let scripted = Scripted::answering(status, body);
        assert_eq!(scripted.cluster.answers_for_tokens().await, answers, "{status}");
        assert!(scripted.body()["username"].as_str().unwrap().starts_with(' '), "a name that nobody can have");
    }
}

#[tokio::test]
async fn a_chain_is_delegated_leaf_first_and_gets_no_refresh_token() {
    let granted = r#"{"access_token":"a","type":"Bearer","expires_in":1200,"authentication":{"username":"cn"}}"#;
    let scripted = Scripted::answering("200 OK", granted);
    let chain = [CertificateDer::from(&b"leaf"[..]), CertificateDer::from(&b"ca"[..])];
    assert!(scripted.cluster.delegate_pki(&chain).await.unwrap().refresh.is_none());
    assert_eq!(scripted.body(), json!({"x509_certificate_chain": ["bGVhZg==", "Y2E="]}));
    assert_eq!(scripted.server.asked(), ["POST /_security/delegate_pki HTTP/1.1"]);
}

#[tokio::test]
async fn whom_elasticsearch_knows_is_told_with_the_realm() {
    let scripted = Scripted::answering(
        "200 OK",
        r#"{"username":"plain","roles":["a","b"],"full_name":"Plain P","email":null,"metadata":{"k":1},"enabled":true,"authentication_realm":{"name":"default_native","type":"native"},"authentication_type":"token"}"#,
    );
    let told = scripted.cluster.authenticate(&HeaderValue::from_static("Bearer t")).await.unwrap();
    assert_eq!((&*told.identity.username, told.identity.roles.len(), told.identity.metadata.len()), ("plain", 2, 1));
    assert_eq!((told.identity.full_name.as_deref(), told.identity.email), (Some("Plain P"), None));
    assert_eq!(told.realm, Some(RealmRef { name: "default_native".into(), kind: "native".into() }));
    let seen = scripted.server.requests().remove(0);
    assert_eq!(seen.first, "GET /_security/_authenticate HTTP/1.1");
    assert_eq!((seen.header("authorization"), seen.body.as_str()), (Some("Bearer t"), ""));
}

#[test]
fn whom_opensearch_knows_is_told_by_its_own_names() {
    let document = json!({"user": "User [name=admin, backend_roles=[admin], requestedTenant=null]", "user_name": "admin",
        "user_requested_tenant": null, "remote_address": "127.0.0.1:1", "backend_roles": ["admin"],
        "custom_attribute_names": [], "roles": ["own_index", "all_access"], "tenants": {"admin": true}});
    let told = Authenticated::read(document, true).unwrap();
    assert_eq!((&*told.identity.username, told.realm), ("admin", None));
    assert_eq!(told.identity.roles, ["own_index".into(), "all_access".into()]);
}

#[tokio::test]
async fn a_stranger_is_refused_and_doubt_is_not_refusal() {
    let bearer = HeaderValue::from_static("Bearer t");
    let scripted = Scripted::answering("401 Unauthorized", &security_exception("token expired", 401));
    assert!(matches!(scripted.cluster.authenticate(&bearer).await, Err(CallError::Refused)));
    for (status, body) in [("503 Service Unavailable", ""), ("200 OK", "<html>"), ("200 OK", r#"{"username":"x"}"#)] {
        scripted.server.answer(status, body);
        assert!(
            matches!(scripted.cluster.authenticate(&bearer).await, Err(CallError::Transient(_))),
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn nothing_secret_prints() {
    let scripted = Scripted::answering("200 OK", &GRANTED.replace("iM+bBB", "s3cret"));
    let granted = scripted.cluster.refresh(&secret("s3cret")).await.unwrap();
    let mut printed = format!("{granted:?} {:?}", scripted.cluster);
    for body in [invalid_grant("s3cret"), security_exception("s3cret", 400), "s3cret".to_owned()] {
        for status in ["400 Bad Request", "401 Unauthorized", "503 Service Unavailable", "200 OK"] {
            let error = Scripted::refresh(status, &body).await.unwrap_err();
            printed = format!("{printed} {error} {error:?}");
        }
    }
    assert!(!printed.contains("s3cret") && !printed.contains("Z2F0ZT"), "{printed}");
}
