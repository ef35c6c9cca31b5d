//! Grant `refresh_token`: each use of the token gives the next one, so the last one is all there is. It is kept in the store,
//! sealed, where a restart finds it and all replicas share it by the protocol of `transparent-reauthentication.md` 6.2.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    clock::Clock,
    config::Reauthentication,
    credential::{endpoint::Failure, granted::Tokens, oauth2::Grant},
    model::{RealmRef, Timestamp},
    secret::{self, SecretText},
    sessions::{NewSession, Pair, Provider, ProviderKind, Published, Session, SessionId, Sessions},
    store::StoreError,
};

/// What a refresh token is first read from, and used at.
pub(super) trait Rotating: Grant {
    /// The token that the operator gave.
    fn first(&self) -> Result<SecretText, Failure>;
    /// Tells this endpoint and client from others.
    fn identity(&self) -> String;
}

/// A grant whose refresh token is kept.
pub(super) struct Kept<G> {
    endpoint: G,
    sessions: Arc<Sessions>,
    clock: Clock,
    owner: Box<str>,
    lease_ttl: Duration,
    /// How long another that has the lease is waited for.
    patience: Duration,
    /// The record and the generation of the pair that was taken last: whoever asks again wants a later one.
    taken: Mutex<Option<(SessionId, u64)>>,
    /// A pair that the store did not take: no other will ever be had.
    unstored: Mutex<Option<(Session, Pair)>>,
}

impl<G: Rotating> Kept<G> {
    pub(super) fn new(endpoint: G, sessions: Arc<Sessions>, clock: Clock, repair: &Reauthentication) -> Self {
        Self {
            endpoint,
            sessions,
            clock,
            owner: secret::random::<8>().map(|byte| format!("{byte:02x}")).concat().into(),
            lease_ttl: repair.lease_ttl,
            patience: repair.max_wait,
            taken: Mutex::default(),
            unstored: Mutex::default(),
        }
    }

    /// The record. It goes by the operator's token, so that a new one begins anew: what came of an old one, and may have been
    /// revoked, is not gone back to.
    async fn record(&self) -> Result<Session, Failure> {
        let first = self.endpoint.first()?;
        let digest = secret::sha256(&[first.expose().as_bytes()]);
        let id = secret::sha256(&[b"oauth2 refresh_token\0", self.endpoint.identity().as_bytes(), b"\0", &digest]);
        let new = NewSession {
            provider: Provider { kind: ProviderKind::Gateway, name: "oauth2".into() },
            realm: RealmRef { name: "oauth2".into(), kind: "oauth2".into() },
            username: "".into(),
            authentication: Value::Null,
            fingerprint: None,
            pair: Pair {
                access: SecretText::default(),
                refresh: Some(first),
                access_expires_at: Timestamp::default(),
                refresh_expires_at: None,
                superseded: Vec::new(),
            },
        };
        Ok(self.sessions.open_at(SessionId(id), new).await?.0)
    }

    /// The pair of `session` where it is another than that taken last, and still good.
    fn take(&self, session: &Session) -> Option<Tokens> {
        let pair = &session.pair;
        let life = match pair.access_expires_at {
            UNKNOWN => None,
            end => Some(Duration::from_millis(end.as_millis().saturating_sub(self.clock.now().as_millis()))),
        };
        let mut taken = self.taken.lock();
        let had = taken.is_some_and(|(id, generation)| id == session.id && generation >= session.generation);
        if had || pair.access.expose().is_empty() || life == Some(Duration::ZERO) {
            return None;
        }
        *taken = Some((session.id, session.generation));
        Some(Tokens { access: pair.access.clone(), refresh: None, expires_in: life, authentication: Value::Null })
    }

    /// Uses the refresh token of `session`, for which this process has the lease.
    async fn refresh(&self, session: Session) -> Result<Tokens, Failure> {
        let refresh = session.pair.refresh.clone();
        let granted = match self.endpoint.ask(refresh.as_ref()).await {
            Ok(granted) => granted,
            Err(failure) => {
                self.sessions.release(&session).await?;
                return Err(failure);
            }
        };
        let pair = Pair {
            access: granted.access.clone(),
            // An endpoint that gives no new one leaves the old one good (RFC 6749 section 6).
            refresh: granted.refresh.or(refresh),
            access_expires_at: granted.expires_in.map_or(UNKNOWN, |life| self.clock.now().plus(life)),
            refresh_expires_at: None,
            superseded: Vec::new(),
        };
        *self.taken.lock() = Some((session.id, session.generation + 1));
        *self.unstored.lock() = Some((session, pair));
        for pause in PAUSES {
            match self.store().await {
                Ok(()) => break,
                Err(error) => tracing::error!(%error, "session_persist_lost: the next refresh token is not stored yet"),
            }
            sleep(pause).await;
        }
        Ok(Tokens {
            access: granted.access,
            refresh: None,
            expires_in: granted.expires_in,
            authentication: Value::Null,
        })
    }

    /// Stores what is not stored yet. Another's pair, published meanwhile, counts: both are good in the reuse window, and
    /// the later is the one that can be refreshed.
    async fn store(&self) -> Result<(), StoreError> {
        let Some((session, pair)) = self.unstored.lock().clone() else { return Ok(()) };
        match self.sessions.publish(&session, pair, true).await? {
            Published::Stored(_) | Published::Moved(_) => {}
            Published::Gone => tracing::error!("the record of the refresh token is gone from the store"),
        }
        *self.unstored.lock() = None;
        Ok(())
    }
}

impl<G: Rotating> Grant for Kept<G> {
    async fn ask(&self, _refresh: Option<&SecretText>) -> Result<Tokens, Failure> {
        self.store().await?;
        let begun = Instant::now();
        let mut pause = SHORT;
        loop {
            let session = self.record().await?;
            if let Some(tokens) = self.take(&session) {
                return Ok(tokens);
            }
            let until = self.clock.now().plus(self.lease_ttl);
            if let Some(leased) = self.sessions.lease(&session, &self.owner, until).await? {
                let refreshed = self.refresh(leased).await;
                if let Err(Failure::Refused(_)) = &refreshed
                    && let Some(tokens) = self.take(&self.record().await?)
                {
                    return Ok(tokens); // of another, whom the lease had passed to
                }
                return refreshed;
            }
            if begun.elapsed() > self.patience {
                return Err(Failure::Transient("another replica has the lease".into()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONG);
        }
    }

    fn url(&self) -> String {
        self.endpoint.url()
    }

    fn rotates(&self) -> bool {
        true
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Transient(format!("the store with the refresh token: {error}"))
    }
}

impl<G: fmt::Debug> fmt::Debug for Kept<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The expiry of a token whose life nobody told.
const UNKNOWN: Timestamp = Timestamp::from_millis(0);
/// Between looks at a lease that another has.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_millis(500);
/// Between attempts to store.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

#[cfg(test)]
mod tests;
