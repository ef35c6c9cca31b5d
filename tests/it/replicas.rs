//! Several replicas on one PostgreSQL: what one revokes the others hear of, and one that hears nothing trusts nothing.

use std::{env, sync::Arc, time::Duration};

use searchgate::{
    clock::Clock,
    identify::cache::{Cache, Digest, Digester, Revocations, Subject},
    model::{Identity, KeyId, RealmRef, Timestamp},
    secret::SecretText,
    store::{
        ApiKeyRecord, Creator, Descriptors, DocumentKind, Follower as _, KeyFilter, SaltedDigest, Store as _,
        postgres::Postgres,
    },
};
use serde_json::{Map, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::support::postgres::Database;

/// The store behind a relay that can be cut: then nothing goes through any more, and nobody is told.
async fn relayed(database: &Database) -> (Replica, watch::Sender<bool>) {
    let (cut, state) = watch::channel(false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (user, target) = database.server.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let url = format!("postgres://{user}@{address}/{}", database.name);
    tokio::spawn(relay(listener, target.to_owned(), state));
    (Replica::start(&url).await, cut)
}

async fn relay(listener: TcpListener, target: String, state: watch::Receiver<bool>) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let (mut state, target) = (state.clone(), target.clone());
        tokio::spawn(async move {
            state.wait_for(|cut| !cut).await.map(drop).unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            let mut cut = state.clone();
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = async { cut.wait_for(|cut| *cut).await.map(drop).unwrap() } => {
                    state.wait_for(|cut| !cut).await.map(drop).unwrap();
                }
            }
        });
    }
}

/// What of a gateway hears and remembers.
struct Replica {
    store: Arc<Postgres>,
    revocations: Arc<Revocations>,
    cache: Cache<()>,
    clock: Clock,
}

impl Replica {
    async fn start(url: &str) -> Self {
        let store = Arc::new(Postgres::open(&SecretText::new(url.to_owned())).await.unwrap());
        let (revocations, clock) = (Arc::new(Revocations::default()), Clock::system());
        revocations.lose();
        tokio::spawn({
            let (store, revocations, clock) = (Arc::clone(&store), Arc::clone(&revocations), clock.clone());
            async move { store.follow(&*revocations, &clock).await }
        });
        let replica = Self { store, revocations, cache: Cache::new(1_000), clock };
        until(|| replica.is_current()).await;
        replica
    }

    fn is_current(&self) -> bool {
        self.revocations.are_current(self.clock.now())
    }

    fn remember(&self, digest: Digest, subject: Subject<'_>) {
        let stamps = self.revocations.stamp(self.revocations.begin(), &[subject]).unwrap();
        self.cache.insert(digest, (), Timestamp::from_millis(u64::MAX), stamps);
    }

    fn remembers(&self, digest: Digest) -> bool {
        self.cache.get(&digest, &self.revocations, self.clock.now()).is_some()
    }

    async fn make_key(&self, number: usize) -> KeyId {
        let id = KeyId(number.to_string().into());
        let key = ApiKeyRecord {
            id: id.clone(),
            name: "n".into(),
            secret: SaltedDigest::of("secret"),
            creation: self.clock.now(),
            expiration: None,
            invalidation: None,
            creator: Creator {
                identity: Identity { username: "jack".into(), ..Identity::default() },
                realm: RealmRef { name: "corp".into(), kind: "native".into() },
            },
            role_descriptors: Descriptors::default(),
            limited_by: Descriptors::default(),
            metadata: Map::new(),
            access: None,
            last_used: None,
        };
        assert!(self.store.insert_key(key, u64::MAX).await.unwrap());
        id
    }

    async fn invalidate(&self, id: &KeyId) {
        self.store.invalidate_keys(&KeyFilter::id(id.clone()), self.clock.now()).await.unwrap();
    }
}

async fn until(mut is: impl FnMut() -> bool) {
    let poll = async {
        while !is() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), poll).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_on_one_replica_is_felt_by_another_within_a_second() {
    let Some(database) = Database::make().await else { return };
    let (one, other) = (Replica::start(&database.url()).await, Replica::start(&database.url()).await);
    let digester = Digester::default();
    let count = if env::var_os("SEARCHGATE_TEST_FULL").is_some() { 1_000 } else { 100 };
    let mut delays = Vec::new();
    for number in 0..count {
        let id = one.make_key(number).await;
        let digest = digester.digest(id.0.as_bytes(), None);
        until(|| {
            other.remember(digest, Subject::Key(&id));
            other.remembers(digest)
        })
        .await;
        one.invalidate(&id).await;
        let revoked = Instant::now();
        until(|| !other.remembers(digest)).await;
        assert!(other.is_current(), "felt only because nothing was heard");
        delays.push(revoked.elapsed());
    }
    delays.sort_unstable();
    let [p50, p99, slowest] = [50, 99, 100].map(|percent| delays[(count * percent / 100).min(count) - 1]);
    eprintln!("{count} revocations: p50 {p50:?}, p99 {p99:?}, slowest {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_at_once_by_many_are_all_heard() {
    let Some(database) = Database::make().await else { return };
    let (one, other) = (Arc::new(Replica::start(&database.url()).await), Replica::start(&database.url()).await);
    let digester = Digester::default();
    let mut keys = Vec::new();
    for number in 0..64 {
        let id = one.make_key(number).await;
        let digest = digester.digest(id.0.as_bytes(), None);
        other.remember(digest, Subject::Key(&id));
        keys.push((id, digest));
    }
    let writes: Vec<_> = keys
        .iter()
        .map(|(id, _)| {
            let (one, id) = (Arc::clone(&one), id.clone());
            tokio::spawn(async move { one.invalidate(&id).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    until(|| other.is_current() && keys.iter().all(|(_, digest)| !other.remembers(*digest))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hears_nothing_uses_nothing_it_remembers_until_it_has_caught_up() {
    let Some(database) = Database::make().await else { return };
    let one = Replica::start(&database.url()).await;
    let (other, cut) = relayed(&database).await;
    let (revoked, kept) = (one.make_key(1).await, one.make_key(2).await);
    let digester = Digester::default();
    let [gone, stays] = [&revoked, &kept].map(|id| digester.digest(id.0.as_bytes(), None));
    other.remember(gone, Subject::Key(&revoked));
    other.remember(stays, Subject::Key(&kept));
    assert!(other.remembers(gone) && other.remembers(stays));

    cut.send(true).unwrap();
    let since = Instant::now();
    one.invalidate(&revoked).await;
    until(|| !other.remembers(stays)).await;
    assert!(since.elapsed() < Duration::from_secs(2));
    assert!(!other.remembers(gone) && !other.is_current());
    let asked = Instant::now();
    other.store.key(&kept).await.unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(6));

    cut.send(false).unwrap();
    until(|| other.is_current()).await;
    assert!(!other.remembers(gone));
    assert!(other.remembers(stays), "what was not revoked is as good as before");
    until_ok(&other, &kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_missed_too_much_forgets_everything() {
    let Some(database) = Database::make().await else { return };
    let (other, cut) = relayed(&database).await;
    let digest = Digester::default().digest(b"x", None);
    other.remember(digest, Subject::Documents(DocumentKind::Role));
    cut.send(true).unwrap();
    until(|| !other.is_current()).await;
    // As after the trimming of what it has not read.
    database.run("UPDATE feed SET head = head + 2").await;
    cut.send(false).unwrap();
    until(|| other.is_current()).await;
    assert!(!other.remembers(digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_ends_are_made_again() {
    let Some(database) = Database::make().await else { return };
    let replica = Replica::start(&database.url()).await;
    let id = replica.make_key(1).await;
    database
        .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await;
    until_ok(&replica, &id).await;
    replica.store.insert_document(DocumentKind::Role, "r", json!({})).await.unwrap();
    until(|| replica.is_current()).await;
}

/// Until the store answers again.
async fn until_ok(replica: &Replica, id: &KeyId) {
    let poll = async { while replica.store.key(id).await.is_err() {} };
    timeout(Duration::from_secs(20), poll).await.unwrap();
}
