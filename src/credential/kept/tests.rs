use std::collections::VecDeque;

use serde_json::json;

use super::*;
use crate::{
    config::{self, Config},
    sealing::MasterKeys,
    store::{AnyStore, memory::Memory},
};

/// An issuer that takes each refresh token once, and takes its time.
#[derive(Clone, Debug)]
struct Issuer(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    first: String,
    good: String,
    calls: u64,
    failures: VecDeque<Failure>,
    life: Option<u64>,
}

impl Issuer {
    fn new(first: &str) -> Self {
        let book = Book { first: first.into(), good: first.into(), life: Some(100), ..Book::default() };
        Self(Arc::new(Mutex::new(book)))
    }

    fn calls(&self) -> u64 {
        self.0.lock().calls
    }
}

impl Grant for Issuer {
    async fn ask(&self, refresh: Option<&SecretText>) -> Result<Tokens, Failure> {
        sleep(Duration::from_secs(1)).await;
        let mut book = self.0.lock();
        book.calls += 1;
        if let Some(failure) = book.failures.pop_front() {
            return Err(failure);
        }
        if refresh.map(SecretText::expose) != Some(&book.good) {
            return Err(Failure::Refused("400 invalid_grant".into()));
        }
        book.good = format!("r{}", book.calls);
        let answer =
            json!({"access_token": format!("a{}", book.calls), "refresh_token": book.good, "expires_in": book.life});
        Ok(Tokens::read(answer.to_string().as_bytes()).unwrap())
    }

    fn url(&self) -> String {
        "http://issuer/token".into()
    }
}

impl Rotating for Issuer {
    fn first(&self) -> Result<SecretText, Failure> {
        Ok(SecretText::new(self.0.lock().first.clone()))
    }

    fn identity(&self) -> String {
        "issuer".into()
    }
}

/// A store that replicas share.
struct Shared {
    store: AnyStore,
    keys: MasterKeys,
    clock: Clock,
}

impl Shared {
    fn new() -> Self {
        let clock = Clock::anchored(Timestamp::from_millis(1_700_000_000_000));
        Self { store: AnyStore::Memory(Arc::new(Memory::default())), keys: MasterKeys::ephemeral(), clock }
    }

    fn replica(&self, issuer: &Issuer) -> Kept<Issuer> {
        let config = Config::default();
        let (store, keys, clock) = (self.store.clone(), self.keys.clone(), self.clock.clone());
        let sessions = Sessions::new(
            store,
            keys,
            clock.clone(),
            config::Sessions::default(),
            Duration::from_mins(1),
            Arc::new(|_| ()),
            Arc::new(|_, _| ()),
        );
        Kept::new(issuer.clone(), Arc::new(sessions), clock, &config.reauthentication)
    }
}

async fn access(kept: &Kept<Issuer>) -> Result<String, Failure> {
    kept.ask(None).await.map(|tokens| tokens.access.expose().to_owned())
}

#[tokio::test(start_paused = true)]
async fn each_refresh_goes_on_from_the_last_and_a_restart_from_what_is_stored() {
    let (shared, issuer) = (Shared::new(), Issuer::new("r0"));
    let kept = shared.replica(&issuer);
    assert_eq!([access(&kept).await, access(&kept).await], [Ok("a1".into()), Ok("a2".into())]);
    let restarted = shared.replica(&issuer);
    assert_eq!(access(&restarted).await.unwrap(), "a2", "still good: nobody is asked");
    assert_eq!(access(&restarted).await.unwrap(), "a3");
    sleep(Duration::from_secs(101)).await;
    assert_eq!(access(&shared.replica(&issuer)).await.unwrap(), "a4", "what expired is not taken");
    assert_eq!(issuer.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_begin_together_ask_once() {
    let (shared, issuer) = (Shared::new(), Issuer::new("r0"));
    let (one, two, three) = (shared.replica(&issuer), shared.replica(&issuer), shared.replica(&issuer));
    for turn in 1..=3 {
        let all = tokio::join!(access(&one), access(&two), access(&three));
        let expected = || Ok(format!("a{turn}"));
        assert_eq!(all, (expected(), expected(), expected()));
        assert_eq!(issuer.calls(), turn);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_with_the_lease_holds_nobody_up_for_longer_than_it() {
    let (shared, issuer) = (Shared::new(), Issuer::new("r0"));
    let dying = shared.replica(&issuer);
    assert!(tokio::time::timeout(Duration::from_millis(500), access(&dying)).await.is_err());
    let begun = Instant::now();
    assert_eq!(access(&shared.replica(&issuer)).await.unwrap(), "a1");
    assert!(begun.elapsed() < Duration::from_secs(17), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_failure_gives_the_lease_back_and_ends_nothing() {
    let (shared, issuer) = (Shared::new(), Issuer::new("r0"));
    let kept = shared.replica(&issuer);
    for failure in [Failure::Transient("503".into()), Failure::Refused("401 invalid_client".into())] {
        issuer.0.lock().failures.push_back(failure.clone());
        assert_eq!(access(&kept).await, Err(failure));
    }
    let begun = Instant::now();
    assert_eq!(access(&shared.replica(&issuer)).await.unwrap(), "a3");
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_of_the_operators_begins_anew() {
    let (shared, issuer) = (Shared::new(), Issuer::new("r0"));
    let kept = shared.replica(&issuer);
    access(&kept).await.unwrap();
    issuer.0.lock().good = "revoked everything".into();
    assert!(matches!(access(&kept).await, Err(Failure::Refused(_))));
    (issuer.0.lock().first, issuer.0.lock().good) = ("new".into(), "new".into());
    assert_eq!(access(&shared.replica(&issuer)).await.unwrap(), "a3");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_expiry_stays_unknown_in_the_store() {
    let (shared, issuer) = (Shared::new(), Issuer::new("r0"));
    issuer.0.lock().life = None;
    access(&shared.replica(&issuer)).await.unwrap();
    let tokens = shared.replica(&issuer).ask(None).await.unwrap();
    assert_eq!((tokens.access.expose(), tokens.expires_in), ("a1", None));
}
