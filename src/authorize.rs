//! Decides what a caller may do. A request that skipped it cannot be forwarded: there is no [`Permit`] for it.

use std::sync::Arc;

use http::Method;

use crate::model::Principal;

/// Proof that somebody judged a request. Fields are private: only this module makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    grant: Grant,
}

#[derive(Clone, Debug)]
enum Grant {
    /// `OPTIONS`: forwarded without credentials.
    Bare,
    /// The cluster judges the caller's own credential.
    PassThrough,
    /// A principal who may do this.
    Principal(Arc<Principal>),
    /// A sidecar's callers prove nothing; the cluster judges the gateway's identity.
    Sidecar,
}

/// The caller is known and may not do this. Words and shape: API page section 3.1.
#[derive(Clone, Debug, thiserror::Error)]
#[error("action [{action}] is unauthorized for {subject}")]
pub struct AuthorizeError {
    /// Elasticsearch's name of the action.
    pub action: &'static str,
    /// Who, in the words of section 3.1, with roles.
    pub subject: Box<str>,
    /// Text behind: the privileges that would grant it.
    pub granted_by: &'static str,
}

/// Judges requests.
#[derive(Debug)]
pub struct Authorizer {}

impl Permit {
    /// For `OPTIONS`, which needs no credentials and is forwarded with none.
    #[must_use]
    pub fn options() -> Self {
        Self { grant: Grant::Bare }
    }

    /// For callers whose credential no realm here claims: the cluster will judge it.
    #[must_use]
    pub fn passthrough() -> Self {
        Self { grant: Grant::PassThrough }
    }

    /// For the callers of a sidecar listener.
    #[must_use]
    pub fn sidecar() -> Self {
        Self { grant: Grant::Sidecar }
    }

    /// Who was judged, where somebody was.
    #[must_use]
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.grant {
            Grant::Principal(principal) => Some(principal),
            _ => None,
        }
    }

    /// Whether the caller's own credential goes to the cluster.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        matches!(self.grant, Grant::PassThrough)
    }

    /// Whether the request goes without any credential.
    #[must_use]
    pub fn goes_bare(&self) -> bool {
        matches!(self.grant, Grant::Bare)
    }
}

impl Authorizer {
    /// Whether `principal` may send this request to the cluster.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] when not.
    pub fn check(&self, principal: &Arc<Principal>, method: &Method, path: &str) -> Result<Permit, AuthorizeError> {
        let _ = (principal, method, path);
        todo!()
    }
}
