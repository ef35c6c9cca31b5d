//! Names of users and roles.

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

const RESERVED: [&str; 7] =
    ["apm_system", "beats_system", "elastic", "kibana", "kibana_system", "logstash_system", "remote_monitoring_user"];
