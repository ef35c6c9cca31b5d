//! Small things with a name, kept whole: written durably, then announced, then answered.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::store::{self, Announce, AnyStore, Change, DocumentKind, Put, Store, StoreError};

/// The documents of this gateway.
#[derive(Clone)]
pub struct Documents {
    store: AnyStore,
    announce: Announce,
}

impl Documents {
    /// Documents kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, announce: Announce) -> Self {
        Self { store, announce }
    }

    /// One document.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn find(&self, kind: DocumentKind, name: &str) -> Result<Option<Value>, StoreError> {
        self.store.document(kind, name).await
    }

    /// All documents of a kind, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn all(&self, kind: DocumentKind) -> Result<Vec<(Box<str>, Value)>, StoreError> {
        self.store.documents(kind).await
    }

    /// Writes documents of different names; one outcome each, in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn put(&self, kind: DocumentKind, documents: Vec<(Box<str>, Value)>) -> Result<Vec<Put>, StoreError> {
        let (store, announce) = (self.store.clone(), Arc::clone(&self.announce));
        store::complete(async move {
            let outcomes = store.put_documents(kind, documents).await?;
            announce(&Change::Documents(kind));
            Ok(outcomes)
        })
        .await
    }

    /// Removes documents; whether there was one, for each name in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove(&self, kind: DocumentKind, names: Vec<Box<str>>) -> Result<Vec<bool>, StoreError> {
        let (store, announce) = (self.store.clone(), Arc::clone(&self.announce));
        store::complete(async move {
            let outcomes = store.delete_documents(kind, &names).await?;
            announce(&Change::Documents(kind));
            Ok(outcomes)
        })
        .await
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").finish_non_exhaustive()
    }
}
