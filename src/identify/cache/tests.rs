use super::*;

const NOW: Timestamp = Timestamp::from_millis(1000);
const LATER: Timestamp = Timestamp::from_millis(2000);

fn digest(name: &str) -> Digest {
    Digester([7; 32]).digest(name.as_bytes(), None)
}

fn key(id: &str) -> KeyId {
    KeyId(id.into())
}

/// Inserts as a realm does, and tells whether the verdict was kept.
fn keep(cache: &Cache<u32>, revocations: &Revocations, begun: Begun, id: &str, verdict: u32) -> bool {
    let stamps = revocations.stamp(begun, &[Subject::Key(&key(id))]);
    stamps.map(|stamps| cache.insert(digest(id), verdict, LATER, stamps)).is_some()
}

#[test]
fn what_was_kept_is_found_until_its_deadline() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    assert!(keep(&cache, &revocations, revocations.begin(), "a", 1));
    assert_eq!(cache.get(&digest("a"), &revocations, NOW), Some(1));
    assert_eq!(cache.get(&digest("b"), &revocations, NOW), None);
    assert_eq!(cache.get(&digest("a"), &revocations, LATER), None);
}

#[test]
fn a_revocation_is_felt_at_once() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    let (token, user) = ([3; 32], (UserNamespace::Native, "u"));
    for subject in [
        Subject::Documents(DocumentKind::Role),
        Subject::Key(&key("a")),
        Subject::Token(&token),
        Subject::User(user.0, user.1),
    ] {
        let stamps = revocations.stamp(revocations.begin(), &[subject]).unwrap();
        cache.insert(digest("a"), 1, LATER, stamps);
        assert_eq!(cache.get(&digest("a"), &revocations, NOW), Some(1));
        revocations.revoke(subject);
        assert_eq!(cache.get(&digest("a"), &revocations, NOW), None, "{subject:?}");
    }
}

#[test]
fn a_verdict_rests_on_both_its_subjects() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    let begun = revocations.begin();
    let id = key("a");
    let stamps = revocations.stamp(begun, &[Subject::Token(&[3; 32]), Subject::Key(&id)]).unwrap();
    cache.insert(digest("t"), 1, LATER, stamps);
    revocations.revoke(Subject::Key(&key("a")));
    assert_eq!(cache.get(&digest("t"), &revocations, NOW), None);
}

#[test]
fn a_verdict_read_before_a_revocation_is_not_kept_after_it() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    let begun = revocations.begin();
    revocations.revoke(Subject::Key(&key("a")));
    assert!(!keep(&cache, &revocations, begun, "a", 1));
    assert_eq!(cache.get(&digest("a"), &revocations, NOW), None);
    assert!(keep(&cache, &revocations, revocations.begin(), "a", 2), "a verdict read after it is");
    assert_eq!(cache.get(&digest("a"), &revocations, NOW), Some(2));
}

#[test]
fn a_verdict_stamped_before_a_revocation_is_not_found_after_it() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    let stamps = revocations.stamp(revocations.begin(), &[Subject::Key(&key("a"))]).unwrap();
    revocations.revoke(Subject::Key(&key("a")));
    cache.insert(digest("a"), 1, LATER, stamps);
    assert_eq!(cache.get(&digest("a"), &revocations, NOW), None);
}

#[test]
fn other_kinds_may_be_revoked_while_a_verdict_is_made() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    let begun = revocations.begin();
    revocations.revoke(Subject::Token(&[0; 32]));
    assert!(keep(&cache, &revocations, begun, "a", 1));
}

/// The store is one cell; readers and the revoker race on threads of their own.
#[test]
fn no_reader_sees_a_revoked_key_once_its_revocation_returned() {
    let (cache, revocations) = (Cache::new(64), Revocations::default());
    for round in 0..300 {
        let (live, revoked) = (AtomicBool::new(true), AtomicBool::new(false));
        let id = format!("key {round}");
        std::thread::scope(|scope| {
            let reader = || {
                for _ in 0..200 {
                    let over = revoked.load(Ordering::SeqCst);
                    let known = cache.get(&digest(&id), &revocations, NOW);
                    assert!(!(over && known.is_some()), "round {round}");
                    if known.is_none() {
                        let begun = revocations.begin();
                        if live.load(Ordering::SeqCst) {
                            keep(&cache, &revocations, begun, &id, 1);
                        }
                    }
                }
            };
            scope.spawn(reader);
            scope.spawn(reader);
            live.store(false, Ordering::SeqCst);
            revocations.revoke(Subject::Key(&key(&id)));
            revoked.store(true, Ordering::SeqCst);
        });
    }
}

#[test]
fn it_holds_no_more_than_it_has_room_for() {
    let (cache, revocations) = (Cache::new(16), Revocations::default());
    for id in 0..1000 {
        assert!(keep(&cache, &revocations, revocations.begin(), &id.to_string(), id));
        assert!(cache.entries.len() <= 16);
        assert!(cache.arrivals.lock().len() <= 16);
    }
}

#[test]
fn what_is_used_outlives_what_is_not() {
    let (cache, revocations) = (Cache::new(16), Revocations::default());
    assert!(keep(&cache, &revocations, revocations.begin(), "hot", 7));
    for id in 0..1000 {
        assert_eq!(cache.get(&digest("hot"), &revocations, NOW), Some(7));
        keep(&cache, &revocations, revocations.begin(), &id.to_string(), id);
    }
}

#[test]
fn all_being_used_something_goes_nevertheless() {
    let (cache, revocations) = (Cache::new(16), Revocations::default());
    for id in 0..100 {
        keep(&cache, &revocations, revocations.begin(), &id.to_string(), id);
        for known in 0..=id {
            let _ = cache.get(&digest(&known.to_string()), &revocations, NOW);
        }
        assert!(cache.entries.len() <= 16);
    }
}

#[test]
fn no_capacity_keeps_nothing() {
    let (cache, revocations) = (Cache::new(0), Revocations::default());
    keep(&cache, &revocations, revocations.begin(), "a", 1);
    assert_eq!(cache.get(&digest("a"), &revocations, NOW), None);
}

#[test]
fn digests_tell_headers_apart_that_read_the_same_in_a_row() {
    let digester = Digester::default();
    let (long, longer) = ([b'x'; BUFFER], [b'x'; BUFFER + 1]);
    let different = [
        digester.digest(b"ab", None),
        digester.digest(b"a", None),
        digester.digest(b"ab", Some(b"")),
        digester.digest(b"a", Some(b"b")),
        digester.digest(b"", Some(b"ab")),
        digester.digest(&long, None),
        digester.digest(&longer, None),
        digester.digest(&long, Some(b"x")),
        Digester::default().digest(b"ab", None),
    ];
    for (index, digest) in different.iter().enumerate() {
        assert!(!different[index + 1..].contains(digest), "{index}");
    }
    assert_eq!(digester.digest(b"ab", None), different[0]);
    assert_eq!(digester.digest(&long, None), different[5]);
}

#[test]
fn neither_key_nor_digest_of_the_digester_is_printed() {
    assert_eq!(format!("{:?}", Digester::default()), "[redacted]");
}

#[test]
fn a_use_is_told_once() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    assert!(keep(&cache, &revocations, revocations.begin(), "a", 1));
    let told = || {
        let mut told = Vec::new();
        cache.tell_uses(|verdict, at| told.push((*verdict, at)));
        told
    };
    assert!(told().is_empty());
    for _ in 0..2 {
        assert_eq!(cache.get(&digest("a"), &revocations, NOW), Some(1));
    }
    assert_eq!(told(), [(1, NOW)]);
    assert!(told().is_empty());
}

#[test]
fn without_word_from_other_replicas_nothing_is_found_until_there_is_some() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    assert!(keep(&cache, &revocations, revocations.begin(), "a", 1));
    let found = |now| cache.get(&digest("a"), &revocations, now);
    revocations.lose();
    assert_eq!(found(NOW), None);
    revocations.hear(Timestamp::from_millis(500));
    assert_eq!(found(Timestamp::from_millis(1499)), Some(1));
    assert_eq!(found(Timestamp::from_millis(1500)), None);
    revocations.hear(NOW);
    assert_eq!(found(NOW), Some(1));
}

#[test]
fn when_anything_may_have_changed_nothing_is_found_and_nothing_begun_before_is_kept() {
    let (cache, revocations) = (Cache::new(8), Revocations::default());
    assert!(keep(&cache, &revocations, revocations.begin(), "a", 1));
    let begun = revocations.begin();
    revocations.change_all();
    assert_eq!(cache.get(&digest("a"), &revocations, NOW), None);
    assert!(!keep(&cache, &revocations, begun, "a", 1));
}
