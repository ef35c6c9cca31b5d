//! The roles that always exist, and the service accounts (API page sections 10 and 15).

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Reserved roles, name → descriptor in the form that the API shows.
#[must_use]
pub fn reserved_roles() -> &'static Map<String, Value> {
    &BUILTIN.roles
}

/// Service accounts, `namespace/service` → descriptor in the form that the API shows.
#[must_use]
pub fn service_accounts() -> &'static Map<String, Value> {
    &BUILTIN.service_accounts
}

#[derive(serde::Deserialize)]
struct Builtin {
    roles: Map<String, Value>,
    service_accounts: Map<String, Value>,
}

#[expect(clippy::expect_used, reason = "the file is part of the program, and a test reads it")]
static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| {
    let mut builtin: Builtin = serde_json::from_str(include_str!("builtin.json")).expect("builtin.json is well-formed");
    // This account may what that role may.
    if let Some(role) = builtin.roles.get("kibana_system") {
        builtin.service_accounts.insert("elastic/kibana".to_owned(), role.clone());
    }
    builtin
});
