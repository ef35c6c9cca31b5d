//! Restricted indices: those that Elasticsearch and its modules keep for themselves. A grant reaches them only where it
//! says so.

use std::sync::LazyLock;

use super::{
    expression::{Expressions, Id},
    pattern::{self, Pattern},
};

/// Whether an index of that name is restricted.
#[must_use]
pub fn is_restricted(name: &str) -> bool {
    // All begin with a dot, and most names do not.
    name.starts_with('.') && PATTERNS.iter().any(|pattern| pattern.matches(name))
}

/// All restricted names.
pub(super) fn expression(expressions: &mut Expressions) -> Id {
    pattern::union(NAMES, expressions)
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| NAMES.map(Pattern::new).into());

/// Of Elasticsearch 8.19 with all of its modules, and of the security plugin of OpenSearch.
const NAMES: [&str; 36] = [
    "/\\.security(-[0-9]+.*)?/",
    "/\\.security-tokens(-[0-9]+.*)?/",
    "/\\.security-profile(-[0-9]+.*)?/",
    ".apm-agent-configuration*",
    ".apm-custom-link*",
    ".async-search*",
    ".connector-secrets*",
    ".data-frame-internal-*",
    ".enrich-*",
    ".fleet-actions*",
    ".fleet-agents*",
    ".fleet-artifacts*",
    ".fleet-enrollment-api-keys*",
    ".fleet-policies-leader*",
    "/\\.fleet-policies-[0-9]+.*/",
    ".fleet-secrets*",
    ".fleet-servers*",
    ".geoip_databases*",
    ".inference*",
    ".kibana_*",
    ".logstash*",
    ".ml-config*",
    ".ml-inference*",
    ".ml-meta*",
    ".opendistro_security*",
    ".opensearch_security*",
    ".query-rules*",
    ".reporting-*",
    ".search-app*",
    ".secrets-inference*",
    ".snapshot-blob-cache*",
    "/\\.synonyms(-.*)?/",
    ".tasks*",
    ".transform-internal-*",
    ".triggered_watches*",
    ".watches*",
];
