//! Documents. Who writes some announces it first: that is a turn, and there are no two at once.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::store::{
    Change, DocumentKind, Put, StoreError,
    postgres::{feed::announce, row},
    text,
};

pub(super) async fn one(pool: PgPool, kind: DocumentKind, name: Box<str>) -> Result<Option<Value>, StoreError> {
    find(&mut *pool.acquire().await?, kind, &name).await
}

pub(super) async fn all(pool: PgPool, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
    let found = sqlx::query("SELECT name, document FROM documents WHERE kind = $1 ORDER BY name")
        .bind(kind.as_str())
        .fetch_all(&pool)
        .await?;
    found.iter().map(|row| Ok((row::name(row, "name")?, row::document(row)?))).collect()
}

pub(super) async fn put(
    pool: PgPool,
    kind: DocumentKind,
    documents: Vec<(Box<str>, Value)>,
) -> Result<Vec<Put>, StoreError> {
    let mut transaction = pool.begin().await?;
    announce(&mut transaction, &[Change::Documents(kind)]).await?;
    let mut puts = Vec::with_capacity(documents.len());
    for (name, document) in &documents {
        puts.push(match find(&mut transaction, kind, name).await? {
            None => Put::Created,
            Some(before) if before == *document => Put::Unchanged,
            Some(_) => Put::Updated,
        });
        write(&mut transaction, kind, name, document).await?;
    }
    transaction.commit().await?;
    Ok(puts)
}

pub(super) async fn insert(
    pool: PgPool,
    kind: DocumentKind,
    name: Box<str>,
    document: Value,
) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    announce(&mut transaction, &[Change::Documents(kind)]).await?;
    if find(&mut transaction, kind, &name).await?.is_some() {
        return Ok(false);
    }
    write(&mut transaction, kind, &name, &document).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn delete(pool: PgPool, kind: DocumentKind, names: Vec<Box<str>>) -> Result<Vec<bool>, StoreError> {
    let mut transaction = pool.begin().await?;
    announce(&mut transaction, &[Change::Documents(kind)]).await?;
    let mut deleted = Vec::with_capacity(names.len());
    for name in &names {
        let done = sqlx::query("DELETE FROM documents WHERE kind = $1 AND name = $2")
            .bind(kind.as_str())
            .bind(name.as_bytes())
            .execute(&mut *transaction)
            .await?;
        deleted.push(done.rows_affected() > 0);
    }
    transaction.commit().await?;
    Ok(deleted)
}

async fn find(connection: &mut PgConnection, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
    let found = sqlx::query("SELECT document FROM documents WHERE kind = $1 AND name = $2")
        .bind(kind.as_str())
        .bind(name.as_bytes())
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(row::document).transpose()
}

async fn write(
    connection: &mut PgConnection,
    kind: DocumentKind,
    name: &str,
    document: &Value,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO documents (kind, name, document) VALUES ($1, $2, $3)
         ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document",
    )
    .bind(kind.as_str())
    .bind(name.as_bytes())
    .bind(text::write(document)?)
    .execute(connection)
    .await?;
    Ok(())
}
