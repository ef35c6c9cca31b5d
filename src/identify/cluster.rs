//! The cluster's own users: it is asked whom it takes the caller for, and believed for a moment.
//!
//! What it says holds for what was shown alone. A cluster may take somebody for another: for nobody in particular, where
//! it lets anonymous callers in, or for the gateway, whose certificate stands behind every question. Neither is an answer.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use serde_json::Value;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    identify::{jwt::Token, presented::Presented},
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId},
    sessions,
};

/// How the cluster is asked whom it takes the bearer of an `Authorization` for.
#[derive(Clone)]
pub struct AskCluster {
    ask: Arc<dyn Fn(HeaderValue) -> Asking + Send + Sync>,
    /// `iss` of the tokens that this gateway itself signs for the cluster.
    own_issuers: Arc<[Box<str>]>,
}

/// A question that is under way.
pub type Asking = Pin<Box<dyn Future<Output = Result<Told, AskError>> + Send>>;

/// Whom the cluster takes somebody for.
#[derive(Clone, Debug)]
pub struct Told {
    /// Name, roles, metadata.
    pub identity: Identity,
    /// The whole answer.
    pub document: Value,
}

/// Why the cluster names nobody.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It takes them for nobody.
    #[error("the cluster refuses the credential")]
    Refused,
    /// It does not answer that.
    #[error("the cluster does not say who somebody is")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A realm whose users are those of the cluster.
#[derive(Debug)]
pub(super) struct ClusterRealm {
    ask: AskCluster,
    /// How long a verdict lives at most.
    pub(super) life: Duration,
    /// Strangers make questions: no more of them at a time than a cluster can bear.
    room: Semaphore,
    /// Whether the last answer was none, so that the log says it once.
    silent: AtomicBool,
}

/// What the realm makes of a credential.
#[derive(Debug)]
pub(super) enum Opinion {
    Known(Box<Known>),
    /// Good for nobody.
    Nobody,
    /// Nothing that is asked about.
    Pass,
}

/// Somebody whom the cluster knows.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) authentication: AuthenticationType,
    pub(super) api_key: Option<ApiKeyRef>,
}

/// The cluster cannot be asked at the moment.
#[derive(Debug)]
pub(super) struct NoAnswer;

/// Whose an answer of the cluster is.
#[derive(Debug, PartialEq)]
enum Answer {
    /// Of somebody else than whoever holds what was shown.
    Another,
    Holder(AuthenticationType, Option<ApiKeyRef>),
    Nobody,
}

impl AskCluster {
    /// Asks by `ask`. Tokens of `own_issuers` are never asked about.
    #[must_use]
    pub fn new(ask: impl Fn(HeaderValue) -> Asking + Send + Sync + 'static, own_issuers: Vec<Box<str>>) -> Self {
        Self { ask: Arc::new(ask), own_issuers: own_issuers.into() }
    }

    /// Whether a token is one that this gateway made for the cluster, which would take it.
    fn is_own(&self, token: &str) -> bool {
        Token::read(token).is_some_and(|token| {
            token.text("iss").is_some_and(|issuer| self.own_issuers.iter().any(|own| **own == *issuer))
        })
    }
}

impl fmt::Debug for AskCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskCluster").finish_non_exhaustive()
    }
}

impl ClusterRealm {
    pub(super) fn new(ask: AskCluster, life: Duration) -> Self {
        Self { ask, life, room: Semaphore::new(ROOM), silent: AtomicBool::new(false) }
    }

    /// Asks the cluster about `presented`.
    pub(super) async fn judge(&self, presented: &Presented) -> Result<Opinion, NoAnswer> {
        let ours = |token: &str| token.trim_start().starts_with(sessions::PREFIX) || self.ask.is_own(token);
        if matches!(presented, Presented::Bearer(token) if ours(token.expose())) {
            return Ok(Opinion::Nobody);
        }
        let Some(authorization) = presented.authorization() else { return Ok(Opinion::Pass) };
        let asking = async {
            let _place = self.room.acquire().await;
            (self.ask.ask)(authorization).await
        };
        let told = match timeout(PATIENCE, asking).await {
            Ok(Ok(told)) => told,
            Ok(Err(AskError::Refused)) => {
                self.silent.store(false, Ordering::Relaxed);
                return Ok(Opinion::Nobody);
            }
            Ok(Err(AskError::Silent(error))) => return Err(self.complain(&*error)),
            Err(elapsed) => return Err(self.complain(&elapsed)),
        };
        match whose(presented, &told) {
            Answer::Holder(authentication, api_key) => {
                self.silent.store(false, Ordering::Relaxed);
                Ok(Opinion::Known(Box::new(Known { identity: told.identity, authentication, api_key })))
            }
            Answer::Nobody => Ok(Opinion::Nobody),
            Answer::Another => Err(self.complain(&Mistaken)),
        }
    }

    fn complain(&self, error: &(dyn std::error::Error + 'static)) -> NoAnswer {
        if !self.silent.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "the cluster does not say who a caller is: such callers are answered 503");
        }
        NoAnswer
    }
}

/// The cluster was asked about one and tells of another.
#[derive(Debug, thiserror::Error)]
#[error("it tells of another than whose credential it was shown, perhaps of the gateway's own certificate")]
struct Mistaken;

/// Judges an answer of Elasticsearch's `_authenticate` or of OpenSearch's `authinfo`.
fn whose(presented: &Presented, told: &Told) -> Answer {
    let text = |path: &str| told.document.pointer(path).and_then(Value::as_str);
    if told.identity.username.is_empty() {
        return Answer::Another;
    }
    if told.document.get("user_name").is_some() {
        return opensearch(presented, told);
    }
    match (text("/authentication_type"), presented) {
        (Some("anonymous"), _) => Answer::Nobody,
        (Some("api_key"), Presented::ApiKey { id, .. }) if text("/api_key/id") == Some(&*id.0) => {
            let name = text("/api_key/name").map(Into::into);
            Answer::Holder(AuthenticationType::ApiKey, Some(ApiKeyRef { id: KeyId(Arc::clone(&id.0)), name }))
        }
        (Some("token"), Presented::Bearer(_)) => Answer::Holder(AuthenticationType::Token, None),
        (Some("realm"), Presented::Basic { .. } | Presented::Bearer(_))
            if text("/authentication_realm/type").is_some_and(|kind| kind != "pki") =>
        {
            Answer::Holder(AuthenticationType::Realm, None)
        }
        _ => Answer::Another,
    }
}

/// It does not say by what it knows somebody, but whether it was shown a certificate.
fn opensearch(presented: &Presented, told: &Told) -> Answer {
    let certified = told.document.get("principal").is_some_and(|principal| !principal.is_null());
    match presented {
        _ if &*told.identity.username == OPENSEARCH_ANONYMOUS => Answer::Nobody,
        // With a certificate it may have looked at nothing else, whatever name stands in the header.
        Presented::Basic { .. } | Presented::Bearer(_) if !certified => Answer::Holder(AuthenticationType::Realm, None),
        _ => Answer::Another,
    }
}

/// Questions at a time.
const ROOM: usize = 32;
/// For a place among them and the answer.
const PATIENCE: Duration = Duration::from_secs(10);
const OPENSEARCH_ANONYMOUS: &str = "opendistro_security_anonymous";

#[cfg(test)]
mod tests;
