//! The cluster's own security API, as the gateway calls it: who somebody is, and pairs of tokens.
//!
//! What the cluster answers is told apart as `transparent-reauthentication.md` sections 4, 5 and 6.1 say, and as
//! Elasticsearch 8.19.21 was seen to answer. No error here holds a text of the cluster's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    credential::{Credentials, granted::Tokens},
    fetch::FetchError,
    model::{Identity, RealmRef},
    secret::SecretText,
    upstream::{Product, Upstream, choose},
};

#[cfg(test)]
mod tests;

/// The cluster, and the identity that the gateway has there.
#[derive(Debug)]
pub struct Cluster {
    upstream: Arc<Upstream>,
    service: Arc<Credentials>,
    patience: Duration,
    turn: AtomicUsize,
}

/// Whom the cluster takes somebody for.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Name, roles, metadata.
    pub identity: Identity,
    /// The realm that proved it; OpenSearch names none.
    pub realm: Option<RealmRef>,
    /// The whole answer.
    pub document: Value,
}

/// A pair that the cluster granted.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The access token.
    pub access: SecretText,
    /// The refresh token; a certificate gets none.
    pub refresh: Option<SecretText>,
    /// Life of the access token. In the reuse window it may have less than that left (F9).
    pub expires_in: Duration,
    /// What the cluster says of the user, as `/_security/_authenticate` says it.
    pub authentication: Value,
}

/// Which token of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Half {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
}

/// Why there is no usable answer. It may be otherwise in a moment.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The exchange failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A 200 that is not what was asked for.
    #[error("the cluster's answer cannot be read")]
    Garbled,
    /// The gateway's own credential cannot be read.
    #[error("the credential of the gateway's own identity is not available")]
    NoCredential,
    /// A status that says neither yes nor no, such as 429 and 503; or that the token store does not answer.
    #[error("the cluster answers {0}")]
    Status(StatusCode),
    /// The process ends.
    #[error("the gateway is being stopped")]
    Stopped,
    /// No host takes a connection.
    #[error("no host of the cluster takes a connection")]
    Unreachable,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// 401 or 403 for the identity that asked.
    #[error("the cluster refuses the credential")]
    Refused,
    /// Not now.
    #[error(transparent)]
    Transient(#[from] Trouble),
}

/// Why no pair was granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The user's password or certificate is no good.
    #[error("the cluster does not accept the user's credential")]
    Denied,
    /// 401 or 403 for the gateway's own identity (F6).
    #[error("the cluster refuses the gateway's own identity")]
    Rejected,
    /// Not now.
    #[error(transparent)]
    Transient(#[from] Trouble),
}

/// Why a pair was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token is no good any more (F4).
    #[error("the refresh token is no longer good")]
    Ended {
        /// It may also be that the token store does not answer: ask [`Cluster::answers_for_tokens`] first.
        ambiguous: bool,
    },
    /// The pair belongs to another identity: replicas of the gateway run under different ones (F6).
    #[error("the tokens were made by another identity than the gateway's")]
    OtherClient,
    /// 401 or 403 for the gateway's own identity (F6).
    #[error("the cluster refuses the gateway's own identity")]
    Rejected,
    /// Not now (F5).
    #[error(transparent)]
    Transient(#[from] Trouble),
}

impl Cluster {
    /// The cluster as `service` may call it; each call may take `timeout`.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, service: Arc<Credentials>, timeout: Duration) -> Self {
        Self { upstream, service, patience: timeout, turn: AtomicUsize::new(0) }
    }

    /// Whom the cluster takes the bearer of `authorization` for.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] when it takes them for nobody.
    pub async fn authenticate(&self, authorization: &HeaderValue) -> Result<Authenticated, CallError> {
        let opensearch = self.upstream.product() == Product::Opensearch;
        let path = if opensearch { "/_plugins/_security/authinfo" } else { "/_security/_authenticate" };
        let answer = self.send(request(Method::GET, path, None), authorization).await?;
        match answer.status() {
            StatusCode::OK => {
                let document = serde_json::from_slice(answer.body()).map_err(|_| Trouble::Garbled)?;
                Ok(Authenticated::read(document, opensearch).ok_or(Trouble::Garbled)?)
            }
            StatusCode::UNAUTHORIZED => Err(CallError::Refused),
            status => Err(Trouble::Status(status).into()),
        }
    }

    /// A pair for a user who proves to be one by a password.
    ///
    /// # Errors
    ///
    /// [`GrantError`].
    pub async fn password_grant(&self, username: &str, password: &SecretText) -> Result<Granted, GrantError> {
        let body = json!({"grant_type": "password", "username": username, "password": password.expose()});
        let answer = self.as_service(request(Method::POST, TOKEN, Some(&body))).await?;
        granted(&answer)
    }

    /// A pair for a user who proved to this gateway to hold the key of a certificate. `chain` begins with that
    /// certificate; the next ones sign those before them. There is no refresh token.
    ///
    /// # Errors
    ///
    /// [`GrantError`].
    pub async fn delegate_pki(&self, chain: &[CertificateDer<'_>]) -> Result<Granted, GrantError> {
        let chain: Vec<_> = chain.iter().map(|certificate| STANDARD.encode(certificate)).collect();
        let body = json!({ "x509_certificate_chain": chain });
        let answer = self.as_service(request(Method::POST, "/_security/delegate_pki", Some(&body))).await?;
        granted(&answer)
    }

    /// The pair that follows that of `refresh`.
    ///
    /// # Errors
    ///
    /// [`RefreshError`].
    pub async fn refresh(&self, refresh: &SecretText) -> Result<Granted, RefreshError> {
        let body = json!({"grant_type": "refresh_token", "refresh_token": refresh.expose()});
        let answer = self.as_service(request(Method::POST, TOKEN, Some(&body))).await?;
        match answer.status() {
            StatusCode::OK => Ok(Granted::read(answer.body())?),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RefreshError::Rejected),
            StatusCode::BAD_REQUEST => Err(refused(answer.body())),
            status => Err(Trouble::Status(status).into()),
        }
    }

    /// Ends one token; one that is unknown or gone already is success.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn invalidate(&self, half: Half, token: &SecretText) -> Result<(), CallError> {
        let key = match half {
            Half::Access => "token",
            Half::Refresh => "refresh_token",
        };
        let answer = self.as_service(request(Method::DELETE, TOKEN, Some(&json!({ key: token.expose() })))).await?;
        let counts = serde_json::from_slice::<Invalidated>(answer.body()).unwrap_or_default();
        match (answer.status(), counts) {
            (StatusCode::OK, Invalidated { error_count: Some(0), .. })
            | (StatusCode::NOT_FOUND, Invalidated { invalidated_tokens: Some(0), .. }) => Ok(()),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Err(CallError::Refused),
            (status, _) => Err(Trouble::Status(status).into()),
        }
    }

    /// Whether the cluster's token store answers: what 6.1 calls the token-store probe.
    pub async fn answers_for_tokens(&self) -> bool {
        let answer = self.as_service(request(Method::DELETE, TOKEN, Some(&json!({ "username": NOBODY })))).await;
        answer.is_ok_and(|answer| matches!(answer.status(), StatusCode::OK | StatusCode::NOT_FOUND))
    }

    /// Sends `request` under the gateway's own identity; with what its file holds now if that was refused.
    async fn as_service(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Trouble> {
        let held = self.service.held();
        let answer = self.send(request.clone(), held.header().ok_or(Trouble::NoCredential)?).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Ok(fresh) = self.service.replace(&held).await
            && let Some(header) = fresh.header()
        {
            return self.send(request, header).await;
        }
        Ok(answer)
    }

    /// Asks one host, and the next only while the request has not left.
    async fn send(&self, mut request: Request<Bytes>, authorization: &HeaderValue) -> Result<Response<Bytes>, Trouble> {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        let asking = async {
            let (hosts, mut tried) = (self.upstream.hosts(), 0_u64);
            loop {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let index = choose(hosts, |_| 0, tried, turn).ok_or(Trouble::Unreachable)?;
                let host = hosts.get(index).ok_or(Trouble::Unreachable)?;
                match self.upstream.exchange(host, request.clone()).await {
                    Ok(answer) => {
                        self.upstream.succeeded(host);
                        return Ok(answer);
                    }
                    Err(FetchError::Connect(error)) => {
                        tracing::debug!(upstream = &*host.name, %error, "cannot connect");
                        self.upstream.failed(host);
                        tried |= 1 << index;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        tokio::time::timeout(self.patience, asking).await.unwrap_or(Err(FetchError::TimedOut.into()))
    }
}

impl Authenticated {
    fn read(document: Value, opensearch: bool) -> Option<Self> {
        let field = |key: &str| document.get(key);
        let text = |key: &str| field(key).and_then(Value::as_str).map(Into::into);
        let roles = field("roles")?.as_array()?.iter().filter_map(|role| role.as_str().map(Into::into));
        let identity = Identity {
            username: text(if opensearch { "user_name" } else { "username" })?,
            roles: roles.collect(),
            full_name: text("full_name"),
            email: text("email"),
            metadata: field("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
        };
        let realm = field("authentication_realm").and_then(|realm| RealmRef::deserialize(realm).ok());
        Some(Self { identity, realm, document })
    }
}

impl Granted {
    fn read(body: &[u8]) -> Result<Self, Trouble> {
        let Tokens { access, refresh, expires_in, authentication } =
            Tokens::read(body).map_err(|_| Trouble::Garbled)?;
        Ok(Self { access, refresh, expires_in: expires_in.ok_or(Trouble::Garbled)?, authentication })
    }
}

fn request(method: Method, path: &'static str, body: Option<&Value>) -> Request<Bytes> {
    let mut request = Request::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default());
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static(path);
    let json = HeaderValue::from_static("application/json");
    if body.is_some() {
        request.headers_mut().insert(header::CONTENT_TYPE, json.clone());
    }
    request.headers_mut().insert(header::ACCEPT, json);
    request
}

fn granted(answer: &Response<Bytes>) -> Result<Granted, GrantError> {
    match answer.status() {
        StatusCode::OK => Ok(Granted::read(answer.body())?),
        StatusCode::UNAUTHORIZED if is_about_the_user(answer.body()) => Err(GrantError::Denied),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(GrantError::Rejected),
        // Tokens are off: the operator's to mend, whoever asks.
        StatusCode::BAD_REQUEST if is_off(answer.body()) => Err(Trouble::Status(StatusCode::BAD_REQUEST).into()),
        // An empty password, or what is no certificate.
        StatusCode::BAD_REQUEST => Err(GrantError::Denied),
        status => Err(Trouble::Status(status).into()),
    }
}

fn is_off(body: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    document.pointer("/error/type").is_some_and(|kind| kind == "feature_not_enabled_exception")
}

/// Whether a 401 to a grant is about the user named in it: it failed in the action. One about the gateway's own identity
/// fails before, "for REST request [...]". A user may be called anything, so the end of the text is read.
fn is_about_the_user(body: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = document.pointer("/error/reason").and_then(Value::as_str);
    reason.and_then(|reason| reason.rsplit_once("] for ")).is_some_and(|(_, place)| place.starts_with("action ["))
}

/// Why a refresh was answered 400: 6.1, verbatim.
fn refused(body: &[u8]) -> RefreshError {
    match serde_json::from_slice(body) {
        Ok(Refusal { error, error_description }) if error == "invalid_grant" => match &*error_description {
            "tokens must be refreshed by the creating client" => RefreshError::OtherClient,
            "token has been invalidated"
            | "token document has expired"
            | "token has already been refreshed more than 30 seconds in the past" => {
                RefreshError::Ended { ambiguous: false }
            }
            // "could not refresh the requested token", a clock that is off, and whatever later versions say.
            _ => RefreshError::Ended { ambiguous: true },
        },
        _ => Trouble::Status(StatusCode::BAD_REQUEST).into(),
    }
}

/// What a grant is refused with.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// What invalidation tells of itself.
#[derive(Default, Deserialize)]
struct Invalidated {
    invalidated_tokens: Option<u64>,
    error_count: Option<u64>,
}

const TOKEN: &str = "/_security/oauth2/token";
/// No realm of Elasticsearch takes a name that begins with a blank.
const NOBODY: &str = " searchgate asks whether the token store answers";
