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
    /// Whether it concerns nobody's keys but the caller's own.
    own: bool,
}

impl Action {
    /// The action that Elasticsearch calls so.
    pub(super) const fn named(name: &'static str) -> Self {
        Self { name, own: false }
    }

    /// The same, on the caller's own keys.
    pub(super) const fn concerning_own_keys(self) -> Self {
        Self { own: true, ..self }
    }
}

/// The key that a caller is: not while it acts for a user.
pub(super) fn key(principal: &Principal) -> Option<&ApiKeyRef> {
    principal.api_key.as_ref()
}

/// Whether a caller holds what an action asks.
pub(super) fn may(principal: &Principal, action: &Action) -> bool {
    let privileges = &principal.privileges;
    if action.own {
        privileges.allows_own_keys_action(action.name)
    } else {
        privileges.allows_cluster_action(action.name)
    }
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
    AuthorizeError::cluster(principal, action.name, action.own)
}
