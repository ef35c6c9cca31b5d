//! Users.

use sqlx::PgPool;

use crate::{
    passwords::PasswordHash,
    store::{
        Change, StoreError, UserNamespace, UserRecord,
        postgres::{feed::announce, row},
        text,
    },
};

pub(super) async fn one(
    pool: PgPool,
    namespace: UserNamespace,
    name: Box<str>,
) -> Result<Option<UserRecord>, StoreError> {
    let found = sqlx::query("SELECT * FROM users WHERE namespace = $1 AND username = $2")
        .bind(text::namespace(namespace))
        .bind(name.as_bytes())
        .fetch_optional(&pool)
        .await?;
    found.as_ref().map(row::user).transpose()
}

pub(super) async fn all(pool: PgPool, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
    let found = sqlx::query("SELECT * FROM users WHERE namespace = $1 ORDER BY username")
        .bind(text::namespace(namespace))
        .fetch_all(&pool)
        .await?;
    found.iter().map(row::user).collect()
}

pub(super) async fn put(pool: PgPool, user: UserRecord) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    // A row version that replaced none has no deleter: `xmax`.
    let new = sqlx::query_scalar(
        "INSERT INTO users (namespace, username, password, enabled, document) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (namespace, username) DO UPDATE SET password = coalesce(excluded.password, users.password),
             enabled = excluded.enabled, document = excluded.document
         RETURNING xmax = 0",
    )
    .bind(text::namespace(user.namespace))
    .bind(user.identity.username.as_bytes())
    .bind(user.password.as_ref().map(|hash| hash.0.expose()))
    .bind(user.enabled)
    .bind(text::write(&user.identity)?)
    .fetch_one(&mut *transaction)
    .await?;
    announce(&mut transaction, &[Change::User(user.namespace, user.identity.username)]).await?;
    transaction.commit().await?;
    Ok(new)
}

pub(super) async fn change(
    pool: PgPool,
    namespace: UserNamespace,
    name: Box<str>,
    password: Option<PasswordHash>,
    enabled: Option<bool>,
) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    let changed = sqlx::query(
        "UPDATE users SET password = coalesce($3, password), enabled = coalesce($4, enabled)
         WHERE namespace = $1 AND username = $2",
    )
    .bind(text::namespace(namespace))
    .bind(name.as_bytes())
    .bind(password.as_ref().map(|hash| hash.0.expose()))
    .bind(enabled)
    .execute(&mut *transaction)
    .await?;
    announce(&mut transaction, &[Change::User(namespace, name)]).await?;
    transaction.commit().await?;
    Ok(changed.rows_affected() > 0)
}

pub(super) async fn delete(pool: PgPool, namespace: UserNamespace, name: Box<str>) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    let deleted = sqlx::query("DELETE FROM users WHERE namespace = $1 AND username = $2")
        .bind(text::namespace(namespace))
        .bind(name.as_bytes())
        .execute(&mut *transaction)
        .await?;
    announce(&mut transaction, &[Change::User(namespace, name)]).await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected() > 0)
}
