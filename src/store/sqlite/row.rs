//! Records as rows, and back.

use rusqlite::{Row, types::FromSql};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    secret::SecretText,
    store::{
        ApiKeyRecord, RefreshRecord, SaltedDigest, StoreError, Superseded, TokenRecord, UserNamespace, UserRecord,
        text::{self, KeyDocument, TokenDocument},
    },
};

pub(super) const USER_COLUMNS: &str = "namespace, password, enabled, document";
pub(super) const KEY_COLUMNS: &str = "id, name, salt, digest, creation, expiration, invalidation, last_used, document";
pub(super) const TOKEN_COLUMNS: &str = "digest, creation, expiration, invalidation, refresh_digest, refresh_invalidation, \
                                        superseded, sealed, document";

pub(super) fn user(row: &Row<'_>) -> Result<UserRecord, StoreError> {
    Ok(UserRecord {
        namespace: match row.get_ref(0)?.as_str().ok() {
            Some("native") => UserNamespace::Native,
            Some("reserved") => UserNamespace::Reserved,
            _ => return Err(StoreError::Damaged { what: "user" }),
        },
        password: row.get::<_, Option<String>>(1)?.map(|hash| PasswordHash(SecretText::new(hash))),
        enabled: row.get(2)?,
        identity: read(row, 3, "user")?,
    })
}

pub(super) fn key(row: &Row<'_>) -> Result<ApiKeyRecord, StoreError> {
    let document: KeyDocument = read(row, 8, "API key")?;
    Ok(ApiKeyRecord {
        id: KeyId(row.get(0)?),
        name: row.get(1)?,
        secret: SaltedDigest { salt: row.get(2)?, digest: row.get(3)? },
        creation: time(row.get(4)?),
        expiration: optional(row, 5)?.map(time),
        invalidation: optional(row, 6)?.map(time),
        last_used: optional(row, 7)?.map(time),
        creator: document.creator,
        role_descriptors: document.role_descriptors,
        limited_by: document.limited_by,
        metadata: document.metadata,
        access: document.access,
    })
}

pub(super) fn token(row: &Row<'_>) -> Result<TokenRecord, StoreError> {
    let document: TokenDocument = read(row, 8, "token")?;
    let superseded = optional(row, 6)?.map(time).zip(optional::<Vec<u8>>(row, 7)?);
    let refresh = |digest| {
        Ok::<_, StoreError>(RefreshRecord {
            digest,
            invalidation: optional(row, 5)?.map(time),
            superseded: superseded.map(|(at, sealed)| Superseded { at, sealed: sealed.into() }),
        })
    };
    Ok(TokenRecord {
        digest: row.get(0)?,
        creation: time(row.get(1)?),
        expiration: time(row.get(2)?),
        invalidation: optional(row, 3)?.map(time),
        refresh: optional(row, 4)?.map(refresh).transpose()?,
        subject: document.subject,
        client: document.client,
    })
}

/// The first column, a document.
pub(super) fn document(row: &Row<'_>) -> Result<Value, StoreError> {
    read(row, 0, "document")
}

/// A time as SQLite keeps it. One beyond 64 signed bits is as good as the last that fits.
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

pub(super) fn optional<T: FromSql>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    row.get(column)
}

fn read<T: DeserializeOwned>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, StoreError> {
    text::read(row.get_ref(column)?.as_str().map_err(|_| StoreError::Damaged { what })?, what)
}
