use std::collections::BTreeSet;

use parking_lot::Mutex;
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    model::RealmRef,
    secret,
    store::{Follower, memory::Memory, postgres::Postgres, sqlite::Sqlite},
};

mod interleavings;
mod queue;

/// One gateway, and what it announced.
struct Gateway {
    sessions: Sessions,
    news: Arc<Mutex<Vec<Change>>>,
}

impl Gateway {
    fn over(store: AnyStore, keys: MasterKeys, config: config::Sessions) -> Self {
        let news = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&news);
        let announce: Announce = Arc::new(move |change| heard.lock().push(change.clone()));
        let clock = Clock::anchored(START);
        let sessions = Sessions::new(store, keys, clock, config, Duration::from_mins(1), announce, Arc::new(|_, _| ()));
        Self { sessions, news }
    }

    fn new() -> Self {
        Self::over(memory(), MasterKeys::ephemeral(), limits(None))
    }

    async fn open(&self, username: &str) -> (SecretText, Session) {
        self.sessions.open(new(username, pair("a1"))).await.unwrap()
    }

    async fn get(&self, id: &SessionId) -> Session {
        self.sessions.get(id).await.unwrap().unwrap()
    }

    /// Tokens that wait for revocation, and why; they wait on.
    async fn queue(&self) -> Vec<(String, Reason)> {
        let due = self.sessions.due("test", 99).await.unwrap();
        let tokens = due.iter().flat_map(|one| all(&one.pair).into_iter().map(|token| (token, one.cause)));
        tokens.collect()
    }
}

fn memory() -> AnyStore {
    AnyStore::Memory(Arc::new(Memory::default()))
}

fn limits(max_per_user: Option<u32>) -> config::Sessions {
    config::Sessions { max_per_user, ..config::Sessions::default() }
}

fn pair(name: &str) -> Pair {
    Pair {
        access: SecretText::new(format!("access-{name}")),
        refresh: Some(SecretText::new(format!("refresh-{name}"))),
        access_expires_at: START.plus(Duration::from_mins(20)),
        refresh_expires_at: Some(START.plus(Duration::from_hours(24))),
        superseded: Vec::new(),
    }
}

fn new(username: &str, pair: Pair) -> NewSession {
    NewSession {
        provider: Provider { kind: ProviderKind::Token, name: "corp".into() },
        realm: RealmRef { name: "native1".into(), kind: "native".into() },
        username: username.into(),
        authentication: json!({"username": username, "roles": ["r"]}),
        fingerprint: Some([7; 32]),
        pair,
    }
}

/// Every token of a pair.
fn all(pair: &Pair) -> Vec<String> {
    let superseded = pair.superseded.iter().map(|(token, _)| token);
    [&pair.access].into_iter().chain(&pair.refresh).chain(superseded).map(|token| token.expose().to_owned()).collect()
}

fn at(minutes: u64) -> Timestamp {
    START.plus(Duration::from_mins(minutes))
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

fn stored(published: Published) -> Session {
    let Published::Stored(session) = published else { panic!("{published:?}") };
    *session
}

#[tokio::test]
async fn a_session_is_found_by_its_handle_alone() {
    let gateway = Gateway::new();
    let (handle, session) = gateway.open("jack").await;
    assert!(handle.expose().len() == 47 && handle.expose().starts_with("sgs_"));
    let Found::Active(found) = gateway.sessions.find(handle.expose()).await.unwrap() else { panic!() };
    assert_eq!(format!("{found:?}"), format!("{session:?}"));
    assert_eq!(all(&found.pair), all(&pair("a1")));
    assert_eq!((&*found.username, &*found.realm.name, found.fingerprint), ("jack", "native1", Some([7; 32])));
    assert_eq!(found.authentication["roles"], json!(["r"]));
    let id = session.id.to_string();
    for other in ["", "sgs_", &id, &handle.expose()[..46], &format!("{}=", &handle.expose()[..46])] {
        assert!(matches!(gateway.sessions.find(other).await.unwrap(), Found::Unknown), "{other}");
    }
}

#[tokio::test]
async fn neither_the_user_nor_a_token_nor_the_handle_is_stored_in_the_clear() {
    let store = memory();
    let gateway = Gateway::over(store.clone(), MasterKeys::ephemeral(), limits(None));
    let (handle, session) = gateway.open("jack-the-user").await;
    let record = store.session(&session.id.0).await.unwrap().unwrap();
    let content = String::from_utf8_lossy(&record.content).into_owned();
    let shown = format!("{record:?} {session:?} {content}");
    for secret in ["access-a1", "refresh-a1", handle.expose()] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(!format!("{record:?} {content}").contains("jack"));
    assert_ne!(record.username_hash, secret::sha256(&[b"jack-the-user"]));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_over_when_it_was_idle_or_lived_for_too_long_and_the_latter_wins() {
    let gateway = Gateway::new();
    let (handle, session) = gateway.open("jack").await;
    let found = async || gateway.sessions.find(handle.expose()).await.unwrap();
    pass(Duration::from_hours(8) - Duration::from_millis(1)).await;
    assert!(matches!(found().await, Found::Active(_)));
    pass(Duration::from_millis(1)).await;
    assert!(matches!(found().await, Found::Expired(Reason::IdleTimeout)));
    gateway.sessions.extend(&session).await.unwrap();
    assert!(matches!(found().await, Found::Expired(Reason::IdleTimeout)));
    pass(Duration::from_hours(30 * 24)).await;
    assert!(matches!(found().await, Found::Expired(Reason::Lifespan)));
}

#[tokio::test(start_paused = true)]
async fn activity_puts_the_idle_timeout_off_and_is_written_at_most_every_quarter_of_it() {
    let gateway = Gateway::new();
    let (_, session) = gateway.open("jack").await;
    let version = async |session: &Session| {
        gateway.sessions.extend(session).await.unwrap();
        gateway.get(&session.id).await.version
    };
    pass(Duration::from_mins(119)).await;
    assert_eq!(version(&session).await, 1);
    pass(Duration::from_mins(1)).await;
    assert_eq!(version(&session).await, 2);
    // Whoever holds an old read writes no more often.
    assert_eq!(version(&session).await, 2);
    let session = gateway.get(&session.id).await;
    assert_eq!((session.last_seen_at, session.idle_expires_at), (at(120), Some(at(600))));
    assert_eq!(session.lifespan_expires_at, Some(START.plus(Duration::from_hours(720))));
}

#[tokio::test(start_paused = true)]
async fn the_right_to_refresh_is_one_instances_until_it_runs_out() {
    let gateway = Gateway::new();
    let (_, session) = gateway.open("jack").await;
    let lease = async |owner, minutes| gateway.sessions.lease(&session, owner, at(minutes)).await.unwrap();
    let leased = lease("a", 1).await.unwrap();
    assert_eq!(leased.lease, Some(Lease { owner: "a".into(), until: at(1) }));
    assert!(lease("b", 1).await.is_none());
    assert!(lease("a", 2).await.is_some());
    pass(Duration::from_mins(2)).await;
    let taken = lease("b", 3).await.unwrap();
    assert!(!gateway.sessions.release(&leased).await.unwrap());
    assert!(gateway.sessions.release(&taken).await.unwrap());
    assert!(!gateway.sessions.release(&taken).await.unwrap());
    assert!(lease("a", 9).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_new_pair_is_the_next_generation_and_carries_what_it_superseded_until_that_expires() {
    let gateway = Gateway::new();
    let (_, first) = gateway.open("jack").await;
    let leased = gateway.sessions.lease(&first, "a", at(1)).await.unwrap().unwrap();
    let late = Pair { access_expires_at: at(40), ..pair("a2") };
    let second = stored(gateway.sessions.publish(&leased, late, true).await.unwrap());
    assert_eq!((second.generation, second.lease.clone(), second.state), (2, None, SessionState::Active));
    assert_eq!(all(&second.pair), ["access-a2", "refresh-a2", "access-a1"]);
    let third = stored(gateway.sessions.publish(&second, pair("a3"), true).await.unwrap());
    assert_eq!(all(&third.pair), ["access-a3", "refresh-a3", "access-a1", "access-a2"]);
    pass(Duration::from_mins(20)).await;
    let fourth = stored(gateway.sessions.publish(&third, pair("a4"), true).await.unwrap());
    assert_eq!(all(&fourth.pair), ["access-a4", "refresh-a4", "access-a2"]);
    assert_eq!(format!("{:?}", gateway.get(&first.id).await), format!("{fourth:?}"));
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_background_requests_asked_for_is_kept_without_putting_the_idle_timeout_off() {
    let gateway = Gateway::new();
    let (_, first) = gateway.open("jack").await;
    pass(Duration::from_mins(30)).await;
    let second = stored(gateway.sessions.publish(&first, pair("a2"), false).await.unwrap());
    assert_eq!((second.idle_expires_at, second.last_seen_at), (first.idle_expires_at, first.last_seen_at));
    let third = stored(gateway.sessions.publish(&second, pair("a3"), true).await.unwrap());
    assert_eq!(third.idle_expires_at, Some(at(30 + 480)));
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_published_although_somebody_noted_activity_meanwhile() {
    let gateway = Gateway::new();
    let (_, session) = gateway.open("jack").await;
    let leased = gateway.sessions.lease(&session, "a", at(1)).await.unwrap().unwrap();
    pass(Duration::from_hours(3)).await;
    gateway.sessions.extend(&session).await.unwrap();
    assert_eq!(stored(gateway.sessions.publish(&leased, pair("a2"), true).await.unwrap()).generation, 2);
}

#[tokio::test]
async fn of_two_pairs_for_one_generation_one_is_published_and_the_other_is_told() {
    let gateway = Gateway::new();
    let (_, session) = gateway.open("jack").await;
    stored(gateway.sessions.publish(&session, pair("a2"), true).await.unwrap());
    let late = gateway.sessions.publish(&session, pair("b2"), true).await.unwrap();
    assert!(matches!(late, Published::Moved(now) if now.pair.access.expose() == "access-a2"));
    // Once more, because the answer of the store was lost.
    assert_eq!(stored(gateway.sessions.publish(&session, pair("a2"), true).await.unwrap()).generation, 2);
    assert!(!gateway.sessions.needs_login(&session).await.unwrap());
    assert!(gateway.sessions.lease(&session, "a", at(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_that_needs_a_log_in_is_still_found_and_no_longer_refreshed() {
    let gateway = Gateway::new();
    let (handle, session) = gateway.open("jack").await;
    let leased = gateway.sessions.lease(&session, "a", at(1)).await.unwrap().unwrap();
    assert!(gateway.sessions.needs_login(&leased).await.unwrap());
    let Found::Active(found) = gateway.sessions.find(handle.expose()).await.unwrap() else { panic!() };
    assert_eq!((found.state, found.lease.clone()), (SessionState::NeedsLogin, None));
    assert!(gateway.sessions.lease(&found, "b", at(2)).await.unwrap().is_none());
    let counts = gateway.sessions.counts().await.unwrap();
    assert_eq!(counts, Counts { active: 0, needs_login: 1, revocations: 0 });
}

#[tokio::test]
async fn an_ended_session_is_gone_its_pair_queued_and_everybody_told() {
    let gateway = Gateway::new();
    let (handle, session) = gateway.open("jack").await;
    stored(gateway.sessions.publish(&session, pair("a2"), true).await.unwrap());
    assert!(gateway.sessions.end(&session.id, Reason::Logout).await.unwrap());
    assert!(!gateway.sessions.end(&session.id, Reason::Logout).await.unwrap());
    assert!(matches!(gateway.sessions.find(handle.expose()).await.unwrap(), Found::Unknown));
    assert!(matches!(gateway.sessions.publish(&session, pair("a3"), true).await.unwrap(), Published::Gone));
    assert_eq!(*gateway.news.lock(), [Change::Session(session.id.0)]);
    let queued = ["access-a2", "refresh-a2", "access-a1"].map(|token| (token.to_owned(), Reason::Logout));
    assert_eq!(gateway.queue().await, queued);
}

#[tokio::test]
async fn the_newest_sessions_of_a_user_stay() {
    let gateway = Gateway::over(memory(), MasterKeys::ephemeral(), limits(Some(2)));
    let other = new("jack", pair("p1"));
    let other = NewSession { provider: Provider { kind: ProviderKind::Pki, name: "corp".into() }, ..other };
    gateway.sessions.open(other).await.unwrap();
    gateway.open("jill").await;
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(gateway.open("jack").await.0);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut live = Vec::new();
    for handle in &handles {
        live.push(matches!(gateway.sessions.find(handle.expose()).await.unwrap(), Found::Active(_)));
    }
    assert_eq!(live, [false, false, true, true]);
    assert!(gateway.queue().await.iter().all(|(_, cause)| *cause == Reason::ConcurrencyLimit));
    assert_eq!(gateway.sessions.counts().await.unwrap().active, 4);
}

#[tokio::test]
async fn a_limit_of_zero_is_none() {
    let gateway = Gateway::over(memory(), MasterKeys::ephemeral(), limits(Some(0)));
    let (handle, _) = gateway.open("jack").await;
    assert!(matches!(gateway.sessions.find(handle.expose()).await.unwrap(), Found::Active(_)));
}

#[tokio::test]
async fn parallel_log_ins_leave_no_more_sessions_than_allowed() {
    for store in stores().await {
        let gateway = Arc::new(Gateway::over(store.0, MasterKeys::ephemeral(), limits(Some(3))));
        let opened: Vec<_> = (0..12)
            .map(|_| {
                let gateway = Arc::clone(&gateway);
                tokio::spawn(async move { gateway.open("jack").await })
            })
            .collect();
        for one in opened {
            one.await.unwrap();
        }
        let counts = gateway.sessions.counts().await.unwrap();
        assert_eq!(counts, Counts { active: 3, needs_login: 0, revocations: 9 });
    }
}

#[tokio::test]
async fn administration_ends_who_is_meant_and_never_the_gateways_own() {
    let gateway = Gateway::new();
    let own = Provider { kind: ProviderKind::Gateway, name: "oauth2".into() };
    let own = NewSession { provider: own, ..new("gateway", pair("own")) };
    gateway.sessions.open_at(SessionId([1; 32]), own).await.unwrap();
    for username in ["jack", "jack", "jill", "joe"] {
        gateway.open(username).await;
    }
    let query = |kind, name: Option<&str>, username: Option<&str>| Query {
        kind,
        name: name.map(Into::into),
        username: username.map(Into::into),
    };
    let (listed, next) = gateway.sessions.list(&Query::default(), None, 3).await.unwrap();
    let (rest, end) = gateway.sessions.list(&Query::default(), next, 3).await.unwrap();
    assert_eq!((listed.len(), rest.len(), end), (3, 1, None));
    for (query, expected) in [
        (query(Some(ProviderKind::Pki), None, None), 0),
        (query(Some(ProviderKind::Gateway), None, None), 0),
        (query(None, Some("other"), None), 0),
        (query(Some(ProviderKind::Token), Some("corp"), Some("jack")), 2),
        (query(None, None, Some("joe")), 1),
        (query(None, None, None), 1),
    ] {
        assert_eq!(gateway.sessions.end_matching(&query).await.unwrap(), expected, "{query:?}");
    }
    assert!(gateway.sessions.get(&SessionId([1; 32])).await.unwrap().is_some());
    assert_eq!(gateway.news.lock().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_ends_all_whose_time_is_over_however_many() {
    let gateway = Gateway::new();
    for _ in 0..2_001 {
        gateway.open("jack").await;
    }
    pass(Duration::from_hours(1)).await;
    let (_, young) = gateway.open("jack").await;
    pass(Duration::from_hours(7)).await;
    assert_eq!(gateway.sessions.sweep().await.unwrap(), 2_001);
    assert_eq!(gateway.sessions.sweep().await.unwrap(), 0);
    assert_eq!(gateway.get(&young.id).await.id, young.id);
    let queue = gateway.queue().await;
    assert!(queue.len() == 198 && queue.iter().all(|(_, cause)| *cause == Reason::IdleTimeout));
}

#[tokio::test(start_paused = true)]
async fn the_gateways_own_is_made_once_and_never_ends_by_itself() {
    let gateway = Gateway::new();
    let own = |name| NewSession {
        provider: Provider { kind: ProviderKind::Gateway, name: "oauth2".into() },
        ..new("gateway", pair(name))
    };
    let id = SessionId([1; 32]);
    assert!(gateway.sessions.open_at(id, own("a1")).await.unwrap().1);
    let (again, fresh) = gateway.sessions.open_at(id, own("b1")).await.unwrap();
    assert!(!fresh && again.pair.access.expose() == "access-a1");
    pass(Duration::from_hours(10_000)).await;
    assert_eq!(gateway.sessions.sweep().await.unwrap(), 0);
    assert!(again.over(at(1_000_000)).is_none());
    let next = stored(gateway.sessions.publish(&again, pair("a2"), true).await.unwrap());
    assert_eq!((next.idle_expires_at, next.generation), (None, 2));
    assert_eq!(gateway.sessions.counts().await.unwrap(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn sessions_outlive_the_rotation_of_the_master_key_and_end_with_its_removal() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let [one, two] = [1, 2].map(|byte| STANDARD.encode([byte; 32]));
    std::fs::write(&file, &one).unwrap();
    let keys = MasterKeys::read(&file).unwrap();
    let ring = |text: String| {
        std::fs::write(&file, text).unwrap();
        keys.reload().unwrap();
    };
    let gateway = Gateway::over(memory(), keys.clone(), limits(Some(3)));
    let mut opened = Vec::new();
    for _ in 0..3 {
        opened.push(gateway.open("jack").await);
        pass(Duration::from_millis(1)).await;
    }
    let is_active = async |place: usize| {
        let found = gateway.sessions.find(opened[place].0.expose()).await.unwrap();
        matches!(found, Found::Active(_))
    };
    ring(format!("{two}\n{one}"));
    assert!(is_active(0).await && is_active(1).await && is_active(2).await);
    // Each write seals with the newest key; the limit counts also what older ones sealed.
    stored(gateway.sessions.publish(&opened[2].1, pair("a2"), true).await.unwrap());
    gateway.open("jack").await;
    assert!(!is_active(0).await && is_active(1).await);
    ring(two);
    assert!(!is_active(1).await && is_active(2).await);
    assert!(gateway.sessions.open_at(opened[1].1.id, new("jack", pair("a9"))).await.is_err());
    pass(Duration::from_hours(9)).await;
    assert_eq!(gateway.sessions.sweep().await.unwrap(), 3);
    assert_eq!(gateway.sessions.counts().await.unwrap(), Counts { revocations: 4, ..Counts::default() });
}

/// Another replica, as it hears of changes.
#[derive(Default)]
struct Replica {
    heard: Mutex<Vec<Change>>,
    first: Notify,
}

impl Follower for Replica {
    fn change(&self, change: &Change) {
        self.heard.lock().push(change.clone());
    }

    fn change_all(&self) {}

    fn hear(&self, _: Timestamp) {
        self.first.notify_one();
    }

    fn lose(&self) {}
}

#[tokio::test]
async fn other_replicas_hear_at_once_of_the_end_and_of_nothing_else() {
    let Some(url) = crate::store::tests::database().await else { return };
    let here = AnyStore::Postgres(Arc::new(Postgres::open(&url).await.unwrap()));
    let there = Postgres::open(&url).await.unwrap();
    let replica = Arc::new(Replica::default());
    let follower = Arc::clone(&replica);
    let following = tokio::spawn(async move { there.follow(&*follower, &Clock::system()).await });
    replica.first.notified().await;
    let gateway = Gateway::over(here, MasterKeys::ephemeral(), limits(None));
    let (_, session) = gateway.open("jack").await;
    let leased = gateway.sessions.lease(&session, "a", at(1)).await.unwrap().unwrap();
    stored(gateway.sessions.publish(&leased, pair("a2"), true).await.unwrap());
    gateway.sessions.end(&session.id, Reason::Logout).await.unwrap();
    let heard = async {
        while replica.heard.lock().is_empty() {
            replica.first.notified().await;
        }
    };
    tokio::time::timeout(Duration::from_millis(900), heard).await.unwrap();
    assert_eq!(*replica.heard.lock(), [Change::Session(session.id.0)]);
    following.abort();
}

/// A store of each kind that there is here, and what must live as long.
async fn stores() -> Vec<(AnyStore, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = AnyStore::Sqlite(Arc::new(Sqlite::open(&folder.path().join("searchgate.db")).unwrap()));
    let mut stores = vec![(memory(), None), (sqlite, Some(folder))];
    if let Some(url) = crate::store::tests::database().await {
        stores.push((AnyStore::Postgres(Arc::new(Postgres::open(&url).await.unwrap())), None));
    }
    stores
}

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
