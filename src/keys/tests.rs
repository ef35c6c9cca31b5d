use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::{
    model::{Identity, RealmRef},
    store::memory::Memory,
};

type News = Arc<Mutex<Vec<Change>>>;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn config() -> config::ApiKeys {
    config::ApiKeys {
        retention: Duration::from_hours(7 * 24),
        cleanup_interval: Duration::from_hours(1),
        max_lifetime: None,
        default_lifetime: None,
        max_per_owner: 10_000,
        cache_entries: 100,
    }
}

fn keys(config: config::ApiKeys) -> (Keys, News) {
    let news = News::default();
    let heard = Arc::clone(&news);
    let announce: Announce = Arc::new(move |change| heard.lock().push(change.clone()));
    (Keys::new(AnyStore::Memory(Arc::new(Memory::default())), Clock::anchored(START), config, announce), news)
}

fn new_key(owner: &str, life: Option<Duration>) -> NewKey {
    NewKey {
        access: None,
        name: "ingest".into(),
        life,
        role_descriptors: Map::new(),
        limited_by: Map::new(),
        metadata: Map::new(),
        creator: Creator {
            identity: Identity { username: owner.into(), ..Identity::default() },
            realm: RealmRef { name: "default_native".into(), kind: "native".into() },
        },
    }
}

fn record(invalidation: Option<Timestamp>, expiration: Option<Timestamp>) -> ApiKeyRecord {
    let NewKey { name, role_descriptors, limited_by, metadata, creator, .. } = new_key("jack", None);
    ApiKeyRecord {
        id: new_id(START),
        name,
        secret: SaltedDigest::of("right"),
        creation: START,
        expiration,
        invalidation,
        creator,
        role_descriptors: role_descriptors.into(),
        limited_by: limited_by.into(),
        metadata,
        access: None,
        last_used: None,
    }
}

#[tokio::test]
async fn a_created_key_is_accepted_with_its_secret_alone() {
    let (keys, _) = keys(config());
    let created = keys.create(new_key("jack", None)).await.unwrap();
    assert_eq!((created.id.0.len(), created.secret.expose().len()), (20, 22));
    let verdict = keys.verify(&created.id, created.secret.expose()).await.unwrap();
    assert!(matches!(verdict, KeyVerdict::Accept(key) if key.id == created.id && key.creation == START));
    assert!(matches!(keys.verify(&created.id, "").await.unwrap(), KeyVerdict::WrongSecret));
    let other = KeyId("another".into());
    assert!(matches!(keys.verify(&other, created.secret.expose()).await.unwrap(), KeyVerdict::Unknown));
}

#[tokio::test]
async fn an_invalidated_key_is_refused_and_announced_once() {
    let (keys, news) = keys(config());
    let created = keys.create(new_key("jack", None)).await.unwrap();
    keys.create(new_key("jill", None)).await.unwrap();
    let filter = KeyFilter::id(created.id.clone());
    assert_eq!(keys.invalidate(&filter).await.unwrap().invalidated, std::slice::from_ref(&created.id));
    assert!(keys.invalidate(&filter).await.unwrap().invalidated.is_empty());
    assert_eq!(*news.lock(), [Change::Key(created.id.clone())]);
    assert!(matches!(keys.verify(&created.id, "wrong").await.unwrap(), KeyVerdict::Invalidated));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_keep_a_revocation_from_the_caches() {
    let (keys, news) = keys(config());
    let created = keys.create(new_key("jack", None)).await.unwrap();
    let filter = KeyFilter::id(created.id);
    let mut abandoned = Box::pin(keys.invalidate(&filter));
    assert!(
        std::future::poll_fn(|context| std::task::Poll::Ready(abandoned.as_mut().poll(context))).await.is_pending()
    );
    drop(abandoned);
    while news.lock().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_life_beyond_the_maximum_is_refused() {
    let max = Duration::from_hours(1);
    let (keys, _) = keys(config::ApiKeys { max_lifetime: Some(max), ..config() });
    let refused = keys.create(new_key("jack", Some(max + Duration::from_secs(1)))).await;
    assert!(matches!(refused, Err(KeysError::LifeTooLong { max: told }) if told == max));
    let created = keys.create(new_key("jack", None)).await.unwrap();
    assert_eq!(created.expiration, Some(START.plus(max)));
}

#[tokio::test(start_paused = true)]
async fn an_owner_has_a_bounded_number_of_live_keys() {
    let (keys, _) = keys(config::ApiKeys { max_per_owner: 1, ..config() });
    keys.create(new_key("jack", Some(Duration::from_secs(10)))).await.unwrap();
    assert!(matches!(keys.create(new_key("jack", None)).await, Err(KeysError::TooMany { max: 1 })));
    keys.create(new_key("jill", None)).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    keys.create(new_key("jack", None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_key_is_listed_until_its_retention_is_over() {
    let (keys, _) = keys(config());
    keys.create(new_key("jack", Some(Duration::ZERO))).await.unwrap();
    keys.create(new_key("jack", None)).await.unwrap();
    tokio::time::advance(config().retention).await;
    assert_eq!(keys.remove_expired().await.unwrap(), 0);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(keys.remove_expired().await.unwrap(), 1);
    assert_eq!(keys.find(&KeyFilter::default(), &Page::first(9)).await.unwrap().len(), 1);
}

#[test]
fn a_created_key_does_not_print_its_secret() {
    let created = CreatedKey { id: KeyId("id".into()), expiration: None, secret: SecretText::new("hunter2".into()) };
    assert!(!format!("{created:?} {:?}", record(None, None)).contains("hunter2"));
}

proptest! {
    #[test]
    fn ids_sort_as_their_keys_were_made(early in 0_u64..1 << 42, late in 0_u64..1 << 42) {
        let (early, late) = (early.min(late), early.max(late));
        prop_assume!(early < late);
        let (early, late) = (new_id(Timestamp::from_millis(early)), new_id(Timestamp::from_millis(late)));
        prop_assert!(early < late);
        prop_assert_eq!(late.0.len(), 20);
        prop_assert!(late.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }

    #[test]
    fn no_key_outlives_the_maximum(asked: Option<Duration>, default_lifetime: Option<Duration>, max: Duration) {
        let config = config::ApiKeys { max_lifetime: Some(max), default_lifetime, ..config() };
        match life(asked, &config) {
            Ok(life) => prop_assert!(life.is_some_and(|life| life <= max)),
            Err(_) => prop_assert!(asked.or(default_lifetime).is_some_and(|life| life > max)),
        }
    }

    #[test]
    fn the_flag_is_judged_before_the_secret_and_the_secret_before_time(
        invalidated: bool,
        right: bool,
        expiration in proptest::option::of(0_u64..200),
        now in 0_u64..200,
    ) {
        let key = record(invalidated.then_some(START), expiration.map(Timestamp::from_millis));
        let verdict = judge(key, if right { "right" } else { "wrong" }, Timestamp::from_millis(now));
        let expired = expiration.is_some_and(|expiration| now >= expiration);
        let ordered = match verdict {
            KeyVerdict::Invalidated => invalidated,
            KeyVerdict::WrongSecret => !invalidated && !right,
            KeyVerdict::Expired => !invalidated && right && expired,
            KeyVerdict::Accept(_) => !invalidated && right && !expired,
            KeyVerdict::CrossCluster | KeyVerdict::Unknown => false,
        };
        prop_assert!(ordered);
    }
}
