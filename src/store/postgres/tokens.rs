//! Access tokens, and their refresh tokens.

use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::{
    model::Timestamp,
    store::{
        Change, Refresh, RefreshRefusal, Refreshed, StoreError, TokenRecord, TokenSelector, TokensInvalidated,
        postgres::{
            feed::announce,
            row::{self, millis},
        },
        text,
    },
};

pub(super) async fn insert(connection: &mut PgConnection, token: &TokenRecord) -> Result<(), StoreError> {
    let refresh = token.refresh.as_ref();
    let superseded = refresh.and_then(|refresh| refresh.superseded.as_ref());
    let (username, realm) = token.owner();
    sqlx::query(
        "INSERT INTO tokens (digest, creation, expiration, invalidation, refresh_digest, refresh_invalidation,
             superseded, sealed, username, realm, document)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(token.digest)
    .bind(millis(token.creation))
    .bind(millis(token.expiration))
    .bind(token.invalidation.map(millis))
    .bind(refresh.map(|refresh| refresh.digest))
    .bind(refresh.and_then(|refresh| refresh.invalidation).map(millis))
    .bind(superseded.map(|first| millis(first.at)))
    .bind(superseded.map(|first| &*first.sealed))
    .bind(username.as_bytes())
    .bind(realm.as_bytes())
    .bind(text::of_token(token)?)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn one(pool: PgPool, digest: [u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
    let found = sqlx::query("SELECT * FROM tokens WHERE digest = $1").bind(digest).fetch_optional(&pool).await?;
    found.as_ref().map(row::token).transpose()
}

pub(super) async fn refresh(pool: PgPool, digest: [u8; 32], attempt: Refresh) -> Result<Refreshed, StoreError> {
    let mut transaction = pool.begin().await?;
    let found = sqlx::query("SELECT * FROM tokens WHERE refresh_digest = $1 FOR UPDATE")
        .bind(digest)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(found) = found else { return Ok(Refreshed::Refused(RefreshRefusal::Unknown)) };
    let mut token = row::token(&found)?;
    let refreshed = token.refresh(&attempt);
    if let Refreshed::Fresh(successor) = &refreshed {
        sqlx::query("UPDATE tokens SET superseded = $2, sealed = $3 WHERE digest = $1")
            .bind(token.digest)
            .bind(millis(attempt.at))
            .bind(&*attempt.sealed)
            .execute(&mut *transaction)
            .await?;
        insert(&mut transaction, successor).await?;
    }
    transaction.commit().await?;
    Ok(refreshed)
}

pub(super) async fn invalidate(
    pool: PgPool,
    selector: TokenSelector,
    at: Timestamp,
) -> Result<TokensInvalidated, StoreError> {
    let mut transaction = pool.begin().await?;
    let mut query = QueryBuilder::new("SELECT * FROM tokens WHERE ");
    match &selector {
        TokenSelector::Access(digest) => {
            query.push("digest = ").push_bind(*digest);
        }
        TokenSelector::Refresh(digest) => {
            query.push("refresh_digest = ").push_bind(*digest);
        }
        TokenSelector::Owner { username, realm, since } => {
            query.push("creation >= ").push_bind(millis(*since));
            for (column, value) in [(" AND username = ", username), (" AND realm = ", realm)] {
                if let Some(value) = value {
                    query.push(column).push_bind(value.as_bytes().to_vec());
                }
            }
        }
    }
    // In the order of the digests, so that two at once do not wait in a circle.
    query.push(" ORDER BY digest FOR UPDATE");
    let mut done = TokensInvalidated::default();
    for row in query.build().fetch_all(&mut *transaction).await? {
        let mut token = row::token(&row)?;
        if done.flag(&mut token, &selector, at) {
            let refresh = token.refresh.and_then(|refresh| refresh.invalidation);
            sqlx::query("UPDATE tokens SET invalidation = $2, refresh_invalidation = $3 WHERE digest = $1")
                .bind(token.digest)
                .bind(token.invalidation.map(millis))
                .bind(refresh.map(millis))
                .execute(&mut *transaction)
                .await?;
        }
    }
    done.digests.sort_unstable();
    announce(&mut transaction, &done.digests.iter().copied().map(Change::Token).collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(done)
}

pub(super) const REMOVE: &str = "DELETE FROM tokens WHERE digest IN
     (SELECT digest FROM tokens WHERE expiration < $1 ORDER BY digest LIMIT $2 FOR UPDATE)";
