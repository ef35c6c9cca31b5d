//! The users that always exist (API page section 15). Only their passwords and whether they are enabled are stored.

use serde_json::{Map, Value, json};

use crate::model::Identity;

/// Whether a name belongs to a user that always exists. Nobody else can have it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|(reserved, _)| *reserved == name)
}

/// All of them, in the order in which they are listed.
pub(super) fn identities() -> impl Iterator<Item = Identity> {
    RESERVED.iter().map(|(name, roles)| describe(name, roles))
}

/// Who is called so, if it is one of them.
pub(super) fn identity(name: &str) -> Option<Identity> {
    RESERVED.iter().find(|(reserved, _)| *reserved == name).map(|(name, roles)| describe(name, roles))
}

fn describe(name: &str, roles: &[&str]) -> Identity {
    let mut metadata = Map::new();
    if name == "kibana" {
        metadata.insert("_deprecated".to_owned(), Value::Bool(true));
        metadata.insert("_deprecated_reason".to_owned(), json!("Please use the [kibana_system] user instead."));
    }
    metadata.insert("_reserved".to_owned(), Value::Bool(true));
    let roles = roles.iter().map(|role| Box::from(*role)).collect();
    Identity { username: name.into(), roles, metadata, ..Identity::default() }
}

/// Name and roles.
const RESERVED: [(&str, &[&str]); 7] = [
    (super::SUPERUSER, &["superuser"]),
    ("kibana", &["kibana_system"]),
    ("kibana_system", &["kibana_system"]),
    ("logstash_system", &["logstash_system"]),
    ("beats_system", &["beats_system"]),
    ("apm_system", &["apm_system"]),
    ("remote_monitoring_user", &["remote_monitoring_collector", "remote_monitoring_agent"]),
];
