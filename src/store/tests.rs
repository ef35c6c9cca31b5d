//! The contract: what every backend does, and that they do the same.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Map;
use tempfile::TempDir;

use super::{memory::Memory, sqlite::Sqlite, *};
use crate::{
    model::{Identity, RealmRef},
    secret::SecretText,
};

/// A store, and the folder that must live as long.
struct Scratch {
    store: AnyStore,
    _folder: Option<TempDir>,
}

impl Scratch {
    fn memory() -> Self {
        Self { store: AnyStore::Memory(Arc::new(Memory::default())), _folder: None }
    }

    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("searchgate.db")).unwrap();
        Self { store: AnyStore::Sqlite(Arc::new(store)), _folder: Some(folder) }
    }
}

macro_rules! store_contract {
    ($($case:ident),+ $(,)?) => {
        mod memory { $(#[tokio::test] async fn $case() { super::contract::$case(&super::Scratch::memory().store).await })+ }
        mod sqlite { $(#[tokio::test] async fn $case() { super::contract::$case(&super::Scratch::sqlite().store).await })+ }
    };
}

store_contract!(
    a_user_is_found_as_it_was_put,
    a_user_put_again_keeps_its_password_and_is_not_new,
    users_of_two_namespaces_may_share_a_name,
    users_are_listed_by_name,
    a_user_can_be_deleted_once,
    a_key_is_found_as_it_was_inserted,
    an_unknown_key_is_not_found,
    an_owner_with_as_many_live_keys_as_allowed_gets_no_more,
    keys_are_found_by_each_field_of_the_filter,
    a_key_can_be_invalidated_once,
    keys_dead_for_long_are_removed,
    a_token_is_found_as_it_was_inserted,
    an_access_token_can_be_invalidated_once,
    tokens_expired_for_long_are_removed,
    it_answers,
);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn user(namespace: UserNamespace, name: &str, password: Option<&str>) -> UserRecord {
    UserRecord {
        identity: Identity { metadata: odd_json(), ..identity(name) },
        namespace,
        password: password.map(|hash| PasswordHash(SecretText::new(hash.to_owned()))),
        enabled: true,
    }
}

fn identity(name: &str) -> Identity {
    Identity { username: name.into(), roles: vec!["b".into(), "a".into()], ..Identity::default() }
}

/// Whose keys come out in another order where they are sorted.
fn odd_json() -> Map<String, Value> {
    serde_json::from_str(r#"{"z": 1, "a": {"nested": [null, 1.5, "\u0000é"]}, "m": 18446744073709551615}"#).unwrap()
}

fn realm(name: &str) -> RealmRef {
    RealmRef { name: name.into(), kind: "native".into() }
}

fn key(id: &str, name: &str, owner: &str, realm_name: &str) -> ApiKeyRecord {
    ApiKeyRecord {
        id: KeyId(id.into()),
        name: name.into(),
        secret: SaltedDigest { salt: [1; 16], digest: [2; 32] },
        creation: at(10),
        expiration: None,
        invalidation: None,
        creator: Creator { identity: identity(owner), realm: realm(realm_name) },
        role_descriptors: odd_json(),
        limited_by: Map::new(),
        metadata: odd_json(),
        access: None,
        last_used: None,
    }
}

fn token(number: u8, expiration: u64) -> TokenRecord {
    TokenRecord {
        digest: [number; 32],
        creation: at(10),
        expiration: at(expiration),
        invalidation: None,
        refresh: None,
        subject: TokenSubject {
            identity: identity("jack"),
            realm: realm("corp"),
            lookup_realm: None,
            api_key: Some(KeyId("minted".into())),
            service_token: None,
            run_by: None,
        },
        client: Client { username: "jack".into(), realm: "corp".into(), api_key: None },
    }
}

/// What of a user can be compared.
fn shown(user: UserRecord) -> (Identity, UserNamespace, Option<String>, bool) {
    (user.identity, user.namespace, user.password.map(|hash| hash.0.expose().to_owned()), user.enabled)
}

mod contract {
    use super::*;

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
}

#[tokio::test]
async fn a_panic_in_an_announcement_is_an_error() {
    let lost: Result<(), StoreError> = complete(async { panic!("on purpose") }).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })));
}

/// Something that can be asked of a store.
#[derive(Clone, Debug)]
enum Step {
    DeleteUser(String),
    Find(KeyFilter),
    InsertKey { id: u8, name: String, owner: String, creation: u64, expiration: Option<u64>, max: u64 },
    Invalidate(KeyFilter, u64),
    InvalidateToken(u8, u64),
    IssueToken(u8, u64),
    PutUser(String, Option<String>),
    RemoveKeys(u64),
    RemoveTokens(u64),
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        let text = || "[ab*\u{0}é\u{10ffff}]{0,3}";
        let time = || 0_u64..8;
        let filter = || {
            (
                proptest::option::weighted(0.2, proptest::collection::vec(0_u8..4, 0..3)),
                proptest::option::of(text()),
                proptest::option::weighted(0.3, "[ab]"),
                proptest::option::weighted(0.2, time()),
            )
                .prop_map(|(ids, name, username, active_at)| KeyFilter {
                    ids: ids.map(|ids| ids.into_iter().map(key_id).collect()),
                    name: name.map(String::into_boxed_str),
                    username: username.map(String::into_boxed_str),
                    realm: None,
                    active_at: active_at.map(at),
                    kind: None,
                })
        };
        let insert = (0_u8..8, text(), "[ab]", time(), proptest::option::of(time()), 0_u64..4).prop_map(
            |(id, name, owner, creation, expiration, max)| Self::InsertKey {
                id,
                name,
                owner,
                creation,
                expiration,
                max,
            },
        );
        prop_oneof![
            1 => text().prop_map(Self::DeleteUser),
            3 => filter().prop_map(Self::Find),
            4 => insert,
            1 => (filter(), time()).prop_map(|(filter, at)| Self::Invalidate(filter, at)),
            1 => (0_u8..4, time()).prop_map(|(token, at)| Self::InvalidateToken(token, at)),
            1 => (0_u8..4, time()).prop_map(|(token, at)| Self::IssueToken(token, at)),
            1 => (text(), proptest::option::of("[a-z]{3}")).prop_map(|(name, hash)| Self::PutUser(name, hash)),
            1 => time().prop_map(Self::RemoveKeys),
            1 => time().prop_map(Self::RemoveTokens),
        ]
    }

    /// Takes the step; the text tells all that can be seen of its outcome. An id that exists is not inserted again:
    /// callers never do.
    async fn take(&self, store: &AnyStore) -> String {
        match self.clone() {
            Self::DeleteUser(name) => format!("{:?}", store.delete_user(UserNamespace::Native, &name).await.unwrap()),
            Self::Find(filter) => format!("{:?}", store.keys(&filter, &Page::first(99)).await.unwrap()),
            Self::InsertKey { id, name, owner, creation, expiration, max } => {
                if store.key(&key_id(id)).await.unwrap().is_some() {
                    return "exists".to_owned();
                }
                let (creation, expiration) = (at(creation), expiration.map(at));
                let key = ApiKeyRecord { creation, expiration, ..key(&key_id(id).0, &name, &owner, "corp") };
                format!("{:?}", store.insert_key(key, max).await.unwrap())
            }
            Self::Invalidate(filter, time) => format!("{:?}", store.invalidate_keys(&filter, at(time)).await.unwrap()),
            Self::InvalidateToken(number, time) => {
                let selector = TokenSelector::Access([number; 32]);
                let invalidated = store.invalidate_tokens(&selector, at(time)).await.unwrap();
                format!("{invalidated:?} {:?}", store.token(&[number; 32]).await.unwrap())
            }
            Self::IssueToken(number, expiration) => {
                if store.token(&[number; 32]).await.unwrap().is_none() {
                    store.insert_token(token(number, expiration)).await.unwrap();
                }
                String::new()
            }
            Self::PutUser(name, hash) => {
                let new = store.put_user(user(UserNamespace::Native, &name, hash.as_deref())).await.unwrap();
                let users = store.users(UserNamespace::Native).await.unwrap();
                format!("{new} {:?}", users.into_iter().map(shown).collect::<Vec<_>>())
            }
            Self::RemoveKeys(before) => store.remove_keys(at(before)).await.unwrap().to_string(),
            Self::RemoveTokens(before) => store.remove_tokens(at(before)).await.unwrap().to_string(),
        }
    }
}

fn key_id(number: u8) -> KeyId {
    KeyId(number.to_string().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_stores_answer_the_same(steps in proptest::collection::vec(Step::any(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (memory, sqlite) = (Scratch::memory(), Scratch::sqlite());
        for step in steps {
            let (model, real) = runtime.block_on(async { (step.take(&memory.store).await, step.take(&sqlite.store).await) });
            prop_assert_eq!(model, real, "{:?}", step);
        }
    }
}
