//! Why a handle opens nothing, as data; `respond` words and shapes it.

use std::time::Duration;

use crate::{
    cluster::{GrantError, Trouble},
    config::{ExpiredStatus, Reauthentication},
    renewal::RenewError,
    store::StoreError,
};

/// Why a request with a handle goes no further.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// More requests wait for its renewal than may. 503.
    #[error("too many requests wait for this session to be renewed")]
    Busy,
    /// Its pair belongs to another identity of the gateway. 502 `refresh_client_mismatch`.
    #[error("the session was opened under another identity of the gateway")]
    OtherClient,
    /// Its time is over. As configured: 401 or 400, with the code.
    #[error("the session is over")]
    Over {
        /// `session_expired`, `idle_timeout` or `lifespan`.
        code: &'static str,
        /// `reauthentication.front_door_expired_status`.
        status: ExpiredStatus,
    },
    /// The cluster refuses the gateway's own identity. 502 `upstream_credential_rejected`.
    #[error("the cluster refuses the gateway's own identity")]
    Rejected,
    /// The store does not answer. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be renewed at the moment. 503 and `Retry-After`.
    #[error("the session cannot be renewed at the moment")]
    Transient {
        /// Until it is tried again.
        retry_after: Duration,
    },
    /// There is no such session, or not any more. 401 `session_unknown`.
    #[error("the session is not known")]
    Unknown,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The cluster does not know them so. 401.
    #[error("unable to authenticate user [{username}]")]
    Denied {
        /// As presented, or the subject of the certificate.
        username: Box<str>,
    },
    /// The cluster refuses the gateway's own identity. 502.
    #[error("the cluster refuses the gateway's own identity")]
    Rejected,
    /// The store does not take the session. 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many wrong passwords. 429.
    #[error("too many failed authentication attempts")]
    Throttled {
        /// Until the next attempt is heard.
        retry_after: Duration,
    },
    /// The cluster does not answer. 503.
    #[error("nobody can log in at the moment")]
    Transient(#[source] Trouble),
}

impl SessionError {
    /// What a renewal before a request was sent came to.
    pub(super) fn of(error: RenewError, settings: &Reauthentication) -> Self {
        match error {
            RenewError::Busy => Self::Busy,
            RenewError::Expired => Self::Over { code: super::EXPIRED, status: settings.front_door_expired_status },
            RenewError::Gone => Self::Unknown,
            RenewError::OtherClient => Self::OtherClient,
            RenewError::Rejected => Self::Rejected,
            RenewError::Store(error) => Self::Store(error),
            RenewError::Transient { retry_after } => Self::Transient { retry_after },
        }
    }

    /// The code of section 10, for `X-Auth-Reason` and `error.code`.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Over { code, .. } => Some(code),
            Self::Unknown => Some("session_unknown"),
            Self::Busy | Self::OtherClient | Self::Rejected | Self::Store(_) | Self::Transient { .. } => None,
        }
    }
}

impl LoginError {
    pub(super) fn of(error: GrantError, username: &str) -> Self {
        match error {
            GrantError::Denied => Self::Denied { username: username.into() },
            GrantError::Rejected => Self::Rejected,
            GrantError::Transient(trouble) => Self::Transient(trouble),
        }
    }
}
