//! API keys: create, find, invalidate, verify.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    clock::Clock,
    config,
    model::{KeyId, Timestamp},
    secret::SecretText,
    store::{AnyStore, ApiKeyRecord, Creator, KeyFilter, StoreError},
};

/// The API keys of this gateway.
pub struct Keys {}

/// Told of every key that stopped working, before the caller who stopped it gets an answer.
pub type Revoked = Arc<dyn Fn(&KeyId) + Send + Sync>;

/// What a new key is made of. Fields are valid already.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name.
    pub name: Box<str>,
    /// Life; absent = as configured.
    pub life: Option<Duration>,
    /// Assigned descriptors.
    pub role_descriptors: Map<String, Value>,
    /// The owner's descriptors now.
    pub limited_by: Map<String, Value>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// Its owner.
    pub creator: Creator,
}

/// A key that was just made: the only time its secret is seen.
#[derive(Debug)]
pub struct CreatedKey {
    /// Public id.
    pub id: KeyId,
    /// When it stops working.
    pub expiration: Option<Timestamp>,
    /// The secret.
    pub secret: SecretText,
}

/// What an invalidation did.
#[derive(Clone, Debug, Default)]
pub struct Invalidated {
    /// Stopped working now.
    pub invalidated: Vec<KeyId>,
    /// Had been invalidated before.
    pub previously: Vec<KeyId>,
}

/// What a presented key turned out to be.
#[derive(Debug)]
pub enum KeyVerdict {
    /// It is good.
    Accept(Box<ApiKeyRecord>),
    /// Its time is over.
    Expired,
    /// It was invalidated.
    Invalidated,
    /// No such id.
    Unknown,
    /// The id exists, the secret is another.
    WrongSecret,
}

/// Why an operation on keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A longer life than configuration allows. 400.
    #[error("expiration is longer than the maximum of {max:?}")]
    LifeTooLong {
        /// The maximum.
        max: Duration,
    },
    /// The owner has as many live keys as configuration allows. 400.
    #[error("owner has {max} API keys already")]
    TooMany {
        /// The maximum.
        max: u64,
    },
    /// The store did not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keys {
    /// Keys kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, clock: Clock, config: config::ApiKeys, revoked: Revoked) -> Self {
        let _ = (store, clock, config, revoked);
        todo!()
    }

    /// Makes a key; returns once it is durable.
    ///
    /// # Errors
    ///
    /// [`KeysError`].
    pub async fn create(&self, new: NewKey) -> Result<CreatedKey, KeysError> {
        let _ = new;
        todo!()
    }

    /// Keys that match, in the order of their creation.
    ///
    /// # Errors
    ///
    /// [`KeysError::Store`].
    pub async fn find(&self, filter: &KeyFilter) -> Result<Vec<ApiKeyRecord>, KeysError> {
        let _ = filter;
        todo!()
    }

    /// Invalidates what matches; returns once it is durable and every cache has forgotten.
    ///
    /// # Errors
    ///
    /// [`KeysError::Store`].
    pub async fn invalidate(&self, filter: &KeyFilter) -> Result<Invalidated, KeysError> {
        let _ = filter;
        todo!()
    }

    /// Judges a presented key, in the order of API page section 2.5.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn verify(&self, id: &KeyId, secret: &str) -> Result<KeyVerdict, StoreError> {
        let _ = (id, secret);
        todo!()
    }
}
