//! What a principal may do: role descriptors compiled once, and the decisions that they give (API page sections 11–13).
//!
//! A decision allocates nothing. Comparing patterns (`_has_privileges`) is slower and bounded. What is not understood
//! grants nothing: an unknown privilege, a pattern that is none, an entry with document or field level security, which
//! nothing here could enforce.

mod answer;
mod application;
mod builtin;
mod expression;
mod grant;
mod ground;
mod listing;
mod named;
mod pattern;
mod regex;
mod restricted;
mod table;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::grant::Grant;
pub use self::{
    answer::{Answer, ApplicationQuestion, Held, IndexQuestion, Question},
    application::wrong_application,
    builtin::{reserved_roles, service_accounts},
    ground::Ground,
    listing::listing,
    named::{
        REMOTE_CLUSTER, cluster_names, granting_cluster, granting_index, granting_index_failures, index_names,
        is_cluster_privilege, is_index_privilege, unknown_cluster_privilege, unknown_index_privilege,
    },
    pattern::{Pattern, covers_names, is_valid as is_valid_pattern},
    restricted::is_restricted,
};

/// What a principal may do, compiled from role descriptors. By default nothing; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Privileges(Arc<Compiled>);

#[derive(Debug, Default)]
struct Compiled {
    /// What every one of these allows is allowed; none allows nothing.
    grants: Box<[Grant]>,
    /// What each of them was made of, as the API calls it.
    sets: &'static [&'static str],
    /// Names of the descriptors of a user: its effective roles, sorted.
    roles: Box<[Box<str>]>,
    /// Whether a descriptor is for one workflow only.
    workflow: bool,
    /// Whether the cluster must apply what was left out here.
    leans: bool,
}

impl Privileges {
    /// Of a user: the union of `descriptors`, name → descriptor.
    #[must_use]
    pub fn of_user(descriptors: &Map<String, Value>) -> Self {
        Self::of_roles(descriptors, false)
    }

    /// Of a user whose roles the cluster is told: it applies their document and field level security itself, so that an
    /// entry with them counts here as one without.
    #[must_use]
    pub fn of_told_user(descriptors: &Map<String, Value>) -> Self {
        let (mut bare, mut leans) = (descriptors.clone(), false);
        let entries =
            bare.values_mut().filter_map(|descriptor| descriptor.get_mut("indices")?.as_array_mut()).flatten();
        for entry in entries.filter_map(Value::as_object_mut) {
            for limit in ["field_security", "query"] {
                leans |= entry.shift_remove(limit).is_some();
            }
        }
        Self::of_roles(&bare, leans)
    }

    fn of_roles(descriptors: &Map<String, Value>, leans: bool) -> Self {
        let mut roles: Vec<Box<str>> = descriptors.keys().map(|name| name.as_str().into()).collect();
        roles.sort_unstable();
        let workflow = descriptors.values().any(is_for_workflow);
        let grants = [Grant::of(descriptors)].into();
        Self(Arc::new(Compiled { grants, sets: &["roles"], roles: roles.into(), workflow, leans }))
    }

    /// Whether they are what they should be only where the cluster itself applies the roles.
    #[must_use]
    pub fn leans_on_cluster(&self) -> bool {
        self.0.leans
    }

    /// Of an API key: what both its own descriptors and its owner's snapshot allow (API page section 11). Without
    /// descriptors of its own the snapshot decides alone.
    #[must_use]
    pub fn of_key(assigned: &Map<String, Value>, limited_by: &Map<String, Value>) -> Self {
        let limit = Grant::of(limited_by);
        let (grants, sets): (Box<[Grant]>, &'static [&'static str]) = if assigned.is_empty() {
            ([limit].into(), &["limited_by"])
        } else {
            ([Grant::of(assigned), limit].into(), &["role_descriptors", "limited_by"])
        };
        let workflow = assigned.values().chain(limited_by.values()).any(is_for_workflow);
        Self(Arc::new(Compiled { grants, sets, roles: Box::default(), workflow, leans: false }))
    }

    /// Names of the roles of a user that exist, sorted; none for API keys.
    #[must_use]
    pub fn roles(&self) -> &[Box<str>] {
        &self.0.roles
    }

    /// Whether nothing on the cluster is forbidden. Whether an index is restricted does not matter: whoever holds the
    /// cluster privilege `all` may make users and roles.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.allow(Grant::is_total)
    }

    /// Whether a cluster action is allowed, whomever it concerns.
    #[must_use]
    pub fn allows_cluster_action(&self, action: &str) -> bool {
        self.allow(|grant| grant.cluster.allows(action, named::Parts::Data))
    }

    /// Whether an action on API keys is allowed where it concerns nobody's keys but the caller's own.
    #[must_use]
    pub fn allows_own_keys_action(&self, action: &str) -> bool {
        let own = named::is_own_keys_action(action);
        self.allow(|grant| own && grant.own_keys || grant.cluster.allows(action, named::Parts::Data))
    }

    /// Whether an action on an index, alias or data stream of that very name is allowed; a name may end in `::data` or
    /// `::failures`.
    #[must_use]
    pub fn allows_index_action(&self, action: &str, index: &str) -> bool {
        self.allow(|grant| grant.indices.iter().any(|entry| entry.allows(action, index)))
    }

    /// Whether an action is allowed on every index, alias and data stream whose name begins so.
    #[must_use]
    pub fn allows_index_action_on_prefix(&self, action: &str, prefix: &str) -> bool {
        self.allow(|grant| grant.indices.iter().any(|entry| entry.allows_prefix(action, prefix)))
    }

    /// Whether nothing is allowed on `other` that is not allowed on `index` too; not, where that is hard to tell.
    #[must_use]
    pub fn allows_no_more_on(&self, other: &str, index: &str) -> bool {
        self.0.grants.iter().all(|grant| grant.indices.iter().all(|entry| !entry.names(other) || entry.names(index)))
    }

    /// Whether an action is allowed on any index at all.
    #[must_use]
    pub fn allows_index_action_somewhere(&self, action: &str) -> bool {
        self.allow(|grant| grant.indices.iter().any(|entry| entry.allows_somewhere(action)))
    }

    /// Whether the user called so may be acted for.
    #[must_use]
    pub fn may_run_as(&self, name: &str) -> bool {
        self.allow(|grant| grant.run_as.iter().any(|pattern| pattern.matches(name)))
    }

    /// Whether the privileges of an application may be managed by the global privilege alone.
    #[must_use]
    pub fn manages_application(&self, application: &str) -> bool {
        self.allow(|grant| grant.manages.iter().any(|pattern| pattern.matches(application)))
    }

    /// Whether the privileges of every application may be managed by the global privilege alone.
    #[must_use]
    pub fn manages_all_applications(&self) -> bool {
        self.allow(|grant| grant.manages.iter().any(|pattern| pattern.text() == "*"))
    }

    /// Whether the data that an application keeps in user profiles may be written by the global privilege alone.
    #[must_use]
    pub fn writes_profile_data(&self, application: &str) -> bool {
        self.allow(|grant| grant.writes_profiles.iter().any(|pattern| pattern.matches(application)))
    }

    /// Whether a role with this descriptor may be put by the global privilege alone: it grants nothing but privileges
    /// on indices, and only those that the global privilege names.
    #[must_use]
    pub fn may_put_role(&self, descriptor: &Map<String, Value>) -> bool {
        self.allow(|grant| grant.may_put_role(descriptor))
    }

    /// Whether the caller is bound to a workflow. None is served here, so every request of such a caller is refused.
    #[must_use]
    pub fn is_workflow_restricted(&self) -> bool {
        self.0.workflow
    }

    fn allow(&self, question: impl Fn(&Grant) -> bool) -> bool {
        !self.0.workflow && !self.0.grants.is_empty() && self.0.grants.iter().all(question)
    }
}

/// What is said of a workflow that does not exist.
#[must_use]
pub fn unknown_workflow(name: &str) -> String {
    format!("Unknown workflow [{name}]. A workflow must be one of the predefined workflow names [{WORKFLOW}].")
}

fn is_for_workflow(descriptor: &Value) -> bool {
    let workflows = descriptor.get("restriction").and_then(|restriction| restriction.get("workflows"));
    workflows.is_some_and(|workflows| !workflows.is_null())
}

/// The texts of a list, or of a single text.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = (value.and_then(Value::as_str), value.and_then(Value::as_array));
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

/// The objects of a list.
fn entries<'a>(descriptor: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    descriptor.get(key).and_then(Value::as_array).into_iter().flatten().filter(|entry| entry.is_object())
}

/// The only workflow that Elasticsearch knows.
pub const WORKFLOW: &str = "search_application_query";

#[cfg(test)]
mod tests;
