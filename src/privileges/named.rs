//! The named privileges of Elasticsearch 8.19 and the actions behind each (API page sections 12 and 13).
//!
//! Both lists run from least to most powerful, as refusals print them: by how many others each implies, then by name.
//! (The original's index list keeps that order by halves only.)

use std::fmt::Write as _;

/// A named privilege.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: &'static str,
    /// Actions, or what actions begin with where a `*` follows.
    pub(super) grants: &'static [&'static str],
    /// What it does not grant of these.
    pub(super) except: &'static [&'static str],
    /// Which parts of a data stream it is for.
    pub(super) parts: Parts,
}

/// Parts of a data stream: its data, and what could not be indexed. Cluster privileges are for [`Parts::Data`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parts {
    Both,
    Data,
    Failures,
}

impl Parts {
    /// Whether two have a part in common.
    pub(super) fn meet(self, other: Self) -> bool {
        self == other || self == Self::Both || other == Self::Both
    }
}

impl Named {
    /// Whether `action` is granted.
    pub(super) fn allows(&self, action: &str) -> bool {
        let among = |patterns: &[&str]| {
            patterns.iter().any(|pattern| {
                pattern.strip_suffix('*').map_or(*pattern == action, |prefix| action.starts_with(prefix))
            })
        };
        among(self.grants) && !among(self.except)
    }
}

/// The cluster privilege called so, in any case.
pub(super) fn cluster(name: &str) -> Option<&'static Named> {
    CLUSTER.iter().find(|named| named.name.eq_ignore_ascii_case(name))
}

/// The index privilege called so, in any case.
pub(super) fn index(name: &str) -> Option<&'static Named> {
    INDEX.iter().find(|named| named.name.eq_ignore_ascii_case(name))
}

/// Names of all cluster privileges, sorted.
#[must_use]
pub fn cluster_names() -> Vec<&'static str> {
    sorted(&CLUSTER)
}

/// Names of all index privileges, sorted.
#[must_use]
pub fn index_names() -> Vec<&'static str> {
    sorted(&INDEX)
}

/// Names of the privileges that `remote_cluster` may hold, sorted.
pub const REMOTE_CLUSTER: [&str; 2] = ["monitor_enrich", "monitor_stats"];

/// Cluster privileges that grant an action, as refusals list them. Whoever acts on its `own` keys needs less.
#[must_use]
pub fn granting_cluster(action: &str, own: bool) -> String {
    let own = own && is_own_keys_action(action);
    list(CLUSTER.iter().filter(|named| named.allows(action) || own && named.name == OWN_KEYS))
}

/// Index privileges that grant an action on data, as refusals list them.
#[must_use]
pub fn granting_index(action: &str) -> String {
    list(INDEX.iter().filter(|named| named.parts.meet(Parts::Data) && named.allows(action)))
}

/// Index privileges that grant an action on failures alone, as refusals list them.
#[must_use]
pub fn granting_index_failures(action: &str) -> String {
    list(INDEX.iter().filter(|named| named.parts == Parts::Failures && named.allows(action)))
}

/// Whether `name` is a cluster privilege or a pattern over cluster actions.
#[must_use]
pub fn is_cluster_privilege(name: &str) -> bool {
    cluster(name).is_some() || is_cluster_action(name)
}

/// Whether `name` is an index privilege or a pattern over index actions.
#[must_use]
pub fn is_index_privilege(name: &str) -> bool {
    index(name).is_some() || is_index_action(name)
}

/// What is said of a cluster privilege that does not exist.
#[must_use]
pub fn unknown_cluster_privilege(name: &str) -> String {
    let known = list(CLUSTER.iter());
    format!(
        "unknown cluster privilege [{name}]. a privilege must be either one of the predefined cluster privilege names \
         [{known}] or a pattern over one of the available cluster actions"
    )
}

/// What is said of an index privilege that does not exist.
#[must_use]
pub fn unknown_index_privilege(name: &str) -> String {
    let mut known = String::new();
    for Named { name, .. } in &INDEX {
        // Writing to a string cannot fail.
        let _ = write!(known, "{}{name}=[{name}]", if known.is_empty() { "" } else { "," });
    }
    format!(
        "unknown index privilege [{name}]. a privilege must be either one of the predefined fixed indices privileges \
         [{known}] or a pattern over one of the available index actions"
    )
}

/// Whether `name` is one of, or a pattern over, cluster actions.
pub(super) fn is_cluster_action(name: &str) -> bool {
    starts_with_any(name, &["cluster:", "indices:admin/template/", "indices:admin/index_template/"])
}

/// Whether `name` is one of, or a pattern over, index actions.
pub(super) fn is_index_action(name: &str) -> bool {
    starts_with_any(name, &["indices:", "internal:transport/proxy/indices:"])
}

/// Whether a caller with nothing but `manage_own_api_key` may do it to its own keys.
pub(super) fn is_own_keys_action(action: &str) -> bool {
    action.starts_with(KEYS) && action != "cluster:admin/xpack/security/api_key/grant"
}

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

fn list<'a>(named: impl Iterator<Item = &'a Named>) -> String {
    named.map(|named| named.name).collect::<Vec<_>>().join(",")
}

fn sorted(table: &[Named]) -> Vec<&'static str> {
    let mut names: Vec<_> = table.iter().map(|named| named.name).collect();
    names.sort_unstable();
    names
}

const fn all_of(name: &'static str, grants: &'static [&'static str]) -> Named {
    Named { name, grants, except: &[], parts: Parts::Data }
}

const fn except(name: &'static str, grants: &'static [&'static str], except: &'static [&'static str]) -> Named {
    Named { name, grants, except, parts: Parts::Data }
}

const fn parts(name: &'static str, grants: &'static [&'static str], parts: Parts) -> Named {
    Named { name, grants, except: &[], parts }
}

/// The privilege whose actions are granted by whom they concern.
pub(super) const OWN_KEYS: &str = "manage_own_api_key";
/// What its actions begin with.
pub(super) const KEYS: &str = "cluster:admin/xpack/security/api_key/";

const SECURITY: &str = "cluster:admin/xpack/security/*";
const EVERYTHING: &[&str] = &["cluster:*", "indices:admin/template/*", "indices:admin/index_template/*"];
const MANAGE_TRANSFORMS: &[&str] = &[
    "cluster:admin/data_frame/*",
    "cluster:monitor/data_frame/*",
    "cluster:monitor/transform/*",
    "cluster:admin/transform/*",
];
const MONITOR_TRANSFORMS: &[&str] = &["cluster:monitor/data_frame/*", "cluster:monitor/transform/*"];
const MANAGE_INDEX: &[&str] = &[
    "indices:monitor/*",
    "indices:admin/*",
    "indices:data/read/field_caps*",
    "indices:data/read/xpack/rollup/get/index/caps*",
];

#[rustfmt::skip]
pub(super) const CLUSTER: [Named; 62] = [
    all_of(OWN_KEYS, &[]),
    all_of("manage_data_stream_global_retention", &[]),
    all_of("monitor_data_stream_global_retention", &[]),
    all_of("none", &[]),
    all_of("cancel_task", &["cluster:admin/tasks/cancel*"]),
    all_of("cross_cluster_replication", &[
        "cluster:internal/remote_cluster/handshake", "cluster:internal/remote_cluster/nodes",
        "cluster:internal/admin/tasks/ban", "cluster:internal/admin/tasks/cancel_child",
        "cluster:monitor/xpack/info", "cluster:monitor/state",
    ]),
    all_of("cross_cluster_search", &[
        "cluster:internal/remote_cluster/handshake", "cluster:internal/remote_cluster/nodes",
        "cluster:internal/admin/tasks/ban", "cluster:internal/admin/tasks/cancel_child",
        "cluster:monitor/xpack/info", "cluster:monitor/stats", "cluster:monitor/xpack/enrich/esql/resolve_policy",
        "cluster:internal:data/read/esql/open_exchange", "cluster:internal:data/read/esql/exchange",
    ]),
    all_of("delegate_pki", &["cluster:admin/xpack/security/delegate_pki", "cluster:admin/xpack/security/token/invalidate"]),
    all_of("grant_api_key", &["cluster:admin/xpack/security/api_key/grant*"]),
    all_of("manage_autoscaling", &["cluster:admin/autoscaling/*"]),
    all_of("manage_index_templates", &[
        "indices:admin/template/*", "indices:admin/index_template/*", "cluster:admin/component_template/*",
    ]),
    all_of("manage_logstash_pipelines", &["cluster:admin/logstash/pipeline/*"]),
    all_of("manage_oidc", &["cluster:admin/xpack/security/oidc/*"]),
    all_of("manage_saml", &[
        "cluster:admin/xpack/security/saml/*", "cluster:admin/xpack/security/token/invalidate",
        "cluster:admin/xpack/security/token/refresh", "cluster:monitor/xpack/security/saml/metadata",
    ]),
    all_of("manage_search_application", &["cluster:admin/xpack/application/search_application/*"]),
    all_of("manage_search_query_rules", &["cluster:admin/xpack/query_rules/*"]),
    all_of("manage_search_synonyms", &[
        "cluster:admin/synonyms/*", "cluster:admin/synonyms_sets/*", "cluster:admin/synonym_rules/*",
    ]),
    all_of("manage_service_account", &["cluster:admin/xpack/security/service_account/*"]),
    all_of("manage_token", &["cluster:admin/xpack/security/token/*"]),
    all_of("manage_user_profile", &["cluster:admin/xpack/security/profile/*"]),
    all_of("monitor_connector", &[
        "cluster:admin/xpack/connector/get", "cluster:admin/xpack/connector/list",
        "cluster:admin/xpack/connector/sync_job/get", "cluster:admin/xpack/connector/sync_job/list",
    ]),
    all_of("monitor_enrich", &["cluster:monitor/xpack/enrich/*", "cluster:admin/xpack/enrich/get"]),
    all_of("monitor_inference", &[
        "cluster:monitor/xpack/inference*", "cluster:monitor/xpack/ml/trained_models/deployment/infer",
    ]),
    all_of("monitor_ml", &["cluster:monitor/xpack/ml/*"]),
    all_of("monitor_rollup", &["cluster:monitor/xpack/rollup/*"]),
    all_of("monitor_snapshot", &[
        "cluster:admin/snapshot/status*", "cluster:admin/snapshot/get", "cluster:admin/repository/get",
    ]),
    all_of("monitor_stats", &["cluster:monitor/stats*"]),
    all_of("monitor_text_structure", &["cluster:monitor/text_structure/*"]),
    all_of("monitor_watcher", &["cluster:monitor/xpack/watcher/*"]),
    all_of("post_behavioral_analytics_event", &["cluster:admin/xpack/application/analytics/post_event"]),
    all_of("read_ccr", &["cluster:monitor/state", "cluster:admin/xpack/security/user/has_privileges"]),
    all_of("read_connector_secrets", &["cluster:admin/xpack/connector/secret/get"]),
    all_of("read_fleet_secrets", &["cluster:admin/fleet/secrets/get"]),
    all_of("read_ilm", &["cluster:admin/ilm/get", "cluster:admin/ilm/operation_mode/get"]),
    all_of("read_pipeline", &["cluster:admin/ingest/pipeline/get", "cluster:admin/ingest/pipeline/simulate"]),
    all_of("read_security", &[
        "cluster:admin/xpack/security/api_key/get", "cluster:admin/xpack/security/api_key/query",
        "cluster:admin/xpack/security/privilege/builtin/get", "cluster:admin/xpack/security/privilege/get",
        "cluster:admin/xpack/security/profile/get", "cluster:admin/xpack/security/profile/has_privileges",
        "cluster:admin/xpack/security/profile/suggest", "cluster:admin/xpack/security/role/get",
        "cluster:admin/xpack/security/role/query", "cluster:admin/xpack/security/role_mapping/get",
        "cluster:admin/xpack/security/service_account/get",
        "cluster:admin/xpack/security/service_account/credential/get*", "cluster:admin/xpack/security/user/get",
        "cluster:admin/xpack/security/user/query", "cluster:admin/xpack/security/user/list_privileges",
        "cluster:admin/xpack/security/user/has_privileges", "cluster:admin/xpack/security/settings/get",
    ]),
    all_of("read_slm", &["cluster:admin/slm/get", "cluster:admin/slm/status", "cluster:admin/ilm/operation_mode/get"]),
    all_of("transport_client", &["cluster:monitor/nodes/liveness", "cluster:monitor/state"]),
    all_of("write_connector_secrets", &[
        "cluster:admin/xpack/connector/secret/delete", "cluster:admin/xpack/connector/secret/post",
        "cluster:admin/xpack/connector/secret/put",
    ]),
    all_of("write_fleet_secrets", &["cluster:admin/fleet/secrets/post", "cluster:admin/fleet/secrets/delete"]),
    all_of("create_snapshot", &[
        "cluster:admin/snapshot/create", "cluster:admin/snapshot/status*", "cluster:admin/snapshot/get",
        "cluster:admin/repository/get",
    ]),
    all_of("manage_behavioral_analytics", &["cluster:admin/xpack/application/analytics/*"]),
    all_of("manage_ccr", &[
        "cluster:admin/xpack/ccr/*", "cluster:monitor/state", "cluster:admin/xpack/security/user/has_privileges",
    ]),
    except("manage_connector", &["cluster:admin/xpack/connector/*"], &[
        "cluster:admin/xpack/connector/secret/get", "cluster:admin/xpack/connector/secret/delete",
        "cluster:admin/xpack/connector/secret/post", "cluster:admin/xpack/connector/secret/put",
    ]),
    all_of("manage_enrich", &["cluster:admin/xpack/enrich/*", "cluster:monitor/xpack/enrich/*"]),
    all_of("manage_ilm", &["cluster:admin/ilm/*"]),
    all_of("manage_inference", &[
        "cluster:admin/xpack/inference/*", "cluster:monitor/xpack/inference*",
        "cluster:admin/xpack/ml/trained_models/deployment/start",
        "cluster:admin/xpack/ml/trained_models/deployment/stop",
        "cluster:monitor/xpack/ml/trained_models/deployment/infer",
    ]),
    all_of("manage_ml", &["cluster:admin/xpack/ml/*", "cluster:monitor/xpack/ml/*"]),
    all_of("manage_rollup", &["cluster:admin/xpack/rollup/*", "cluster:monitor/xpack/rollup/*"]),
    all_of("manage_slm", &[
        "cluster:admin/slm/*", "cluster:admin/ilm/start", "cluster:admin/ilm/stop",
        "cluster:admin/ilm/operation_mode/get",
    ]),
    all_of("manage_watcher", &["cluster:admin/xpack/watcher/*", "cluster:monitor/xpack/watcher/*"]),
    all_of("monitor_data_frame_transforms", MONITOR_TRANSFORMS),
    all_of("monitor_transform", MONITOR_TRANSFORMS),
    all_of("manage_api_key", &["cluster:admin/xpack/security/api_key/*"]),
    all_of("manage_ingest_pipelines", &["cluster:admin/ingest/pipeline/*"]),
    all_of("manage_pipeline", &["cluster:admin/ingest/pipeline/*"]),
    all_of("manage_data_frame_transforms", MANAGE_TRANSFORMS),
    all_of("manage_transform", MANAGE_TRANSFORMS),
    except("manage_security", &[SECURITY], &["cluster:admin/xpack/security/delegate_pki"]),
    all_of("monitor", &[
        "cluster:monitor/*", "indices:admin/template/get", "cluster:admin/component_template/get",
        "indices:admin/index_template/get",
    ]),
    except("manage", EVERYTHING, &[SECURITY]),
    all_of("all", EVERYTHING),
];

#[rustfmt::skip]
pub(super) const INDEX: [Named; 24] = [
    parts("manage_failure_store", MANAGE_INDEX, Parts::Failures),
    parts("read_failure_store", &["indices:data/read/*", "indices:admin/resolve/index"], Parts::Failures),
    all_of("none", &[]),
    all_of("create_doc", &[
        "indices:data/write/index", "indices:data/write/index[*", "indices:data/write/index:op_type/create",
        "indices:data/write/bulk*", "indices:data/write/simulate/bulk*",
    ]),
    all_of("create", &["indices:data/write/index*", "indices:data/write/bulk*", "indices:data/write/simulate/bulk*"]),
    all_of("auto_configure", &["indices:admin/mapping/auto_put", "indices:admin/auto_create"]),
    all_of("create_index", &["indices:admin/create", "indices:admin/auto_create", "indices:admin/data_stream/create"]),
    all_of("delete", &["indices:data/write/delete*", "indices:data/write/bulk*"]),
    all_of("delete_index", &["indices:admin/delete", "indices:admin/data_stream/delete"]),
    all_of("index", &[
        "indices:data/write/index*", "indices:data/write/bulk*", "indices:data/write/update*",
        "indices:data/write/simulate/bulk*",
    ]),
    all_of("maintenance", &[
        "indices:admin/refresh*", "indices:admin/flush*", "indices:admin/synced_flush", "indices:admin/forcemerge*",
    ]),
    parts("manage_data_stream_lifecycle", &["indices:admin/data_stream/lifecycle/*"], Parts::Both),
    all_of("manage_follow_index", &[
        "indices:admin/xpack/ccr/put_follow", "indices:admin/xpack/ccr/unfollow", "indices:admin/close*",
        "indices:admin/data_stream/promote", "indices:admin/rollover",
    ]),
    all_of("manage_ilm", &["indices:admin/ilm/*"]),
    all_of("manage_leader_index", &["indices:admin/xpack/ccr/forget_follower*"]),
    all_of("monitor", &["indices:monitor/*"]),
    all_of("view_index_metadata", &[
        "indices:admin/aliases/get", "indices:admin/get", "indices:admin/mappings/fields/get*",
        "indices:admin/mappings/get", "indices:admin/shards/search_shards", "indices:admin/search/search_shards",
        "indices:admin/validate/query*", "indices:monitor/settings/get", "indices:admin/ilm/explain",
        "indices:admin/data_stream/lifecycle/get", "indices:admin/data_stream/lifecycle/explain",
        "indices:admin/data_stream/get", "indices:admin/resolve/index", "indices:admin/resolve/cluster",
        "indices:data/read/field_caps*", "indices:data/read/xpack/rollup/get/index/caps*",
        "indices:monitor/transform/checkpoint*", "indices:monitor/get/metering/stats",
        "indices:admin/get/metering/stats",
    ]),
    all_of("cross_cluster_replication", &[
        "indices:data/read/xpack/ccr/shard_changes*", "indices:monitor/stats*",
        "indices:admin/seq_no/add_retention_lease*", "indices:admin/seq_no/remove_retention_lease*",
        "indices:admin/seq_no/renew_retention_lease*",
    ]),
    all_of("cross_cluster_replication_internal", &[
        "indices:internal/admin/ccr/restore/session/clear*", "indices:internal/admin/ccr/restore/file_chunk/get*",
        "indices:internal/admin/ccr/restore/session/put*",
        "internal:transport/proxy/indices:internal/admin/ccr/restore/session/clear*",
        "internal:transport/proxy/indices:internal/admin/ccr/restore/file_chunk/get*",
    ]),
    parts("manage", MANAGE_INDEX, Parts::Both),
    all_of("read", &["indices:data/read/*", "indices:admin/resolve/index", "indices:admin/resolve/cluster"]),
    all_of("read_cross_cluster", &[
        "internal:transport/proxy/indices:data/read/*", "indices:admin/shards/search_shards",
        "indices:admin/search/search_shards", "indices:admin/resolve/cluster", "indices:data/read/esql",
        "indices:data/read/esql/compute",
    ]),
    all_of("write", &["indices:data/write/*", "indices:admin/mapping/auto_put"]),
    parts("all", &["indices:*", "internal:transport/proxy/indices:*"], Parts::Both),
];
