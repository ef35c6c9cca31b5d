//! One file on one machine.
//!
//! Reads run on the calling thread: a look-up takes microseconds, less than a hop to another thread would. Writes go to
//! one thread that commits them in groups and answers only after the commit has reached the disk.

use std::{fmt, path::Path, sync::Arc};

use rusqlite::{Connection, ErrorCode};
use serde_json::Value;

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    store::{
        ApiKeyRecord, DocumentKind, KeyChange, KeyFilter, KeyUpdate, Page, Put, Refresh, Refreshed, RevocationClaim,
        RevocationRecord, SealedPair, SessionEnd, SessionFilter, SessionRecord, Store, StoreError, TokenRecord,
        TokenSelector, TokensInvalidated, UserNamespace, UserRecord,
        sqlite::{
            file::{Claim, Readers},
            quotas::Quotas,
            writer::Writer,
        },
    },
};

mod documents;
mod file;
mod filter;
mod keys;
mod quotas;
mod row;
mod sessions;
#[cfg(test)]
mod tests;
mod tokens;
mod users;
mod writer;

/// A store in a SQLite file. Dropping it finishes the writes under way and closes the file.
pub struct Sqlite {
    // Before the writer: the last connection to close folds the log into the file.
    readers: Arc<Readers>,
    writer: Writer,
    quotas: Arc<Quotas>,
    _claim: Claim,
}

/// Which migrations a file has seen.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// How many were applied.
    pub found: u32,
    /// How many this version knows.
    pub known: u32,
}

impl Sqlite {
    /// The schema of the file at `path`, which is left as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when it cannot be read.
    pub fn schema(path: &Path) -> Result<Schema, StoreError> {
        file::schema(path)
    }

    /// Opens the store at `path`, or makes it, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] when a newer version wrote it; [`StoreError::Unavailable`] when it cannot be opened, or
    /// another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (connection, claim) = file::open(path)?;
        let (readers, writer) = (Arc::new(Readers::of(path)), Writer::start(connection)?);
        Ok(Self { readers, writer, quotas: Arc::default(), _claim: claim })
    }

    /// Reads what may be much, where it keeps no data thread from its work.
    async fn list<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.read(query)).await.map_err(StoreError::unavailable)?
    }

    /// Deletes bit by bit, so that other writes need not wait for a large removal.
    async fn remove_in_portions(&self, sql: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let removed = self
                .writer
                .write(move |connection| Ok(connection.prepare_cached(sql)?.execute([row::millis(before), PORTION])?))
                .await?;
            total += u64::try_from(removed).unwrap_or(u64::MAX);
            if removed == 0 {
                return Ok(total);
            }
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

impl Store for Sqlite {
    async fn user(&self, namespace: UserNamespace, name: &str) -> Result<Option<UserRecord>, StoreError> {
        self.readers.read(|connection| users::one(connection, namespace, name))
    }

    async fn users(&self, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
        self.list(move |connection| users::all(connection, namespace)).await
    }

    async fn put_user(&self, user: UserRecord) -> Result<bool, StoreError> {
        self.writer.write(move |connection| users::put(connection, &user)).await
    }

    async fn change_user(
        &self,
        namespace: UserNamespace,
        name: &str,
        password: Option<PasswordHash>,
        enabled: Option<bool>,
    ) -> Result<bool, StoreError> {
        let name: Box<str> = name.into();
        let change = move |connection: &_| users::change(connection, namespace, &name, password.as_ref(), enabled);
        self.writer.write(change).await
    }

    async fn delete_user(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        let name: Box<str> = name.into();
        self.writer.write(move |connection| users::delete(connection, namespace, &name)).await
    }

    async fn insert_key(&self, key: ApiKeyRecord, max_per_owner: u64) -> Result<bool, StoreError> {
        let quotas = Arc::clone(&self.quotas);
        self.writer.write(move |connection| keys::insert(connection, &key, &quotas, max_per_owner)).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.readers.read(|connection| keys::one(connection, id))
    }

    async fn keys(&self, filter: &KeyFilter, page: &Page) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let (rest, values) = filter::page(filter, page);
        self.list(move |connection| keys::page(connection, &rest, &values)).await
    }

    async fn count_keys(&self, filter: &KeyFilter) -> Result<u64, StoreError> {
        let (condition, values) = filter::condition(filter);
        self.list(move |connection| keys::count(connection, &condition, &values)).await
    }

    async fn update_keys(&self, ids: &[KeyId], change: &KeyChange) -> Result<Vec<KeyUpdate>, StoreError> {
        let (ids, change) = (ids.to_vec(), change.clone());
        self.writer.write(move |connection| ids.iter().map(|id| keys::update(connection, id, &change)).collect()).await
    }

    async fn invalidate_keys(&self, filter: &KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
        let (condition, values) = filter::condition(filter);
        self.writer.write(move |connection| keys::invalidate(connection, &condition, values, at)).await
    }

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let used = used.to_vec();
        self.writer.write(move |connection| keys::touch(connection, &used)).await
    }

    async fn remove_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.remove_in_portions(keys::REMOVE, before).await
    }

    async fn insert_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        self.writer.write(move |connection| tokens::insert(connection, &token)).await
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        self.readers.read(|connection| tokens::one(connection, "digest", digest))
    }

    async fn refresh_token(&self, digest: &[u8; 32], attempt: &Refresh) -> Result<Refreshed, StoreError> {
        let (digest, attempt) = (*digest, attempt.clone());
        self.writer.write(move |connection| tokens::refresh(connection, &digest, &attempt)).await
    }

    async fn invalidate_tokens(
        &self,
        selector: &TokenSelector,
        at: Timestamp,
    ) -> Result<TokensInvalidated, StoreError> {
        let selector = selector.clone();
        self.writer.write(move |connection| tokens::invalidate(connection, &selector, at)).await
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.remove_in_portions(tokens::REMOVE, before).await
    }

    async fn insert_session(&self, session: SessionRecord) -> Result<bool, StoreError> {
        self.writer.write(move |connection| sessions::insert(connection, &session)).await
    }

    async fn session(&self, id: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        self.readers.read(|connection| sessions::one(connection, id))
    }

    async fn replace_session(&self, next: SessionRecord) -> Result<bool, StoreError> {
        self.writer.write(move |connection| sessions::replace(connection, &next)).await
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let (filter, after) = (filter.clone(), after.copied());
        self.list(move |connection| sessions::list(connection, &filter, after, limit)).await
    }

    async fn count_sessions(&self, filter: &SessionFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.list(move |connection| sessions::count(connection, &filter)).await
    }

    async fn end_sessions(&self, end: &SessionEnd) -> Result<Vec<SessionRecord>, StoreError> {
        let end = end.clone();
        self.writer.write(move |connection| sessions::end(connection, &end)).await
    }

    async fn insert_revocation(&self, pair: SealedPair, cause: &str, at: Timestamp) -> Result<(), StoreError> {
        let cause: Box<str> = cause.into();
        self.writer.write(move |connection| sessions::revoke(connection, &pair, &cause, at)).await
    }

    async fn claim_revocations(&self, claim: &RevocationClaim) -> Result<Vec<RevocationRecord>, StoreError> {
        let claim = claim.clone();
        self.writer.write(move |connection| sessions::claim(connection, &claim)).await
    }

    async fn settle_revocation(&self, id: u64, owner: &str, again: Option<Timestamp>) -> Result<(), StoreError> {
        let owner: Box<str> = owner.into();
        self.writer.write(move |connection| sessions::settle(connection, id, &owner, again)).await
    }

    async fn count_revocations(&self) -> Result<u64, StoreError> {
        self.list(sessions::count_revocations).await
    }

    async fn document(&self, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
        self.readers.read(|connection| documents::one(connection, kind, name))
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
        self.list(move |connection| documents::all(connection, kind)).await
    }

    async fn put_documents(
        &self,
        kind: DocumentKind,
        documents: Vec<(Box<str>, Value)>,
    ) -> Result<Vec<Put>, StoreError> {
        let put = move |connection: &Connection| {
            documents.iter().map(|(name, document)| documents::put(connection, kind, name, document)).collect()
        };
        self.writer.write(put).await
    }

    async fn insert_document(&self, kind: DocumentKind, name: &str, document: Value) -> Result<bool, StoreError> {
        let name: Box<str> = name.into();
        self.writer.write(move |connection| documents::insert(connection, kind, &name, &document)).await
    }

    async fn delete_documents(&self, kind: DocumentKind, names: &[Box<str>]) -> Result<Vec<bool>, StoreError> {
        let names = names.to_vec();
        let delete =
            move |connection: &Connection| names.iter().map(|name| documents::delete(connection, kind, name)).collect();
        self.writer.write(delete).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.readers.read(|connection| Ok(connection.prepare_cached("SELECT 1 FROM users")?.query([]).map(drop)?))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { what: "file" },
            _ => Self::unavailable(error),
        }
    }
}

/// Rows removed in one transaction.
const PORTION: i64 = 1_000;
