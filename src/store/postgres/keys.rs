//! API keys. Who changes several locks them in the order of their ids, so that nobody waits in a circle.

use std::collections::HashMap;

use sqlx::{PgPool, QueryBuilder};

use crate::{
    model::{KeyId, Timestamp},
    secret,
    store::{
        ApiKeyRecord, Change, KeyChange, KeyFilter, KeyUpdate, Page, StoreError,
        postgres::{
            feed::announce,
            filter,
            row::{self, millis},
        },
        text,
    },
};

pub(super) async fn insert(pool: PgPool, key: ApiKeyRecord, max_per_owner: u64) -> Result<bool, StoreError> {
    let (owner, realm) = (key.creator.identity.username.as_bytes(), key.creator.realm.name.as_bytes());
    let max = i64::try_from(max_per_owner).unwrap_or(i64::MAX);
    let mut transaction = pool.begin().await?;
    // Two at once would both find the last place free. 0xff is in neither name.
    let turn = secret::sha256(&[owner, b"\xff", realm]).first_chunk().map_or(0, |turn| i64::from_le_bytes(*turn));
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(turn).execute(&mut *transaction).await?;
    let live: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM api_keys WHERE username = $1 AND realm = $2
         AND invalidation IS NULL AND (expiration IS NULL OR expiration > $3) LIMIT $4) AS live",
    )
    .bind(owner)
    .bind(realm)
    .bind(millis(key.creation))
    .bind(max)
    .fetch_one(&mut *transaction)
    .await?;
    if live >= max {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO api_keys (id, name, salt, digest, creation, expiration, invalidation, last_used, kind, username,
             realm, document)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(key.id.0.as_bytes())
    .bind(key.name.as_bytes())
    .bind(key.secret.salt)
    .bind(key.secret.digest)
    .bind(millis(key.creation))
    .bind(key.expiration.map(millis))
    .bind(key.invalidation.map(millis))
    .bind(key.last_used.map(millis))
    .bind(text::kind(key.kind()))
    .bind(owner)
    .bind(realm)
    .bind(text::of_key(&key)?)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn one(pool: PgPool, id: KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
    let found = sqlx::query("SELECT * FROM api_keys WHERE id = $1").bind(id.0.as_bytes()).fetch_optional(&pool).await?;
    found.as_ref().map(row::key).transpose()
}

pub(super) async fn page(pool: PgPool, filter: KeyFilter, page: Page) -> Result<Vec<ApiKeyRecord>, StoreError> {
    let mut query = QueryBuilder::new("SELECT * FROM api_keys WHERE ");
    filter::condition(&mut query, &filter);
    filter::page(&mut query, &page);
    query.build().fetch_all(&pool).await?.iter().map(row::key).collect()
}

pub(super) async fn count(pool: PgPool, filter: KeyFilter) -> Result<u64, StoreError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM api_keys WHERE ");
    filter::condition(&mut query, &filter);
    let count: i64 = query.build_query_scalar().fetch_one(&pool).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Changes keys as [`ApiKeyRecord::update`] says. Their owners and their kinds never change.
pub(super) async fn update(pool: PgPool, ids: Vec<KeyId>, change: KeyChange) -> Result<Vec<KeyUpdate>, StoreError> {
    let mut transaction = pool.begin().await?;
    let wanted: Vec<_> = ids.iter().map(|id| id.0.as_bytes()).collect();
    let found = sqlx::query("SELECT * FROM api_keys WHERE id = ANY($1) ORDER BY id FOR UPDATE")
        .bind(wanted)
        .fetch_all(&mut *transaction)
        .await?;
    let mut keys = HashMap::with_capacity(found.len());
    for row in &found {
        let key = row::key(row)?;
        keys.insert(key.id.clone(), key);
    }
    let mut outcomes = Vec::with_capacity(ids.len());
    let mut changes = Vec::new();
    for id in ids {
        let outcome = keys.get_mut(&id).map_or(KeyUpdate::NotFound, |key| key.update(&change));
        if let (KeyUpdate::Changed, Some(key)) = (outcome, keys.get(&id)) {
            sqlx::query("UPDATE api_keys SET expiration = $2, document = $3 WHERE id = $1")
                .bind(id.0.as_bytes())
                .bind(key.expiration.map(millis))
                .bind(text::of_key(key)?)
                .execute(&mut *transaction)
                .await?;
            changes.push(Change::Key(id));
        }
        outcomes.push(outcome);
    }
    announce(&mut transaction, &changes).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

pub(super) async fn invalidate(pool: PgPool, filter: KeyFilter, at: Timestamp) -> Result<Vec<KeyId>, StoreError> {
    let mut transaction = pool.begin().await?;
    let mut query = QueryBuilder::new("WITH found AS (SELECT id FROM api_keys WHERE ");
    filter::condition(&mut query, &filter);
    query.push(" AND invalidation IS NULL ORDER BY id FOR UPDATE) UPDATE api_keys SET invalidation = ");
    query.push_bind(millis(at)).push(" FROM found WHERE api_keys.id = found.id RETURNING creation, api_keys.id AS id");
    let mut invalidated = Vec::new();
    for row in query.build().fetch_all(&mut *transaction).await? {
        invalidated.push((sqlx::Row::try_get::<i64, _>(&row, "creation")?, KeyId(row::name(&row, "id")?.into())));
    }
    invalidated.sort();
    let ids: Vec<_> = invalidated.into_iter().map(|(_, id)| id).collect();
    announce(&mut transaction, &ids.iter().cloned().map(Change::Key).collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(ids)
}

pub(super) async fn touch(pool: PgPool, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError> {
    let (ids, times): (Vec<_>, Vec<_>) = used.iter().map(|(id, at)| (id.0.as_bytes(), millis(*at))).unzip();
    sqlx::query(
        "WITH used AS (SELECT id, max(at) AS at FROM unnest($1::bytea[], $2::bigint[]) AS one (id, at) GROUP BY id),
              found AS (SELECT id FROM api_keys WHERE id = ANY($1) ORDER BY id FOR UPDATE)
         UPDATE api_keys SET last_used = used.at FROM used, found
         WHERE api_keys.id = found.id AND used.id = found.id AND coalesce(last_used, -1) < used.at",
    )
    .bind(ids)
    .bind(times)
    .execute(&pool)
    .await?;
    Ok(())
}

pub(super) const REMOVE: &str = "DELETE FROM api_keys WHERE id IN
     (SELECT id FROM api_keys WHERE expiration < $1 OR invalidation < $1 ORDER BY id LIMIT $2 FOR UPDATE)";
