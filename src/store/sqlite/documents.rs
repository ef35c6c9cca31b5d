//! Documents.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::store::{DocumentKind, Put, StoreError, sqlite::row, text};

pub(super) fn one(connection: &Connection, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
    connection
        .prepare_cached("SELECT document FROM documents WHERE kind = ?1 AND name = ?2")?
        .query_row(params![kind.as_str(), name], |row| Ok(row::document(row)))
        .optional()?
        .transpose()
}

pub(super) fn all(connection: &Connection, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
    connection
        .prepare_cached("SELECT document, name FROM documents WHERE kind = ?1 ORDER BY name")?
        .query_map([kind.as_str()], |row| Ok((row.get(1)?, row::document(row))))?
        .map(|row| {
            let (name, document) = row?;
            Ok((name, document?))
        })
        .collect()
}

pub(super) fn put(
    connection: &Connection,
    kind: DocumentKind,
    name: &str,
    document: &Value,
) -> Result<Put, StoreError> {
    let put = match one(connection, kind, name)? {
        None => Put::Created,
        Some(before) if before == *document => Put::Unchanged,
        Some(_) => Put::Updated,
    };
    connection
        .prepare_cached(
            "INSERT INTO documents (kind, name, document) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET document = excluded.document",
        )?
        .execute(params![kind.as_str(), name, text::write(document)?])?;
    Ok(put)
}

pub(super) fn insert(
    connection: &Connection,
    kind: DocumentKind,
    name: &str,
    document: &Value,
) -> Result<bool, StoreError> {
    let inserted = connection
        .prepare_cached("INSERT INTO documents (kind, name, document) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![kind.as_str(), name, text::write(document)?])?;
    Ok(inserted > 0)
}

pub(super) fn delete(connection: &Connection, kind: DocumentKind, name: &str) -> Result<bool, StoreError> {
    let deleted = connection
        .prepare_cached("DELETE FROM documents WHERE kind = ?1 AND name = ?2")?
        .execute(params![kind.as_str(), name])?;
    Ok(deleted > 0)
}
