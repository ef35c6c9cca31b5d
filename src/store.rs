//! What must outlive the process: users, keys, tokens. One trait, several backends, one contract suite.

use std::{fmt, future::Future, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    model::{Identity, KeyId, RealmRef, Timestamp},
    passwords::PasswordHash,
};

pub mod memory;
pub mod sqlite;

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

impl fmt::Debug for SaltedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Who made a key: a snapshot, kept when the user is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Creator {
    /// Name, full name, e-mail, metadata (roles unused).
    pub identity: Identity,
    /// Realm that the creator belongs to.
    pub realm: RealmRef,
}

/// A stored API key.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct TokenRecord {
    /// SHA-256 of the token's bytes: the key of the record.
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
    /// Writes a user whole. `keep_password`: an existing record keeps its hash when `user.password` is absent.
    /// Returns whether it is new.
    fn put_user(&self, user: UserRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Removes a user; returns whether there was one.
    fn delete_user(
        &self,
        namespace: UserNamespace,
        name: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Adds a key; its id is new.
    fn insert_key(&self, key: ApiKeyRecord) -> impl Future<Output = Result<(), StoreError>> + Send;
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

    /// Adds an access token.
    fn insert_token(&self, token: TokenRecord) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// One access token.
    fn token(&self, digest: &[u8; 32]) -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;
    /// Removes tokens that expired before `before`.
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
