//! Callers whom the cluster knows.

use std::{collections::HashMap, sync::Mutex};

use serde_json::{Value, json};

use super::*;
use crate::config::Realm as Configured;

/// A cluster of tests: what it is asked, and whom it takes whom for.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    asked: Vec<String>,
    users: HashMap<String, Value>,
    down: bool,
}

impl Cluster {
    /// One that knows `sue` by her password, a key and a token.
    fn with_sue() -> Self {
        let cluster = Self::default();
        let says = |way: &str, kind: &str| {
            json!({"username": "sue", "roles": ["superuser", "only there"], "full_name": "Sue", "email": null,
                "metadata": {"a": 1}, "authentication_realm": {"name": "there", "type": kind},
                "authentication_type": way, "api_key": {"id": "k", "name": "n"}})
        };
        cluster.knows(&basic("sue", "hers"), says("realm", "native"));
        cluster.knows(&format!("ApiKey {}", STANDARD.encode("k:secret")), says("api_key", "_es_api_key"));
        cluster.knows("Bearer hers", says("token", "native"));
        cluster
    }

    fn knows(&self, authorization: &str, document: Value) {
        self.0.lock().unwrap().users.insert(authorization.to_owned(), document);
    }

    fn forgets(&self, authorization: &str) {
        self.0.lock().unwrap().users.remove(authorization);
    }

    fn is_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// What it was asked since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn asks(&self) -> AskCluster {
        let books = Arc::clone(&self.0);
        let ask = move |authorization: HeaderValue| -> Asking {
            assert!(authorization.is_sensitive());
            let shown = authorization.to_str().unwrap().to_owned();
            let answer = {
                let mut books = books.lock().unwrap();
                books.asked.push(shown.clone());
                if books.down {
                    Err(AskError::Silent("it is down".into()))
                } else {
                    Ok(books.users.get(&shown).cloned())
                }
            };
            Box::pin(async move {
                tokio::task::yield_now().await;
                let document = answer?.ok_or(AskError::Refused)?;
                let identity = Identity {
                    username: document["username"].as_str().unwrap().into(),
                    roles: document["roles"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|role| role.as_str().unwrap().into())
                        .collect(),
                    full_name: document["full_name"].as_str().map(Into::into),
                    metadata: document["metadata"].as_object().unwrap().clone(),
                    ..Identity::default()
                };
                Ok(Told { identity, document })
            })
        };
        AskCluster::new(ask, Vec::new())
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// A gate behind whose own realms the cluster is asked, and `cache` is the life of what it says.
async fn gate(cluster: &Cluster, cache: Duration) -> Gate {
    let mut config = Config::default();
    config.authentication.realms.push(Configured::Cluster { name: "upstream".into(), cache });
    let gate = Gate::before(&config, passwords(), Audit::off(), cluster.asks());
    gate.furnish().await;
    gate
}

const CACHE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_cluster_vouches_for_its_users_and_their_roles_are_those_of_this_gate() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    let key = format!("ApiKey {}", STANDARD.encode("k:secret"));
    for (shown, way, id) in [
        (basic("sue", "hers"), AuthenticationType::Realm, None),
        ("Bearer hers".to_owned(), AuthenticationType::Token, None),
        (key, AuthenticationType::ApiKey, Some("k")),
    ] {
        let found = gate.identify(&Shown::authorization(&shown)).await.unwrap();
        assert_eq!((&*found.identity.username, found.identity.full_name.as_deref()), ("sue", Some("Sue")));
        assert_eq!((&*found.realm.name, &*found.realm.kind, found.authentication), ("upstream", "cluster", way));
        assert_eq!(found.api_key.as_ref().map(|key| &*key.id.0), id);
        assert!(found.is_of_cluster);
        assert!(found.privileges.allows_everything(), "its role is looked up here");
        assert_eq!(cluster.asked(), [shown.as_str()]);
        assert!(gate.recall(&Shown::authorization(&shown)).is_some());
    }
}

#[tokio::test]
async fn whom_the_cluster_refuses_is_refused_as_anybody_is() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    for (shown, additional) in [
        (basic("sue", "not hers"), None),
        ("Bearer nobodys".to_owned(), Some("oauth2 token: invalid token")),
        (format!("ApiKey {}", STANDARD.encode("x:y")), Some("API key: unable to find apikey with id x")),
    ] {
        let (code, text) = gate.refusal(&Shown::authorization(&shown)).await;
        assert_eq!((code, text.as_deref()), (Some("bad_credentials"), additional));
    }
    // Keys and tokens that are wrong stay so for a moment; passwords are asked about each time.
    assert_eq!(cluster.asked().len(), 3);
    gate.refusal(&Shown::authorization("Bearer nobodys")).await;
    assert_eq!(cluster.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_no_refusal() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    cluster.is_down(true);
    for shown in [basic("sue", "hers"), "Bearer hers".to_owned(), format!("ApiKey {}", STANDARD.encode("k:secret"))] {
        let shown = Shown::authorization(&shown);
        assert!(matches!(gate.identify(&shown).await, Err(IdentifyError::Silent)));
    }
    // The cluster's own certificate instead of the caller's header is no answer either.
    cluster.is_down(false);
    cluster.knows(
        "Bearer odd",
        json!({"username": "gate", "roles": [], "metadata": {}, "authentication_type": "realm",
        "authentication_realm": {"name": "p", "type": "pki"}}),
    );
    assert!(matches!(gate.identify(&Shown::authorization("Bearer odd")).await, Err(IdentifyError::Silent)));
    assert!(gate.identify(&Shown::authorization("Bearer hers")).await.is_ok(), "nothing of it is remembered");
}

#[tokio::test]
async fn a_verdict_lives_as_long_as_configured_and_no_longer() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    tokio::time::pause();
    let (good, bad) = (Shown::authorization("Bearer hers"), Shown::authorization("Bearer later"));
    gate.identify(&good).await.unwrap();
    gate.identify(&bad).await.unwrap_err();
    cluster
        .knows("Bearer later", json!({"username": "bob", "roles": [], "metadata": {}, "authentication_type": "token"}));
    cluster.forgets("Bearer hers");
    tokio::time::advance(CACHE.saturating_sub(Duration::from_millis(1))).await;
    assert!(gate.identify(&good).await.is_ok() && gate.identify(&bad).await.is_err());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(gate.recall(&good).is_none());
    assert!(gate.identify(&good).await.is_err() && gate.identify(&bad).await.is_ok());
}

#[tokio::test]
async fn without_a_cache_each_request_is_asked_about() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, Duration::ZERO).await;
    for shown in ["Bearer hers", "Bearer nobodys", "Bearer hers", "Bearer nobodys"] {
        let _ = gate.identify(&Shown::authorization(shown)).await;
    }
    assert_eq!(cluster.asked().len(), 4);
}

#[tokio::test]
async fn of_many_who_show_the_same_at_once_one_is_asked_about() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    for shown in [basic("sue", "hers"), "Bearer hers".to_owned(), format!("ApiKey {}", STANDARD.encode("k:secret"))] {
        let shown = Shown::authorization(&shown);
        let (a, b, c) = tokio::join!(gate.identify(&shown), gate.identify(&shown), gate.identify(&shown));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(cluster.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_is_claimed_here_is_not_shown_to_the_cluster() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    let (id, key) = gate.key(None).await;
    gate.invalidate(&id).await;
    let token = gate.token(None).await;
    for shown in
        [basic("u", "not theirs"), basic("elastic", "not theirs"), basic("u", PASSWORD), format!("Bearer {token}")]
    {
        let _ = gate.identify(&Shown::authorization(&shown)).await;
    }
    gate.identify(&key).await.unwrap_err();
    assert_eq!(cluster.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn guessing_a_password_of_the_cluster_is_slowed() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    for _ in 0..10 {
        gate.identify(&Shown::authorization(&basic("sue", "guess"))).await.unwrap_err();
    }
    assert_eq!(cluster.asked().len(), 10);
    let heard = gate.identify(&Shown::authorization(&basic("sue", "hers"))).await;
    assert!(matches!(heard, Err(IdentifyError::Throttled { .. })), "{heard:?}");
    assert_eq!(cluster.asked(), Vec::<String>::new());
    assert!(gate.identify(&Shown::authorization("Bearer hers")).await.is_ok(), "tokens are not guessed");
}

#[tokio::test]
async fn where_strangers_pass_the_cluster_judges_the_request_itself() {
    let cluster = Cluster::with_sue();
    let gate = gate(&cluster, CACHE).await;
    for shown in [basic("sue", "hers"), "Bearer hers".to_owned(), format!("ApiKey {}", STANDARD.encode("k:secret"))] {
        let shown = Shown::authorization(&shown);
        let passing = Shown { strangers_pass: true, ..shown.clone() };
        assert!(gate.identify(&passing).await.unwrap_err().is_unclaimed());
        assert_eq!(cluster.asked(), Vec::<String>::new());
        // Whoever is remembered from a path of the gate's own passes through all the same.
        gate.identify(&shown).await.unwrap();
        assert!(gate.recall(&shown).is_some() && gate.recall(&passing).is_none());
        assert!(gate.identify(&passing).await.unwrap_err().is_unclaimed());
        cluster.asked();
    }
}
