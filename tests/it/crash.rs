//! What was acknowledged survives `kill -9`, and what was revoked stays revoked, whenever the process dies.
//!
//! A child process makes, refreshes and ends keys, tokens and sessions, prints what it was told was done, and is killed. Five rounds
//! on SQLite and three on PostgreSQL; 200 and 50 with `SEARCHGATE_TEST_FULL`.

use std::{
    collections::HashSet,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use searchgate::{
    clock::Clock,
    config::{Config, StoreUrl},
    gateway::build,
    keys::{KeyVerdict, Keys, NewKey},
    model::{Identity, KeyId, RealmRef},
    sealing::MasterKeys,
    secret::{self, SecretText},
    sessions::{Found, NewSession, Pair, Provider, ProviderKind, Published, Reason, Sessions},
    store::{AnyStore, Client, Creator, KeyFilter, RefreshRefusal, TokenSubject},
    tokens::{RefreshError, TokenVerdict, Tokens},
};
use serde_json::Map;
use tokio::task::JoinSet;

use crate::support::postgres::Database;

/// Names the store to the child process: a path, or a URL of PostgreSQL.
const CHILD: &str = "SEARCHGATE_TEST_CRASH_STORE";

async fn open(place: &str) -> AnyStore {
    let url = if place.starts_with("postgres://") {
        StoreUrl::Postgres(SecretText::new(place.to_owned()))
    } else {
        StoreUrl::Sqlite(PathBuf::from(place))
    };
    build::open(&url).await.unwrap()
}

/// What is made of a store; no refresh token is good for a second use unless `window` is left.
fn services(store: &AnyStore, window: Duration) -> (Keys, Tokens, Sessions) {
    let mut config = Config::default();
    config.api_keys.max_per_owner = 10_000_000;
    config.tokens.reuse_window = window;
    let (clock, deaf) = (Clock::system(), Arc::new(|_: &_| {}));
    (
        Keys::new(store.clone(), clock.clone(), config.api_keys, deaf.clone()),
        Tokens::new(store.clone(), clock.clone(), config.tokens, deaf.clone()),
        // A claim ends as it is made, so that the queue can be looked at again.
        Sessions::new(store.clone(), master_keys(), clock, config.sessions, Duration::ZERO, deaf, Arc::new(|_, _| ())),
    )
}

/// The same in every process.
fn master_keys() -> MasterKeys {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}=", "A".repeat(43)).unwrap();
    MasterKeys::read(file.path()).unwrap()
}

/// With an access token that nobody else has.
fn new_session() -> NewSession {
    NewSession {
        provider: Provider { kind: ProviderKind::Token, name: "corp".into() },
        realm: realm(),
        username: "jack".into(),
        authentication: serde_json::Value::Null,
        fingerprint: None,
        pair: cluster_pair(),
    }
}

fn cluster_pair() -> Pair {
    let end = Clock::system().now().plus(Duration::from_mins(20));
    Pair {
        access: SecretText::new(u64::from_le_bytes(secret::random()).to_string()),
        refresh: None,
        access_expires_at: end,
        refresh_expires_at: None,
        superseded: Vec::new(),
    }
}

fn realm() -> RealmRef {
    RealmRef { name: "default_native".into(), kind: "native".into() }
}

fn identity() -> Identity {
    Identity { username: "jack".into(), ..Identity::default() }
}

fn client() -> Client {
    Client { username: "jack".into(), realm: "default_native".into(), api_key: None }
}

fn subject() -> TokenSubject {
    TokenSubject {
        identity: identity(),
        realm: realm(),
        lookup_realm: None,
        api_key: None,
        service_token: None,
        run_by: None,
    }
}

fn new_key() -> NewKey {
    NewKey {
        name: "crash".into(),
        life: None,
        role_descriptors: Map::new(),
        limited_by: Map::new(),
        metadata: Map::new(),
        access: None,
        creator: Creator { identity: identity(), realm: realm() },
    }
}

/// Not a test by itself: what the killed process does. It prints a line for each acknowledged write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_it_is_killed() {
    let Ok(place) = env::var(CHILD) else { return };
    let services = Arc::new(services(&open(&place).await, Duration::from_secs(30)));
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let services = Arc::clone(&services);
        writers.spawn(async move {
            loop {
                // A store that was cut off acknowledges nothing; the next write may succeed.
                let _ = write(&services.0, &services.1).await;
                let _ = write_sessions(&services.2).await;
            }
        });
    }
    writers.join_all().await;
}

/// A key that stays, a key that ends, a pair that is refreshed, a token that ends.
async fn write(keys: &Keys, tokens: &Tokens) -> Option<()> {
    let key = keys.create(new_key()).await.ok()?;
    acknowledge(&format!("key {} {}", key.id, key.secret.expose()));
    let key = keys.create(new_key()).await.ok()?;
    acknowledge(&format!("key {} {}", key.id, key.secret.expose()));
    let ended = keys.invalidate(&KeyFilter::id(key.id.clone())).await.ok()?;
    assert!(ended.invalidated.contains(&key.id));
    acknowledge(&format!("key-ended {}", key.id));

    let pair = tokens.issue_pair(subject(), client()).await.ok()?;
    let old = pair.refresh.unwrap();
    acknowledge(&format!("pair {} {}", pair.token.expose(), old.expose()));
    let (next, _) = tokens.refresh(old.expose(), client()).await.ok()?;
    acknowledge(&format!("refreshed {} {}", old.expose(), next.token.expose()));
    tokens.invalidate(pair.token.expose()).await.ok()?;
    acknowledge(&format!("token-ended {}", pair.token.expose()));
    let next_refresh = next.refresh.unwrap();
    tokens.invalidate_refresh(next_refresh.expose()).await.ok()?;
    acknowledge(&format!("refresh-ended {}", next_refresh.expose()));
    Some(())
}

/// A session that gets another pair, and one that ends.
async fn write_sessions(sessions: &Sessions) -> Option<()> {
    let (handle, session) = sessions.open(new_session()).await.ok()?;
    acknowledge(&format!("session {}", handle.expose()));
    let Published::Stored(next) = sessions.publish(&session, cluster_pair(), true).await.ok()? else { return None };
    acknowledge(&format!("published {} {}", handle.expose(), next.pair.access.expose()));
    let (handle, session) = sessions.open(new_session()).await.ok()?;
    if sessions.end(&session.id, Reason::Logout).await.ok()? {
        acknowledge(&format!("session-ended {} {}", handle.expose(), session.pair.access.expose()));
    }
    Some(())
}

fn acknowledge(line: &str) {
    // One write, past the capture of the test harness.
    std::io::stdout().write_all(format!("\n{MARK}{line}\n").as_bytes()).unwrap();
}

const MARK: &str = "acknowledged: ";

/// What a killed child was told, `count` lines or a few more after its start.
fn killed(mut child: Child, count: usize) -> Vec<String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.filter_map(|line| Some(line.strip_prefix(MARK)?.to_owned()));
    let mut acknowledged: Vec<_> = lines.by_ref().take(count).collect();
    assert_eq!(acknowledged.len(), count, "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    // What is still in the pipe had been acknowledged too.
    acknowledged.extend(lines);
    acknowledged
}

fn child(place: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Every line must still be true. A later one may end what an earlier one made.
async fn check(store: &AnyStore, lines: &[String]) {
    let (keys, tokens, sessions) = services(store, Duration::ZERO);
    let queued = sessions.due("check", u32::MAX).await.unwrap();
    let queued: HashSet<_> = queued.iter().map(|one| one.pair.access.expose()).collect();
    let mut seen = [0; 4];
    for line in lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["key", id, secret] => {
                seen[0] += 1;
                let verdict = keys.verify(&KeyId(id.into()), secret).await.unwrap();
                assert!(matches!(verdict, KeyVerdict::Accept(_) | KeyVerdict::Invalidated), "{id}: {verdict:?}");
            }
            ["key-ended", id] => {
                let verdict = keys.verify(&KeyId(id.into()), "").await.unwrap();
                assert!(matches!(verdict, KeyVerdict::Invalidated), "{id}: {verdict:?}");
            }
            ["pair", token, _] => {
                seen[1] += 1;
                let verdict = tokens.verify(token).await.unwrap();
                assert!(matches!(verdict, TokenVerdict::Accept(_) | TokenVerdict::Expired), "{verdict:?}");
            }
            ["refreshed", old, next] => {
                seen[2] += 1;
                let again = tokens.refresh(old, client()).await;
                assert!(matches!(again, Err(RefreshError::Refused(RefreshRefusal::Late))), "{again:?}");
                let verdict = tokens.verify(next).await.unwrap();
                assert!(matches!(verdict, TokenVerdict::Accept(_)), "{verdict:?}");
            }
            ["token-ended", token] => {
                let verdict = tokens.verify(token).await.unwrap();
                assert!(matches!(verdict, TokenVerdict::Expired), "{verdict:?}");
            }
            ["refresh-ended", token] => {
                let again = tokens.refresh(token, client()).await;
                assert!(matches!(again, Err(RefreshError::Refused(RefreshRefusal::Invalidated))), "{again:?}");
            }
            ["session", handle] => {
                let found = sessions.find(handle).await.unwrap();
                assert!(matches!(found, Found::Active(_)), "{found:?}");
            }
            ["published", handle, access] => {
                let found = sessions.find(handle).await.unwrap();
                assert!(matches!(&found, Found::Active(one) if one.pair.access.expose() == access), "{found:?}");
            }
            ["session-ended", handle, access] => {
                seen[3] += 1;
                assert!(matches!(sessions.find(handle).await.unwrap(), Found::Unknown));
                assert!(queued.contains(access));
            }
            _ => unreachable!("not an acknowledgement: {line}"),
        }
    }
    assert!(lines.len() < 100 || seen.iter().all(|count| *count > 0), "{seen:?}");
}

/// The short form for everyday runs, and the long one.
fn rounds(short: usize, full: usize) -> usize {
    if env::var_os("SEARCHGATE_TEST_FULL").is_some() { full } else { short }
}

/// How many acknowledgements a round waits for before it kills.
fn patience() -> usize {
    let [random] = secret::random::<1>();
    usize::from(random) / 2 + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_a_process_on_sqlite_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("searchgate.db").to_str().unwrap().to_owned();
    let mut all = Vec::new();
    for _ in 0..rounds(5, 200) {
        let lines = killed(child(&place), patience());
        check(&open(&place).await, &lines).await;
        all.extend(lines);
    }
    check(&open(&place).await, &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_a_process_on_postgresql_or_its_backend_is_killed() {
    let Some(database) = Database::make().await else { return };
    let place = database.url();
    let mut all = Vec::new();
    for round in 0..rounds(3, 50) {
        let child = child(&place);
        let dead = Arc::new(AtomicBool::new(round % 2 == 1));
        let backends = tokio::spawn({
            let (database, dead) = (database.clone(), Arc::clone(&dead));
            async move {
                while !dead.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    database.end_backends().await;
                }
            }
        });
        let lines = tokio::task::spawn_blocking(move || killed(child, patience())).await.unwrap();
        dead.store(true, Ordering::Relaxed);
        // Not a moment longer: the next to connect is this test.
        backends.await.unwrap();
        check(&open(&place).await, &lines).await;
        all.extend(lines);
    }
    check(&open(&place).await, &all).await;
}
