//! `_has_privileges`: whether what is held covers what is asked (API page section 6.2).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Privileges, application,
    expression::Expressions,
    grant::{self, Grant},
    named, pattern,
};

/// What is asked. Names were checked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Cluster privileges, or patterns of actions.
    pub cluster: Vec<String>,
    /// On indices.
    pub index: Vec<IndexQuestion>,
    /// On applications.
    pub application: Vec<ApplicationQuestion>,
}

/// Each of these privileges on each of these patterns.
#[derive(Clone, Debug, Default)]
pub struct IndexQuestion {
    /// Names or patterns.
    pub names: Vec<String>,
    /// Index privileges, or patterns of actions.
    pub privileges: Vec<String>,
    /// Whether patterns mean restricted indices too.
    pub allow_restricted_indices: bool,
}

/// Each of these privileges on each of these resources.
#[derive(Clone, Debug, Default)]
pub struct ApplicationQuestion {
    /// Its name.
    pub application: String,
    /// Names or actions.
    pub privileges: Vec<String>,
    /// Names or patterns.
    pub resources: Vec<String>,
}

/// What is held of it; as JSON in the shape of the API.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// Whether all of it.
    pub has_all_requested: bool,
    /// Privilege → held.
    pub cluster: Held,
    /// Name → privilege → held.
    pub index: BTreeMap<String, Held>,
    /// Application → resource → privilege → held.
    pub application: BTreeMap<String, BTreeMap<String, Held>>,
}

/// Privilege → held.
pub type Held = BTreeMap<String, bool>;

impl Privileges {
    /// Answers a question. `stored` are the privileges that applications have defined: application → name → definition.
    #[must_use]
    pub fn answer(&self, question: &Question, stored: &Map<String, Value>) -> Answer {
        let mut all = true;
        let (mut cluster, mut index, mut application) = (Held::new(), BTreeMap::new(), BTreeMap::new());
        for asked in &question.cluster {
            let held = self.allow(|grant| covers_cluster(grant, asked));
            all &= held;
            cluster.insert(asked.clone(), held);
        }
        for IndexQuestion { names, privileges, allow_restricted_indices } in &question.index {
            for name in names {
                let of_name: &mut Held = index.entry(name.clone()).or_default();
                for asked in privileges {
                    let held =
                        self.allow(|grant| grant::covers(&grant.indices, name, asked, *allow_restricted_indices));
                    all &= held;
                    // Asked twice in two ways: held only in both.
                    *of_name.entry(asked.clone()).or_insert(true) &= held;
                }
            }
        }
        for ApplicationQuestion { application: name, privileges, resources } in &question.application {
            let of_application: &mut BTreeMap<String, Held> = application.entry(name.clone()).or_default();
            for resource in resources {
                let of_resource = of_application.entry(resource.clone()).or_default();
                for asked in privileges {
                    let held = self.allows_application(name, asked, resource, stored);
                    all &= held;
                    of_resource.insert(asked.clone(), held);
                }
            }
        }
        Answer { has_all_requested: all, cluster, index, application }
    }

    /// Whether an application's privilege, or action, is held on everything that `resource` matches.
    #[must_use]
    pub fn allows_application(
        &self,
        application: &str,
        asked: &str,
        resource: &str,
        stored: &Map<String, Value>,
    ) -> bool {
        self.allow(|grant| application::covers(&grant.applications, (application, asked, resource), stored))
    }
}

/// Whether a cluster privilege, or pattern of actions, is covered by those held.
fn covers_cluster(grant: &Grant, asked: &str) -> bool {
    let expressions = &mut Expressions::new();
    let own = asked.eq_ignore_ascii_case(named::OWN_KEYS);
    if grant.cluster.holds("all") || own && grant.own_keys {
        return true;
    }
    let wanted = match named::cluster(asked) {
        // Whoever may manage all keys may manage its own.
        _ if own => pattern::expression(&grant::action_pattern(named::KEYS), expressions),
        Some(named) => grant::actions_of(named, expressions),
        None if named::is_cluster_action(asked) => pattern::expression(&grant::action_pattern(asked), expressions),
        None => return false,
    };
    let held = grant.cluster.expression(named::Parts::Data, expressions);
    !grant.cluster.is_empty() && expressions.covers(held, wanted).unwrap_or(false)
}
