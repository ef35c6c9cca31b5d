//! The token service (API page section 5): issues, verifies, refreshes and invalidates pairs of tokens.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    config,
    model::{Identity, Principal},
    secret::{self, SecretText},
    store::{
        self, Announce, AnyStore, Change, Client, Refresh, RefreshRecord, RefreshRefusal, Refreshed, Store, StoreError,
        TokenRecord, TokenSelector, TokenSubject, TokensInvalidated,
    },
};

mod seal;

/// The token service.
pub struct Tokens {
    store: AnyStore,
    clock: Clock,
    config: config::Tokens,
    announce: Announce,
}

/// A token that was just made, or is given again.
#[derive(Debug)]
pub struct IssuedToken {
    /// What the client sends behind `Bearer `.
    pub token: SecretText,
    /// What replaces the pair once; absent where none is issued.
    pub refresh: Option<SecretText>,
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

/// Why a refresh token gives no pair.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It gives none (API page section 5.4). 400.
    #[error(transparent)]
    Refused(#[from] RefreshRefusal),
    /// The store did not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tokens {
    /// Tokens kept in `store`.
    #[must_use]
    pub fn new(store: AnyStore, clock: Clock, config: config::Tokens, announce: Announce) -> Self {
        Self { store, clock, config, announce }
    }

    /// How long access tokens live.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.config.access_lifetime
    }

    /// Issues an access token; returns once it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn issue(&self, subject: TokenSubject, client: Client) -> Result<IssuedToken, StoreError> {
        self.insert(subject, client, None).await
    }

    /// Issues an access token and a refresh token; returns once they are durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn issue_pair(&self, subject: TokenSubject, client: Client) -> Result<IssuedToken, StoreError> {
        self.insert(subject, client, Some(fresh(REFRESH_PREFIX))).await
    }

    async fn insert(
        &self,
        subject: TokenSubject,
        client: Client,
        refresh: Option<SecretText>,
    ) -> Result<IssuedToken, StoreError> {
        let creation = self.clock.now();
        let expiration = creation.plus(self.config.access_lifetime);
        let token = fresh(PREFIX);
        let stored =
            |refresh: &SecretText| RefreshRecord { digest: digest_of(refresh), invalidation: None, superseded: None };
        let record = TokenRecord {
            digest: digest_of(&token),
            refresh: refresh.as_ref().map(stored),
            creation,
            expiration,
            invalidation: None,
            subject,
            client,
        };
        self.store.insert_token(record).await?;
        Ok(IssuedToken { token, refresh })
    }

    /// Uses a refresh token on behalf of `client`: a new pair, or the same again within the window, and whose it is.
    /// Of several at once one makes the pair, and all get it.
    ///
    /// # Errors
    ///
    /// [`RefreshError`].
    pub async fn refresh(&self, old: &str, client: Client) -> Result<(IssuedToken, TokenSubject), RefreshError> {
        let Some(digest) = digest(old, REFRESH_PREFIX) else { return Err(RefreshRefusal::Unknown.into()) };
        let old = SecretText::new(old.to_owned());
        let (token, refresh) = (fresh(PREFIX), fresh(REFRESH_PREFIX));
        let at = self.clock.now();
        let pair = Zeroizing::new(format!("{} {}", token.expose(), refresh.expose()));
        let attempt = Refresh {
            client,
            at,
            lifetime: self.config.refresh_lifetime,
            window: self.config.reuse_window,
            digest: digest_of(&token),
            refresh_digest: digest_of(&refresh),
            expiration: at.plus(self.config.access_lifetime),
            sealed: seal::seal(&old, &pair).ok_or(StoreError::Damaged { what: "cipher" })?,
        };
        match self.store.refresh_token(&digest, &attempt).await? {
            Refreshed::Fresh(record) => Ok((IssuedToken { token, refresh: Some(refresh) }, record.subject)),
            Refreshed::Repeated(sealed) => {
                let damaged = || StoreError::Damaged { what: "pair of tokens" };
                let pair = seal::unseal(&old, &sealed).ok_or_else(damaged)?;
                let (token, refresh) = pair.expose().split_once(' ').ok_or_else(damaged)?;
                let [token, refresh] = [token, refresh].map(|token| SecretText::new(token.to_owned()));
                let record = self.store.token(&digest_of(&token)).await?.ok_or(RefreshRefusal::Unknown)?;
                Ok((IssuedToken { token, refresh: Some(refresh) }, record.subject))
            }
            Refreshed::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Judges a presented token. Whatever does not look like one of ours costs no look-up.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn verify(&self, token: &str) -> Result<TokenVerdict, StoreError> {
        let Some(digest) = digest(token, PREFIX) else { return Ok(TokenVerdict::Unknown) };
        let Some(token) = self.store.token(&digest).await? else { return Ok(TokenVerdict::Unknown) };
        if token.invalidation.is_some() || token.expiration <= self.clock.now() {
            return Ok(TokenVerdict::Expired);
        }
        Ok(TokenVerdict::Accept(Box::new(token)))
    }

    /// Invalidates an access token; its refresh token lives on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn invalidate(&self, token: &str) -> Result<TokensInvalidated, StoreError> {
        match digest(token, PREFIX) {
            Some(digest) => self.flag(TokenSelector::Access(digest)).await,
            None => Ok(TokensInvalidated::default()),
        }
    }

    /// Invalidates a refresh token; its access token lives on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn invalidate_refresh(&self, token: &str) -> Result<TokensInvalidated, StoreError> {
        match digest(token, REFRESH_PREFIX) {
            Some(digest) => self.flag(TokenSelector::Refresh(digest)).await,
            None => Ok(TokensInvalidated::default()),
        }
    }

    /// Invalidates all pairs of a user, of a realm, or of a user of a realm.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn invalidate_of(
        &self,
        username: Option<&str>,
        realm: Option<&str>,
    ) -> Result<TokensInvalidated, StoreError> {
        let since = self.clock.now().minus(self.config.refresh_lifetime);
        let (username, realm) = (username.map(Box::from), realm.map(Box::from));
        self.flag(TokenSelector::Owner { username, realm, since }).await
    }

    /// Returns once no cache takes what was flagged any more.
    async fn flag(&self, selector: TokenSelector) -> Result<TokensInvalidated, StoreError> {
        let (store, announce, at) = (self.store.clone(), Arc::clone(&self.announce), self.clock.now());
        store::complete(async move {
            let done = store.invalidate_tokens(&selector, at).await?;
            for digest in &done.digests {
                announce(&Change::Token(*digest));
            }
            Ok(done)
        })
        .await
    }

    /// Removes tokens that expired so long ago that nobody asks for them any more; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove_expired(&self) -> Result<u64, StoreError> {
        // As long as a refresh token could still follow, "expired" is a better answer than "unknown".
        self.store.remove_tokens(self.clock.now().minus(self.config.refresh_lifetime)).await
    }
}

impl TokenSubject {
    /// `principal`, as a token stands for it.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        Self {
            identity: Identity { roles: principal.own_roles().to_vec(), ..principal.identity.clone() },
            realm: principal.realm.clone(),
            lookup_realm: principal.lookup_realm.clone(),
            api_key: principal.api_key.as_ref().map(|key| key.id.clone()),
            service_token: principal.service_token.clone(),
            run_by: principal.run_by.as_ref().map(|by| Box::new(Self::of(by))),
        }
    }
}

impl Client {
    /// `principal`, as it asks for tokens.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        Self {
            username: principal.identity.username.clone(),
            realm: (*principal.own_realm().name).into(),
            api_key: principal.api_key.as_ref().map(|key| key.id.clone()),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn fresh(prefix: &str) -> SecretText {
    SecretText::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret::random::<RANDOM_BYTES>())))
}

/// Key of the record of `token`, if it has the form of ours.
fn digest(token: &str, prefix: &str) -> Option<[u8; 32]> {
    let ours = token.len() == prefix.len() + RANDOM_TEXT && token.starts_with(prefix);
    ours.then(|| secret::sha256(&[token.as_bytes()]))
}

fn digest_of(token: &SecretText) -> [u8; 32] {
    secret::sha256(&[token.expose().as_bytes()])
}

/// Says whose a token is and of which form; scanners for leaked secrets find it.
const PREFIX: &str = "sg1_";
/// The same of refresh tokens: neither passes for the other.
const REFRESH_PREFIX: &str = "sgr1_";

/// 128 bits of secret and 128 of salt, which the token itself carries: its digest must be found by the token alone.
const RANDOM_BYTES: usize = 32;

/// Length of [`RANDOM_BYTES`] in base64 without padding.
const RANDOM_TEXT: usize = (RANDOM_BYTES * 4).div_ceil(3);

#[cfg(test)]
mod tests;
