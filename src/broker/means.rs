//! How the pair of a session is renewed: its refresh token, or the certificate of the connection (section 11).

use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::{
    cluster::{CallError, Cluster, GrantError, Granted, RefreshError},
    listener::peer::TlsFacts,
    renewal::{Exchange, ExchangeError, Fresh},
    secret::SecretText,
    sessions::Session,
};

/// The means to renew a pair.
#[derive(Clone, Debug)]
pub enum Means {
    /// The client certificate, shown to the cluster in its bearer's place.
    Certificate(Arc<Cluster>, Arc<TlsFacts>),
    /// The pair's refresh token.
    Refresh(Arc<Cluster>),
}

impl Means {
    fn cluster(&self) -> &Cluster {
        match self {
            Self::Certificate(cluster, _) | Self::Refresh(cluster) => cluster,
        }
    }
}

impl Exchange for Means {
    async fn exchange(&self, session: &Session) -> Result<Fresh, ExchangeError> {
        let granted = match self {
            Self::Certificate(cluster, facts) => {
                cluster.delegate_pki(&chain(facts)).await.map_err(|error| match error {
                    // Believed only of a cluster that can look into its own store.
                    GrantError::Denied => ExchangeError::Ended { ambiguous: true },
                    GrantError::Rejected => ExchangeError::Rejected,
                    GrantError::Transient(_) => ExchangeError::Transient,
                })?
            }
            Self::Refresh(cluster) => {
                // A session without one cannot go on, whatever the cluster would say.
                let refresh = session.pair.refresh.as_ref().ok_or(ExchangeError::Ended { ambiguous: false })?;
                cluster.refresh(refresh).await.map_err(|error| match error {
                    RefreshError::Ended { ambiguous } => ExchangeError::Ended { ambiguous },
                    RefreshError::OtherClient => ExchangeError::OtherClient,
                    RefreshError::Rejected => ExchangeError::Rejected,
                    RefreshError::Transient(_) => ExchangeError::Transient,
                })?
            }
        };
        let Granted { access, refresh, expires_in, .. } = granted;
        Ok(Fresh { access, refresh, expires_in })
    }

    async fn answers_for_tokens(&self) -> bool {
        self.cluster().answers_for_tokens().await
    }

    async fn takes(&self, access: &SecretText) -> Option<bool> {
        let text = Zeroizing::new(format!("Bearer {}", access.expose()));
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        match self.cluster().authenticate(&header).await {
            Ok(_) => Some(true),
            Err(CallError::Refused) => Some(false),
            Err(CallError::Transient(_)) => None,
        }
    }
}

/// The chain as it was verified, leaf first.
pub(super) fn chain(facts: &TlsFacts) -> Vec<CertificateDer<'_>> {
    facts.client_chain.iter().map(|certificate| CertificateDer::from(certificate.as_slice())).collect()
}
