//! Why a caller is not known, as data; `respond` words and shapes it.

use std::{sync::Arc, time::Duration};

use crate::{
    model::{KeyId, Principal},
    passwords::Busy,
    store::StoreError,
};

/// Why a caller is not known. Rows are those of the API page, section 2.4.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// `Basic` and not base64 (row 2): 401, with [`IdentifyError::caused_by`].
    #[error("invalid basic authentication header encoding")]
    BasicEncoding(#[source] Base64Error),
    /// `Basic` and base64 without a colon (row 3): 401.
    #[error("invalid basic authentication header value")]
    BasicValue,
    /// Too many passwords wait to be hashed (row 12): 429, `Retry-After: 1`.
    #[error("server is too busy to respond")]
    Busy(#[source] Busy),
    /// Whoever must vouch does not: an issuer does not say by which keys it signs, the cluster does not say who somebody
    /// is (contract section 3). 503 and `Retry-After: 1`.
    #[error("credentials cannot be verified at the moment")]
    Silent,
    /// A good key that is for another port than those served here (row 10): 401.
    #[error("authentication expected API key type of [rest], but API key [{0}] has type [cross_cluster]")]
    KeyKind(KeyId),
    /// Credentials in the body of a grant that nobody can be by (API page section 5.2): 401.
    #[error("unable to authenticate user [{username}] for action [{action}]")]
    Granted {
        /// The name that was presented.
        username: Box<str>,
        /// Elasticsearch's name of the action.
        action: &'static str,
    },
    /// No header, an unknown scheme, or a scheme without a value (row 1): 401.
    #[error("missing authentication credentials")]
    Missing,
    /// Wrong password, unknown user, disabled user, or an empty run-as header (row 4): 401.
    #[error("unable to authenticate user [{username}]")]
    Password {
        /// The name that was presented.
        username: Box<str>,
        /// Whether a realm here knows the name. Decides passing through and nothing a client sees.
        known: bool,
    },
    /// A failed `ApiKey` or `Bearer` (rows 5, 6, 7, 9): 401, with [`IdentifyError::additional`].
    #[error("unable to authenticate with provided credentials and anonymous access is not allowed for this request")]
    Refused(#[source] Refusal),
    /// Different values in a header that may have one (section 1.5): 400 `illegal_argument_exception`.
    #[error("multiple values for single-valued header [{header}].")]
    Repeated {
        /// The header, as Elasticsearch spells it.
        header: &'static str,
    },
    /// A good caller who may not run as that user, which may not exist (section 3.3): 403.
    #[error("user [{}] is unauthorized to run as [{target}]", caller.identity.username)]
    RunAs {
        /// Who proved itself.
        caller: Arc<Principal>,
        /// Whom it wants to be.
        target: Box<str>,
    },
    /// A good caller with a second one behind it that is none (section 2.8): 401 without challenges of its own.
    #[error("Failed to authenticate secondary user")]
    Secondary(#[source] Box<IdentifyError>),
    /// A token of the form of a service account's that is none (row 9a): 401.
    #[error("failed to authenticate service account [{account}] with token name [{name}]")]
    ServiceAccount {
        /// `namespace/service`.
        account: Box<str>,
        /// Of the token.
        name: Box<str>,
    },
    /// Too many wrong passwords (contract section 3): 429 and `Retry-After`, whole seconds rounded up.
    #[error("too many failed authentication attempts")]
    Throttled {
        /// Until the next attempt is heard.
        retry_after: Duration,
    },
    /// A known access token, expired or invalidated (row 8): 401 with [`Challenge::TokenExpired`] alone.
    #[error("token expired")]
    TokenExpired,
    /// The store cannot answer (row 11): 503 and `Retry-After: 1`, never 401.
    #[error("credentials cannot be verified at the moment")]
    Unavailable(#[source] StoreError),
}

/// Why an `ApiKey` or `Bearer` failed: its text is an entry of `additional_unsuccessful_credentials` (section 2.5).
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Not base64.
    #[error("API key: {0}")]
    KeyEncoding(Base64Error),
    /// Its time is over.
    #[error("API key: api key is expired")]
    KeyExpired,
    /// It was invalidated.
    #[error("API key: api key [{0}] has been invalidated")]
    KeyInvalidated(KeyId),
    /// The id exists, the secret is another.
    #[error("API key: invalid credentials for API key [{0}]")]
    KeySecret(KeyId),
    /// No such id.
    #[error("API key: unable to find apikey with id {0}")]
    KeyUnknown(KeyId),
    /// No colon, or nothing before it.
    #[error("API key: invalid ApiKey value")]
    KeyValue,
    /// Not a token of this gateway.
    #[error("oauth2 token: invalid token")]
    TokenUnknown,
}

/// What is wrong with a base64 text, in the words of the Java runtime, which clients see.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Base64Error {
    /// A character that base64 has not.
    #[error("Illegal base64 character {0:x}")]
    Character(u8),
    /// A single character is left over.
    #[error("Last unit does not have enough valid bits")]
    Dangling,
    /// Padding that is too short, too long, or in the middle.
    #[error("Input byte array has wrong 4-byte ending unit")]
    Padding,
}

/// What `WWW-Authenticate` says (section 2.3), in the header and inside the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Challenge {
    /// `Basic`, `Bearer` and `ApiKey`, three lines; in the body an array.
    All,
    /// The single line of row 8; in the body a string.
    TokenExpired,
}

impl IdentifyError {
    /// `reason` of the error body; `target` is the raw path and query.
    #[must_use]
    pub fn reason(&self, target: &str) -> String {
        match self {
            Self::Missing | Self::Password { .. } => format!("{self} for REST request [{target}]"),
            _ => self.to_string(),
        }
    }

    /// The code of the contract's section 6, for `X-Auth-Reason` and `error.code`.
    #[must_use]
    pub fn reason_code(&self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("no_credentials"),
            Self::Refused(Refusal::KeyExpired) => Some("key_expired"),
            Self::Refused(Refusal::KeyInvalidated(_)) => Some("key_invalidated"),
            Self::BasicEncoding(_)
            | Self::BasicValue
            | Self::Granted { .. }
            | Self::KeyKind(_)
            | Self::Password { .. }
            | Self::Refused(_)
            | Self::ServiceAccount { .. } => Some("bad_credentials"),
            Self::Busy(_) | Self::Throttled { .. } => Some("throttled"),
            Self::Secondary(error) => error.reason_code(),
            Self::TokenExpired => Some("token_expired"),
            Self::Silent | Self::Repeated { .. } | Self::RunAs { .. } | Self::Unavailable(_) => None,
        }
    }

    /// What `WWW-Authenticate` says; absent unless the answer is a 401 about the first caller.
    #[must_use]
    pub fn challenge(&self) -> Option<Challenge> {
        match self {
            Self::BasicEncoding(_)
            | Self::BasicValue
            | Self::Granted { .. }
            | Self::KeyKind(_)
            | Self::Missing
            | Self::Password { .. }
            | Self::Refused(_)
            | Self::ServiceAccount { .. } => Some(Challenge::All),
            Self::TokenExpired => Some(Challenge::TokenExpired),
            Self::Busy(_)
            | Self::Silent
            | Self::Repeated { .. }
            | Self::RunAs { .. }
            | Self::Secondary(_)
            | Self::Throttled { .. }
            | Self::Unavailable(_) => None,
        }
    }

    /// `additional_unsuccessful_credentials` of the error body: one entry, so a string.
    #[must_use]
    pub fn additional(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// `caused_by` of the error body: an `illegal_argument_exception` with this reason.
    #[must_use]
    pub fn caused_by(&self) -> Option<&Base64Error> {
        match self {
            Self::BasicEncoding(error) => Some(error),
            _ => None,
        }
    }

    /// When to come back, for `Retry-After`; present on 429 and 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(_) | Self::Silent | Self::Unavailable(_) => Some(Duration::from_secs(1)),
            Self::Throttled { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether no realm here but a `cluster` one claims these credentials: they may pass through to the cluster.
    #[must_use]
    pub fn is_unclaimed(&self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::Password { known: false, .. }
                | Self::Refused(
                    Refusal::KeyEncoding(_) | Refusal::KeyUnknown(_) | Refusal::KeyValue | Refusal::TokenUnknown
                )
        )
    }
}
