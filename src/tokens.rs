//! Access tokens of this gateway: issue, verify, invalidate.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock::Clock,
    config,
    model::Timestamp,
    secret::{self, SecretText},
    store::{self, Announce, AnyStore, Change, Client, Store, StoreError, TokenRecord, TokenSelector, TokenSubject},
};

/// The token service.
pub struct Tokens {
    store: AnyStore,
    clock: Clock,
    config: config::Tokens,
    announce: Announce,
}

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
    pub fn new(store: AnyStore, clock: Clock, config: config::Tokens, announce: Announce) -> Self {
        Self { store, clock, config, announce }
    }

    /// Issues an access token; returns once it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn issue(&self, subject: TokenSubject, client: Client) -> Result<IssuedToken, StoreError> {
        let creation = self.clock.now();
        let expiration = creation.plus(self.config.access_lifetime);
        let token = SecretText::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret::random::<RANDOM_BYTES>())));
        let digest = secret::sha256(&[token.expose().as_bytes()]);
        self.store
            .insert_token(TokenRecord {
                digest,
                refresh: None,
                creation,
                expiration,
                invalidation: None,
                subject,
                client,
            })
            .await?;
        Ok(IssuedToken { token, expiration })
    }

    /// Judges a presented token. Whatever does not look like one of ours costs no look-up.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn verify(&self, token: &str) -> Result<TokenVerdict, StoreError> {
        let Some(digest) = digest(token) else { return Ok(TokenVerdict::Unknown) };
        let Some(token) = self.store.token(&digest).await? else { return Ok(TokenVerdict::Unknown) };
        if token.invalidation.is_some() || token.expiration <= self.clock.now() {
            return Ok(TokenVerdict::Expired);
        }
        Ok(TokenVerdict::Accept(Box::new(token)))
    }

    /// Invalidates a token; returns whether it was valid until now.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn invalidate(&self, token: &str) -> Result<bool, StoreError> {
        let Some(digest) = digest(token) else { return Ok(false) };
        let (store, announce, at) = (self.store.clone(), Arc::clone(&self.announce), self.clock.now());
        store::complete(async move {
            let done = store.invalidate_tokens(&TokenSelector::Access(digest), at).await?;
            for digest in &done.digests {
                announce(&Change::Token(*digest));
            }
            Ok(done.invalidated > 0)
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

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Key of the record of `token`, if it has the form of ours.
fn digest(token: &str) -> Option<[u8; 32]> {
    let ours = token.len() == PREFIX.len() + RANDOM_TEXT && token.starts_with(PREFIX);
    ours.then(|| secret::sha256(&[token.as_bytes()]))
}

/// Says whose a token is and of which form; scanners for leaked secrets find it.
const PREFIX: &str = "sg1_";

/// 128 bits of secret and 128 of salt, which the token itself carries: its digest must be found by the token alone.
const RANDOM_BYTES: usize = 32;

/// Length of [`RANDOM_BYTES`] in base64 without padding.
const RANDOM_TEXT: usize = (RANDOM_BYTES * 4).div_ceil(3);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        model::{Identity, RealmRef},
        store::memory::Memory,
    };

    type News = Arc<Mutex<Vec<Change>>>;

    fn tokens() -> (Tokens, News) {
        let news = News::default();
        let heard = Arc::clone(&news);
        let announce: Announce = Arc::new(move |change| heard.lock().push(change.clone()));
        let config = config::Tokens {
            access_lifetime: Duration::from_mins(20),
            refresh_lifetime: Duration::from_hours(24),
            reuse_window: Duration::from_secs(30),
            cleanup_interval: Duration::from_mins(30),
        };
        let clock = Clock::anchored(Timestamp::from_millis(1_800_000_000_000));
        (Tokens::new(AnyStore::Memory(Arc::new(Memory::default())), clock, config, announce), news)
    }

    async fn issue(tokens: &Tokens) -> IssuedToken {
        let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
        let subject = TokenSubject {
            identity: Identity { username: "jack".into(), ..Identity::default() },
            realm,
            lookup_realm: None,
            api_key: None,
            service_token: None,
            run_by: None,
        };
        let client = Client { username: "jack".into(), realm: "default_native".into(), api_key: None };
        tokens.issue(subject, client).await.unwrap()
    }

    #[tokio::test]
    async fn an_issued_token_is_its_users() {
        let (tokens, _) = tokens();
        let issued = issue(&tokens).await;
        let verdict = tokens.verify(issued.token.expose()).await.unwrap();
        assert!(matches!(verdict, TokenVerdict::Accept(token) if &*token.subject.identity.username == "jack"));
    }

    #[tokio::test]
    async fn a_token_that_was_never_issued_is_unknown() {
        let (tokens, _) = tokens();
        let mut forged = issue(&tokens).await.token.expose().to_owned();
        let last = forged.pop().unwrap();
        forged.push(if last == 'A' { 'E' } else { 'A' });
        for token in [forged.as_str(), "", "sg1_", "eyJhbGciOiJIUzI1NiJ9.e30.x"] {
            assert!(matches!(tokens.verify(token).await.unwrap(), TokenVerdict::Unknown), "{token}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_when_its_life_is_over() {
        let (tokens, _) = tokens();
        let issued = issue(&tokens).await;
        tokio::time::advance(Duration::from_mins(20) - Duration::from_millis(1)).await;
        assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Accept(_)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Expired));
        assert!(!tokens.invalidate(issued.token.expose()).await.unwrap());
    }

    #[tokio::test]
    async fn an_invalidated_token_is_announced_once_and_counts_as_expired() {
        let (tokens, news) = tokens();
        let issued = issue(&tokens).await;
        assert!(tokens.invalidate(issued.token.expose()).await.unwrap());
        assert!(!tokens.invalidate(issued.token.expose()).await.unwrap());
        assert_eq!(news.lock().len(), 1);
        assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_token_is_remembered_for_a_refresh_lifetime() {
        let (tokens, _) = tokens();
        let issued = issue(&tokens).await;
        tokio::time::advance(Duration::from_hours(24)).await;
        assert_eq!(tokens.remove_expired().await.unwrap(), 0);
        assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Expired));
        tokio::time::advance(Duration::from_mins(21)).await;
        assert_eq!(tokens.remove_expired().await.unwrap(), 1);
        assert!(matches!(tokens.verify(issued.token.expose()).await.unwrap(), TokenVerdict::Unknown));
    }
}
