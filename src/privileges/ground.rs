//! Why something is allowed: the entries of role descriptors that allow it, for people to read.

use serde::Serialize;

use super::{
    Privileges,
    grant::{Actions, Grant, IndexGrant},
    named::Parts,
    pattern::Pattern,
};

/// One entry by which an action is allowed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ground {
    /// Where it stands: `roles` of a user; `role_descriptors` or `limited_by` of an API key.
    pub of: &'static str,
    /// Its patterns of names; none for a cluster privilege.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Box<str>>,
    /// Its privileges.
    pub privileges: Vec<Box<str>>,
}

impl Privileges {
    /// Why a cluster action is allowed: one entry of each set of descriptors that has to allow it. Empty where it is not.
    #[must_use]
    pub fn grounds_of_cluster_action(&self, action: &str) -> Vec<Ground> {
        self.grounds(|grant| {
            let privileges = grant.cluster.granting(action, Parts::Data);
            (!privileges.is_empty()).then_some((Vec::new(), privileges))
        })
    }

    /// Why an action on an index is allowed, or on all that a pattern means. Empty where it is not, or where no single
    /// entry allows it.
    #[must_use]
    pub fn grounds_of_index_action(&self, action: &str, expression: &str) -> Vec<Ground> {
        let total = self.allows_everything();
        let allows = |entry: &IndexGrant| match expression.split_once('*') {
            None => entry.allows(action, expression),
            Some((prefix, _)) => entry.allows_prefix(action, prefix),
        };
        self.grounds(|grant| {
            let found = grant.indices.iter().find(|entry| allows(entry));
            let found = found.or_else(|| grant.indices.iter().find(|entry| total && entry.is_total()))?;
            Some((found.names.iter().map(|name| name.text().into()).collect(), found.actions.listed()))
        })
    }

    fn grounds(&self, ground: impl Fn(&Grant) -> Option<(Vec<Box<str>>, Vec<Box<str>>)>) -> Vec<Ground> {
        let of = self.0.sets.iter().copied();
        let found = self.0.grants.iter().zip(of).map(|(grant, of)| {
            let (names, privileges) = ground(grant)?;
            Some(Ground { of, names, privileges })
        });
        found.collect::<Option<_>>().unwrap_or_default()
    }
}

impl Actions {
    /// The privileges that allow an action.
    fn granting(&self, action: &str, part: Parts) -> Vec<Box<str>> {
        let named = self.named.iter().filter(|named| named.parts.meet(part) && named.allows(action));
        let patterns = self.patterns.iter().filter(|pattern| pattern.matches(action));
        named.map(|named| named.name.into()).chain(patterns.map(|pattern| pattern.text().into())).collect()
    }

    /// All of them.
    fn listed(&self) -> Vec<Box<str>> {
        let named = self.named.iter().map(|named| named.name.into());
        named.chain(self.patterns.iter().map(Pattern::text).map(Into::into)).collect()
    }
}
