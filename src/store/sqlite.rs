//! One file on one machine.
//!
//! Reads run on the calling thread: a look-up takes microseconds, less than a hop to another thread would. Writes go to
//! one thread that commits them in groups and answers only after the commit has reached the disk.

use std::{fmt, path::Path, sync::Arc};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde_json::Value;

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    store::{
        ApiKeyRecord, DocumentKind, KeyChange, KeyFilter, KeyUpdate, Page, Put, Refresh, Refreshed, Store, StoreError,
        TokenRecord, TokenSelector, TokensInvalidated, UserNamespace, UserRecord,
        sqlite::{
            file::Readers,
            row::{KEY_COLUMNS, TOKEN_COLUMNS, USER_COLUMNS, millis},
            writer::Writer,
        },
    },
};

mod file;
mod filter;
mod row;
#[cfg(test)]
mod tests;
mod writer;

/// A store in a SQLite file. Dropping it finishes the writes under way and closes the file.
pub struct Sqlite {
    // Before the writer: the last connection to close folds the log into the file.
    readers: Arc<Readers>,
    writer: Writer,
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
    /// [`StoreError::Newer`] when a newer version wrote it; [`StoreError::Unavailable`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = Writer::start(file::open(path)?)?;
        Ok(Self { readers: Arc::new(Readers::of(path)), writer })
    }

    /// Reads what may be much, where it keeps no data thread from its work.
    async fn list<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.read(query)).await.map_err(unavailable)?
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

impl Store for Sqlite {
    async fn user(&self, namespace: UserNamespace, name: &str) -> Result<Option<UserRecord>, StoreError> {
        self.readers.read(|connection| {
            connection
                .prepare_cached(&format!("SELECT {USER_COLUMNS} FROM users WHERE namespace = ?1 AND username = ?2"))?
                .query_row(params![row::namespace(namespace), name], |row| Ok(row::user(row)))
                .optional()?
                .transpose()
        })
    }

    async fn users(&self, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
        self.list(move |connection| {
            connection
                .prepare_cached(&format!("SELECT {USER_COLUMNS} FROM users WHERE namespace = ?1 ORDER BY username"))?
                .query_map([row::namespace(namespace)], |row| Ok(row::user(row)))?
                .map(|row| row?)
                .collect()
        })
        .await
    }

    async fn put_user(&self, user: UserRecord) -> Result<bool, StoreError> {
        let document = row::document(&user.identity)?;
        self.writer
            .write(move |connection| {
                let (namespace, username) = (row::namespace(user.namespace), &user.identity.username);
                let new = connection
                    .prepare_cached("SELECT 1 FROM users WHERE namespace = ?1 AND username = ?2")?
                    .query_row(params![namespace, username], |_| Ok(()))
                    .optional()?
                    .is_none();
                connection
                    .prepare_cached(
                        "INSERT INTO users (namespace, username, password, enabled, document) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET password = coalesce(excluded.password, password),
                             enabled = excluded.enabled, document = excluded.document",
                    )?
                    .execute(params![
                        namespace,
                        username,
                        user.password.as_ref().map(|hash| hash.0.expose()),
                        user.enabled,
                        document,
                    ])?;
                Ok(new)
            })
            .await
    }

    async fn delete_user(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        let name: Box<str> = name.into();
        self.writer
            .write(move |connection| {
                let removed = connection
                    .prepare_cached("DELETE FROM users WHERE namespace = ?1 AND username = ?2")?
                    .execute(params![row::namespace(namespace), name])?;
                Ok(removed > 0)
            })
            .await
    }

    async fn insert_key(&self, key: ApiKeyRecord, max_per_owner: u64) -> Result<bool, StoreError> {
        let document = row::key_document(&key)?;
        self.writer
            .write(move |connection| {
                let (owner, realm) = (&key.creator.identity.username, &key.creator.realm.name);
                let live: i64 = connection
                    .prepare_cached(
                        "SELECT count(*) FROM api_keys WHERE username = ?1 AND realm = ?2 AND invalidation IS NULL
                         AND (expiration IS NULL OR expiration > ?3)",
                    )?
                    .query_row(params![owner, realm, millis(key.creation)], |row| row.get(0))?;
                if u64::try_from(live).is_ok_and(|live| live >= max_per_owner) {
                    return Ok(false);
                }
                connection
                    .prepare_cached(&format!(
                        "INSERT INTO api_keys ({KEY_COLUMNS}, username, realm)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                    ))?
                    .execute(params![
                        key.id.0,
                        key.name,
                        key.secret.salt,
                        key.secret.digest,
                        millis(key.creation),
                        key.expiration.map(millis),
                        key.invalidation.map(millis),
                        document,
                        owner,
                        realm,
                    ])?;
                Ok(true)
            })
            .await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.readers.read(|connection| {
            connection
                .prepare_cached(&format!("SELECT {KEY_COLUMNS} FROM api_keys WHERE id = ?1"))?
                .query_row([&id.0], |row| Ok(row::key(row)))
                .optional()?
                .transpose()
        })
    }

    async fn keys(&self, filter: &KeyFilter, _page: &Page) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let (condition, values) = filter::condition(filter);
        self.list(move |connection| {
            connection
                .prepare_cached(&format!("SELECT {KEY_COLUMNS} FROM api_keys WHERE {condition} ORDER BY creation, id"))?
                .query_map(rusqlite::params_from_iter(values), |row| Ok(row::key(row)))?
                .map(|row| row?)
                .collect()
        })
        .await
    }

    async fn invalidate_keys(&self, filter: &KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
        let (condition, mut values) = filter::condition(filter);
        self.writer
            .write(move |connection| {
                let mut found = connection.prepare_cached(&format!(
                    "SELECT id FROM api_keys WHERE {condition} AND invalidation IS NULL ORDER BY creation, id"
                ))?;
                let ids = found
                    .query_map(rusqlite::params_from_iter(&values), |row| Ok(KeyId(row.get(0)?)))?
                    .collect::<Result<Vec<_>, _>>()?;
                values.push(millis(at).into());
                connection
                    .prepare_cached(&format!(
                        "UPDATE api_keys SET invalidation = ?{} WHERE {condition} AND invalidation IS NULL",
                        values.len()
                    ))?
                    .execute(rusqlite::params_from_iter(&values))?;
                Ok(ids)
            })
            .await
    }

    async fn remove_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.remove_in_portions(
            "DELETE FROM api_keys WHERE rowid IN
                 (SELECT rowid FROM api_keys WHERE expiration < ?1 OR invalidation < ?1 LIMIT ?2)",
            before,
        )
        .await
    }

    async fn insert_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        let document = row::token_document(&token)?;
        self.writer
            .write(move |connection| {
                connection
                    .prepare_cached(&format!("INSERT INTO tokens ({TOKEN_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)"))?
                    .execute(params![
                        token.digest,
                        millis(token.creation),
                        millis(token.expiration),
                        token.invalidation.map(millis),
                        document,
                    ])?;
                Ok(())
            })
            .await
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        self.readers.read(|connection| {
            connection
                .prepare_cached(&format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE digest = ?1"))?
                .query_row([digest], |row| Ok(row::token(row)))
                .optional()?
                .transpose()
        })
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.remove_in_portions(
            "DELETE FROM tokens WHERE digest IN (SELECT digest FROM tokens WHERE expiration < ?1 LIMIT ?2)",
            before,
        )
        .await
    }

    async fn change_user(
        &self,
        _namespace: UserNamespace,
        _name: &str,
        _password: Option<PasswordHash>,
        _enabled: Option<bool>,
    ) -> Result<bool, StoreError> {
        todo!()
    }
    async fn count_keys(&self, _filter: &KeyFilter) -> Result<u64, StoreError> {
        todo!()
    }
    async fn update_keys(&self, _ids: &[KeyId], _change: &KeyChange) -> Result<Vec<KeyUpdate>, StoreError> {
        todo!()
    }
    async fn touch_keys(&self, _used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        todo!()
    }
    async fn refresh_token(&self, _digest: &[u8; 32], _attempt: &Refresh) -> Result<Refreshed, StoreError> {
        todo!()
    }
    async fn invalidate_tokens(
        &self,
        _selector: &TokenSelector,
        _at: Timestamp,
    ) -> Result<TokensInvalidated, StoreError> {
        todo!()
    }
    async fn document(&self, _kind: DocumentKind, _name: &str) -> Result<Option<Value>, StoreError> {
        todo!()
    }
    async fn documents(&self, _kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
        todo!()
    }
    async fn put_documents(
        &self,
        _kind: DocumentKind,
        _documents: Vec<(Box<str>, Value)>,
    ) -> Result<Vec<Put>, StoreError> {
        todo!()
    }
    async fn insert_document(&self, _kind: DocumentKind, _name: &str, _document: Value) -> Result<bool, StoreError> {
        todo!()
    }
    async fn delete_documents(&self, _kind: DocumentKind, _names: &[Box<str>]) -> Result<Vec<bool>, StoreError> {
        todo!()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.readers.read(|connection| Ok(connection.prepare_cached("SELECT 1 FROM users")?.query([]).map(drop)?))
    }
}

impl Sqlite {
    /// Deletes bit by bit, so that other writes need not wait for a large removal.
    async fn remove_in_portions(&self, sql: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let removed = self
                .writer
                .write(move |connection| Ok(connection.prepare_cached(sql)?.execute([millis(before), PORTION])?))
                .await?;
            total += u64::try_from(removed).unwrap_or(u64::MAX);
            if removed == 0 {
                return Ok(total);
            }
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { what: "file" },
            _ => unavailable(error),
        }
    }
}

fn unavailable(error: impl fmt::Display) -> StoreError {
    StoreError::Unavailable { reason: error.to_string().into() }
}

/// Rows removed in one transaction.
const PORTION: i64 = 1_000;
