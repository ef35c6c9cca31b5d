//! What the store promises of its files: nothing in them is a secret.

use std::{path::Path, sync::Arc, time::Duration};

use searchgate::{
    clock::Clock,
    config,
    keys::{Keys, NewKey},
    model::{Identity, RealmRef},
    passwords::Passwords,
    secret::SecretText,
    store::{AnyStore, Client, Creator, Store, TokenSubject, sqlite::Sqlite},
    tokens::Tokens,
    users::Users,
};
use serde_json::Map;

fn open(path: &Path) -> AnyStore {
    AnyStore::Sqlite(Arc::new(Sqlite::open(path).unwrap()))
}

fn keys(store: AnyStore) -> Keys {
    let config = config::ApiKeys {
        retention: Duration::from_hours(1),
        cleanup_interval: Duration::from_hours(1),
        max_lifetime: None,
        default_lifetime: None,
        max_per_owner: 1_000_000,
        cache_entries: 1,
    };
    Keys::new(store, Clock::system(), config, Arc::new(|_| {}))
}

fn creator() -> Creator {
    Creator {
        identity: Identity { username: "jack".into(), ..Identity::default() },
        realm: RealmRef { name: "default_native".into(), kind: "native".into() },
    }
}

fn subject() -> TokenSubject {
    TokenSubject {
        identity: creator().identity,
        realm: creator().realm,
        lookup_realm: None,
        api_key: None,
        service_token: None,
        run_by: None,
    }
}

fn client() -> Client {
    Client { username: "jack".into(), realm: "default_native".into(), api_key: None }
}

fn new_key(name: &str) -> NewKey {
    NewKey {
        access: None,
        name: name.into(),
        life: None,
        role_descriptors: Map::new(),
        limited_by: Map::new(),
        metadata: Map::new(),
        creator: creator(),
    }
}

#[tokio::test]
async fn nothing_stored_lets_a_reader_of_the_files_authenticate() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("searchgate.db"));
    let config = config::Tokens {
        access_lifetime: Duration::from_mins(20),
        refresh_lifetime: Duration::from_hours(24),
        reuse_window: Duration::from_secs(30),
        cleanup_interval: Duration::from_mins(30),
    };
    let tokens = Tokens::new(store.clone(), Clock::system(), config, Arc::new(|_| {}));
    let users = Users::new(store.clone(), Passwords::start(1, 4), Arc::new(|_| {}));
    let password = SecretText::new("a-password-of-jack".into());
    users.bootstrap(&password).await.unwrap();
    users.put(creator().identity, Some(password.clone()), true).await.unwrap();
    let key = keys(store.clone()).create(new_key("the-name-of-the-key")).await.unwrap();
    let pair = tokens.issue_pair(subject(), client()).await.unwrap();
    let old = pair.refresh.unwrap();
    let (next, _) = tokens.refresh(old.expose(), client()).await.unwrap();
    store.ping().await.unwrap();

    let mut files = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        files.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let stored = |text: &str| files.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(stored("the-name-of-the-key"), "what is stored is found at all");
    for secret in [&password, &key.secret] {
        assert!(!stored(secret.expose()));
    }
    // Not even the pair that a repeated refresh must find again.
    for token in [&pair.token, &old, &next.token, &next.refresh.unwrap()] {
        let (_, random) = token.expose().split_once('_').unwrap();
        assert!(!stored(random));
    }
}
