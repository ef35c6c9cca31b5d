//! Users.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    passwords::PasswordHash,
    store::{
        StoreError, UserNamespace, UserRecord,
        sqlite::row::{self, USER_COLUMNS},
        text,
    },
};

pub(super) fn one(
    connection: &Connection,
    namespace: UserNamespace,
    name: &str,
) -> Result<Option<UserRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {USER_COLUMNS} FROM users WHERE namespace = ?1 AND username = ?2"))?
        .query_row(params![text::namespace(namespace), name], |row| Ok(row::user(row)))
        .optional()?
        .transpose()
}

pub(super) fn all(connection: &Connection, namespace: UserNamespace) -> Result<Vec<UserRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {USER_COLUMNS} FROM users WHERE namespace = ?1 ORDER BY username"))?
        .query_map([text::namespace(namespace)], |row| Ok(row::user(row)))?
        .map(|row| row?)
        .collect()
}

pub(super) fn put(connection: &Connection, user: &UserRecord) -> Result<bool, StoreError> {
    let (namespace, username) = (text::namespace(user.namespace), &user.identity.username);
    let new = connection
        .prepare_cached("SELECT 1 FROM users WHERE namespace = ?1 AND username = ?2")?
        .query_row(params![namespace, username], |_| Ok(()))
        .optional()?
        .is_none();
    let password = user.password.as_ref().map(|hash| hash.0.expose());
    connection
        .prepare_cached(
            "INSERT INTO users (namespace, username, password, enabled, document) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET password = coalesce(excluded.password, password),
                 enabled = excluded.enabled, document = excluded.document",
        )?
        .execute(params![namespace, username, password, user.enabled, text::write(&user.identity)?])?;
    Ok(new)
}

pub(super) fn change(
    connection: &Connection,
    namespace: UserNamespace,
    name: &str,
    password: Option<&PasswordHash>,
    enabled: Option<bool>,
) -> Result<bool, StoreError> {
    let changed = connection
        .prepare_cached(
            "UPDATE users SET password = coalesce(?3, password), enabled = coalesce(?4, enabled)
             WHERE namespace = ?1 AND username = ?2",
        )?
        .execute(params![text::namespace(namespace), name, password.map(|hash| hash.0.expose()), enabled])?;
    Ok(changed > 0)
}

pub(super) fn delete(connection: &Connection, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
    let deleted = connection
        .prepare_cached("DELETE FROM users WHERE namespace = ?1 AND username = ?2")?
        .execute(params![text::namespace(namespace), name])?;
    Ok(deleted > 0)
}
