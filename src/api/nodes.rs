//! Answers in the name of the nodes of a cluster: of one, which is this gateway.

use serde_json::{Value, json};

/// What a request to all nodes answers when each did it (API page section 4.9).
pub(super) fn done() -> Value {
    json!({
        "_nodes": { "total": 1, "successful": 1, "failed": 0 },
        "cluster_name": NAME,
        "nodes": { NODE_ID: { "name": NAME } },
    })
}

/// The same when the node failed.
pub(super) fn failed(failure: &Value) -> Value {
    json!({
        "_nodes": { "total": 1, "successful": 0, "failed": 1, "failures": [failure] },
        "cluster_name": NAME,
        "nodes": {},
    })
}

const NAME: &str = "searchgate";
/// The form of an id, and the same everywhere: nobody is to tell replicas apart by it.
pub(super) const NODE_ID: &str = "searchgate-node-AAAAAA";
