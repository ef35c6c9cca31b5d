//! What a caller may do here, and Elasticsearch's words for a denial (API page section 3.1).

use crate::{authorize::AuthorizeError, model::Principal, users::Users};

/// One action of the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    /// Elasticsearch's name.
    pub(super) name: &'static str,
    /// Any of these lets a caller do it; what implies one of them holds it.
    pub(super) privileges: &'static [&'static str],
    /// What a denial says behind the caller.
    pub(super) granted_by: &'static str,
}

/// The key that a caller is: not while it acts for a user.
pub(super) fn key(principal: &Principal) -> Option<&crate::model::ApiKeyRef> {
    principal.api_key.as_ref().filter(|_| principal.lookup_realm.is_none())
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
    AuthorizeError { action: action.name, subject: subject(principal).into(), granted_by: action.granted_by }
}

fn subject(principal: &Principal) -> String {
    let username = &principal.identity.username;
    if let Some(key) = key(principal) {
        return format!("API key id [{}] of user [{username}]", key.id);
    }
    let known = Users::descriptors(&principal.identity.roles);
    let (mut effective, missing): (Vec<&str>, Vec<&str>) =
        principal.identity.roles.iter().map(AsRef::as_ref).partition(|role| known.contains_key(*role));
    effective.sort_unstable();
    let mut subject = format!("user [{username}] with effective roles [{}]", effective.join(","));
    if !missing.is_empty() {
        subject.push_str(&format!(" (assigned roles [{}] were not found)", missing.join(",")));
    }
    subject
}
