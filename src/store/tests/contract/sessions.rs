//! Sessions, and the queue of pairs to be revoked.

use super::super::*;

fn end(filter: SessionFilter, spare: u32, limit: u32) -> SessionEnd {
    SessionEnd { filter, spare, limit, cause: "logout".into(), at: at(50) }
}

async fn end_one(store: &AnyStore, number: u8) -> Vec<SessionRecord> {
    store.end_sessions(&end(SessionFilter::id([number; 32]), 0, 9)).await.unwrap()
}

async fn claim(store: &AnyStore, owner: &str, time: u64, until: u64, limit: u32) -> Vec<RevocationRecord> {
    let claim = RevocationClaim { owner: owner.into(), at: at(time), until: at(until), limit };
    store.claim_revocations(&claim).await.unwrap()
}

fn numbers(found: &[SessionRecord]) -> Vec<u8> {
    found.iter().map(|session| session.id[0]).collect()
}

fn pair(number: u8) -> SealedPair {
    SealedPair { session: [number; 32], generation: 1, content: [number, 1].into() }
}

pub(crate) async fn a_session_is_found_as_it_was_inserted_once(store: &AnyStore) {
    let lease = Some(Lease { owner: "me".into(), until: at(9) });
    let odd = SessionRecord { lease, state: SessionState::NeedsLogin, ..session(1, 10) };
    let bare = SessionRecord { idle_expires_at: None, lifespan_expires_at: None, ..session(2, 10) };
    for record in [odd, bare] {
        assert!(store.insert_session(record.clone()).await.unwrap());
        assert!(!store.insert_session(next(&record)).await.unwrap());
        assert!(store.session(&record.id).await.unwrap().unwrap() == record);
    }
    assert!(store.session(&[3; 32]).await.unwrap().is_none());
}

pub(crate) async fn only_the_next_version_replaces_a_session(store: &AnyStore) {
    let first = session(1, 10);
    assert!(!store.replace_session(next(&first)).await.unwrap());
    assert!(store.session(&first.id).await.unwrap().is_none());
    store.insert_session(first.clone()).await.unwrap();
    let second = SessionRecord { username_hash: [9; 32], last_seen_at: at(30), ..next(&first) };
    assert!(!store.replace_session(next(&second)).await.unwrap());
    assert!(!store.replace_session(first.clone()).await.unwrap());
    assert!(store.replace_session(second.clone()).await.unwrap());
    assert!(!store.replace_session(next(&first)).await.unwrap());
    assert!(store.session(&first.id).await.unwrap().unwrap() == second);
}

pub(crate) async fn of_many_next_versions_one_is_written(store: &AnyStore) {
    store.insert_session(session(1, 10)).await.unwrap();
    let tries: Vec<_> = (0..16_u8)
        .map(|number| {
            let store = store.clone();
            let next = SessionRecord { content: [number].into(), ..next(&session(1, 10)) };
            tokio::spawn(async move { store.replace_session(next).await.unwrap().then_some(number) })
        })
        .collect();
    let mut written = Vec::new();
    for one in tries {
        written.extend(one.await.unwrap());
    }
    assert_eq!(*store.session(&[1; 32]).await.unwrap().unwrap().content, *written);
    assert_eq!(written.len(), 1);
}

pub(crate) async fn sessions_are_found_and_counted_by_each_field_of_the_filter(store: &AnyStore) {
    let sessions = [
        session(1, 10),
        SessionRecord { provider_type: "pki".into(), ..session(2, 11) },
        SessionRecord { provider_name: "other".into(), ..session(3, 12) },
        SessionRecord { username_hash: [201; 32], ..session(4, 13) },
        SessionRecord { state: SessionState::NeedsLogin, ..session(5, 14) },
        SessionRecord { idle_expires_at: None, lifespan_expires_at: None, ..session(6, 15) },
    ];
    for session in sessions {
        store.insert_session(session).await.unwrap();
    }
    let any = SessionFilter::default;
    let kinds = |kinds: &[&str]| Some(kinds.iter().map(|kind| Box::from(*kind)).collect());
    for (filter, expected) in [
        (any(), &[1, 2, 3, 4, 5, 6][..]),
        (SessionFilter::id([4; 32]), &[4]),
        (SessionFilter { provider_types: kinds(&["pki"]), ..any() }, &[2]),
        (
            SessionFilter { provider_types: kinds(&["pki", "token"]), provider_name: Some("other".into()), ..any() },
            &[3],
        ),
        (SessionFilter { provider_types: kinds(&[]), ..any() }, &[]),
        (SessionFilter { username_hashes: Some(vec![[9; 32], [201; 32]]), ..any() }, &[4]),
        (SessionFilter { username_hashes: Some(vec![]), ..any() }, &[]),
        (SessionFilter { state: Some(SessionState::NeedsLogin), ..any() }, &[5]),
        (SessionFilter { idle_over: Some(at(21)), ..any() }, &[1, 2]),
        (SessionFilter { lifespan_over: Some(at(32)), ..any() }, &[1, 2, 3]),
    ] {
        let found = store.sessions(&filter, None, 99).await.unwrap();
        assert_eq!(numbers(&found), expected, "{filter:?}");
        assert_eq!(store.count_sessions(&filter).await.unwrap(), expected.len() as u64, "{filter:?}");
    }
}

pub(crate) async fn sessions_are_paged_by_id(store: &AnyStore) {
    for number in [3, 1, 2] {
        store.insert_session(session(number, 10)).await.unwrap();
    }
    let page = async |after: Option<&[u8; 32]>, limit| {
        numbers(&store.sessions(&SessionFilter::default(), after, limit).await.unwrap())
    };
    assert_eq!(page(None, 2).await, [1, 2]);
    assert_eq!(page(Some(&[2; 32]), 2).await, [3]);
    assert!(page(Some(&[1; 32]), 0).await.is_empty());
}

pub(crate) async fn an_ended_session_leaves_its_pair_in_the_queue(store: &AnyStore) {
    store.insert_session(session(1, 10)).await.unwrap();
    let second = next(&session(1, 10));
    store.replace_session(second.clone()).await.unwrap();
    assert!(end_one(store, 1).await == [second.clone()]);
    assert!(store.session(&[1; 32]).await.unwrap().is_none());
    assert!(end_one(store, 1).await.is_empty());
    assert_eq!(store.count_revocations().await.unwrap(), 1);
    let queued = claim(store, "me", 50, 60, 9).await;
    assert!(queued[0].pair == second.pair());
    assert_eq!((&*queued[0].cause, queued[0].created_at, queued[0].attempts), ("logout", at(50), 0));
}

pub(crate) async fn the_newest_sessions_are_spared_and_the_next_ones_end(store: &AnyStore) {
    for (number, created) in [(1, 12), (2, 10), (3, 13), (4, 11), (5, 11)] {
        store.insert_session(session(number, created)).await.unwrap();
    }
    let ended = store.end_sessions(&end(SessionFilter::default(), 2, 2)).await.unwrap();
    assert_eq!(numbers(&ended), [5, 4]);
    let left = store.sessions(&SessionFilter::default(), None, 9).await.unwrap();
    assert_eq!(numbers(&left), [1, 2, 3]);
    assert_eq!(numbers(&store.end_sessions(&end(SessionFilter::default(), 2, 2)).await.unwrap()), [2]);
}

pub(crate) async fn whoever_writes_a_pair_while_its_session_ends_finds_it_queued_or_is_told(store: &AnyStore) {
    for number in 0..32 {
        store.insert_session(session(number, 10)).await.unwrap();
    }
    let all = (0..32).map(|number| {
        let (one, other) = (store.clone(), store.clone());
        tokio::spawn(async move {
            let write = tokio::spawn(async move { one.replace_session(next(&session(number, 10))).await.unwrap() });
            let ended = end_one(&other, number).await;
            (number, write.await.unwrap(), ended)
        })
    });
    for one in all.collect::<Vec<_>>() {
        let (number, written, ended) = one.await.unwrap();
        assert_eq!(ended[0].generation, if written { 2 } else { 1 }, "{number}");
        assert!(store.session(&[number; 32]).await.unwrap().is_none());
    }
    let queued = claim(store, "me", 50, 60, 99).await;
    assert!(queued.iter().all(|queued| u64::from(queued.pair.content[1]) == queued.pair.generation));
    assert_eq!(queued.len(), 32);
}

pub(crate) async fn a_pair_is_claimed_once_until_its_claim_runs_out(store: &AnyStore) {
    for number in [1, 2, 3] {
        store.insert_revocation(pair(number), "logout", at(u64::from(number))).await.unwrap();
    }
    let claimed = async |owner, time, limit| {
        let claimed = claim(store, owner, time, time + 10, limit).await;
        claimed.iter().map(|queued| queued.pair.session[0]).collect::<Vec<_>>()
    };
    assert_eq!(claimed("a", 2, 1).await, [1]);
    assert_eq!(claimed("b", 2, 9).await, [2]);
    assert_eq!(claimed("b", 11, 9).await, [3]);
    assert_eq!(claimed("b", 12, 9).await, [1, 2]);
    assert_eq!(store.count_revocations().await.unwrap(), 3);
}

pub(crate) async fn claims_at_once_share_what_is_due(store: &AnyStore) {
    for number in 0..40 {
        store.insert_revocation(pair(number), "logout", at(1)).await.unwrap();
    }
    let claims: Vec<_> = (0..8)
        .map(|owner| {
            let store = store.clone();
            tokio::spawn(async move { claim(&store, &format!("{owner}"), 2, 9, 5).await })
        })
        .collect();
    let mut claimed = Vec::new();
    for one in claims {
        claimed.extend(one.await.unwrap().iter().map(|queued| queued.pair.session[0]));
    }
    claimed.extend(claim(store, "last", 2, 9, 40).await.iter().map(|queued| queued.pair.session[0]));
    claimed.sort_unstable();
    assert_eq!(claimed, (0..40).collect::<Vec<_>>());
}

pub(crate) async fn a_settled_pair_is_gone_or_due_again(store: &AnyStore) {
    for number in [1, 2] {
        store.insert_revocation(pair(number), "logout", at(1)).await.unwrap();
    }
    let claimed = claim(store, "a", 1, 5, 9).await;
    store.settle_revocation(claimed[0].id, "a", None).await.unwrap();
    store.settle_revocation(claimed[0].id, "a", None).await.unwrap();
    store.settle_revocation(claimed[1].id, "b", Some(at(2))).await.unwrap();
    assert!(claim(store, "b", 4, 9, 9).await.is_empty());
    store.settle_revocation(claimed[1].id, "a", Some(at(3))).await.unwrap();
    let again = claim(store, "b", 3, 9, 9).await;
    assert_eq!((again.len(), again[0].id, again[0].attempts), (1, claimed[1].id, 1));
    // Whoever lost the claim has nothing to say any more, but that it is done.
    store.settle_revocation(again[0].id, "a", Some(at(4))).await.unwrap();
    assert!(claim(store, "c", 8, 9, 9).await.is_empty());
    store.settle_revocation(again[0].id, "a", None).await.unwrap();
    assert_eq!(store.count_revocations().await.unwrap(), 0);
}
