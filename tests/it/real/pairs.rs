//! Pairs of tokens of a real Elasticsearch, got and ended in the gateway's name: what `src/cluster/tests.rs` has by heart.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method};
use searchgate::{
    cluster::{CallError, Cluster, GrantError, Granted, Half, RefreshError},
    config::{Config, Service},
    credential::Credentials,
    secret::SecretText,
    telemetry::metrics::Metrics,
    upstream::Upstream,
};
use serde_json::json;

use super::{Cluster as Real, secured::ELASTICSEARCH, unique};

/// The cluster as a user of it calls it that may make tokens.
struct Caller {
    cluster: Cluster,
    _password: tempfile::NamedTempFile,
}

impl Caller {
    async fn new(real: &Real, roles: &[&str]) -> Self {
        let name = unique("service");
        let body = json!({"password": "service-password", "roles": roles});
        real.administrate(Method::PUT, &format!("/_security/user/{name}"), &body).await;
        Self::named(real, name, "service-password")
    }

    fn named(real: &Real, username: String, password: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), password).unwrap();
        let mut config = Config::default();
        config.upstream.hosts = vec![real.url.parse().unwrap()];
        config.upstream.ssl.certificate_authorities = vec![real.secured.as_ref().unwrap().0.clone()];
        let service = Credentials::service(&Service::Basic { username, password_file: file.path().into() });
        let upstream = Upstream::new(&config.upstream, Metrics::new(&[])).unwrap();
        let cluster = Cluster::new(Arc::new(upstream), Arc::new(service), Duration::from_secs(30));
        Self { cluster, _password: file }
    }
}

async fn user(real: &Real) -> String {
    let name = unique("user");
    let body = json!({"password": "user-password", "roles": ["some-role"], "full_name": "Some One"});
    real.administrate(Method::PUT, &format!("/_security/user/{name}"), &body).await;
    name
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.into())
}

fn bearer(granted: &Granted) -> HeaderValue {
    HeaderValue::from_str(&format!("Bearer {}", granted.access.expose())).unwrap()
}

#[tokio::test]
async fn a_pair_is_granted_refreshed_and_ended() {
    let Some(real) = Real::find(ELASTICSEARCH) else { return };
    let (caller, name) = (Caller::new(&real, &["superuser"]).await.cluster, user(&real).await);
    let first = caller.password_grant(&name, &secret("user-password")).await.unwrap();
    assert_eq!(first.authentication["username"], name.as_str());
    let told = caller.authenticate(&bearer(&first)).await.unwrap();
    assert_eq!(
        (told.identity.username.as_ref(), told.identity.full_name.as_deref()),
        (name.as_str(), Some("Some One"))
    );
    assert_eq!(told.realm.unwrap().kind.as_ref(), "native");

    let refresh = first.refresh.unwrap();
    let second = caller.refresh(&refresh).await.unwrap();
    let again = caller.refresh(&refresh).await.unwrap();
    assert_eq!(second.access.expose(), again.access.expose(), "the reuse window");
    assert!(caller.answers_for_tokens().await);

    let (access, refresh) = (second.access.clone(), second.refresh.clone().unwrap());
    for _ in 0..2 {
        caller.invalidate(Half::Access, &access).await.unwrap();
        caller.invalidate(Half::Refresh, &refresh).await.unwrap();
    }
    caller.invalidate(Half::Access, &secret("never-was-a-token")).await.unwrap();
    assert!(matches!(caller.authenticate(&bearer(&second)).await, Err(CallError::Refused)));
    let ended = caller.refresh(&refresh).await;
    assert!(matches!(ended, Err(RefreshError::Ended { ambiguous: false })), "{ended:?}");
    let unknown = caller.refresh(&secret("never-was-a-token")).await;
    assert!(matches!(unknown, Err(RefreshError::Ended { ambiguous: true })), "{unknown:?}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let Some(real) = Real::find(ELASTICSEARCH) else { return };
    let (caller, name) = (Caller::new(&real, &["superuser"]).await.cluster, user(&real).await);
    let wrong = caller.password_grant(&name, &secret("another-password")).await;
    assert!(matches!(wrong, Err(GrantError::Denied)), "{wrong:?}");
    let empty = caller.password_grant(&name, &secret("")).await;
    assert!(matches!(empty, Err(GrantError::Denied)), "{empty:?}");
    let refresh = caller.password_grant(&name, &secret("user-password")).await.unwrap().refresh.unwrap();

    let other = Caller::new(&real, &["superuser"]).await.cluster.refresh(&refresh).await;
    assert!(matches!(other, Err(RefreshError::OtherClient)), "{other:?}");
    let unknown = Caller::named(&real, unique("nobody"), "no-password");
    let without_rights = Caller::new(&real, &[]).await;
    for caller in [unknown.cluster, without_rights.cluster] {
        let grant = caller.password_grant(&name, &secret("user-password")).await;
        let refreshed = caller.refresh(&refresh).await;
        assert!(
            matches!((&grant, &refreshed), (Err(GrantError::Rejected), Err(RefreshError::Rejected))),
            "{grant:?} {refreshed:?}"
        );
        assert!(matches!(caller.invalidate(Half::Refresh, &refresh).await, Err(CallError::Refused)));
        assert!(!caller.answers_for_tokens().await);
    }
    assert!(caller.refresh(&refresh).await.is_ok(), "nothing of this has used it up");
}
