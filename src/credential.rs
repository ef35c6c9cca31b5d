//! What the cluster is shown: header, provenance, generation.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    authorize::Permit,
    clock::Clock,
    config::{self, Config, GrantType, Service},
    credential::live::Live,
    sessions::Sessions,
    telemetry::metrics::Metrics,
};

mod endpoint;
mod file;
pub mod granted;
mod kept;
pub mod live;
mod oauth2;

use endpoint::Endpoint;
use file::{FileSource, Scheme};
use kept::Kept;
use oauth2::{AnyGrant, TokenSource};

/// The credential of one listener's requests, held ready as a header. Reading it is one atomic load.
#[derive(Debug)]
pub struct Credentials(Source);

#[derive(Debug)]
enum Source {
    File(FileSource),
    None,
    Oauth2(Box<TokenSource>),
    Passthrough,
    Session,
}

/// What credentials are made with.
#[derive(Debug)]
pub struct Means<'a> {
    /// The whole of it: time-outs, and the trust in the cluster.
    pub config: &'a Config,
    /// Tells the time.
    pub clock: &'a Clock,
    /// Counts.
    pub metrics: &'a Arc<Metrics>,
    /// Keep a refresh token that changes with each use.
    pub sessions: &'a Arc<Sessions>,
}

/// A credential as of one reading.
pub struct Held {
    /// Counts replacements, so that a refusal can be matched with what was refused.
    pub generation: u64,
    header: Option<HeaderValue>,
    expires_at: Option<Instant>,
}

/// Where the credential of an attempt came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provenance {
    /// The client's own header.
    Client,
    /// The gateway's own identity.
    Gateway,
    /// A session that the client holds the handle of.
    Session,
    /// The request went without.
    None,
}

/// What one attempt is sent with.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// The client's own header stays.
    Client,
    /// The gateway's.
    Gateway(Arc<Held>),
    /// Nothing.
    None,
    /// The access token of the caller's session.
    Session(Arc<Live>),
}

/// Why there is no credential to show, or the cluster did not take it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The token of a session belongs to another identity of the gateway's: replicas run under different ones. 502
    /// `refresh_client_mismatch`.
    #[error("the session's token was made by another client of the cluster than this gateway")]
    ClientMismatch,
    /// The cluster refuses the gateway's own credential. 502 `upstream_credential_rejected`.
    #[error("the cluster refuses the gateway's own credential")]
    Rejected,
    /// The credential was renewed, but this request cannot be sent again by the gateway: the client is asked to.
    /// 503, `Retry-After: 1`, code `token_refreshed_retry`.
    #[error("the credential was renewed; send the request again")]
    Resend,
    /// The credential could not be renewed, or no token be got, for now. 503, `Retry-After: 5`.
    #[error("the credential for the cluster cannot be renewed at the moment")]
    Transient,
    /// The credential cannot be read now. 503.
    #[error("the credential for the cluster is not available")]
    Unavailable,
    /// `passthrough`, and the cluster answers requests without credentials. 503.
    #[error(
        "the cluster answers requests without credentials, or has not shown yet that it refuses them, so nothing may be passed through to it"
    )]
    UpstreamOpen,
}

impl Credentials {
    /// A credential as configured. A file that cannot be read yet and an endpoint that does not answer are no errors:
    /// requests are answered 503 until they do. Tokens are got by [`Self::watch`].
    #[must_use]
    pub fn new(own: &config::Credential, means: &Means<'_>) -> Self {
        Self(match own {
            config::Credential::ApiKey { api_key_file } => Source::File(FileSource::new(Scheme::ApiKey, api_key_file)),
            config::Credential::Basic { username, password_file } => {
                Source::File(FileSource::new(Scheme::Basic { username: username.clone() }, password_file))
            }
            config::Credential::Bearer { token_file } => Source::File(FileSource::new(Scheme::Bearer, token_file)),
            config::Credential::Oauth2(oauth2) => {
                let (endpoint, repair) = (Endpoint::new(oauth2, means.config), &means.config.reauthentication);
                let grant = match oauth2.grant_type {
                    GrantType::ClientCredentials | GrantType::Password => AnyGrant::Repeated(Box::new(endpoint)),
                    GrantType::RefreshToken => {
                        let (sessions, clock) = (Arc::clone(means.sessions), means.clock.clone());
                        AnyGrant::Rotating(Box::new(Kept::new(endpoint, sessions, clock, repair)))
                    }
                };
                let tokens = TokenSource::new(grant, repair, Arc::clone(means.metrics));
                Source::Oauth2(Box::new(tokens))
            }
            config::Credential::Passthrough => Source::Passthrough,
            config::Credential::None => Source::None,
            config::Credential::Session { .. } => Source::Session,
        })
    }

    /// The identity that talks to the cluster's own security API.
    #[must_use]
    pub fn service(service: &Service) -> Self {
        Self(Source::File(match service {
            Service::ApiKey { api_key_file } => FileSource::new(Scheme::ApiKey, api_key_file),
            Service::Basic { username, password_file } => {
                FileSource::new(Scheme::Basic { username: username.clone() }, password_file)
            }
        }))
    }

    /// What a request is sent with. Waits only while no token is good and one is being got.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Unavailable`] when the file could not be read, [`CredentialError::Transient`] when the token
    /// endpoint does not answer, [`CredentialError::Rejected`] when it refuses.
    pub async fn choose(&self, permit: &Permit) -> Result<Chosen, CredentialError> {
        match &self.0 {
            Source::Passthrough | Source::Session if permit.passes_through() => Ok(Chosen::Client),
            Source::File(_) | Source::Oauth2(_) if permit.goes_bare() => Ok(Chosen::None),
            Source::None | Source::Passthrough | Source::Session => Ok(Chosen::None),
            Source::File(file) => {
                let held = file.held();
                if held.header.is_some() { Ok(Chosen::Gateway(held)) } else { Err(CredentialError::Unavailable) }
            }
            Source::Oauth2(tokens) => Ok(Chosen::Gateway(match tokens.fresh() {
                Some(held) => held,
                // Boxed: every request in flight keeps room for what is awaited here.
                None => Box::pin(async { tokens.replace(&tokens.held(), false).await }).await?,
            })),
        }
    }

    /// Whether the callers' own credentials may go through.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        matches!(self.0, Source::Passthrough)
    }

    /// What `/status` shows of it: kind, whether it is there, how often it was replaced, what is wrong; of tokens also when
    /// they expire and are got next. Never what it is.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        match &self.0 {
            Source::File(file) => file.status(),
            Source::None => serde_json::json!({ "kind": "none" }),
            Source::Oauth2(tokens) => tokens.status(),
            Source::Passthrough => serde_json::json!({ "kind": "passthrough" }),
            Source::Session => serde_json::json!({ "kind": "session" }),
        }
    }

    /// Whether a refusal may be mended, so that a copy of the head is worth keeping.
    #[must_use]
    pub fn can_be_replaced(&self) -> bool {
        matches!(self.0, Source::File(_) | Source::Oauth2(_))
    }

    /// The header as held, for the gateway's own calls to the cluster.
    #[must_use]
    pub fn held(&self) -> Arc<Held> {
        match &self.0 {
            Source::File(file) => file.held(),
            Source::Oauth2(tokens) => tokens.held(),
            Source::None | Source::Passthrough | Source::Session => Arc::new(Held::nothing()),
        }
    }

    /// Replaces a refused credential; callers refused at the same generation share one reading, or one call to the token
    /// endpoint.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Rejected`] when the file still says what was refused, or the endpoint refuses;
    /// [`CredentialError::Transient`] when the endpoint does not answer.
    pub async fn replace(&self, refused: &Held) -> Result<Arc<Held>, CredentialError> {
        match &self.0 {
            Source::File(file) => file.replace(refused).await,
            Source::Oauth2(tokens) => tokens.replace(refused, true).await,
            Source::None | Source::Passthrough | Source::Session => Err(CredentialError::Rejected),
        }
    }

    /// Reads a file again; keeps what is held when the file says the same or cannot be read. Of tokens nothing is done:
    /// their files are read whenever the endpoint is asked.
    pub fn renew(&self) {
        if let Source::File(file) = &self.0 {
            file.renew();
        }
    }

    /// Gets tokens, ahead of their expiry and when somebody waits for one, until `stop`. Runs on the control plane: a
    /// refresh must not end with the request or the data thread that wanted it.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        if let Source::Oauth2(tokens) = &self.0 {
            tokens.watch(stop).await;
        }
    }

    /// Returns when the first token is there, or why there is none yet is known.
    pub async fn settle(&self) {
        if let Source::Oauth2(tokens) = &self.0 {
            tokens.settle().await;
        }
    }
}

impl Chosen {
    /// Where it came from.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        match self {
            Self::Client => Provenance::Client,
            Self::Gateway(_) => Provenance::Gateway,
            Self::None => Provenance::None,
            Self::Session(_) => Provenance::Session,
        }
    }

    /// What is attached to the request, where the gateway attaches anything.
    #[must_use]
    pub fn header(&self) -> Option<&HeaderValue> {
        match self {
            Self::Client | Self::None => None,
            Self::Gateway(held) => held.header(),
            Self::Session(live) => Some(&live.header),
        }
    }
}

impl Held {
    fn nothing() -> Self {
        Self { generation: 0, header: None, expires_at: None }
    }

    /// The header value; marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    fn is_good(&self, now: Instant) -> bool {
        self.header.is_some() && self.expires_at.is_none_or(|at| now < at)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("generation", &self.generation).finish_non_exhaustive()
    }
}
