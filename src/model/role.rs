//! Role descriptors as they are written, and privileges as they are asked: parsed and compiled once.

use serde_json::{Map, Value};

/// What a principal may do, compiled from role descriptors.
#[derive(Clone, Debug, Default)]
pub struct Privileges {}

impl Privileges {
    /// Of a user: the union of `descriptors`, name → descriptor.
    #[must_use]
    pub fn of_user(descriptors: &Map<String, Value>) -> Self {
        let _ = descriptors;
        todo!()
    }

    /// Of an API key: what both its own descriptors and its owner's snapshot allow (API page section 11). Without
    /// descriptors of its own the snapshot decides alone.
    #[must_use]
    pub fn of_key(assigned: &Map<String, Value>, limited_by: &Map<String, Value>) -> Self {
        let _ = (assigned, limited_by);
        todo!()
    }

    /// Whether nothing on the cluster is forbidden.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        todo!()
    }

    /// Whether the cluster privilege of that name is held, by itself or through one that implies it (API page
    /// section 12).
    #[must_use]
    pub fn allows_cluster(&self, privilege: &str) -> bool {
        let _ = privilege;
        todo!()
    }
}
