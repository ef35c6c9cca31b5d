//! Roles: what their names stand for.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    store::{AnyStore, DocumentKind, Store, StoreError},
    users::Users,
};

/// The roles of this gateway: those that are built in, and those that are stored.
pub struct Roles {
    store: AnyStore,
}

impl Roles {
    /// Roles kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore) -> Self {
        Self { store }
    }

    /// Descriptors of the roles named, name → descriptor; names that no role bears are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn resolve(&self, names: &[Box<str>]) -> Result<Map<String, Value>, StoreError> {
        let mut descriptors = Users::descriptors(names);
        for name in names.iter().filter(|name| !descriptors.contains_key(&***name)).collect::<Vec<_>>() {
            if let Some(descriptor) = self.store.document(DocumentKind::Role, name).await? {
                descriptors.insert(name.to_string(), descriptor);
            }
        }
        Ok(descriptors)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roles").finish_non_exhaustive()
    }
}
