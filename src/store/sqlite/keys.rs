//! API keys.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::{
    model::{KeyId, Timestamp},
    store::{
        ApiKeyRecord, KeyChange, KeyUpdate, StoreError,
        sqlite::{
            filter::Bound,
            quotas::Quotas,
            row::{self, KEY_COLUMNS, millis},
        },
        text,
    },
};

pub(super) fn insert(
    connection: &Connection,
    key: &ApiKeyRecord,
    quotas: &Quotas,
    max_per_owner: u64,
) -> Result<bool, StoreError> {
    let (owner, realm) = (&key.creator.identity.username, &key.creator.realm.name);
    let live = || {
        let live: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM api_keys WHERE username = ?1 AND realm = ?2
                 AND invalidation IS NULL AND (expiration IS NULL OR expiration > ?3)",
            )?
            .query_row(params![owner, realm, millis(key.creation)], |row| row.get(0))?;
        Ok(u64::try_from(live).unwrap_or(0))
    };
    if !quotas.take((owner.clone(), (&**realm).into()), max_per_owner, key.creation, live)? {
        return Ok(false);
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO api_keys ({KEY_COLUMNS}, kind, username, realm)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        ))?
        .execute(params![
            key.id.0,
            key.name,
            key.secret.salt,
            key.secret.digest,
            millis(key.creation),
            key.expiration.map(millis),
            key.invalidation.map(millis),
            key.last_used.map(millis),
            text::of_key(key)?,
            text::kind(key.kind()),
            owner,
            realm,
        ])?;
    Ok(true)
}

pub(super) fn one(connection: &Connection, id: &KeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {KEY_COLUMNS} FROM api_keys WHERE id = ?1"))?
        .query_row([&id.0], |row| Ok(row::key(row)))
        .optional()?
        .transpose()
}

/// Those that `rest` of the query selects, and in its order.
pub(super) fn page(connection: &Connection, rest: &str, values: &[Bound]) -> Result<Vec<ApiKeyRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {KEY_COLUMNS} FROM api_keys {rest}"))?
        .query_map(params_from_iter(values), |row| Ok(row::key(row)))?
        .map(|row| row?)
        .collect()
}

pub(super) fn count(connection: &Connection, condition: &str, values: &[Bound]) -> Result<u64, StoreError> {
    let count: i64 = connection
        .prepare_cached(&format!("SELECT count(*) FROM api_keys WHERE {condition}"))?
        .query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Changes one key as [`ApiKeyRecord::update`] says. Its owner and its kind never change.
pub(super) fn update(connection: &Connection, id: &KeyId, change: &KeyChange) -> Result<KeyUpdate, StoreError> {
    let Some(mut key) = one(connection, id)? else { return Ok(KeyUpdate::NotFound) };
    let outcome = key.update(change);
    if outcome == KeyUpdate::Changed {
        connection
            .prepare_cached("UPDATE api_keys SET expiration = ?2, document = ?3 WHERE id = ?1")?
            .execute(params![id.0, key.expiration.map(millis), text::of_key(&key)?])?;
    }
    Ok(outcome)
}

pub(super) fn invalidate(
    connection: &Connection,
    condition: &str,
    mut values: Vec<Bound>,
    at: Timestamp,
) -> Result<Vec<KeyId>, StoreError> {
    let mut found = connection.prepare_cached(&format!(
        "SELECT id FROM api_keys WHERE {condition} AND invalidation IS NULL ORDER BY creation, id"
    ))?;
    let ids =
        found.query_map(params_from_iter(&values), |row| Ok(KeyId(row.get(0)?)))?.collect::<Result<Vec<_>, _>>()?;
    values.push(millis(at).into());
    connection
        .prepare_cached(&format!(
            "UPDATE api_keys SET invalidation = ?{} WHERE {condition} AND invalidation IS NULL",
            values.len()
        ))?
        .execute(params_from_iter(&values))?;
    Ok(ids)
}

pub(super) fn touch(connection: &Connection, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
    let mut touch =
        connection.prepare_cached("UPDATE api_keys SET last_used = ?2 WHERE id = ?1 AND ifnull(last_used, -1) < ?2")?;
    for (id, at) in used {
        touch.execute(params![id.0, millis(*at)])?;
    }
    Ok(())
}

pub(super) const REMOVE: &str = "DELETE FROM api_keys WHERE rowid IN
     (SELECT rowid FROM api_keys WHERE expiration < ?1 OR invalidation < ?1 LIMIT ?2)";
