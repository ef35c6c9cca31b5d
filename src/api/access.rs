//! What a caller may do here, and Elasticsearch's words for a denial (API page section 3.1).

use crate::{
    authorize::AuthorizeError,
    model::{ApiKeyRef, Principal},
};

/// One action of the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    /// Elasticsearch's name.
    pub(super) name: &'static str,
    /// Any of these lets a caller do it; what implies one of them holds it.
    pub(super) privileges: &'static [&'static str],
    /// What a denial says behind the caller: the privileges that would help.
    pub(super) granted_by: &'static str,
}

/// The key that a caller is: not while it acts for a user.
pub(super) fn key(principal: &Principal) -> Option<&ApiKeyRef> {
    principal.api_key.as_ref()
}

/// Whether a caller holds what an action asks.
pub(super) fn may(principal: &Principal, action: &Action) -> bool {
    action.privileges.iter().any(|privilege| principal.privileges.allows_cluster(privilege))
}

/// Whether a caller may manage the keys it owns.
pub(super) fn may_own(principal: &Principal) -> bool {
    principal.privileges.allows_cluster("manage_own_api_key")
}

/// Refuses a caller who does not hold what an action asks.
///
/// # Errors
///
/// The denial.
pub(super) fn require(principal: &Principal, action: &Action) -> Result<(), AuthorizeError> {
    if may(principal, action) { Ok(()) } else { Err(denied(principal, action)) }
}

/// The denial of an action.
pub(super) fn denied(principal: &Principal, action: &Action) -> AuthorizeError {
    AuthorizeError::new(principal, action.name, action.granted_by)
}
