//! `filter_path`: leaves in an answer what the caller asked for.

use serde_json::{Map, Value};

/// What is kept of `value`; nothing kept is `{}`.
#[must_use]
pub(super) fn apply(value: Value, filter: &str) -> Value {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for pattern in filter.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
        match pattern.strip_prefix('-') {
            Some(pattern) => dropped.push(pattern.split('.').collect::<Vec<_>>()),
            None => kept.push(pattern.split('.').collect()),
        }
    }
    let value = if kept.is_empty() { Some(value) } else { prune(value, &slices(&kept), true) };
    let value = if dropped.is_empty() { value } else { value.and_then(|value| prune(value, &slices(&dropped), false)) };
    value.unwrap_or_else(|| Map::new().into())
}

type Pattern<'a> = &'a [&'a str];

fn slices<'a>(patterns: &'a [Vec<&'a str>]) -> Vec<Pattern<'a>> {
    patterns.iter().map(Vec::as_slice).collect()
}

/// Keeps what the patterns name, or all else. `None` when nothing is left.
fn prune(value: Value, patterns: &[Pattern<'_>], keep: bool) -> Option<Value> {
    match value {
        Value::Object(members) => {
            let left: Map<String, Value> = members
                .into_iter()
                .filter_map(|(key, value)| {
                    let next = step(patterns, &key);
                    let named = next.iter().any(|pattern| pattern.is_empty());
                    let left = match (named, keep) {
                        (true, true) => Some(value),
                        (true, false) => None,
                        (false, false) if next.is_empty() => Some(value),
                        (false, _) => prune(value, &next, keep),
                    };
                    Some((key, left?))
                })
                .collect();
            (!left.is_empty()).then(|| left.into())
        }
        Value::Array(items) => {
            let left: Vec<Value> = items.into_iter().filter_map(|item| prune(item, patterns, keep)).collect();
            (!left.is_empty()).then(|| left.into())
        }
        leaf => (!keep).then_some(leaf),
    }
}

/// What is left of each pattern once it has seen `key`.
fn step<'a>(patterns: &[Pattern<'a>], key: &str) -> Vec<Pattern<'a>> {
    let mut next = Vec::new();
    for pattern in patterns {
        match pattern {
            ["**", rest @ ..] => {
                next.push(*pattern);
                match rest {
                    [first, rest @ ..] if matches(first, key) => next.push(rest),
                    [] => next.push(rest),
                    _ => {}
                }
            }
            [first, rest @ ..] if matches(first, key) => next.push(rest),
            _ => {}
        }
    }
    // All are tails of the patterns given: without doubles there are never more than those have words.
    next.sort_unstable();
    next.dedup();
    next
}

/// Whether `key` is what `pattern` says, `*` standing for any run. The leftmost place of each part is taken, so the
/// work is bounded by the lengths.
fn matches(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut left) = key.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return left.is_empty() };
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_wildcards_depth_and_exclusion_work_as_in_the_original() {
        let value =
            || json!({ "keys": [{ "id": "a", "name": "n", "valid": false }], "realm": { "name": "r", "type": "t" } });
        for (filter, left) in [
            ("realm.name", json!({ "realm": { "name": "r" } })),
            ("keys.name", json!({ "keys": [{ "name": "n" }] })),
            ("realm.*", json!({ "realm": { "name": "r", "type": "t" } })),
            ("**.name", json!({ "keys": [{ "name": "n" }], "realm": { "name": "r" } })),
            ("keys.*id*,-keys.id", json!({ "keys": [{ "valid": false }] })),
            ("-keys,-realm.type", json!({ "realm": { "name": "r" } })),
            ("nope", json!({})),
            ("r*l*.t*p*e", json!({ "realm": { "type": "t" } })),
            ("r*x", json!({})),
        ] {
            assert_eq!(apply(value(), filter), left, "{filter}");
        }
    }
    #[test]
    fn a_filter_made_to_be_slow_is_not() {
        let deep = (0..90).fold(json!(1), |inner, _| json!({ "a".repeat(500): inner }));
        let filter = format!("{}.b,{}b", ["**"; 60].join("."), "*a".repeat(60));
        assert_eq!(apply(deep, &filter), json!({}));
    }
}
