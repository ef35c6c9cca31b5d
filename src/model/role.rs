//! Role descriptors as they are written, and privileges as they are asked: parsed and compiled once.
//!
//! So far two questions are asked: whether a principal may do everything, and whether it holds a cluster privilege that
//! guards an endpoint of `/_security`. What grants less than everything to the cluster itself is compiled when requests
//! are judged by action and index.

use serde_json::{Map, Value};

/// What a principal may do, compiled from role descriptors. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Privileges {
    /// What every one of these allows is allowed; none allows nothing.
    grants: Box<[Grant]>,
    /// Names of the descriptors of a user: its effective roles, sorted.
    roles: Box<[Box<str>]>,
}

/// A union of role descriptors.
#[derive(Clone, Debug, Default)]
struct Grant {
    /// Names of cluster privileges, lower case.
    cluster: Vec<Box<str>>,
    /// Whether every action on every index is granted.
    all_indices: bool,
}

impl Privileges {
    /// Of a user: the union of `descriptors`, name → descriptor.
    #[must_use]
    pub fn of_user(descriptors: &Map<String, Value>) -> Self {
        let mut roles: Vec<Box<str>> = descriptors.keys().map(|name| name.as_str().into()).collect();
        roles.sort_unstable();
        Self { grants: [Grant::of(descriptors)].into(), roles: roles.into() }
    }

    /// Of an API key: what both its own descriptors and its owner's snapshot allow (API page section 11). Without
    /// descriptors of its own the snapshot decides alone.
    #[must_use]
    pub fn of_key(assigned: &Map<String, Value>, limited_by: &Map<String, Value>) -> Self {
        let limit = Grant::of(limited_by);
        let grants = if assigned.is_empty() { Box::from([limit]) } else { Box::from([Grant::of(assigned), limit]) };
        Self { grants, roles: Box::default() }
    }

    /// Whether nothing on the cluster is forbidden. Whether an index is restricted does not matter: whoever holds the
    /// cluster privilege `all` may make users and roles.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.allow(|grant| grant.all_indices && grant.holds_any(&[ALL]))
    }

    /// Whether the cluster privilege of that name is held, by itself or through one that implies it (API page
    /// section 12). An action pattern in place of a name implies none.
    #[must_use]
    pub fn allows_cluster(&self, privilege: &str) -> bool {
        self.allow(|grant| grant.holds_any(&[privilege, ALL]) || grant.holds_any(implying(privilege)))
    }

    /// Names of the roles of a user that exist, sorted; none for API keys.
    #[must_use]
    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    fn allow(&self, question: impl Fn(&Grant) -> bool) -> bool {
        !self.grants.is_empty() && self.grants.iter().all(question)
    }
}

impl Grant {
    fn of(descriptors: &Map<String, Value>) -> Self {
        let mut grant = Self::default();
        for descriptor in descriptors.values().filter(|descriptor| !is_restricted(descriptor)) {
            let cluster = strings(descriptor.get("cluster"));
            grant.cluster.extend(cluster.map(|name| name.to_ascii_lowercase().into_boxed_str()));
            let entries = descriptor.get("indices").or_else(|| descriptor.get("index"));
            grant.all_indices |= entries.and_then(Value::as_array).is_some_and(|entries| entries.iter().any(is_total));
        }
        grant
    }

    fn holds_any(&self, names: &[&str]) -> bool {
        self.cluster.iter().any(|held| names.contains(&&**held))
    }
}

/// A descriptor with a workflow grants nothing outside of it, and none of those workflows is served here.
fn is_restricted(descriptor: &Value) -> bool {
    let workflows = descriptor.get("restriction").and_then(|restriction| restriction.get("workflows"));
    workflows.is_some_and(|workflows| !workflows.is_null())
}

/// Whether an index entry grants every action on every index, with all fields and documents.
fn is_total(entry: &Value) -> bool {
    let absent = |key| entry.get(key).is_none_or(|value| value.is_null() || value == "");
    let named = |key, wanted: &str| strings(entry.get(key)).any(|text| text.eq_ignore_ascii_case(wanted));
    named("names", "*") && named("privileges", ALL) && absent("query") && absent("field_security")
}

/// The texts of a list, or of a single text.
fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = (value.and_then(Value::as_str), value.and_then(Value::as_array));
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

/// Cluster privileges that imply `privilege`, besides itself and `all`.
fn implying(privilege: &str) -> &'static [&'static str] {
    match privilege {
        "grant_api_key" | "manage_own_api_key" => &["manage_api_key", "manage_security"],
        "manage_api_key" | "manage_service_account" | "manage_token" | "manage_user_profile" | "read_security" => {
            &["manage_security"]
        }
        "monitor" => &["manage"],
        _ => &[],
    }
}

/// Of clusters and of indices.
const ALL: &str = "all";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    fn user(descriptor: Value) -> Privileges {
        Privileges::of_user(&Map::from_iter([("r".to_owned(), descriptor)]))
    }

    fn cluster(names: &[&str]) -> Privileges {
        user(json!({ "cluster": names }))
    }

    fn superuser() -> Value {
        json!({"superuser": {"cluster": ["all"], "indices": [
            {"names": ["*"], "privileges": ["all"], "allow_restricted_indices": false},
            {"names": ["*"], "privileges": ["monitor", "read"], "allow_restricted_indices": true},
        ]}})
    }

    #[test]
    fn nothing_is_allowed_by_default_nor_by_empty_roles() {
        for privileges in [Privileges::default(), Privileges::of_user(&Map::new()), user(json!({}))] {
            assert!(!privileges.allows_everything());
            assert!(!privileges.allows_cluster("monitor"));
        }
    }

    #[test]
    fn superusers_may_do_everything() {
        let privileges = Privileges::of_user(&map(superuser()));
        assert!(privileges.allows_everything());
        assert_eq!(privileges.roles(), ["superuser".into()]);
    }

    #[test]
    fn roles_add_up_to_everything() {
        let roles = json!({"a": {"cluster": ["ALL"]}, "b": {"index": [{"names": "*", "privileges": ["All"]}]}});
        assert!(Privileges::of_user(&map(roles)).allows_everything());
    }

    #[test]
    fn what_lacks_a_part_is_not_everything() {
        let total = json!({"names": ["*"], "privileges": ["all"]});
        for (cluster, index) in [
            (json!(["manage"]), total.clone()),
            (json!([]), total.clone()),
            (json!(["all"]), json!({"names": ["logs-*"], "privileges": ["all"]})),
            (json!(["all"]), json!({"names": ["*"], "privileges": ["read", "write"]})),
            (json!(["all"]), json!({"names": ["*"], "privileges": ["all"], "query": {"match_all": {}}})),
            (json!(["all"]), json!({"names": ["*"], "privileges": ["all"], "field_security": {"grant": ["a"]}})),
            (json!({"all": true}), total.clone()),
            (json!(["all"]), json!("*")),
        ] {
            let descriptor = json!({"cluster": cluster, "indices": [index]});
            assert!(!user(descriptor.clone()).allows_everything(), "{descriptor}");
        }
        let workflow = json!({"cluster": ["all"], "indices": [total], "restriction": {"workflows": ["w"]}});
        assert!(!user(workflow).allows_everything());
    }

    #[test]
    fn a_key_without_descriptors_may_what_its_owner_may() {
        assert!(Privileges::of_key(&Map::new(), &map(superuser())).allows_everything());
        assert!(!Privileges::of_key(&Map::new(), &Map::new()).allows_everything());
    }

    #[test]
    fn a_key_may_what_both_its_descriptors_and_its_owner_allow() {
        let everything = map(superuser());
        let monitor = map(json!({"m": {"cluster": ["monitor"]}}));
        assert!(Privileges::of_key(&everything, &everything).allows_everything());
        for (assigned, limited_by) in [(&everything, &monitor), (&monitor, &everything)] {
            let privileges = Privileges::of_key(assigned, limited_by);
            assert!(privileges.allows_cluster("monitor"));
            assert!(!privileges.allows_cluster("manage"));
            assert!(!privileges.allows_everything());
        }
    }

    #[test]
    fn a_derived_key_may_nothing() {
        let privileges = Privileges::of_key(&map(json!({"none": {}})), &map(superuser()));
        assert!(!privileges.allows_cluster("manage_own_api_key"));
    }

    #[test]
    fn greater_privileges_imply_lesser_ones() {
        for (held, implied) in [
            ("all", &["all", "manage", "monitor", "manage_security", "manage_own_api_key", "manage_ilm"][..]),
            ("manage", &["manage", "monitor"]),
            (
                "manage_security",
                &["manage_security", "read_security", "manage_api_key", "manage_own_api_key", "manage_token"],
            ),
            ("manage_api_key", &["manage_api_key", "manage_own_api_key", "grant_api_key"]),
            ("Monitor", &["monitor"]),
        ] {
            for privilege in implied {
                assert!(cluster(&[held]).allows_cluster(privilege), "{held} implies {privilege}");
            }
        }
    }

    #[test]
    fn lesser_privileges_imply_no_greater_ones() {
        for (held, other) in [
            ("manage", "all"),
            ("manage", "manage_own_api_key"),
            ("manage", "read_security"),
            ("manage_security", "monitor"),
            ("manage_own_api_key", "manage_api_key"),
            ("grant_api_key", "manage_own_api_key"),
            ("read_security", "manage_own_api_key"),
            ("cluster:*", "monitor"),
        ] {
            assert!(!cluster(&[held]).allows_cluster(other), "{held} does not imply {other}");
        }
    }
}
