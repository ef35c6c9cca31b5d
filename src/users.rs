//! Users of the `native` and `reserved` realms, and the roles that their names stand for.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    model::Identity,
    passwords::{Busy, Passwords},
    secret::SecretText,
    store::{AnyStore, StoreError, UserNamespace, UserRecord},
};

/// The users of this gateway.
pub struct Users {}

/// Told the name of every user that changed, before the caller who changed it gets an answer.
pub type Changed = Arc<dyn Fn(UserNamespace, &str) + Send + Sync>;

/// Why an operation on users failed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// Too many passwords wait to be hashed. 429.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// A new user needs a password. 400.
    #[error("password must be specified unless you are updating an existing user")]
    NoPassword,
    /// The store did not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Users {
    /// Users kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, passwords: Passwords, changed: Changed) -> Self {
        let _ = (store, passwords, changed);
        todo!()
    }

    /// Gives `elastic` its first password; does nothing when it has one. Returns whether it did.
    ///
    /// # Errors
    ///
    /// [`UsersError`].
    pub async fn bootstrap(&self, password: &SecretText) -> Result<bool, UsersError> {
        let _ = password;
        todo!()
    }

    /// Whether `elastic` has a password.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn is_bootstrapped(&self) -> Result<bool, StoreError> {
        todo!()
    }

    /// The user behind a name and password. `None` for a wrong password, an unknown and a disabled user, all at the
    /// same cost.
    ///
    /// # Errors
    ///
    /// [`UsersError::Busy`], [`UsersError::Store`].
    pub async fn verify(
        &self,
        namespace: UserNamespace,
        name: &str,
        password: SecretText,
    ) -> Result<Option<UserRecord>, UsersError> {
        let _ = (namespace, name, password);
        todo!()
    }

    /// Creates or replaces a native user; returns whether it is new. An existing one keeps its password when
    /// `password` is absent.
    ///
    /// # Errors
    ///
    /// [`UsersError`].
    pub async fn put(
        &self,
        identity: Identity,
        password: Option<SecretText>,
        enabled: bool,
    ) -> Result<bool, UsersError> {
        let _ = (identity, password, enabled);
        todo!()
    }

    /// Descriptors of the roles named, name → descriptor; names that no role bears are left out.
    #[must_use]
    pub fn descriptors(roles: &[Box<str>]) -> Map<String, Value> {
        let _ = roles;
        todo!()
    }
}
