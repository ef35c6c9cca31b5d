//! What the store promises of its files: an acknowledged write survives `kill -9`, and nothing in them is a secret.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use searchgate::{
    clock::Clock,
    config,
    keys::{KeyVerdict, Keys, NewKey},
    model::{Identity, KeyId, RealmRef},
    passwords::Passwords,
    secret::{self, SecretText},
    store::{AnyStore, Client, Creator, KeyFilter, Store, TokenSubject, sqlite::Sqlite},
    tokens::Tokens,
    users::Users,
};
use serde_json::Map;

/// Names the store to the child process of [`nothing_acknowledged_is_lost_when_the_process_is_killed`].
const CHILD: &str = "SEARCHGATE_TEST_DURABILITY_STORE";

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

/// Not a test by itself: what the killed process does. It prints a line for each acknowledged write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_it_is_killed() {
    let Some(path) = env::var_os(CHILD) else { return };
    let keys = Arc::new(keys(open(Path::new(&path))));
    let writers: Vec<_> = (0..4).map(|_| tokio::spawn(write_for_ever(Arc::clone(&keys)))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn write_for_ever(keys: Arc<Keys>) {
    loop {
        let key = keys.create(new_key("durable")).await.unwrap();
        acknowledge(&format!("created {} {}", key.id, key.secret.expose()));
        let key = keys.create(new_key("revoked")).await.unwrap();
        acknowledge(&format!("created {} {}", key.id, key.secret.expose()));
        let done = keys.invalidate(&KeyFilter::id(key.id.clone())).await.unwrap();
        assert_eq!(done.invalidated, std::slice::from_ref(&key.id));
        acknowledge(&format!("invalidated {}", key.id));
    }
}

fn acknowledge(line: &str) {
    // One write, past the capture of the test harness.
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    let mut secrets = HashMap::new();
    let mut invalidated = Vec::new();
    for _ in 0..5 {
        let [random] = secret::random::<1>();
        for line in lines_of_a_killed_writer(&path, usize::from(random) + 1) {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["created", id, secret] => drop(secrets.insert(id.to_owned(), secret.to_owned())),
                ["invalidated", id] => invalidated.push(id.to_owned()),
                _ => {}
            }
        }
        let keys = keys(open(&path));
        for (id, secret) in &secrets {
            let verdict = keys.verify(&KeyId(id.as_str().into()), secret).await.unwrap();
            assert!(matches!(verdict, KeyVerdict::Accept(_) | KeyVerdict::Invalidated), "{id}: {verdict:?}");
        }
        for id in &invalidated {
            let verdict = keys.verify(&KeyId(id.as_str().into()), "").await.unwrap();
            assert!(matches!(verdict, KeyVerdict::Invalidated), "{id}: {verdict:?}");
        }
    }
    assert!(!invalidated.is_empty() && secrets.len() > invalidated.len());
}

/// What a writer acknowledged until it was killed, `count` writes or a few more after its start.
fn lines_of_a_killed_writer(path: &Path, count: usize) -> Vec<String> {
    let mut writer = Command::new(env::current_exe().unwrap())
        .args(["--exact", "durability::writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged: Vec<_> = lines.by_ref().filter(|line| is_acknowledgement(line)).take(count).collect();
    assert_eq!(acknowledged.len(), count, "the writer ended by itself");
    writer.kill().unwrap();
    writer.wait().unwrap();
    // What is still in the pipe had been acknowledged too.
    acknowledged.extend(lines.filter(|line| is_acknowledgement(line)));
    acknowledged
}

fn is_acknowledgement(line: &str) -> bool {
    line.starts_with("created ") || line.starts_with("invalidated ")
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
    let token = tokens.issue(subject(), client()).await.unwrap().token;
    store.ping().await.unwrap();

    let mut files = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        files.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let stored = |text: &str| files.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(stored("the-name-of-the-key"), "what is stored is found at all");
    let (_, random) = token.expose().split_once('_').unwrap();
    for secret in [password.expose(), key.secret.expose(), token.expose(), random] {
        assert!(!stored(secret));
    }
}
