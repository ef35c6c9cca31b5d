//! Names of privileges, workflows and applications, and the words for those that do not exist.

/// Whether `name` is a cluster privilege or a pattern over cluster actions.
pub(super) fn is_cluster_privilege(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    CLUSTER.contains(&lower.as_str()) || CLUSTER_ACTIONS.iter().any(|prefix| lower.starts_with(prefix))
}

/// Whether `name` is an index privilege or a pattern over index actions.
pub(super) fn is_index_privilege(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    INDEX.contains(&lower.as_str()) || lower.starts_with("indices:")
}

pub(super) fn unknown_cluster_privilege(name: &str) -> String {
    let known = CLUSTER.join(",");
    format!(
        "unknown cluster privilege [{name}]. a privilege must be either one of the predefined cluster privilege names \
         [{known}] or a pattern over one of the available cluster actions"
    )
}

pub(super) fn unknown_index_privilege(name: &str) -> String {
    let known: Vec<String> = INDEX.iter().map(|name| format!("{name}=[{name}]")).collect();
    format!(
        "unknown index privilege [{name}]. a privilege must be either one of the predefined fixed indices privileges \
         [{}] or a pattern over one of the available index actions",
        known.join(",")
    )
}

pub(super) fn unknown_workflow(name: &str) -> String {
    format!("Unknown workflow [{name}]. A workflow must be one of the predefined workflow names [{WORKFLOW}].")
}

/// What is wrong with the name of an application, or the pattern of such names.
pub(super) fn wrong_application(name: &str) -> Option<String> {
    let plain = name.strip_suffix('*').unwrap_or(name);
    if plain.contains('*') {
        return Some(format!("Application name patterns only support trailing wildcards (found '{name}')"));
    }
    if name == "*" {
        return None;
    }
    let prefix = plain.split(['-', '_']).next().unwrap_or_default();
    let well_formed = prefix.starts_with(|first: char| first.is_ascii_lowercase())
        && prefix.chars().all(|one| one.is_ascii_alphanumeric());
    if !well_formed {
        return Some(format!(
            "An application name prefix must match the pattern ^[a-z][A-Za-z0-9]*$ (found '{prefix}')"
        ));
    }
    (prefix.len() < 3 && plain == name)
        .then(|| format!("An application name prefix must be at least 3 characters long (found '{prefix}')"))
}

/// Whether a user or role may be called so.
pub(super) fn is_valid(name: &str) -> bool {
    (1..=507).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !name.starts_with(' ')
        && !name.ends_with(' ')
}

/// What `is_valid` asks, in words.
pub(super) fn rule(of: &str) -> String {
    format!(
        "{of} names must be at least 1 and no more than 507 characters. They can contain alphanumeric characters \
         (a-z, A-Z, 0-9), spaces, punctuation, and printable symbols in the Basic Latin (ASCII) block. Leading or \
         trailing whitespace is not allowed."
    )
}

/// Whether a name belongs to a built-in user.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The only workflow that Elasticsearch knows.
pub(super) const WORKFLOW: &str = "search_application_query";

const RESERVED: [&str; 7] =
    ["apm_system", "beats_system", "elastic", "kibana", "kibana_system", "logstash_system", "remote_monitoring_user"];

const CLUSTER_ACTIONS: [&str; 3] = ["cluster:", "indices:admin/template/", "indices:admin/index_template/"];

/// From least to most powerful, as the original lists them.
#[rustfmt::skip]
const CLUSTER: [&str; 62] = [
    "manage_own_api_key", "manage_data_stream_global_retention", "monitor_data_stream_global_retention", "none",
    "cancel_task", "cross_cluster_replication", "cross_cluster_search", "delegate_pki", "grant_api_key",
    "manage_autoscaling", "manage_index_templates", "manage_logstash_pipelines", "manage_oidc", "manage_saml",
    "manage_search_application", "manage_search_query_rules", "manage_search_synonyms", "manage_service_account",
    "manage_token", "manage_user_profile", "monitor_connector", "monitor_enrich", "monitor_inference", "monitor_ml",
    "monitor_rollup", "monitor_snapshot", "monitor_stats", "monitor_text_structure", "monitor_watcher",
    "post_behavioral_analytics_event", "read_ccr", "read_connector_secrets", "read_fleet_secrets", "read_ilm",
    "read_pipeline", "read_security", "read_slm", "transport_client", "write_connector_secrets",
    "write_fleet_secrets", "create_snapshot", "manage_behavioral_analytics", "manage_ccr", "manage_connector",
    "manage_enrich", "manage_ilm", "manage_inference", "manage_ml", "manage_rollup", "manage_slm", "manage_watcher",
    "monitor_data_frame_transforms", "monitor_transform", "manage_api_key", "manage_ingest_pipelines",
    "manage_pipeline", "manage_data_frame_transforms", "manage_transform", "manage_security", "monitor", "manage",
    "all",
];

/// From least to most powerful, as the original lists them.
#[rustfmt::skip]
const INDEX: [&str; 24] = [
    "manage_failure_store", "read_failure_store", "none", "create_doc", "create", "auto_configure", "create_index",
    "delete", "delete_index", "index", "maintenance", "manage_data_stream_lifecycle", "manage_follow_index",
    "manage_ilm", "manage_leader_index", "monitor", "view_index_metadata", "cross_cluster_replication",
    "cross_cluster_replication_internal", "manage", "read", "read_cross_cluster", "write", "all",
];
