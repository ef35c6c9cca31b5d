//! Logging in: what a user shows once becomes a pair of the cluster's, and the pair a handle.

use std::{net::IpAddr, sync::Arc};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    broker::{Broker, LoginError, means::chain},
    cluster::{Granted, Half, Trouble},
    listener::peer::TlsFacts,
    model::RealmRef,
    secret::SecretText,
    sessions::{NewSession, Pair, Provider, ProviderKind, Reason, Session},
};

/// What a user shows to log in.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The client certificate of the connection.
    Certificate(Arc<TlsFacts>),
    /// A name and a password.
    Password {
        /// The name.
        username: Box<str>,
        /// The password.
        password: SecretText,
    },
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What leads to it. It is shown once.
    pub handle: SecretText,
    /// The session.
    pub session: Session,
}

impl Broker {
    /// Opens a session for whoever `proof` is of, asking from `client`. It is opened to its end, and ended again, for a
    /// caller who goes away meanwhile: else a pair would stay at the cluster that nobody knows of.
    ///
    /// # Errors
    ///
    /// [`LoginError`]; nothing is left behind, at the cluster neither.
    pub async fn login(&self, proof: Proof, client: Option<IpAddr>) -> Result<Opened, LoginError> {
        let (tell, told) = oneshot::channel();
        let broker = self.clone();
        self.0.runtime.spawn(async move {
            let opened = broker.log_in(&proof, client).await;
            if let Err(Ok(Opened { session, .. })) = tell.send(opened)
                && let Err(error) = broker.end(&session, Reason::Unexpected).await
            {
                tracing::warn!(%error, "a session that nobody has the handle of lives on until it is idle for too long");
            }
        });
        told.await.unwrap_or_else(|_| Err(LoginError::Transient(Trouble::Stopped)))
    }

    async fn log_in(&self, proof: &Proof, client: Option<IpAddr>) -> Result<Opened, LoginError> {
        let (kind, granted, fingerprint) = match proof {
            Proof::Password { username, password } => {
                (ProviderKind::Token, self.prove(username, password, client).await?, None)
            }
            Proof::Certificate(facts) => {
                let granted = self.0.cluster.delegate_pki(&chain(facts)).await;
                (ProviderKind::Pki, granted.map_err(|error| LoginError::of(error, "<certificate>"))?, facts.fingerprint)
            }
        };
        let opened = self.open(kind, granted, fingerprint).await?;
        self.tell(&opened.session, "session_opened", None);
        Ok(opened)
    }

    /// The cluster does not slow guessing, so that is done here.
    async fn prove(
        &self,
        username: &str,
        password: &SecretText,
        client: Option<IpAddr>,
    ) -> Result<Granted, LoginError> {
        let throttled = |retry_after| LoginError::Throttled { retry_after };
        let (throttle, clock) = (&self.0.throttle, &self.0.parts.clock);
        let attempt = throttle.begin(client, username, clock.now()).map_err(throttled)?;
        let granted = self.0.cluster.password_grant(username, password).await;
        let granted = granted.map_err(|error| LoginError::of(error, username));
        if matches!(granted, Ok(_) | Err(LoginError::Denied { .. })) {
            throttle.end(&attempt, granted.is_ok(), clock.now()).map_err(throttled)?;
        }
        granted
    }

    async fn open(
        &self,
        kind: ProviderKind,
        granted: Granted,
        fingerprint: Option<[u8; 32]>,
    ) -> Result<Opened, LoginError> {
        let Granted { access, refresh, expires_in, authentication } = granted;
        let now = self.0.parts.clock.now();
        let text = |pointer: &str| authentication.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let refresh_expires_at = refresh.as_ref().map(|_| now.plus(crate::renewal::REFRESH_LIFE));
        let new = NewSession {
            provider: Provider { kind, name: kind.as_str().into() },
            realm: RealmRef {
                name: text("/authentication_realm/name").into(),
                kind: text("/authentication_realm/type").into(),
            },
            username: text("/username").into(),
            pair: Pair {
                access,
                refresh,
                access_expires_at: now.plus(expires_in),
                refresh_expires_at,
                superseded: Vec::new(),
            },
            authentication,
            fingerprint,
        };
        let pair = new.pair.clone();
        match self.0.sessions.open(new).await {
            Ok((handle, session)) => Ok(Opened { handle, session }),
            Err(error) => {
                self.abandon(&pair).await;
                Err(error.into())
            }
        }
    }

    /// Ends a pair that no session was made for: by the queue, or at once when the store takes nothing.
    async fn abandon(&self, pair: &Pair) {
        if self.0.sessions.revoke(pair, Reason::Unexpected).await.is_ok() {
            return;
        }
        let refresh = pair.refresh.iter().map(|token| (Half::Refresh, token));
        for (half, token) in refresh.chain([(Half::Access, &pair.access)]) {
            if let Err(error) = self.0.cluster.invalidate(half, token).await {
                tracing::error!(%error, "a token without a session lives on until it expires");
            }
        }
    }
}
