//! Records as rows, and back.

use rusqlite::Row;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    model::{KeyId, Timestamp},
    passwords::PasswordHash,
    secret::SecretText,
    store::{
        ApiKeyRecord, Client, Creator, SaltedDigest, StoreError, TokenRecord, TokenSubject, UserNamespace, UserRecord,
    },
};

pub(super) const USER_COLUMNS: &str = "namespace, password, enabled, document";
pub(super) const KEY_COLUMNS: &str = "id, name, salt, digest, creation, expiration, invalidation, document";
pub(super) const TOKEN_COLUMNS: &str = "digest, creation, expiration, invalidation, document";

/// What of a key is only ever read whole.
#[derive(Deserialize, Serialize)]
struct KeyDocument<C, M> {
    creator: C,
    role_descriptors: M,
    limited_by: M,
    metadata: M,
}

/// What of a token is only ever read whole.
#[derive(Deserialize, Serialize)]
struct TokenDocument<S, C> {
    subject: S,
    client: C,
}

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
    let document: KeyDocument<Creator, Map<String, Value>> = read(row, 7, "API key")?;
    Ok(ApiKeyRecord {
        id: KeyId(row.get(0)?),
        name: row.get(1)?,
        secret: SaltedDigest { salt: row.get(2)?, digest: row.get(3)? },
        creation: time(row.get(4)?),
        expiration: row.get::<_, Option<_>>(5)?.map(time),
        invalidation: row.get::<_, Option<_>>(6)?.map(time),
        creator: document.creator,
        role_descriptors: document.role_descriptors,
        limited_by: document.limited_by,
        metadata: document.metadata,
        access: None,
        last_used: None,
    })
}

pub(super) fn token(row: &Row<'_>) -> Result<TokenRecord, StoreError> {
    let document: TokenDocument<TokenSubject, Client> = read(row, 4, "token")?;
    Ok(TokenRecord {
        digest: row.get(0)?,
        creation: time(row.get(1)?),
        expiration: time(row.get(2)?),
        invalidation: row.get::<_, Option<_>>(3)?.map(time),
        refresh: None,
        subject: document.subject,
        client: document.client,
    })
}

pub(super) fn key_document(key: &ApiKeyRecord) -> Result<String, StoreError> {
    document(&KeyDocument {
        creator: &key.creator,
        role_descriptors: &key.role_descriptors,
        limited_by: &key.limited_by,
        metadata: &key.metadata,
    })
}

pub(super) fn token_document(token: &TokenRecord) -> Result<String, StoreError> {
    document(&TokenDocument { subject: &token.subject, client: &token.client })
}

pub(super) fn document(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(super::unavailable)
}

pub(super) fn namespace(namespace: UserNamespace) -> &'static str {
    match namespace {
        UserNamespace::Native => "native",
        UserNamespace::Reserved => "reserved",
    }
}

/// A time as SQLite keeps it. One beyond 64 signed bits is as good as the last that fits.
pub(super) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Negative times are never written.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn read<T: DeserializeOwned>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, StoreError> {
    let text = row.get_ref(column)?.as_str().map_err(|_| StoreError::Damaged { what })?;
    serde_json::from_str(text).map_err(|_| StoreError::Damaged { what })
}
