//! What must outlive the process: users, keys, tokens. One trait, several backends, one contract suite.

use std::{fmt, future::Future, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    model::{Identity, KeyId, RealmRef, Timestamp},
    passwords::PasswordHash,
    secret,
};

pub mod memory;
pub mod sqlite;
#[cfg(test)]
mod tests;

/// A stored user. `realm` tells native users from the reserved `elastic`.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Name, roles, full name, e-mail, metadata.
    pub identity: Identity,
    /// Which namespace it lives in.
    pub namespace: UserNamespace,
    /// Absent for a user that has never had a password.
    pub password: Option<PasswordHash>,
    /// A disabled user cannot authenticate.
    pub enabled: bool,
}

/// Users of different realms may share a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UserNamespace {
    /// Users that the API creates.
    Native,
    /// Built-in users: only password and enabled state are stored.
    Reserved,
}

/// SHA-256 of a salt and a secret of 128 random bits or more.
#[derive(Clone, Eq, PartialEq)]
pub struct SaltedDigest {
    /// Random, one a secret.
    pub salt: [u8; 16],
    /// SHA-256(salt ‖ secret).
    pub digest: [u8; 32],
}

impl SaltedDigest {
    /// The digest of `secret` under a fresh salt.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let salt = secret::random();
        Self { salt, digest: secret::sha256(&[&salt, secret.as_bytes()]) }
    }

    /// Whether this is the digest of `secret`; the time it takes does not tell how near it came.
    #[must_use]
    pub fn matches(&self, secret: &str) -> bool {
        secret::equal(&self.digest, &secret::sha256(&[&self.salt, secret.as_bytes()]))
    }
}

impl fmt::Debug for SaltedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Who made a key: a snapshot, kept when the user is gone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Creator {
    /// Name, full name, e-mail, metadata (roles unused).
    pub identity: Identity,
    /// Realm that the creator belongs to.
    pub realm: RealmRef,
}

/// A stored API key.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeyRecord {
    /// Public id.
    pub id: KeyId,
    /// Not unique.
    pub name: Box<str>,
    /// Proof of the secret.
    pub secret: SaltedDigest,
    /// When it was made.
    pub creation: Timestamp,
    /// When it stops working.
    pub expiration: Option<Timestamp>,
    /// When it was invalidated; it never becomes valid again.
    pub invalidation: Option<Timestamp>,
    /// Its owner.
    pub creator: Creator,
    /// Assigned descriptors, name → descriptor; empty = the owner's alone.
    pub role_descriptors: Map<String, Value>,
    /// The owner's descriptors when the key was made, name → descriptor.
    pub limited_by: Map<String, Value>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
}

/// A stored access token.
#[derive(Clone, PartialEq)]
pub struct TokenRecord {
    /// SHA-256 of the token, its salt included: the key of the record.
    pub digest: [u8; 32],
    /// When it was made.
    pub creation: Timestamp,
    /// When it stops working.
    pub expiration: Timestamp,
    /// When it was invalidated.
    pub invalidation: Option<Timestamp>,
    /// Whose it is, as of the grant: roles by name.
    pub identity: Identity,
    /// Realm of the log-in.
    pub realm: RealmRef,
    /// Set when an API key minted it for itself.
    pub api_key: Option<KeyId>,
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord")
            .field("expiration", &self.expiration)
            .field("invalidation", &self.invalidation)
            .field("identity", &self.identity)
            .field("realm", &self.realm)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Which API keys an operation is about. Every field that is set must match.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Exact ids.
    pub ids: Option<Vec<KeyId>>,
    /// Exact name, or prefix with one trailing `*`.
    pub name: Option<Box<str>>,
    /// Owner's name.
    pub username: Option<Box<str>>,
    /// Owner's realm.
    pub realm: Option<Box<str>>,
    /// Neither invalidated nor expired at this time.
    pub active_at: Option<Timestamp>,
}

impl KeyFilter {
    /// The key of this id.
    #[must_use]
    pub fn id(id: KeyId) -> Self {
        Self { ids: Some(vec![id]), ..Self::default() }
    }
}

/// Why the store did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// What is stored cannot be read as what it should be.
    #[error("stored {what} is damaged")]
    Damaged {
        /// Kind of record.
        what: &'static str,
    },
    /// The schema is newer than this program.
    #[error("store has schema {found}, this version knows {known}")]
    Newer {
        /// Version found.
        found: u32,
        /// Newest version known.
        known: u32,
    },
    /// The backend failed.
    #[error("store is unavailable: {reason}")]
    Unavailable {
        /// The backend's words.
        reason: Arc<str>,
    },
}

/// Durable state. Every method that writes returns once the write is durable.
pub trait Store: Send + Sync {
    /// One user.
    fn user(
        &self,
        namespace: UserNamespace,
        name: &str,
    ) -> impl Future<Output = Result<Option<UserRecord>, StoreError>> + Send;
    /// All users of a namespace, by name.
    fn users(&self, namespace: UserNamespace) -> impl Future<Output = Result<Vec<UserRecord>, StoreError>> + Send;
    /// Writes a user whole, but an existing record keeps its hash when `user.password` is absent. Returns whether
    /// it is new.
    fn put_user(&self, user: UserRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Removes a user; returns whether there was one.
    fn delete_user(
        &self,
        namespace: UserNamespace,
        name: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Adds a key, whose id is new, unless its owner has `max_per_owner` keys already that live when it is made.
    /// Returns whether there was room.
    fn insert_key(
        &self,
        key: ApiKeyRecord,
        max_per_owner: u64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// One key.
    fn key(&self, id: &KeyId) -> impl Future<Output = Result<Option<ApiKeyRecord>, StoreError>> + Send;
    /// Keys in the order of their creation.
    fn keys(&self, filter: &KeyFilter) -> impl Future<Output = Result<Vec<ApiKeyRecord>, StoreError>> + Send;
    /// Marks matching keys that are not invalidated yet, in one transaction; returns their ids.
    fn invalidate_keys(
        &self,
        filter: &KeyFilter,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<KeyId>, StoreError>> + Send;

    /// Removes keys that expired or were invalidated before `before`; returns how many.
    fn remove_keys(&self, before: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Adds an access token.
    fn insert_token(&self, token: TokenRecord) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// One access token.
    fn token(&self, digest: &[u8; 32]) -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;
    /// Invalidates a token that is good at this time; returns whether there was one.
    fn invalidate_token(
        &self,
        digest: &[u8; 32],
        at: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Removes tokens that expired before `before`; returns how many.
    fn remove_tokens(&self, before: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Whether it answers; for `/readyz`.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The store that is configured. The set is closed, so a `match` stands in for a boxed trait object.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// In memory: tests, `demo`, and the reference model of the others.
    Memory(Arc<memory::Memory>),
    /// A SQLite file.
    Sqlite(Arc<sqlite::Sqlite>),
}

/// Runs a write, and the announcement that follows it, to its end even if the caller goes away half-way: a client
/// that hangs up must not leave a revoked key in a cache.
pub(crate) async fn complete<T, E>(write: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    // Nothing to track: the task ends with the answer of the store.
    match tokio::spawn(write).await {
        Ok(done) => done,
        Err(lost) => Err(StoreError::Unavailable { reason: lost.to_string().into() }.into()),
    }
}

/// The same call on whichever backend it is.
macro_rules! either {
    ($any:ident, $store:ident => $call:expr) => {
        match $any {
            Self::Memory($store) => $call.await,
            Self::Sqlite($store) => $call.await,
        }
    };
}

impl Store for AnyStore {
    async fn user(&self, namespace: UserNamespace, name: &str) -> Result<Option<UserRecord>, StoreError> {
        either!(self, store => store.user(namespace, name))
    }

    async fn users(&self, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
        either!(self, store => store.users(namespace))
    }

    async fn put_user(&self, user: UserRecord) -> Result<bool, StoreError> {
        either!(self, store => store.put_user(user))
    }

    async fn delete_user(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        either!(self, store => store.delete_user(namespace, name))
    }

    async fn insert_key(&self, key: ApiKeyRecord, max_per_owner: u64) -> Result<bool, StoreError> {
        either!(self, store => store.insert_key(key, max_per_owner))
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        either!(self, store => store.key(id))
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<ApiKeyRecord>, StoreError> {
        either!(self, store => store.keys(filter))
    }

    async fn invalidate_keys(&self, filter: &KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
        either!(self, store => store.invalidate_keys(filter, at))
    }

    async fn remove_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        either!(self, store => store.remove_keys(before))
    }

    async fn insert_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        either!(self, store => store.insert_token(token))
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        either!(self, store => store.token(digest))
    }

    async fn invalidate_token(&self, digest: &[u8; 32], at: Timestamp) -> Result<bool, StoreError> {
        either!(self, store => store.invalidate_token(digest, at))
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        either!(self, store => store.remove_tokens(before))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        either!(self, store => store.ping())
    }
}
