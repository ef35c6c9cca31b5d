//! Records as rows, and back.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    secret::SecretText,
    store::{
        ApiKeyRecord, RefreshRecord, SaltedDigest, StoreError, Superseded, TokenRecord, UserNamespace, UserRecord,
        text::{self, KeyDocument, TokenDocument},
    },
};

pub(super) fn user(row: &PgRow) -> Result<UserRecord, StoreError> {
    Ok(UserRecord {
        namespace: match row.try_get("namespace")? {
            "native" => UserNamespace::Native,
            "reserved" => UserNamespace::Reserved,
            _ => return Err(StoreError::Damaged { what: "user" }),
        },
        password: row.try_get::<Option<String>, _>("password")?.map(|hash| PasswordHash(SecretText::new(hash))),
        enabled: row.try_get("enabled")?,
        identity: read(row, "user")?,
    })
}

pub(super) fn key(row: &PgRow) -> Result<ApiKeyRecord, StoreError> {
    let document: KeyDocument = read(row, "API key")?;
    Ok(ApiKeyRecord {
        id: KeyId(name(row, "id")?.into()),
        name: name(row, "name")?,
        secret: SaltedDigest { salt: row.try_get("salt")?, digest: row.try_get("digest")? },
        creation: time(row.try_get("creation")?),
        expiration: optional_time(row, "expiration")?,
        invalidation: optional_time(row, "invalidation")?,
        last_used: optional_time(row, "last_used")?,
        creator: document.creator,
        role_descriptors: document.role_descriptors,
        limited_by: document.limited_by,
        metadata: document.metadata,
        access: document.access,
    })
}

pub(super) fn token(row: &PgRow) -> Result<TokenRecord, StoreError> {
    let document: TokenDocument = read(row, "token")?;
    let refresh = match row.try_get("refresh_digest")? {
        None => None,
        Some(digest) => {
            let superseded = optional_time(row, "superseded")?.zip(row.try_get::<Option<Vec<u8>>, _>("sealed")?);
            Some(RefreshRecord {
                digest,
                invalidation: optional_time(row, "refresh_invalidation")?,
                superseded: superseded.map(|(at, sealed)| Superseded { at, sealed: sealed.into() }),
            })
        }
    };
    Ok(TokenRecord {
        digest: row.try_get("digest")?,
        creation: time(row.try_get("creation")?),
        expiration: time(row.try_get("expiration")?),
        invalidation: optional_time(row, "invalidation")?,
        refresh,
        subject: document.subject,
        client: document.client,
    })
}

pub(super) fn document(row: &PgRow) -> Result<Value, StoreError> {
    read(row, "document")
}

/// A text that is kept as its bytes.
pub(super) fn name(row: &PgRow, column: &'static str) -> Result<Box<str>, StoreError> {
    let bytes = row.try_get::<Vec<u8>, _>(column)?;
    Ok(String::from_utf8(bytes).map_err(|_| StoreError::Damaged { what: column })?.into())
}

/// A time as PostgreSQL keeps it. One beyond 64 signed bits is as good as the last that fits.
pub(super) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A number as it is kept; nothing counts that far.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Negative numbers are never written.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Negative times are never written.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn optional_time(row: &PgRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(time))
}

fn read<T: DeserializeOwned>(row: &PgRow, what: &'static str) -> Result<T, StoreError> {
    text::read(row.try_get("document")?, what)
}
