//! Decides what a caller may do. A request that skipped it cannot be forwarded: there is no [`Permit`] for it.
//!
//! Until requests are read as actions on indices, which takes the table of routes, only callers who may do everything
//! reach the cluster. All others are refused, under a name that stands for any action.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use http::Method;

use crate::{
    config::Shape,
    identify::IdentifyError,
    model::Principal,
    privileges,
    telemetry::audit::{Audit, AuditEvent},
};

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
    /// Text behind: the privileges that would grant it, from least to most powerful.
    pub granted_by: Box<str>,
    /// Whether the caller is bound to a workflow, and this is none of its actions.
    pub restricted: bool,
}

/// Judges requests.
#[derive(Debug)]
pub struct Authorizer {
    audit: Audit,
}

impl Permit {
    /// For `OPTIONS`, which needs no credentials and is forwarded with none; for no other method.
    #[must_use]
    pub fn options(method: &Method) -> Option<Self> {
        (method == Method::OPTIONS).then_some(Self { grant: Grant::Bare })
    }

    /// For callers whose credential no realm here claims: the cluster will judge it. Others stay refused.
    #[must_use]
    pub fn passthrough(refusal: &IdentifyError) -> Option<Self> {
        refusal.is_unclaimed().then_some(Self { grant: Grant::PassThrough })
    }

    /// For the callers of a sidecar listener, and of no other.
    #[must_use]
    pub fn sidecar(shape: Shape) -> Option<Self> {
        (shape == Shape::Sidecar).then_some(Self { grant: Grant::Sidecar })
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
    /// One that tells `audit` of whom it refuses.
    #[must_use]
    pub fn new(audit: Audit) -> Self {
        Self { audit }
    }

    /// Whether `principal`, at the address `client`, may send this request to the cluster.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] when not.
    pub fn check(
        &self,
        principal: &Arc<Principal>,
        client: Option<IpAddr>,
        method: &Method,
        path: &str,
    ) -> Result<Permit, AuthorizeError> {
        if principal.privileges.allows_everything() {
            return Ok(Permit { grant: Grant::Principal(Arc::clone(principal)) });
        }
        self.audit.record(&AuditEvent {
            client,
            method: Some(method.as_str()),
            path: Some(path),
            ..AuditEvent::by("access_denied", principal)
        });
        Err(AuthorizeError::new(principal, ANY_ACTION, "cluster", "all"))
    }
}

impl AuthorizeError {
    /// `principal` may not do a cluster action; where the action is on its `own` keys, less would have sufficed.
    #[must_use]
    pub fn cluster(principal: &Principal, action: &'static str, own: bool) -> Self {
        Self::new(principal, action, "cluster", &privileges::granting_cluster(action, own))
    }

    /// `caller` may do nothing as `target`, whatever either of them may do (API page section 3.3).
    #[must_use]
    pub fn run_as(caller: &Principal, target: &str, action: &'static str) -> Self {
        let granted_by = format!(", because {} is unauthorized to run as [{target}]", who(caller)).into();
        Self { action, subject: subject(caller).into(), granted_by, restricted: false }
    }

    fn new(principal: &Principal, action: &'static str, kind: &str, privileges: &str) -> Self {
        let granted_by = format!(", this action is granted by the {kind} privileges [{privileges}]").into();
        let restricted = principal.privileges.is_workflow_restricted();
        Self { action, subject: subject(principal).into(), granted_by, restricted }
    }
}

/// A caller without its roles.
fn who(principal: &Principal) -> String {
    let user = &principal.identity.username;
    match (&principal.run_by, &principal.api_key) {
        (Some(by), _) => format!("{} run as [{user}]", who(by)),
        (None, Some(key)) => format!("API key id [{}] of user [{user}]", key.id),
        (None, None) if principal.service_token.is_some() => format!("service account [{user}]"),
        (None, None) => format!("user [{user}]"),
    }
}

fn subject(principal: &Principal) -> String {
    let mut subject = who(principal);
    if principal.api_key.is_some() || principal.service_token.is_some() {
        return subject;
    }
    let effective = principal.privileges.roles();
    // Writing to a string cannot fail.
    let _ = write!(subject, " with effective roles [{}]", effective.join(","));
    let mut lost: Vec<&str> =
        principal.identity.roles.iter().filter(|role| !effective.contains(role)).map(|role| &**role).collect();
    if !lost.is_empty() {
        lost.sort_unstable();
        let _ = write!(subject, " (assigned roles [{}] were not found)", lost.join(","));
    }
    subject
}

/// Elasticsearch's name of what a request would do that goes no further than its caller, by raw path and query.
#[must_use]
pub fn action(target: &str) -> &'static str {
    match target.split(['?', '#']).next() {
        Some("/_security/_authenticate" | "/_security/_authenticate/") => AUTHENTICATE,
        _ => ANY_ACTION,
    }
}

/// What a grant asks of those whom it is for (API page section 4.3), and everybody may do as itself.
pub const AUTHENTICATE: &str = "cluster:admin/xpack/security/user/authenticate";
/// Stands for whatever a request would do.
const ANY_ACTION: &str = "cluster:admin/searchgate/forward";

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::model::{ApiKeyRef, AuthenticationType, Identity, KeyId, RealmRef, ServiceTokenRef};
    use crate::privileges::Privileges;

    fn principal(roles: &[&str], privileges: Privileges) -> Principal {
        let identity = Identity {
            username: "u".into(),
            roles: roles.iter().map(|role| Box::from(*role)).collect(),
            ..Identity::default()
        };
        let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
        let authentication = AuthenticationType::Realm;
        Principal::new(identity, realm, authentication, privileges)
    }

    fn key(assigned: &Map<String, Value>) -> Principal {
        let privileges = Privileges::of_key(assigned, &everything());
        let api_key = Some(ApiKeyRef { id: KeyId("abc".into()), name: Some("k".into()) });
        Principal { api_key, authentication: AuthenticationType::ApiKey, ..principal(&[], privileges) }
    }

    fn everything() -> Map<String, Value> {
        named("r1", json!({"cluster": ["all"], "indices": [{"names": ["*"], "privileges": ["all"]}]}))
    }

    fn named(name: &str, descriptor: Value) -> Map<String, Value> {
        Map::from_iter([(name.to_owned(), descriptor)])
    }

    fn check(principal: Principal) -> Result<Permit, AuthorizeError> {
        Authorizer::new(Audit::off()).check(&Arc::new(principal), None, &Method::GET, "/logs/_search")
    }

    #[test]
    fn whoever_may_do_everything_gets_a_permit_in_its_name() {
        let permit = check(principal(&["r1"], Privileges::of_user(&everything()))).unwrap();
        assert_eq!(&*permit.principal().unwrap().identity.username, "u");
        assert!(!permit.passes_through() && !permit.goes_bare());
        assert!(check(key(&Map::new())).is_ok());
    }

    #[test]
    fn a_user_who_may_less_is_refused_with_roles_sorted_and_lost_ones_named() {
        let mut descriptors = named("r2", json!({"cluster": ["monitor"]}));
        descriptors.extend(named("r1", json!({"indices": [{"names": ["logs"], "privileges": ["read"]}]})));
        let error = check(principal(&["r2", "zz", "r1", "gone"], Privileges::of_user(&descriptors))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "action [cluster:admin/searchgate/forward] is unauthorized for user [u] with effective roles [r1,r2] \
             (assigned roles [gone,zz] were not found)"
        );
    }

    #[test]
    fn a_user_without_roles_is_refused() {
        let error = check(principal(&[], Privileges::default())).unwrap_err();
        assert_eq!(&*error.subject, "user [u] with effective roles []");
    }

    #[test]
    fn a_limited_key_is_refused_without_roles() {
        let limited = json!({"cluster": ["all"], "indices": [{"names": ["logs-*"], "privileges": ["all"]}]});
        let error = check(key(&named("limited", limited))).unwrap_err();
        assert_eq!(&*error.subject, "API key id [abc] of user [u]");
    }

    #[test]
    fn whoever_runs_as_another_is_named_before_it_and_has_its_roles() {
        let by = |caller| {
            let target = Principal { run_by: Some(Arc::new(caller)), ..principal(&["lost"], Privileges::default()) };
            AuthorizeError::cluster(&target, "a:b", false).subject
        };
        let roles = "with effective roles [] (assigned roles [lost] were not found)";
        assert_eq!(*by(principal(&["r1"], Privileges::default())), format!("user [u] run as [u] {roles}"));
        assert_eq!(*by(key(&Map::new())), format!("API key id [abc] of user [u] run as [u] {roles}"));
    }

    #[test]
    fn a_service_account_has_no_roles_to_show() {
        let kind = "_service_account_index".into();
        let service_token = Some(ServiceTokenRef { name: "t".into(), kind });
        let account = Principal { service_token, ..principal(&[], Privileges::default()) };
        assert_eq!(&*AuthorizeError::cluster(&account, "a:b", false).subject, "service account [u]");
    }

    #[test]
    fn whoever_may_not_run_as_another_is_told_twice_who_it_is() {
        let text = |caller: &Principal| {
            let error = AuthorizeError::run_as(caller, "v", action("/_security/_authenticate?pretty"));
            format!("{error}{}", error.granted_by)
        };
        let action = "action [cluster:admin/xpack/security/user/authenticate] is unauthorized for";
        assert_eq!(
            text(&principal(&["x"], Privileges::default())),
            format!(
                "{action} user [u] with effective roles [] (assigned roles [x] were not found), because user [u] is \
                 unauthorized to run as [v]"
            )
        );
        let key = key(&Map::new());
        let who = "API key id [abc] of user [u]";
        assert_eq!(text(&key), format!("{action} {who}, because {who} is unauthorized to run as [v]"));
    }
}
