//! Role mappings: which roles those have for whom another vouches (API page section 8.4).

use serde_json::{Map, Value};

use crate::{
    documents::Documents,
    store::{DocumentKind, StoreError},
};

mod rule;

pub use rule::{Constant, Rule};

/// The role mappings of this gateway.
#[derive(Debug)]
pub struct RoleMappings {
    documents: Documents,
}

/// What is known of somebody when roles are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Principal name.
    pub username: &'a str,
    /// Distinguished name, where there is one.
    pub dn: Option<&'a str>,
    /// Groups that the realm tells of.
    pub groups: &'a [Box<str>],
    /// Metadata that the realm tells of.
    pub metadata: &'a Map<String, Value>,
    /// Name of the realm.
    pub realm: &'a str,
}

impl RoleMappings {
    /// Mappings kept as `documents`.
    #[must_use]
    pub fn new(documents: Documents) -> Self {
        Self { documents }
    }

    /// Names of the roles that the enabled mappings give, sorted. Whoever keeps them keeps them no longer than until
    /// documents of the kind [`DocumentKind::RoleMapping`] change.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also for a mapping that cannot be read: nobody is to have fewer roles than they were given, and
    /// `except` may make that more.
    pub async fn roles_for(&self, facts: &Facts<'_>) -> Result<Vec<Box<str>>, StoreError> {
        let mut roles = Vec::new();
        for (_, mapping) in self.documents.all(DocumentKind::RoleMapping).await? {
            let enabled = mapping.get("enabled").and_then(Value::as_bool).unwrap_or_default();
            let rule = mapping.get("rules").and_then(Rule::of).ok_or(StoreError::Damaged { what: "role mapping" })?;
            if enabled && rule.holds(facts) {
                let names = mapping.get("roles").and_then(Value::as_array).into_iter().flatten();
                roles.extend(names.filter_map(Value::as_str).map(Box::from));
            }
        }
        roles.sort_unstable();
        roles.dedup();
        Ok(roles)
    }
}

#[cfg(test)]
mod tests;
