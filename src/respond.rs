//! Words every answer that the gateway itself makes: `Rejection` and the one table of statuses.

use http::{Extensions, HeaderValue};

use crate::{
    authorize::AuthorizeError, credential::CredentialError, forward::ForwardError, identify::IdentifyError,
    path::PathError,
};

pub mod es;

/// What the wording and shape of an answer depend on.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Raw path and query.
    pub target: &'a str,
    /// `Accept`.
    pub accept: Option<&'a HeaderValue>,
    /// `Content-Type` of the request.
    pub content_type: Option<&'a HeaderValue>,
    /// `X-Opaque-Id`: echoed.
    pub opaque_id: Option<&'a HeaderValue>,
}

/// Why the gateway answers instead of the cluster.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// Known caller, forbidden action.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// No credential to show the cluster, or it was refused.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A web page spoke through a sidecar. 403.
    #[error("requests with an Origin are not taken here")]
    CrossOrigin,
    /// The cluster gave no usable answer.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The caller is not known.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// `CONNECT` and `TRACE`. 405.
    #[error("method is not allowed")]
    MethodNotAllowed,
    /// A foreign `Host` at a sidecar. 421.
    #[error("this host is not served here")]
    Misdirected,
    /// An ambiguous target. 400.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The code of a refusal, as `X-Auth-Reason` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Reason(pub &'static str);

/// The code that an answer of ours was made with.
#[must_use]
pub fn reason(extensions: &Extensions) -> Option<&'static str> {
    extensions.get::<Reason>().map(|reason| reason.0)
}
