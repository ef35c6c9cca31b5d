//! What every backend does.

mod sessions;

use super::*;

pub(crate) use sessions::*;

pub(super) async fn a_user_is_found_as_it_was_put(store: &AnyStore) {
    let jack = user(UserNamespace::Native, "jack", Some("$hash"));
    assert!(store.put_user(jack.clone()).await.unwrap());
    let found = store.user(UserNamespace::Native, "jack").await.unwrap().unwrap();
    assert_eq!(shown(found), shown(jack));
    assert!(store.user(UserNamespace::Native, "Jack").await.unwrap().is_none());
}

pub(super) async fn a_user_put_again_keeps_its_password_and_is_not_new(store: &AnyStore) {
    store.put_user(user(UserNamespace::Native, "jack", Some("$hash"))).await.unwrap();
    let update = UserRecord { enabled: false, ..user(UserNamespace::Native, "jack", None) };
    assert!(!store.put_user(update).await.unwrap());
    let found = store.user(UserNamespace::Native, "jack").await.unwrap().unwrap();
    assert_eq!(found.password.unwrap().0.expose(), "$hash");
    assert!(!found.enabled);
    store.put_user(user(UserNamespace::Native, "jack", Some("$new"))).await.unwrap();
    let found = store.user(UserNamespace::Native, "jack").await.unwrap().unwrap();
    assert_eq!(found.password.unwrap().0.expose(), "$new");
}

pub(super) async fn users_of_two_namespaces_may_share_a_name(store: &AnyStore) {
    assert!(store.put_user(user(UserNamespace::Native, "elastic", Some("$n"))).await.unwrap());
    assert!(store.put_user(user(UserNamespace::Reserved, "elastic", Some("$r"))).await.unwrap());
    let found = store.user(UserNamespace::Reserved, "elastic").await.unwrap().unwrap();
    assert_eq!(found.password.unwrap().0.expose(), "$r");
}

pub(super) async fn users_are_listed_by_name(store: &AnyStore) {
    for name in ["b", "a", "é", "B"] {
        store.put_user(user(UserNamespace::Native, name, None)).await.unwrap();
    }
    store.put_user(user(UserNamespace::Reserved, "elastic", None)).await.unwrap();
    let names: Vec<_> = store.users(UserNamespace::Native).await.unwrap().into_iter().map(shown).collect();
    assert_eq!(names.iter().map(|user| &*user.0.username).collect::<Vec<_>>(), ["B", "a", "b", "é"]);
}

pub(super) async fn a_user_can_be_deleted_once(store: &AnyStore) {
    store.put_user(user(UserNamespace::Native, "jack", None)).await.unwrap();
    assert!(!store.delete_user(UserNamespace::Reserved, "jack").await.unwrap());
    assert!(store.delete_user(UserNamespace::Native, "jack").await.unwrap());
    assert!(!store.delete_user(UserNamespace::Native, "jack").await.unwrap());
    assert!(store.user(UserNamespace::Native, "jack").await.unwrap().is_none());
}

pub(super) async fn a_key_is_found_as_it_was_inserted(store: &AnyStore) {
    let record = ApiKeyRecord { expiration: Some(at(99)), ..key("k", "name", "jack", "corp") };
    assert!(store.insert_key(record.clone(), 1).await.unwrap());
    let found = store.key(&record.id).await.unwrap().unwrap();
    assert_eq!(found, record);
    // Order is part of what the API shows.
    assert_eq!(found.metadata.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
}

pub(super) async fn an_unknown_key_is_not_found(store: &AnyStore) {
    store.insert_key(key("k", "name", "jack", "corp"), 1).await.unwrap();
    assert!(store.key(&KeyId("K".into())).await.unwrap().is_none());
    assert!(store.key(&KeyId("".into())).await.unwrap().is_none());
}

pub(super) async fn an_owner_with_as_many_live_keys_as_allowed_gets_no_more(store: &AnyStore) {
    assert!(store.insert_key(key("1", "n", "jack", "corp"), 1).await.unwrap());
    assert!(!store.insert_key(key("2", "n", "jack", "corp"), 1).await.unwrap());
    assert!(store.key(&KeyId("2".into())).await.unwrap().is_none());
    assert!(store.insert_key(key("3", "n", "jack", "other"), 1).await.unwrap());
    assert!(store.insert_key(key("4", "n", "jill", "corp"), 1).await.unwrap());
    store.invalidate_keys(&KeyFilter::id(KeyId("1".into())), at(10)).await.unwrap();
    let dead = ApiKeyRecord { expiration: Some(at(10)), ..key("5", "n", "jack", "corp") };
    assert!(store.insert_key(dead, 1).await.unwrap());
    assert!(store.insert_key(key("6", "n", "jack", "corp"), 1).await.unwrap());
}

pub(super) async fn keys_are_found_by_each_field_of_the_filter(store: &AnyStore) {
    let later = ApiKeyRecord { creation: at(11), ..key("a", "logs", "jack", "corp") };
    let expired = ApiKeyRecord { expiration: Some(at(20)), ..key("c", "log", "jill", "corp") };
    let starred = key("d", "lo*", "jill", "other");
    for record in [later, key("b", "metrics", "jack", "other"), expired, starred] {
        store.insert_key(record, 9).await.unwrap();
    }
    store.invalidate_keys(&KeyFilter::id(KeyId("b".into())), at(15)).await.unwrap();
    let all = KeyFilter::default();
    let name = |name: &str| KeyFilter { name: Some(name.into()), ..KeyFilter::default() };
    let ids = KeyFilter { ids: Some(vec![KeyId("a".into()), KeyId("x".into())]), ..KeyFilter::default() };
    for (filter, expected) in [
        (all.clone(), "bcda"),
        (ids, "a"),
        (KeyFilter { ids: Some(Vec::new()), ..all.clone() }, ""),
        (name("log"), "c"),
        (name("log*"), "ca"),
        (name("lo**"), "d"),
        (name("*"), "bcda"),
        (name("l*g"), ""),
        (KeyFilter { username: Some("jack".into()), ..all.clone() }, "ba"),
        (KeyFilter { realm: Some("corp".into()), ..all.clone() }, "ca"),
        (KeyFilter { username: Some("jack".into()), ..name("log*") }, "a"),
        (KeyFilter { active_at: Some(at(19)), ..all.clone() }, "cda"),
        (KeyFilter { active_at: Some(at(20)), ..all }, "da"),
    ] {
        let found = store.keys(&filter, &Page::first(99)).await.unwrap();
        assert_eq!(found.iter().map(|key| &*key.id.0).collect::<String>(), expected, "{filter:?}");
    }
}

pub(super) async fn a_key_can_be_invalidated_once(store: &AnyStore) {
    for id in ["2", "1", "3"] {
        store.insert_key(key(id, "n", "jack", "corp"), 9).await.unwrap();
    }
    let one = KeyFilter::id(KeyId("3".into()));
    assert_eq!(store.invalidate_keys(&one, at(20)).await.unwrap(), [KeyId("3".into())]);
    let rest = store.invalidate_keys(&KeyFilter::default(), at(30)).await.unwrap();
    assert_eq!(rest, [KeyId("1".into()), KeyId("2".into())]);
    assert!(store.invalidate_keys(&KeyFilter::default(), at(40)).await.unwrap().is_empty());
    assert_eq!(store.key(&KeyId("3".into())).await.unwrap().unwrap().invalidation, Some(at(20)));
}

pub(super) async fn keys_dead_for_long_are_removed(store: &AnyStore) {
    let expired = ApiKeyRecord { expiration: Some(at(20)), ..key("expired", "n", "jack", "corp") };
    for record in [expired, key("invalidated", "n", "jack", "corp"), key("live", "n", "jack", "corp")] {
        store.insert_key(record, 9).await.unwrap();
    }
    store.invalidate_keys(&KeyFilter::id(KeyId("invalidated".into())), at(20)).await.unwrap();
    assert_eq!(store.remove_keys(at(20)).await.unwrap(), 0);
    assert_eq!(store.remove_keys(at(21)).await.unwrap(), 2);
    let left = store.keys(&KeyFilter::default(), &Page::first(99)).await.unwrap();
    assert_eq!(left.iter().map(|key| &*key.id.0).collect::<Vec<_>>(), ["live"]);
}

pub(super) async fn a_token_is_found_as_it_was_inserted(store: &AnyStore) {
    store.insert_token(token(1, 20)).await.unwrap();
    assert!(store.token(&[1; 32]).await.unwrap().unwrap() == token(1, 20));
    assert!(store.token(&[2; 32]).await.unwrap().is_none());
}

pub(super) async fn an_access_token_can_be_invalidated_once(store: &AnyStore) {
    store.insert_token(token(1, 20)).await.unwrap();
    let invalidate = async |number| {
        let done = store.invalidate_tokens(&TokenSelector::Access([number; 32]), at(19)).await.unwrap();
        (done.invalidated, done.previously)
    };
    assert_eq!(invalidate(2).await, (0, 0));
    assert_eq!(invalidate(1).await, (1, 0));
    assert_eq!(invalidate(1).await, (0, 1));
    assert_eq!(store.token(&[1; 32]).await.unwrap().unwrap().invalidation, Some(at(19)));
}

pub(super) async fn tokens_expired_for_long_are_removed(store: &AnyStore) {
    store.insert_token(token(1, 20)).await.unwrap();
    store.insert_token(token(2, 21)).await.unwrap();
    assert_eq!(store.remove_tokens(at(20)).await.unwrap(), 0);
    assert_eq!(store.remove_tokens(at(21)).await.unwrap(), 1);
    assert!(store.token(&[1; 32]).await.unwrap().is_none());
}

pub(super) async fn it_answers(store: &AnyStore) {
    store.ping().await.unwrap();
}

pub(super) async fn a_user_is_changed_in_part_and_only_where_it_is(store: &AnyStore) {
    store.put_user(user(UserNamespace::Native, "jack", Some("$hash"))).await.unwrap();
    let change = async |name, hash: Option<&str>, enabled| {
        let password = hash.map(|hash| PasswordHash(SecretText::new(hash.to_owned())));
        store.change_user(UserNamespace::Native, name, password, enabled).await.unwrap()
    };
    let found = async || shown(store.user(UserNamespace::Native, "jack").await.unwrap().unwrap());
    assert!(!change("jill", Some("$new"), Some(true)).await);
    assert!(store.user(UserNamespace::Native, "jill").await.unwrap().is_none());
    let (identity, namespace, ..) = found().await;
    assert!(change("jack", None, Some(false)).await);
    assert_eq!(found().await, (identity.clone(), namespace, Some("$hash".to_owned()), false));
    assert!(change("jack", Some("$new"), None).await);
    assert_eq!(found().await, (identity, namespace, Some("$new".to_owned()), false));
}

pub(super) async fn keys_are_paged_in_both_directions(store: &AnyStore) {
    for (id, creation) in [("d", 10), ("b", 11), ("a", 11), ("c", 12), ("e", 9)] {
        store.insert_key(ApiKeyRecord { creation: at(creation), ..key(id, "n", "jack", "corp") }, 9).await.unwrap();
    }
    let after = |id: &str, creation| Some((at(creation), KeyId(id.into())));
    for (after, newest_first, skip, limit, expected) in [
        (None, false, 0, 9, "edabc"),
        (None, true, 0, 9, "cbade"),
        (None, false, 0, 2, "ed"),
        (None, false, 2, 2, "ab"),
        (None, true, 4, 9, "e"),
        (None, false, 9, 9, ""),
        (None, false, 0, 0, ""),
        (after("a", 11), false, 0, 9, "bc"),
        (after("a", 11), true, 0, 9, "de"),
        (after("a", 11), true, 1, 9, "e"),
        (after("x", 10), false, 0, 1, "a"),
        (after("c", 12), false, 0, u64::MAX, ""),
    ] {
        let page = Page { after, newest_first, skip, limit };
        let found = store.keys(&KeyFilter::default(), &page).await.unwrap();
        assert_eq!(found.iter().map(|key| &*key.id.0).collect::<String>(), expected, "{page:?}");
    }
}

pub(super) async fn keys_are_counted_as_they_are_found(store: &AnyStore) {
    let access = Some(odd_json());
    store.insert_key(ApiKeyRecord { access, ..key("a", "logs", "jack", "corp") }, 9).await.unwrap();
    store.insert_key(key("b", "log", "jack", "corp"), 9).await.unwrap();
    let count = async |filter| store.count_keys(&filter).await.unwrap();
    let all = KeyFilter::default();
    assert_eq!(count(all.clone()).await, 2);
    assert_eq!(count(KeyFilter { kind: Some(KeyKind::CrossCluster), ..all.clone() }).await, 1);
    assert_eq!(count(KeyFilter { name: Some("log*".into()), kind: Some(KeyKind::Rest), ..all }).await, 1);
    assert_eq!(store.key(&KeyId("a".into())).await.unwrap().unwrap().kind(), KeyKind::CrossCluster);
}

pub(super) async fn an_update_is_of_all_that_may_and_tells_each_outcome(store: &AnyStore) {
    let expired = ApiKeyRecord { expiration: Some(at(19)), ..key("expired", "n", "jack", "corp") };
    let crossing = ApiKeyRecord { access: Some(Map::new()), ..key("crossing", "n", "jack", "corp") };
    for record in [expired, crossing, key("a", "n", "jack", "corp"), key("jill", "n", "jill", "corp")] {
        store.insert_key(record, 9).await.unwrap();
    }
    store.insert_key(key("dead", "n", "jack", "corp"), 9).await.unwrap();
    store.invalidate_keys(&KeyFilter::id(KeyId("dead".into())), at(15)).await.unwrap();
    let ids = ["a", "a", "none", "jill", "dead", "expired", "crossing"].map(|id| KeyId(id.into()));
    let metadata = Map::from_iter([("new".to_owned(), json!(1))]);
    let change = KeyChange { metadata: Some(metadata.clone()), ..change("jack", 20) };
    let outcomes = store.update_keys(&ids, &change).await.unwrap();
    let wrong = KeyUpdate::WrongKind(KeyKind::CrossCluster);
    assert_eq!(
        outcomes,
        [
            KeyUpdate::Changed,
            KeyUpdate::Unchanged,
            KeyUpdate::NotFound,
            KeyUpdate::NotFound,
            KeyUpdate::Invalidated,
            KeyUpdate::Expired,
            wrong,
        ]
    );
    let changed = store.key(&KeyId("a".into())).await.unwrap().unwrap();
    assert_eq!(changed, ApiKeyRecord { metadata, ..key("a", "n", "jack", "corp") });
    assert_eq!(store.key(&KeyId("jill".into())).await.unwrap().unwrap(), key("jill", "n", "jill", "corp"));
}

pub(super) async fn the_last_use_of_a_key_never_moves_back(store: &AnyStore) {
    let ids = ["a", "b", "none"].map(|id| KeyId(id.into()));
    for id in &ids[..2] {
        store.insert_key(key(&id.0, "n", "jack", "corp"), 9).await.unwrap();
    }
    let [a, b, none] = ids;
    store.touch_keys(&[(a.clone(), at(20)), (none, at(20)), (b.clone(), at(21)), (b.clone(), at(20))]).await.unwrap();
    store.touch_keys(&[(a.clone(), at(19))]).await.unwrap();
    store.touch_keys(&[]).await.unwrap();
    assert_eq!(store.key(&a).await.unwrap().unwrap().last_used, Some(at(20)));
    assert_eq!(store.key(&b).await.unwrap().unwrap().last_used, Some(at(21)));
}

pub(super) async fn a_refresh_token_makes_one_pair_that_is_there_at_once(store: &AnyStore) {
    store.insert_token(pair(1, "jack", "corp")).await.unwrap();
    let Refreshed::Fresh(fresh) = store.refresh_token(&[101; 32], &attempt(2, 20)).await.unwrap() else { panic!() };
    assert!(store.token(&[2; 32]).await.unwrap().unwrap() == *fresh);
    assert!(fresh.refresh.as_ref().unwrap().digest == [102; 32]);
    let again = store.refresh_token(&[101; 32], &attempt(3, 25)).await.unwrap();
    assert!(again == Refreshed::Repeated(Box::new([2; 9])));
    assert!(store.token(&[3; 32]).await.unwrap().is_none());
    let late = store.refresh_token(&[101; 32], &attempt(3, 26)).await.unwrap();
    assert!(late == Refreshed::Refused(RefreshRefusal::Late));
    let next = store.refresh_token(&[102; 32], &attempt(3, 26)).await.unwrap();
    assert!(matches!(next, Refreshed::Fresh(_)));
}

pub(super) async fn a_refresh_token_used_by_many_at_once_makes_one_pair(store: &AnyStore) {
    store.insert_token(pair(1, "jack", "corp")).await.unwrap();
    let tries: Vec<_> = (2..18)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.refresh_token(&[101; 32], &attempt(number, 20)).await.unwrap() })
        })
        .collect();
    let mut fresh = Vec::new();
    let mut repeated = Vec::new();
    for one in tries {
        match one.await.unwrap() {
            Refreshed::Fresh(token) => fresh.push(token.digest[0]),
            Refreshed::Repeated(sealed) => repeated.push(sealed[0]),
            Refreshed::Refused(refusal) => panic!("{refusal}"),
        }
    }
    assert_eq!(fresh.len(), 1);
    assert_eq!(repeated, [fresh[0]; 15]);
}

pub(super) async fn a_refused_refresh_changes_nothing(store: &AnyStore) {
    store.insert_token(pair(1, "jack", "corp")).await.unwrap();
    let client = Client { username: "jill".into(), realm: "corp".into(), api_key: None };
    let refused = store.refresh_token(&[101; 32], &Refresh { client, ..attempt(2, 20) }).await.unwrap();
    assert!(refused == Refreshed::Refused(RefreshRefusal::Client));
    let unknown = store.refresh_token(&[1; 32], &attempt(2, 20)).await.unwrap();
    assert!(unknown == Refreshed::Refused(RefreshRefusal::Unknown));
    assert!(store.token(&[1; 32]).await.unwrap().unwrap() == pair(1, "jack", "corp"));
    assert!(store.token(&[2; 32]).await.unwrap().is_none());
}

pub(super) async fn the_halves_of_a_pair_are_invalidated_apart(store: &AnyStore) {
    store.insert_token(pair(1, "jack", "corp")).await.unwrap();
    let invalidate = async |selector, time| {
        let done = store.invalidate_tokens(&selector, at(time)).await.unwrap();
        (done.digests.len(), done.invalidated, done.previously)
    };
    assert_eq!(invalidate(TokenSelector::Refresh([101; 32]), 20).await, (0, 1, 0));
    assert_eq!(invalidate(TokenSelector::Refresh([101; 32]), 21).await, (0, 0, 1));
    let pair = store.token(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((pair.invalidation, pair.refresh.unwrap().invalidation), (None, Some(at(20))));
    let refused = store.refresh_token(&[101; 32], &attempt(2, 20)).await.unwrap();
    assert!(refused == Refreshed::Refused(RefreshRefusal::Invalidated));
    assert_eq!(invalidate(TokenSelector::Access([1; 32]), 22).await, (1, 1, 0));
    assert_eq!(invalidate(TokenSelector::Access([1; 32]), 23).await, (0, 0, 1));
    assert_eq!(store.token(&[1; 32]).await.unwrap().unwrap().invalidation, Some(at(22)));
}

pub(super) async fn the_pairs_of_an_owner_are_invalidated_whole(store: &AnyStore) {
    let old = TokenRecord { creation: at(9), ..pair(5, "jack", "corp") };
    for token in [pair(1, "jack", "corp"), pair(2, "jack", "other"), pair(3, "jill", "corp"), token(4, 20), old] {
        store.insert_token(token).await.unwrap();
    }
    let owner = |username: Option<&str>, realm: Option<&str>| TokenSelector::Owner {
        username: username.map(Into::into),
        realm: realm.map(Into::into),
        since: at(10),
    };
    let invalidate = async |selector| {
        let done = store.invalidate_tokens(&selector, at(20)).await.unwrap();
        (done.digests.iter().map(|digest| digest[0]).collect::<Vec<_>>(), done.invalidated, done.previously)
    };
    store.invalidate_tokens(&TokenSelector::Refresh([101; 32]), at(19)).await.unwrap();
    assert_eq!(invalidate(owner(Some("jack"), Some("corp"))).await, (vec![1, 4], 2, 1));
    assert_eq!(invalidate(owner(Some("jack"), None)).await, (vec![2], 2, 0));
    assert_eq!(invalidate(owner(None, Some("corp"))).await, (vec![3], 2, 0));
    assert_eq!(invalidate(owner(None, None)).await, (vec![], 0, 0));
    assert_eq!(store.token(&[5; 32]).await.unwrap().unwrap().invalidation, None);
    let first = store.token(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((first.invalidation, first.refresh.unwrap().invalidation), (Some(at(20)), Some(at(19))));
}

pub(super) async fn documents_are_told_apart_by_kind_and_name(store: &AnyStore) {
    let put = async |kind, documents: &[(&str, i32)]| {
        let documents = documents.iter().map(|(name, value)| ((*name).into(), json!({"v": value}))).collect();
        store.put_documents(kind, documents).await.unwrap()
    };
    assert_eq!(put(DocumentKind::Role, &[("a", 1), ("b", 2)]).await, [Put::Created, Put::Created]);
    assert_eq!(put(DocumentKind::RoleMapping, &[("a", 3)]).await, [Put::Created]);
    assert_eq!(
        put(DocumentKind::Role, &[("c", 1), ("b", 2), ("a", 9)]).await,
        [Put::Created, Put::Unchanged, Put::Updated]
    );
    let found = async |kind, name| store.document(kind, name).await.unwrap();
    assert_eq!(found(DocumentKind::Role, "a").await, Some(json!({"v": 9})));
    assert_eq!(found(DocumentKind::RoleMapping, "a").await, Some(json!({"v": 3})));
    assert_eq!(found(DocumentKind::Role, "A").await, None);
    let names = ["a", "x", "a"].map(Into::into);
    assert_eq!(store.delete_documents(DocumentKind::Role, &names).await.unwrap(), [true, false, false]);
    assert_eq!(found(DocumentKind::Role, "a").await, None);
    assert_eq!(found(DocumentKind::RoleMapping, "a").await, Some(json!({"v": 3})));
}

pub(super) async fn documents_are_listed_by_name(store: &AnyStore) {
    let document = Value::Object(odd_json());
    let names: [Box<str>; 4] = ["b", "B", "é", "a"].map(Into::into);
    let documents = names.into_iter().map(|name| (name, document.clone())).collect();
    store.put_documents(DocumentKind::Setting, documents).await.unwrap();
    store.put_documents(DocumentKind::Role, vec![("c".into(), json!({}))]).await.unwrap();
    let found = store.documents(DocumentKind::Setting).await.unwrap();
    assert_eq!(found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["B", "a", "b", "é"]);
    assert_eq!(found[0].1.to_string(), document.to_string());
}

pub(super) async fn a_document_is_inserted_once(store: &AnyStore) {
    let insert = async |value| store.insert_document(DocumentKind::Profile, "u", json!(value)).await.unwrap();
    assert!(insert(1).await);
    assert!(!insert(2).await);
    assert_eq!(store.document(DocumentKind::Profile, "u").await.unwrap(), Some(json!(1)));
}

pub(super) async fn odd_text_is_kept_as_it_is(store: &AnyStore) {
    let odd = "a\u{0}\u{10ffff}'\"\\é";
    store.put_user(user(UserNamespace::Native, odd, Some("$hash"))).await.unwrap();
    let found = store.user(UserNamespace::Native, odd).await.unwrap().unwrap();
    assert_eq!(shown(found), shown(user(UserNamespace::Native, odd, Some("$hash"))));
    store.insert_key(key("k", odd, odd, odd), 1).await.unwrap();
    let filter = KeyFilter { name: Some("a\u{0}*".into()), username: Some(odd.into()), ..KeyFilter::default() };
    assert_eq!(store.keys(&filter, &Page::first(9)).await.unwrap(), [key("k", odd, odd, odd)]);
    store.insert_document(DocumentKind::Role, odd, json!({ odd: odd })).await.unwrap();
    assert_eq!(store.document(DocumentKind::Role, odd).await.unwrap(), Some(json!({ odd: odd })));
}
