//! The queue of pairs to be revoked.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pair_is_due_at_once_and_again_later_each_time_it_fails() {
    let gateway = Gateway::new();
    gateway.sessions.revoke(&pair("a1"), Reason::Unexpected).await.unwrap();
    gateway.sessions.queued().await;
    for (attempts, wait) in (0..).zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
        let due = gateway.sessions.due("me", 9).await.unwrap();
        assert_eq!((due.len(), due[0].attempts, due[0].cause), (1, attempts, Reason::Unexpected));
        assert_eq!(all(&due[0].pair), ["access-a1", "refresh-a1"]);
        gateway.sessions.settle(&due[0], false).await.unwrap();
        pass(Duration::from_millis(wait * 1_000 - 1)).await;
        assert!(gateway.sessions.due("me", 9).await.unwrap().is_empty(), "{wait}");
        pass(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_worker_claimed_is_due_again_and_what_was_done_is_not() {
    let gateway = Gateway::new();
    for name in ["a", "b"] {
        gateway.sessions.revoke(&pair(name), Reason::Logout).await.unwrap();
    }
    let dead = gateway.sessions.due("dead", 1).await.unwrap();
    let live = gateway.sessions.due("live", 9).await.unwrap();
    assert_eq!((all(&dead[0].pair)[0].as_str(), all(&live[0].pair)[0].as_str()), ("access-a", "access-b"));
    gateway.sessions.settle(&live[0], true).await.unwrap();
    assert!(gateway.sessions.due("live", 9).await.unwrap().is_empty());
    pass(Duration::from_mins(1)).await;
    let taken = gateway.sessions.due("live", 9).await.unwrap();
    assert_eq!(all(&taken[0].pair), all(&dead[0].pair));
    // The dead one comes back: only that it is done counts.
    gateway.sessions.settle(&dead[0], false).await.unwrap();
    assert!(gateway.sessions.due("dead", 9).await.unwrap().is_empty());
    gateway.sessions.settle(&dead[0], true).await.unwrap();
    assert_eq!(gateway.sessions.counts().await.unwrap().revocations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_this_replica_cannot_open_waits_for_one_that_can_until_it_ended_by_itself() {
    let store = memory();
    let keys = MasterKeys::ephemeral();
    let knows = Gateway::over(store.clone(), keys, limits(None));
    let does_not = Gateway::over(store, MasterKeys::ephemeral(), limits(None));
    let (_, session) = knows.open("jack").await;
    assert!(does_not.sessions.get(&session.id).await.unwrap().is_none());
    assert!(does_not.sessions.end(&session.id, Reason::Unexpected).await.unwrap());
    assert!(does_not.sessions.due("b", 9).await.unwrap().is_empty());
    pass(Duration::from_secs(1)).await;
    assert_eq!(knows.queue().await.len(), 2);
    pass(Duration::from_hours(25)).await;
    assert!(does_not.sessions.due("b", 9).await.unwrap().is_empty());
    assert_eq!(knows.sessions.counts().await.unwrap().revocations, 0);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    let keys = MasterKeys::ephemeral();
    let open = || {
        let store = AnyStore::Sqlite(Arc::new(Sqlite::open(&path).unwrap()));
        Gateway::over(store, keys.clone(), limits(None))
    };
    let gateway = open();
    let (kept, session) = gateway.open("jack").await;
    stored(gateway.sessions.publish(&session, pair("a2"), true).await.unwrap());
    let (_, ended) = gateway.open("jack").await;
    gateway.sessions.end(&ended.id, Reason::Logout).await.unwrap();
    drop(gateway);
    let mut gateway = open();
    gateway.sessions.clock = Clock::anchored(at(1));
    let Found::Active(found) = gateway.sessions.find(kept.expose()).await.unwrap() else { panic!() };
    assert_eq!(found.pair.access.expose(), "access-a2");
    assert_eq!(gateway.queue().await[0].0, "access-a1");
}
