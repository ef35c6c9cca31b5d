//! Logging in: what a user shows once becomes a pair of the cluster's, and the pair a handle.

use std::net::IpAddr;

use serde_json::Value;

use crate::{
    broker::{Broker, LoginError, means::chain},
    cluster::{Granted, Half},
    listener::peer::TlsFacts,
    model::RealmRef,
    secret::SecretText,
    sessions::{NewSession, Pair, Provider, ProviderKind, Reason, Session},
};

/// What a user shows to log in.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// The client certificate of the connection.
    Certificate(&'a TlsFacts),
    /// A name and a password.
    Password {
        /// The name.
        username: &'a str,
        /// The password.
        password: &'a SecretText,
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
    /// Opens a session for whoever `proof` is of, asking from `client`.
    ///
    /// # Errors
    ///
    /// [`LoginError`]; nothing is left behind, at the cluster neither.
    pub async fn login(&self, proof: Proof<'_>, client: Option<IpAddr>) -> Result<Opened, LoginError> {
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
