//! Users of the `native` and `reserved` realms, and the roles that their names stand for.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{
    model::Identity,
    passwords::{Busy, Passwords},
    privileges,
    secret::SecretText,
    store::{self, Announce, AnyStore, Change, Store, StoreError, UserNamespace, UserRecord},
};

/// The users of this gateway.
pub struct Users {
    store: AnyStore,
    passwords: Passwords,
    announce: Announce,
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
        Self { store, passwords, announce }
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
        let identity = Identity {
            username: SUPERUSER.into(),
            roles: vec!["superuser".into()],
            metadata: Map::from_iter([("_reserved".to_owned(), json!(true))]),
            ..Identity::default()
        };
        let password = Some(self.passwords.hash(password.clone()).await?);
        self.write(UserRecord { identity, namespace: UserNamespace::Reserved, password, enabled: true }).await?;
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
            UserNamespace::Reserved if name == SUPERUSER => format!("reserved/{name}"),
            UserNamespace::Reserved => return Ok(None),
        };
        let user = self.store.user(namespace, name).await?;
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let right = self.passwords.verify(&account, hash, password).await?;
        Ok(user.filter(|user| right && user.enabled))
    }

    /// Whether there is a user of that name, disabled or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn knows(&self, namespace: UserNamespace, name: &str) -> Result<bool, StoreError> {
        Ok(self.store.user(namespace, name).await?.is_some())
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
        let namespace = UserNamespace::Native;
        let password = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None if self.store.user(namespace, &identity.username).await?.is_some() => None,
            None => return Err(UsersError::NoPassword),
        };
        self.write(UserRecord { identity, namespace, password, enabled }).await
    }

    /// All users, those of the reserved realm first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn all(&self) -> Result<Vec<UserRecord>, StoreError> {
        let mut users = self.store.users(UserNamespace::Reserved).await?;
        users.extend(self.store.users(UserNamespace::Native).await?);
        Ok(users)
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
        let known = |role: &Box<str>| Some((role.to_string(), privileges::reserved_roles().get(&**role)?.clone()));
        roles.iter().filter_map(known).collect()
    }

    async fn write(&self, user: UserRecord) -> Result<bool, UsersError> {
        let (store, announce) = (self.store.clone(), Arc::clone(&self.announce));
        store::complete(async move {
            let (namespace, name) = (user.namespace, user.identity.username.clone());
            let new = store.put_user(user).await?;
            announce(&Change::User(namespace, name));
            Ok(new)
        })
        .await
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

/// The reserved user that bootstraps everything else.
const SUPERUSER: &str = "elastic";

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::store::memory::Memory;

    type News = Arc<Mutex<Vec<Change>>>;

    fn users() -> (Users, News) {
        let news = News::default();
        let heard = Arc::clone(&news);
        let announce: Announce = Arc::new(move |change| heard.lock().push(change.clone()));
        (Users::new(AnyStore::Memory(Arc::new(Memory::default())), Passwords::start(1, 8), announce), news)
    }

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    fn identity(name: &str) -> Identity {
        Identity { username: name.into(), ..Identity::default() }
    }

    async fn may_enter(users: &Users, name: &str, password: &str) -> bool {
        users.verify(UserNamespace::Native, name, text(password)).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn the_superuser_takes_its_first_password_and_no_second() {
        let (users, _) = users();
        assert!(!users.is_bootstrapped().await.unwrap());
        assert!(users.bootstrap(&text("first-password")).await.unwrap());
        assert!(!users.bootstrap(&text("second-password")).await.unwrap());
        assert!(users.is_bootstrapped().await.unwrap());
        let user = users.verify(UserNamespace::Reserved, "elastic", text("first-password")).await.unwrap().unwrap();
        assert_eq!(user.identity.roles, ["superuser".into()]);
        let second = users.verify(UserNamespace::Reserved, "elastic", text("second-password")).await.unwrap();
        assert!(second.is_none());
    }

    #[tokio::test]
    async fn only_the_right_password_of_an_enabled_user_is_accepted() {
        let (users, _) = users();
        assert!(users.put(identity("jack"), Some(text("secret1")), true).await.unwrap());
        assert!(may_enter(&users, "jack", "secret1").await);
        assert!(!may_enter(&users, "jack", "secret2").await);
        assert!(!may_enter(&users, "jill", "secret1").await);
        assert!(!users.put(identity("jack"), None, false).await.unwrap());
        assert!(!may_enter(&users, "jack", "secret1").await);
    }

    #[tokio::test]
    async fn an_update_without_a_password_keeps_it() {
        let (users, _) = users();
        users.put(identity("jack"), Some(text("secret1")), true).await.unwrap();
        users.put(Identity { email: Some("j@k".into()), ..identity("jack") }, None, true).await.unwrap();
        assert!(may_enter(&users, "jack", "secret1").await);
    }

    #[tokio::test]
    async fn a_new_user_needs_a_password() {
        let (users, news) = users();
        let refused = users.put(identity("jack"), None, true).await;
        assert!(matches!(refused, Err(UsersError::NoPassword)));
        assert!(news.lock().is_empty());
    }

    #[tokio::test]
    async fn a_change_is_announced_before_the_answer() {
        let (users, news) = users();
        users.put(identity("jack"), Some(text("secret1")), true).await.unwrap();
        assert_eq!(*news.lock(), [Change::User(UserNamespace::Native, "jack".into())]);
    }

    #[tokio::test]
    async fn a_native_user_does_not_enter_as_a_reserved_one() {
        let (users, _) = users();
        users.put(identity("elastic"), Some(text("secret1")), true).await.unwrap();
        assert!(users.verify(UserNamespace::Reserved, "elastic", text("secret1")).await.unwrap().is_none());
    }

    #[test]
    fn unknown_roles_have_no_descriptor() {
        let descriptors = Users::descriptors(&["nothing".into(), "superuser".into()]);
        assert_eq!(descriptors.keys().collect::<Vec<_>>(), ["superuser"]);
        assert_eq!(descriptors["superuser"]["indices"][1]["allow_restricted_indices"], true);
    }
}
