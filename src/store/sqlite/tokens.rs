//! Access tokens, and their refresh tokens.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::{
    model::Timestamp,
    store::{
        Refresh, RefreshRefusal, Refreshed, StoreError, TokenRecord, TokenSelector, TokensInvalidated,
        sqlite::row::{self, TOKEN_COLUMNS, millis},
        text,
    },
};

pub(super) fn insert(connection: &Connection, token: &TokenRecord) -> Result<(), StoreError> {
    let refresh = token.refresh.as_ref();
    let superseded = refresh.and_then(|refresh| refresh.superseded.as_ref());
    let (username, realm) = token.owner();
    connection
        .prepare_cached(&format!(
            "INSERT INTO tokens ({TOKEN_COLUMNS}, username, realm) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        ))?
        .execute(params![
            token.digest,
            millis(token.creation),
            millis(token.expiration),
            token.invalidation.map(millis),
            refresh.map(|refresh| refresh.digest),
            refresh.and_then(|refresh| refresh.invalidation).map(millis),
            superseded.map(|first| millis(first.at)),
            superseded.map(|first| &*first.sealed),
            text::of_token(token)?,
            username,
            realm,
        ])?;
    Ok(())
}

/// The pair that has `digest` in `column`.
pub(super) fn one(
    connection: &Connection,
    column: &'static str,
    digest: &[u8; 32],
) -> Result<Option<TokenRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE {column} = ?1"))?
        .query_row([digest], |row| Ok(row::token(row)))
        .optional()?
        .transpose()
}

pub(super) fn refresh(connection: &Connection, digest: &[u8; 32], attempt: &Refresh) -> Result<Refreshed, StoreError> {
    let Some(mut token) = one(connection, "refresh_digest", digest)? else {
        return Ok(Refreshed::Refused(RefreshRefusal::Unknown));
    };
    let refreshed = token.refresh(attempt);
    if let Refreshed::Fresh(successor) = &refreshed {
        connection
            .prepare_cached("UPDATE tokens SET superseded = ?2, sealed = ?3 WHERE digest = ?1")?
            .execute(params![token.digest, millis(attempt.at), attempt.sealed])?;
        insert(connection, successor)?;
    }
    Ok(refreshed)
}

pub(super) fn invalidate(
    connection: &Connection,
    selector: &TokenSelector,
    at: Timestamp,
) -> Result<TokensInvalidated, StoreError> {
    let mut done = TokensInvalidated::default();
    for mut token in selected(connection, selector)? {
        if done.flag(&mut token, selector, at) {
            let refresh = token.refresh.and_then(|refresh| refresh.invalidation);
            connection
                .prepare_cached("UPDATE tokens SET invalidation = ?2, refresh_invalidation = ?3 WHERE digest = ?1")?
                .execute(params![token.digest, token.invalidation.map(millis), refresh.map(millis)])?;
        }
    }
    done.digests.sort_unstable();
    Ok(done)
}

fn selected(connection: &Connection, selector: &TokenSelector) -> Result<Vec<TokenRecord>, StoreError> {
    let (username, realm, since) = match selector {
        TokenSelector::Access(digest) => return Ok(one(connection, "digest", digest)?.into_iter().collect()),
        TokenSelector::Refresh(digest) => return Ok(one(connection, "refresh_digest", digest)?.into_iter().collect()),
        TokenSelector::Owner { username, realm, since } => (username, realm, millis(*since)),
    };
    let mut sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE creation >= ?1");
    let mut values: Vec<&dyn ToSql> = vec![&since];
    for (column, value) in [("username", username), ("realm", realm)] {
        if let Some(value) = value {
            values.push(value);
            sql.extend([" AND ", column, " = ?", &values.len().to_string()]);
        }
    }
    connection.prepare_cached(&sql)?.query_map(&*values, |row| Ok(row::token(row)))?.map(|row| row?).collect()
}

pub(super) const REMOVE: &str =
    "DELETE FROM tokens WHERE digest IN (SELECT digest FROM tokens WHERE expiration < ?1 LIMIT ?2)";
