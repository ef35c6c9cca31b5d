//! One database for several replicas.
//!
//! Whoever asks, queries run on the runtime that opened the store: connections belong to it, and data threads have
//! runtimes of their own that know nothing of them. Everything has an end: a database that hangs is one that is not
//! available. Each write tells of its change in the same transaction (`feed`).

use std::{fmt, future::Future, str::FromStr, time::Duration};

use serde_json::Value;
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    clock::Clock,
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    secret::SecretText,
    store::{
        ApiKeyRecord, DocumentKind, Follower, KeyChange, KeyFilter, KeyUpdate, Page, Put, Refresh, Refreshed,
        RevocationClaim, RevocationRecord, SealedPair, SessionEnd, SessionFilter, SessionRecord, Store, StoreError,
        TokenRecord, TokenSelector, TokensInvalidated, UserNamespace, UserRecord,
    },
};

mod documents;
mod feed;
mod filter;
mod keys;
mod row;
mod schema;
mod sessions;
mod tokens;
mod users;

/// A store in a PostgreSQL database.
pub struct Postgres {
    pool: PgPool,
    runtime: Handle,
    options: PgConnectOptions,
}

impl Postgres {
    /// Connects to `url` and brings the schema up to date. The current runtime must live as long as the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] when a newer version wrote it; [`StoreError::Unavailable`] when it cannot be reached.
    pub async fn open(url: &SecretText) -> Result<Self, StoreError> {
        // Its own words could quote the URL, which may hold a password.
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(|_| StoreError::unavailable("the URL of PostgreSQL cannot be read"))?
            .application_name("searchgate")
            .options([("statement_timeout", PATIENCE.as_millis().to_string())])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(options.clone());
        timeout(START, schema::migrate(&pool)).await.map_err(|_| silent())??;
        Ok(Self { pool, runtime: Handle::current(), options })
    }

    /// Tells `follower` of what other replicas change, for as long as it is polled.
    pub async fn follow(&self, follower: &impl Follower, clock: &Clock) {
        feed::follow(&self.options, follower, clock).await;
    }

    /// Runs `query` to its end, even if the caller goes away, or to the end of patience.
    async fn run<T, F>(&self, query: impl FnOnce(PgPool) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let query = query(self.pool.clone());
        let bounded = async { timeout(PATIENCE, query).await.map_err(|_| silent())? };
        self.runtime.spawn(bounded).await.map_err(StoreError::unavailable)?
    }

    /// Deletes bit by bit, so that no transaction lasts long.
    async fn remove_in_portions(&self, sql: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let delete = |pool: PgPool| async move {
                let done = sqlx::query(sql).bind(row::millis(before)).bind(PORTION).execute(&pool).await?;
                Ok(done.rows_affected())
            };
            let removed = self.run(delete).await?;
            total += removed;
            if removed == 0 {
                return Ok(total);
            }
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Store for Postgres {
    async fn user(&self, namespace: UserNamespace, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let name = name.into();
        self.run(|pool| users::one(pool, namespace, name)).await
    }

    async fn users(&self, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
        self.run(|pool| users::all(pool, namespace)).await
    }

    async fn put_user(&self, user: UserRecord) -> Result<bool, StoreError> {
        self.run(|pool| users::put(pool, user)).await
    }

    async fn change_user(
        &self,
        namespace: UserNamespace,
        name: &str,
        password: Option<PasswordHash>,
        enabled: Option<bool>,
    ) -> Result<bool, StoreError> {
        let name = name.into();
        self.run(|pool| users::change(pool, namespace, name, password, enabled)).await
    }

    async fn delete_user(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        let name = name.into();
        self.run(|pool| users::delete(pool, namespace, name)).await
    }

    async fn insert_key(&self, key: ApiKeyRecord, max_per_owner: u64) -> Result<bool, StoreError> {
        self.run(|pool| keys::insert(pool, key, max_per_owner)).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let id = id.clone();
        self.run(|pool| keys::one(pool, id)).await
    }

    async fn keys(&self, filter: &KeyFilter, page: &Page) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.run(|pool| keys::page(pool, filter, page)).await
    }

    async fn count_keys(&self, filter: &KeyFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.run(|pool| keys::count(pool, filter)).await
    }

    async fn update_keys(&self, ids: &[KeyId], change: &KeyChange) -> Result<Vec<KeyUpdate>, StoreError> {
        let (ids, change) = (ids.to_vec(), change.clone());
        self.run(|pool| keys::update(pool, ids, change)).await
    }

    async fn invalidate_keys(&self, filter: &KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
        let filter = filter.clone();
        self.run(|pool| keys::invalidate(pool, filter, at)).await
    }

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let used = used.to_vec();
        self.run(|pool| keys::touch(pool, used)).await
    }

    async fn remove_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.remove_in_portions(keys::REMOVE, before).await
    }

    async fn insert_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        self.run(|pool| async move { tokens::insert(&mut *pool.acquire().await?, &token).await }).await
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        let digest = *digest;
        self.run(|pool| tokens::one(pool, digest)).await
    }

    async fn refresh_token(&self, digest: &[u8; 32], attempt: &Refresh) -> Result<Refreshed, StoreError> {
        let (digest, attempt) = (*digest, attempt.clone());
        self.run(|pool| tokens::refresh(pool, digest, attempt)).await
    }

    async fn invalidate_tokens(
        &self,
        selector: &TokenSelector,
        at: Timestamp,
    ) -> Result<TokensInvalidated, StoreError> {
        let selector = selector.clone();
        self.run(|pool| tokens::invalidate(pool, selector, at)).await
    }

    async fn remove_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.remove_in_portions(tokens::REMOVE, before).await
    }

    async fn insert_session(&self, session: SessionRecord) -> Result<bool, StoreError> {
        self.run(|pool| sessions::insert(pool, session)).await
    }

    async fn session(&self, id: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
        let id = *id;
        self.run(|pool| sessions::one(pool, id)).await
    }

    async fn replace_session(&self, next: SessionRecord) -> Result<bool, StoreError> {
        self.run(|pool| sessions::replace(pool, next)).await
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let (filter, after) = (filter.clone(), after.copied());
        self.run(|pool| sessions::list(pool, filter, after, limit)).await
    }

    async fn count_sessions(&self, filter: &SessionFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.run(|pool| sessions::count(pool, filter)).await
    }

    async fn end_sessions(&self, end: &SessionEnd) -> Result<Vec<SessionRecord>, StoreError> {
        let end = end.clone();
        self.run(|pool| sessions::end(pool, end)).await
    }

    async fn insert_revocation(&self, pair: SealedPair, cause: &str, at: Timestamp) -> Result<(), StoreError> {
        let cause: Box<str> = cause.into();
        self.run(|pool| sessions::revoke(pool, pair, cause, at)).await
    }

    async fn claim_revocations(&self, claim: &RevocationClaim) -> Result<Vec<RevocationRecord>, StoreError> {
        let claim = claim.clone();
        self.run(|pool| sessions::claim(pool, claim)).await
    }

    async fn settle_revocation(&self, id: u64, owner: &str, again: Option<Timestamp>) -> Result<(), StoreError> {
        let owner = owner.into();
        self.run(|pool| sessions::settle(pool, id, owner, again)).await
    }

    async fn count_revocations(&self) -> Result<u64, StoreError> {
        self.run(sessions::count_revocations).await
    }

    async fn document(&self, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
        let name = name.into();
        self.run(|pool| documents::one(pool, kind, name)).await
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
        self.run(|pool| documents::all(pool, kind)).await
    }

    async fn put_documents(
        &self,
        kind: DocumentKind,
        documents: Vec<(Box<str>, Value)>,
    ) -> Result<Vec<Put>, StoreError> {
        self.run(|pool| documents::put(pool, kind, documents)).await
    }

    async fn insert_document(&self, kind: DocumentKind, name: &str, document: Value) -> Result<bool, StoreError> {
        let name = name.into();
        self.run(|pool| documents::insert(pool, kind, name, document)).await
    }

    async fn delete_documents(&self, kind: DocumentKind, names: &[Box<str>]) -> Result<Vec<bool>, StoreError> {
        let names = names.to_vec();
        self.run(|pool| documents::delete(pool, kind, names)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(|pool| async move { Ok(sqlx::query("SELECT 1 FROM feed").execute(&pool).await.map(drop)?) }).await
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Damaged { what: "row" },
            _ => Self::unavailable(error),
        }
    }
}

fn silent() -> StoreError {
    StoreError::unavailable("PostgreSQL does not answer")
}

/// Connections of one replica, its feed's aside.
const CONNECTIONS: u32 = 16;
/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long the schema may take, another replica's turn included.
const START: Duration = Duration::from_mins(1);
/// Rows removed in one transaction.
const PORTION: i64 = 1_000;
