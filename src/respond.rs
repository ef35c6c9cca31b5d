//! Words every answer that the gateway itself makes: `Rejection` and the one table of statuses.

use http::{Extensions, HeaderValue, StatusCode};

use crate::{
    authorize::{ANY_ACTION, AuthorizeError, Gone},
    body::BodyError,
    broker::{LoginError, SessionError},
    config::ExpiredStatus,
    credential::CredentialError,
    forward::ForwardError,
    framing::FramingError,
    identify::IdentifyError,
    passwords::Busy,
    path::PathError,
    store::StoreError,
};

pub mod es;
pub mod exception;
pub mod json;
pub mod media;

pub use exception::Exception;

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
    /// Too many passwords wait to be hashed. 429.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// No credential to show the cluster, or it was refused.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A web page spoke through a sidecar. 403.
    #[error("requests with an Origin are not taken here")]
    CrossOrigin,
    /// A page of another site used the cookie of a session. 403.
    #[error("a page of another site changes nothing with a session cookie")]
    CrossSite,
    /// The cluster gave no usable answer.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A head that could be read in two ways. 400.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The caller is not known.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// Nobody was logged in.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// `CONNECT` and `TRACE`. 405.
    #[error("method is not allowed")]
    MethodNotAllowed,
    /// A foreign `Host` at a sidecar. 421.
    #[error("this host is not served here")]
    Misdirected,
    /// An ambiguous target. 400.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A handle that opens nothing.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The store does not answer. 503, never 401: clients take a 401 as final and drop data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        Self::Forward(match error {
            BodyError::Interrupted(_) => ForwardError::ClientGone,
            BodyError::Lost => ForwardError::BodyLost,
            BodyError::Refused => ForwardError::BodyRefused,
            BodyError::Stalled => ForwardError::BodyStalled,
            BodyError::TooLarge { limit } => ForwardError::BodyTooLarge { limit },
        })
    }
}

impl Rejection {
    /// Every failure gets its status and wire type here and nowhere else. There is no `_` arm: a new variant must
    /// choose before it compiles.
    #[must_use]
    pub fn wire(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Authorize(AuthorizeError::Denied(_) | AuthorizeError::Forbidden(_))
            | Self::CrossOrigin
            | Self::CrossSite
            | Self::Identify(IdentifyError::RunAs { .. }) => (StatusCode::FORBIDDEN, SECURITY),
            Self::Authorize(AuthorizeError::Body(error)) => match **error {
                BodyError::Interrupted(_) | BodyError::Lost | BodyError::Refused => {
                    (StatusCode::BAD_REQUEST, ILLEGAL_ARGUMENT)
                }
                BodyError::Stalled => (StatusCode::REQUEST_TIMEOUT, "timeout_exception"),
                BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "content_too_long_exception"),
            },
            Self::Authorize(AuthorizeError::Gone(Gone::Scroll)) => {
                (StatusCode::NOT_FOUND, "search_phase_execution_exception")
            }
            Self::Authorize(AuthorizeError::Gone(Gone::Async(_) | Gone::Pit | Gone::Scrolls)) => {
                (StatusCode::NOT_FOUND, "resource_not_found_exception")
            }
            Self::Authorize(AuthorizeError::NoSuchIndex(_)) => (StatusCode::NOT_FOUND, "index_not_found_exception"),
            Self::Busy(Busy) | Self::Identify(IdentifyError::Busy(_)) => (StatusCode::TOO_MANY_REQUESTS, TOO_BUSY),
            Self::Credential(CredentialError::ClientMismatch) | Self::Session(SessionError::OtherClient) => {
                (StatusCode::BAD_GATEWAY, "refresh_client_mismatch")
            }
            Self::Credential(CredentialError::Rejected)
            | Self::Login(LoginError::Rejected)
            | Self::Session(SessionError::Rejected) => (StatusCode::BAD_GATEWAY, "upstream_credential_rejected"),
            Self::Authorize(AuthorizeError::Unresolved)
            | Self::Credential(
                CredentialError::Resend
                | CredentialError::Transient
                | CredentialError::Unavailable
                | CredentialError::UpstreamOpen,
            )
            | Self::Forward(ForwardError::BodyLost | ForwardError::Unnameable | ForwardError::Unsigned)
            | Self::Identify(IdentifyError::Silent | IdentifyError::Unavailable(_))
            | Self::Login(LoginError::Store(_) | LoginError::Transient(_))
            | Self::Session(SessionError::Busy | SessionError::Store(_) | SessionError::Transient { .. })
            | Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, SECURITY),
            Self::Forward(ForwardError::BodyStalled) => (StatusCode::REQUEST_TIMEOUT, "timeout_exception"),
            Self::Forward(ForwardError::BodyTooLarge { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "content_too_long_exception")
            }
            Self::Forward(ForwardError::ClientGone) => (StatusCode::BAD_REQUEST, "channel_closed_exception"),
            Self::Forward(ForwardError::Interrupted | ForwardError::Unreachable | ForwardError::Unsealed) => {
                (StatusCode::BAD_GATEWAY, "upstream_unavailable")
            }
            Self::Forward(ForwardError::TimedOut) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            Self::Identify(
                IdentifyError::BasicEncoding(_)
                | IdentifyError::BasicValue
                | IdentifyError::KeyKind(_)
                | IdentifyError::Granted { .. }
                | IdentifyError::Missing
                | IdentifyError::Password { .. }
                | IdentifyError::Refused(_)
                | IdentifyError::Secondary(_)
                | IdentifyError::ServiceAccount { .. }
                | IdentifyError::TokenExpired,
            )
            | Self::Login(LoginError::Denied { .. })
            | Self::Session(SessionError::Over { status: ExpiredStatus::Unauthorized, .. } | SessionError::Unknown) => {
                (StatusCode::UNAUTHORIZED, SECURITY)
            }
            Self::Session(SessionError::Over { status: ExpiredStatus::BadRequest, .. }) => {
                (StatusCode::BAD_REQUEST, SECURITY)
            }
            Self::Identify(IdentifyError::Throttled { .. }) | Self::Login(LoginError::Throttled { .. }) => {
                (StatusCode::TOO_MANY_REQUESTS, SECURITY)
            }
            Self::Authorize(AuthorizeError::Illegal(_))
            | Self::Forward(ForwardError::BodyRefused)
            | Self::Framing(_)
            | Self::Identify(IdentifyError::Repeated { .. })
            | Self::Path(_) => (StatusCode::BAD_REQUEST, ILLEGAL_ARGUMENT),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, ILLEGAL_ARGUMENT),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, ILLEGAL_ARGUMENT),
        }
    }

    /// Code for machines, in `X-Auth-Reason`.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Busy(_) | Self::Login(LoginError::Throttled { .. }) => Some("throttled"),
            Self::Credential(CredentialError::Resend) | Self::Forward(ForwardError::BodyLost) => {
                Some("token_refreshed_retry")
            }
            Self::Identify(error) => error.reason_code(),
            Self::Login(LoginError::Denied { .. }) => Some("bad_credentials"),
            Self::Session(error) => error.code(),
            Self::Authorize(_)
            | Self::Credential(_)
            | Self::CrossOrigin
            | Self::CrossSite
            | Self::Forward(_)
            | Self::Framing(_)
            | Self::Login(_)
            | Self::MethodNotAllowed
            | Self::Misdirected
            | Self::Path(_)
            | Self::Store(_) => None,
        }
    }

    /// What the client reads. What a store or a realm says of itself is for the log.
    fn reason(&self, target: &str) -> String {
        match self {
            Self::Busy(_) => "server is too busy to respond".to_owned(),
            Self::Identify(IdentifyError::RunAs { caller, target: user }) => {
                AuthorizeError::run_as(caller, user, ANY_ACTION).to_string()
            }
            Self::Identify(error) => error.reason(target),
            Self::Login(LoginError::Store(_)) | Self::Session(SessionError::Store(_)) | Self::Store(_) => {
                "the security store is not available at the moment".to_owned()
            }
            Self::Authorize(_)
            | Self::Credential(_)
            | Self::CrossOrigin
            | Self::CrossSite
            | Self::Forward(_)
            | Self::Framing(_)
            | Self::Login(_)
            | Self::MethodNotAllowed
            | Self::Misdirected
            | Self::Path(_)
            | Self::Session(_) => self.to_string(),
        }
    }

    /// Whole seconds to wait: on every 429 and 503.
    fn retry_after(&self) -> Option<u64> {
        let wait = match self {
            Self::Identify(error) => Some(error.retry_after()?),
            Self::Login(LoginError::Throttled { retry_after })
            | Self::Session(SessionError::Transient { retry_after }) => Some(*retry_after),
            _ => None,
        };
        if let Some(wait) = wait {
            return Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        }
        if let Self::Credential(CredentialError::Transient) = self {
            return Some(5);
        }
        matches!(self.wire().0, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

/// The code of a refusal, as `X-Auth-Reason` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Reason(pub &'static str);

/// The code that an answer of ours was made with.
#[must_use]
pub fn reason(extensions: &Extensions) -> Option<&'static str> {
    extensions.get::<Reason>().map(|reason| reason.0)
}

const ILLEGAL_ARGUMENT: &str = "illegal_argument_exception";
const SECURITY: &str = "security_exception";
const TOO_BUSY: &str = "es_rejected_execution_exception";
