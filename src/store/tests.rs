//! The contract: what every backend does, and that they do the same.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, json};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::{memory::Memory, postgres::Postgres, sqlite::Sqlite, *};
use crate::{
    model::{Identity, RealmRef},
    secret::{self, SecretText},
};

mod contract;
mod model;

/// A store, and what must live as long.
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

    /// In a database of its own; none where there is no server.
    async fn postgres() -> Option<Self> {
        let url = database().await?;
        Some(Self { store: AnyStore::Postgres(Arc::new(Postgres::open(&url).await.unwrap())), _folder: None })
    }
}

/// A new database on the server that `SEARCHGATE_TEST_POSTGRES` names; it goes with the server.
pub(crate) async fn database() -> Option<SecretText> {
    let Ok(server) = std::env::var("SEARCHGATE_TEST_POSTGRES") else {
        assert!(std::env::var_os("SEARCHGATE_TEST_REQUIRE_CLUSTERS").is_none(), "SEARCHGATE_TEST_POSTGRES is not set");
        eprintln!("skipped: SEARCHGATE_TEST_POSTGRES is not set");
        return None;
    };
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let name = format!("t{}", u64::from_le_bytes(secret::random()));
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    Some(SecretText::new(format!("{server}/{name}")))
}

macro_rules! store_contract {
    ($($case:ident),+ $(,)?) => {
        mod memory { $(#[tokio::test] async fn $case() { super::contract::$case(&super::Scratch::memory().store).await })+ }
        mod postgres {
            $(#[tokio::test] async fn $case() {
                if let Some(scratch) = super::Scratch::postgres().await { super::contract::$case(&scratch.store).await }
            })+
        }
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
    a_user_is_changed_in_part_and_only_where_it_is,
    keys_are_paged_in_both_directions,
    keys_are_counted_as_they_are_found,
    an_update_is_of_all_that_may_and_tells_each_outcome,
    the_last_use_of_a_key_never_moves_back,
    a_refresh_token_makes_one_pair_that_is_there_at_once,
    a_refresh_token_used_by_many_at_once_makes_one_pair,
    a_refused_refresh_changes_nothing,
    the_halves_of_a_pair_are_invalidated_apart,
    the_pairs_of_an_owner_are_invalidated_whole,
    documents_are_told_apart_by_kind_and_name,
    documents_are_listed_by_name,
    a_document_is_inserted_once,
    odd_text_is_kept_as_it_is,
    a_session_is_found_as_it_was_inserted_once,
    only_the_next_version_replaces_a_session,
    of_many_next_versions_one_is_written,
    sessions_are_found_and_counted_by_each_field_of_the_filter,
    sessions_are_paged_by_id,
    an_ended_session_leaves_its_pair_in_the_queue,
    the_newest_sessions_are_spared_and_the_next_ones_end,
    whoever_writes_a_pair_while_its_session_ends_finds_it_queued_or_is_told,
    a_pair_is_claimed_once_until_its_claim_runs_out,
    claims_at_once_share_what_is_due,
    a_settled_pair_is_gone_or_due_again,
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
        role_descriptors: odd_json().into(),
        limited_by: Descriptors::default(),
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

/// With a refresh token of the digest `[100 + number; 32]`.
fn pair(number: u8, owner: &str, realm_name: &str) -> TokenRecord {
    let mut token = token(number, 20);
    token.refresh = Some(RefreshRecord { digest: [100 + number; 32], invalidation: None, superseded: None });
    token.subject.identity = identity(owner);
    token.subject.lookup_realm = Some(realm(realm_name));
    token
}

/// An attempt at the time `time` to make the pair `number`.
fn attempt(number: u8, time: u64) -> Refresh {
    Refresh {
        client: Client { username: "jack".into(), realm: "corp".into(), api_key: None },
        at: at(time),
        lifetime: Duration::from_millis(100),
        window: Duration::from_millis(5),
        digest: [number; 32],
        refresh_digest: [100 + number; 32],
        expiration: at(time + 10),
        sealed: Box::new([number; 9]),
    }
}

fn session(number: u8, created_at: u64) -> SessionRecord {
    SessionRecord {
        id: [number; 32],
        username_hash: [200; 32],
        provider_type: "token".into(),
        provider_name: "corp\u{0}é".into(),
        created_at: at(created_at),
        last_seen_at: at(created_at + 1),
        idle_expires_at: Some(at(created_at + 10)),
        lifespan_expires_at: Some(at(created_at + 20)),
        generation: 1,
        version: 1,
        state: SessionState::Active,
        lease: None,
        content: [number, 1].into(),
    }
}

/// Its next version, with its next pair.
fn next(session: &SessionRecord) -> SessionRecord {
    let (version, generation) = (session.version + 1, session.generation + 1);
    let content = [session.id[0], u8::try_from(generation).unwrap()].into();
    SessionRecord { generation, version, content, ..session.clone() }
}

/// What an owner makes of its keys now.
fn change(owner: &str, time: u64) -> KeyChange {
    KeyChange {
        kind: KeyKind::Rest,
        creator: Creator { identity: identity(owner), realm: realm("corp") },
        limited_by: Map::new(),
        role_descriptors: None,
        metadata: None,
        access: None,
        expiration: None,
        at: at(time),
    }
}

/// What of a user can be compared.
fn shown(user: UserRecord) -> (Identity, UserNamespace, Option<String>, bool) {
    (user.identity, user.namespace, user.password.map(|hash| hash.0.expose().to_owned()), user.enabled)
}

#[tokio::test]
async fn a_panic_in_an_announcement_is_an_error() {
    let lost: Result<(), StoreError> = complete(async { panic!("on purpose") }).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })));
}
