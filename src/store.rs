//! What must outlive the process: users, keys, tokens, sessions, roles. One trait, several backends, one contract suite.

use std::{fmt, future::Future, sync::Arc};

use serde_json::Value;

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
};

pub mod descriptors;
pub mod memory;
pub mod postgres;
pub mod record;
pub mod session;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use descriptors::Descriptors;
pub use record::{
    ApiKeyRecord, Change, Client, Creator, DocumentKind, KeyChange, KeyFilter, KeyKind, KeyUpdate, Page, Put, Refresh,
    RefreshRecord, RefreshRefusal, Refreshed, SaltedDigest, Superseded, TokenRecord, TokenSelector, TokenSubject,
    TokensInvalidated, UserNamespace, UserRecord,
};
pub use session::{
    Lease, RevocationClaim, RevocationRecord, SealedPair, SessionEnd, SessionFilter, SessionRecord, SessionState,
};

/// Told of every change that a cached verdict may rest on, once it is durable and before the caller who made it gets an
/// answer.
pub type Announce = Arc<dyn Fn(&Change) + Send + Sync>;

/// Who must hear of what other replicas write, because cached verdicts rest on it.
pub trait Follower: Send + Sync {
    /// Something was written.
    fn change(&self, change: &Change);
    /// Anything may have been written.
    fn change_all(&self);
    /// All that was written before `at` has been told.
    fn hear(&self, at: Timestamp);
    /// Nothing is heard, until the next [`Self::hear`].
    fn lose(&self);
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

impl StoreError {
    fn unavailable(reason: impl fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string().into() }
    }
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
    /// Gives an existing user another password, another enabled state or both; returns whether there is one.
    fn change_user(
        &self,
        namespace: UserNamespace,
        name: &str,
        password: Option<PasswordHash>,
        enabled: Option<bool>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
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
    /// A page of the keys that match.
    fn keys(
        &self,
        filter: &KeyFilter,
        page: &Page,
    ) -> impl Future<Output = Result<Vec<ApiKeyRecord>, StoreError>> + Send;
    /// How many keys match.
    fn count_keys(&self, filter: &KeyFilter) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// Updates keys in one transaction, each as [`ApiKeyRecord::update`] says; one outcome an id, in their order.
    fn update_keys(
        &self,
        ids: &[KeyId],
        change: &KeyChange,
    ) -> impl Future<Output = Result<Vec<KeyUpdate>, StoreError>> + Send;
    /// Marks matching keys that are not invalidated yet, in one transaction; returns their ids.
    fn invalidate_keys(
        &self,
        filter: &KeyFilter,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<KeyId>, StoreError>> + Send;
    /// Notes when keys were last used; an earlier time than the one that is noted already changes nothing.
    fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Removes keys that expired or were invalidated before `before`; returns how many.
    fn remove_keys(&self, before: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Adds a pair.
    fn insert_token(&self, token: TokenRecord) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// The pair of an access token.
    fn token(&self, digest: &[u8; 32]) -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;
    /// Uses a refresh token, by its digest, as [`TokenRecord::refresh`] says, in one transaction: of several at once one
    /// is the first.
    fn refresh_token(
        &self,
        digest: &[u8; 32],
        attempt: &Refresh,
    ) -> impl Future<Output = Result<Refreshed, StoreError>> + Send;
    /// Flags tokens, in one transaction, as [`TokensInvalidated::flag`] says.
    fn invalidate_tokens(
        &self,
        selector: &TokenSelector,
        at: Timestamp,
    ) -> impl Future<Output = Result<TokensInvalidated, StoreError>> + Send;
    /// Removes pairs whose access token expired before `before`; returns how many.
    fn remove_tokens(&self, before: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Adds a session, unless there is one of that id; returns whether it did.
    fn insert_session(&self, session: SessionRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// One session.
    fn session(&self, id: &[u8; 32]) -> impl Future<Output = Result<Option<SessionRecord>, StoreError>> + Send;
    /// Writes the next version of a session, if the one before is what is stored; returns whether it was.
    fn replace_session(&self, next: SessionRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// The first `limit` sessions that match, by id, behind the one given.
    fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<SessionRecord>, StoreError>> + Send;
    /// How many sessions match.
    fn count_sessions(&self, filter: &SessionFilter) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// Removes sessions and queues the pair that each has at that moment for revocation, in one transaction: no pair is
    /// lost between two owners. Returns what was removed, the newest first.
    fn end_sessions(&self, end: &SessionEnd) -> impl Future<Output = Result<Vec<SessionRecord>, StoreError>> + Send;

    /// Queues a pair for revocation, due at once.
    fn insert_revocation(
        &self,
        pair: SealedPair,
        cause: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Claims pairs that are due; of several claims at once, each gets others.
    fn claim_revocations(
        &self,
        claim: &RevocationClaim,
    ) -> impl Future<Output = Result<Vec<RevocationRecord>, StoreError>> + Send;
    /// Removes a pair from the queue, or makes it due `again` and counts the attempt: the latter only while `owner` was
    /// the last to claim it.
    fn settle_revocation(
        &self,
        id: u64,
        owner: &str,
        again: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// How many pairs are queued.
    fn count_revocations(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// One document.
    fn document(
        &self,
        kind: DocumentKind,
        name: &str,
    ) -> impl Future<Output = Result<Option<Value>, StoreError>> + Send;
    /// All documents of a kind, by name.
    fn documents(&self, kind: DocumentKind) -> impl Future<Output = Result<Vec<(Box<str>, Value)>, StoreError>> + Send;
    /// Writes documents of different names in one transaction; one outcome each, in their order.
    fn put_documents(
        &self,
        kind: DocumentKind,
        documents: Vec<(Box<str>, Value)>,
    ) -> impl Future<Output = Result<Vec<Put>, StoreError>> + Send;
    /// Adds a document unless there is one of that name; returns whether it did.
    fn insert_document(
        &self,
        kind: DocumentKind,
        name: &str,
        document: Value,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Removes documents in one transaction; whether there was one, for each name in order.
    fn delete_documents(
        &self,
        kind: DocumentKind,
        names: &[Box<str>],
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// Whether it answers; for `/readyz`.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The store that is configured. The set is closed, so a `match` stands in for a boxed trait object.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// In memory: tests, `demo`, and the reference model of the others.
    Memory(Arc<memory::Memory>),
    /// A PostgreSQL database, which several replicas may share.
    Postgres(Arc<postgres::Postgres>),
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
        Err(lost) => Err(StoreError::unavailable(lost).into()),
    }
}

/// The same call on whichever backend it is.
macro_rules! either {
    ($any:ident, $store:ident => $call:expr) => {
        match $any {
            Self::Memory($store) => $call.await,
            Self::Postgres($store) => $call.await,
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

    async fn change_user(
        &self,
        namespace: UserNamespace,
        name: &str,
        password: Option<PasswordHash>,
        enabled: Option<bool>,
    ) -> Result<bool, StoreError> {
        either!(self, store => store.change_user(namespace, name, password, enabled))
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

    async fn keys(&self, filter: &KeyFilter, page: &Page) -> Result<Vec<ApiKeyRecord>, StoreError> {
        either!(self, store => store.keys(filter, page))
    }

    async fn count_keys(&self, filter: &KeyFilter) -> Result<u64, StoreError> {
        either!(self, store => store.count_keys(filter))
    }

    async fn update_keys(&self, ids: &[KeyId], change: &KeyChange) -> Result<Vec<KeyUpdate>, StoreError> {
        either!(self, store => store.update_keys(ids, change))
    }

    async fn invalidate_keys(&self, filter: &KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
        either!(self, store => store.invalidate_keys(filter, at))
    }

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        either!(self, store => store.touch_keys(used))
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

    async fn refresh_token(&self, digest: &[u8; 32], attempt: &Refresh) -> Result<Refreshed, StoreError> {
        either!(self, store => store.refresh_token(digest, attempt))
    }

    async fn invalidate_tokens(
        &self,
        selector: &TokenSelector,
        at: Timestamp,
    ) -> Result<TokensInvalidated, StoreError> {
        either!(self, store => store.invalidate_tokens(selector, at))
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        either!(self, store => store.remove_tokens(before))
    }

    async fn insert_session(&self, session: SessionRecord) -> Result<bool, StoreError> {
        either!(self, store => store.insert_session(session))
    }

    async fn session(&self, id: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        either!(self, store => store.session(id))
    }

    async fn replace_session(&self, next: SessionRecord) -> Result<bool, StoreError> {
        either!(self, store => store.replace_session(next))
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        either!(self, store => store.sessions(filter, after, limit))
    }

    async fn count_sessions(&self, filter: &SessionFilter) -> Result<u64, StoreError> {
        either!(self, store => store.count_sessions(filter))
    }

    async fn end_sessions(&self, end: &SessionEnd) -> Result<Vec<SessionRecord>, StoreError> {
        either!(self, store => store.end_sessions(end))
    }

    async fn insert_revocation(&self, pair: SealedPair, cause: &str, at: Timestamp) -> Result<(), StoreError> {
        either!(self, store => store.insert_revocation(pair, cause, at))
    }

    async fn claim_revocations(&self, claim: &RevocationClaim) -> Result<Vec<RevocationRecord>, StoreError> {
        either!(self, store => store.claim_revocations(claim))
    }

    async fn settle_revocation(&self, id: u64, owner: &str, again: Option<Timestamp>) -> Result<(), StoreError> {
        either!(self, store => store.settle_revocation(id, owner, again))
    }

    async fn count_revocations(&self) -> Result<u64, StoreError> {
        either!(self, store => store.count_revocations())
    }

    async fn document(&self, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
        either!(self, store => store.document(kind, name))
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
        either!(self, store => store.documents(kind))
    }

    async fn put_documents(
        &self,
        kind: DocumentKind,
        documents: Vec<(Box<str>, Value)>,
    ) -> Result<Vec<Put>, StoreError> {
        either!(self, store => store.put_documents(kind, documents))
    }

    async fn insert_document(&self, kind: DocumentKind, name: &str, document: Value) -> Result<bool, StoreError> {
        either!(self, store => store.insert_document(kind, name, document))
    }

    async fn delete_documents(&self, kind: DocumentKind, names: &[Box<str>]) -> Result<Vec<bool>, StoreError> {
        either!(self, store => store.delete_documents(kind, names))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        either!(self, store => store.ping())
    }
}
