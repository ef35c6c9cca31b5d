//! Roles: what their names stand for.

use serde_json::{Map, Value};

use crate::{
    documents::Documents,
    privileges::{Privileges, reserved_roles},
    store::{DocumentKind, Put, StoreError},
};

/// The roles of this gateway: those that are built in, and those that are stored.
#[derive(Debug)]
pub struct Roles {
    documents: Documents,
    told: bool,
}

/// Whether a role of that name is built in. It can be neither changed nor removed.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    reserved_roles().contains_key(name)
}

impl Roles {
    /// Roles kept as `documents`; `told` when the cluster hears which of them each caller has, and judges by them too.
    #[must_use]
    pub fn new(documents: Documents, told: bool) -> Self {
        Self { documents, told }
    }

    /// Whether the cluster hears which roles a caller has: what only it can apply may then stand in them.
    #[must_use]
    pub fn are_told(&self) -> bool {
        self.told
    }

    /// What a user with the roles named may do.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn privileges(&self, names: &[Box<str>]) -> Result<Privileges, StoreError> {
        let descriptors = self.resolve(names).await?;
        Ok(if self.told { Privileges::of_told_user(&descriptors) } else { Privileges::of_user(&descriptors) })
    }

    /// Descriptors of the roles named, name → descriptor; names that no role bears are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn resolve(&self, names: &[Box<str>]) -> Result<Map<String, Value>, StoreError> {
        let mut descriptors = Map::new();
        for name in names {
            let descriptor = match reserved_roles().get(&**name) {
                Some(reserved) => Some(reserved.clone()),
                None => self.documents.find(DocumentKind::Role, name).await?,
            };
            if let Some(descriptor) = descriptor {
                descriptors.insert(name.to_string(), descriptor);
            }
        }
        Ok(descriptors)
    }

    /// Descriptors of all roles, those that are built in first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn all(&self) -> Result<Map<String, Value>, StoreError> {
        let stored = self.documents.all(DocumentKind::Role).await?;
        let mut all = reserved_roles().clone();
        all.extend(stored.into_iter().map(|(name, descriptor)| (name.into(), descriptor)));
        Ok(all)
    }

    /// Writes roles of different names, none of them reserved; one outcome each, in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn put(&self, roles: Vec<(Box<str>, Value)>) -> Result<Vec<Put>, StoreError> {
        self.documents.put(DocumentKind::Role, roles).await
    }

    /// Removes roles; whether there was one, for each name in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove(&self, names: Vec<Box<str>>) -> Result<Vec<bool>, StoreError> {
        self.documents.remove(DocumentKind::Role, names).await
    }
}
