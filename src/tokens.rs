//! Access tokens of this gateway: issue, verify, invalidate.

use std::sync::Arc;

use crate::{
    clock::Clock,
    config,
    model::{Identity, KeyId, RealmRef, Timestamp},
    secret::SecretText,
    store::{AnyStore, StoreError, TokenRecord},
};

/// The token service.
pub struct Tokens {}

/// Told the digest of every token that stopped working, before the caller who stopped it gets an answer.
pub type Revoked = Arc<dyn Fn(&[u8; 32]) + Send + Sync>;

/// A token that was just made.
#[derive(Debug)]
pub struct IssuedToken {
    /// What the client sends behind `Bearer `.
    pub token: SecretText,
    /// When it stops working.
    pub expiration: Timestamp,
}

/// What a presented token turned out to be.
#[derive(Debug)]
pub enum TokenVerdict {
    /// It is good.
    Accept(Box<TokenRecord>),
    /// It was good once: expired or invalidated.
    Expired,
    /// Not a token of this gateway.
    Unknown,
}

impl Tokens {
    /// Tokens kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, clock: Clock, config: config::Tokens, revoked: Revoked) -> Self {
        let _ = (store, clock, config, revoked);
        todo!()
    }

    /// Issues an access token; returns once it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn issue(
        &self,
        identity: Identity,
        realm: RealmRef,
        api_key: Option<KeyId>,
    ) -> Result<IssuedToken, StoreError> {
        let _ = (identity, realm, api_key);
        todo!()
    }

    /// Judges a presented token.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn verify(&self, token: &str) -> Result<TokenVerdict, StoreError> {
        let _ = token;
        todo!()
    }

    /// Invalidates a token; returns whether it was valid until now.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn invalidate(&self, token: &str) -> Result<bool, StoreError> {
        let _ = token;
        todo!()
    }
}
