//! Names of users, roles and the like.

/// Names that a path lists, separated by commas.
pub(super) fn listed(names: &str) -> Vec<&str> {
    names.split(',').filter(|name| !name.is_empty()).collect()
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
