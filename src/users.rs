//! Users of the `native` and `reserved` realms, and the roles that their names stand for.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::{
    model::Identity,
    passwords::{Busy, PasswordHash, Passwords},
    privileges,
    secret::SecretText,
    store::{self, Announce, AnyStore, Change, Store, StoreError, UserNamespace, UserRecord},
};

mod reserved;

pub use reserved::is_reserved;

/// The users of this gateway.
pub struct Users {
    store: AnyStore,
    passwords: Passwords,
    announce: Announce,
    /// Held while a reserved user changes: the first change makes its record.
    reserved: Arc<Mutex<()>>,
}

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
    pub fn new(store: AnyStore, passwords: Passwords, announce: Announce) -> Self {
        Self { store, passwords, announce, reserved: Arc::default() }
    }

    /// Gives `elastic` its first password; does nothing when it has one. Returns whether it did.
    ///
    /// # Errors
    ///
    /// [`UsersError`].
    pub async fn bootstrap(&self, password: &SecretText) -> Result<bool, UsersError> {
        if self.is_bootstrapped().await? {
            return Ok(false);
        }
        let password = self.passwords.hash(password.clone()).await?;
        self.change(SUPERUSER, Some(password), None).await?;
        Ok(true)
    }

    /// Whether `elastic` has a password.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn is_bootstrapped(&self) -> Result<bool, StoreError> {
        let user = self.store.user(UserNamespace::Reserved, SUPERUSER).await?;
        Ok(user.is_some_and(|user| user.password.is_some()))
    }

    /// The user behind a name and password. `None` for a wrong password, an unknown and a disabled user, all at the
    /// same cost. Only a name that is not reserved costs nothing in the reserved namespace: that is no secret.
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
        let account = match namespace {
            UserNamespace::Native => format!("native/{name}"),
            UserNamespace::Reserved if is_reserved(name) => format!("reserved/{name}"),
            UserNamespace::Reserved => return Ok(None),
        };
        let user = self.store.user(namespace, name).await?;
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let right = self.passwords.verify(&account, hash, password).await?;
        Ok(user.filter(|user| right && user.enabled).map(as_built))
    }

    /// The user of that name, disabled or not. A reserved one is there from the beginning, without a password.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn find(&self, namespace: UserNamespace, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let stored = self.store.user(namespace, name).await?.map(as_built);
        let reserved = || reserved::identity(name).filter(|_| namespace == UserNamespace::Reserved);
        Ok(stored.or_else(|| reserved().map(unchanged)))
    }

    /// Whether there is a user of that name, disabled or not; a reserved one counts once anything of it was changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn knows(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        Ok(self.store.user(namespace, name).await?.is_some())
    }

    /// Hashes a password that a user is to have.
    ///
    /// # Errors
    ///
    /// [`Busy`].
    pub async fn hash(&self, password: SecretText) -> Result<PasswordHash, Busy> {
        self.passwords.hash(password).await
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
        let password = match password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        self.put_hashed(identity, password, enabled).await
    }

    /// The same with a password that is hashed already.
    ///
    /// # Errors
    ///
    /// [`UsersError::NoPassword`], [`UsersError::Store`].
    pub async fn put_hashed(
        &self,
        identity: Identity,
        password: Option<PasswordHash>,
        enabled: bool,
    ) -> Result<bool, UsersError> {
        let namespace = UserNamespace::Native;
        if password.is_none() && !self.knows(namespace, &identity.username).await? {
            return Err(UsersError::NoPassword);
        }
        let (store, announce) = (self.store.clone(), Arc::clone(&self.announce));
        store::complete(async move {
            let name = identity.username.clone();
            let new = store.put_user(UserRecord { identity, namespace, password, enabled }).await?;
            announce(&Change::User(namespace, name));
            Ok(new)
        })
        .await
    }

    /// Gives a user, native or reserved, another password, another enabled state or both; returns whether there is
    /// one. Its keys and tokens live on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn change(
        &self,
        name: &str,
        password: Option<PasswordHash>,
        enabled: Option<bool>,
    ) -> Result<bool, StoreError> {
        let (store, announce, lock) = (self.store.clone(), Arc::clone(&self.announce), Arc::clone(&self.reserved));
        let (name, reserved): (Box<str>, _) = (name.into(), reserved::identity(name));
        store::complete(async move {
            let namespace = if reserved.is_some() { UserNamespace::Reserved } else { UserNamespace::Native };
            let _held = match reserved {
                None => None,
                Some(identity) => {
                    let held = lock.lock().await;
                    if store.user(namespace, &name).await?.is_none() {
                        store.put_user(unchanged(identity)).await?;
                    }
                    Some(held)
                }
            };
            let found = store.change_user(namespace, &name, password, enabled).await?;
            announce(&Change::User(namespace, name));
            Ok(found)
        })
        .await
    }

    /// All users, those of the reserved realm first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn all(&self) -> Result<Vec<UserRecord>, StoreError> {
        let stored = self.store.users(UserNamespace::Reserved).await?;
        let enabled =
            |name: &str| stored.iter().find(|user| *user.identity.username == *name).is_none_or(|user| user.enabled);
        let reserved = reserved::identities().map(|identity| UserRecord {
            enabled: enabled(&identity.username),
            identity,
            namespace: UserNamespace::Reserved,
            password: None,
        });
        Ok(reserved.chain(self.store.users(UserNamespace::Native).await?).collect())
    }

    /// Removes a native user; returns whether there was one. Its keys and tokens live on, as in the original.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let (store, announce, name) = (self.store.clone(), Arc::clone(&self.announce), Box::from(name));
        store::complete(async move {
            let found = store.delete_user(UserNamespace::Native, &name).await?;
            announce(&Change::User(UserNamespace::Native, name));
            Ok(found)
        })
        .await
    }

    /// Descriptors of the roles named, name → descriptor; names that no role bears are left out.
    #[must_use]
    pub fn descriptors(roles: &[Box<str>]) -> Map<String, Value> {
        let known = |role: &str| Some((role.to_owned(), privileges::reserved_roles().get(role)?.clone()));
        roles.iter().filter_map(|role| known(role)).collect()
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

/// A reserved user of which nothing was changed.
fn unchanged(identity: Identity) -> UserRecord {
    UserRecord { identity, namespace: UserNamespace::Reserved, password: None, enabled: true }
}

/// A reserved user is what this program says, whatever was stored when its password was first set.
fn as_built(user: UserRecord) -> UserRecord {
    match user.namespace {
        UserNamespace::Native => user,
        UserNamespace::Reserved => {
            let identity = reserved::identity(&user.identity.username).unwrap_or(user.identity);
            UserRecord { identity, ..user }
        }
    }
}

/// The reserved user that bootstraps everything else.
const SUPERUSER: &str = "elastic";

#[cfg(test)]
mod tests;
