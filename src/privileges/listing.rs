//! `_privileges`: what descriptors grant, in the shape of the API (API page section 6.3).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{entries, texts};

/// Lists what `descriptors` grant: those of a user's roles, or the snapshot of a key. For a key with descriptors of its
/// own, what it may is an intersection that no listing can show: do not ask.
#[must_use]
pub fn listing(descriptors: &Map<String, Value>) -> Value {
    let all = |key| descriptors.values().flat_map(move |descriptor| entries(descriptor, key));
    let named = |key| -> BTreeSet<&str> { descriptors.values().flat_map(move |each| texts(each.get(key))).collect() };
    let mut listing = json!({
        "cluster": named("cluster"),
        "global": globals(descriptors),
        "indices": indices(all("indices")),
        "applications": distinct(all("applications").cloned()),
        "run_as": named("run_as"),
    });
    let remote = [("remote_indices", indices(all("remote_indices"))), ("remote_cluster", distinct(all("remote_cluster").cloned()))];
    for (key, entries) in remote {
        if let (Some(listing), false) = (listing.as_object_mut(), entries.is_empty()) {
            listing.insert(key.to_owned(), entries.into());
        }
    }
    listing
}

/// Entries over the same names are one, with the privileges of all.
fn indices<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut merged: BTreeMap<_, (BTreeSet<&str>, Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for entry in entries {
        let set = |key| -> BTreeSet<&str> { texts(entry.get(key)).collect() };
        let restricted = entry.get("allow_restricted_indices").and_then(Value::as_bool).unwrap_or_default();
        let (privileges, fields, queries) =
            merged.entry((restricted, set("names"), set("clusters"))).or_default();
        privileges.extend(texts(entry.get("privileges")));
        for (into, key) in [(fields, "field_security"), (queries, "query")] {
            into.extend(entry.get(key).filter(|value| !value.is_null()).cloned());
        }
    }
    let show = |((restricted, names, clusters), (privileges, fields, queries)): (_, (_, Vec<_>, Vec<_>))| {
        let (names, clusters): (BTreeSet<&str>, BTreeSet<&str>) = (names, clusters);
        let privileges: BTreeSet<&str> = privileges;
        let restricted: bool = restricted;
        let mut shown = json!({ "names": names, "privileges": privileges });
        let optional = [("field_security", distinct(fields.into_iter())), ("query", distinct(queries.into_iter()))];
        if let Some(shown) = shown.as_object_mut() {
            for (key, values) in optional {
                if !values.is_empty() {
                    shown.insert(key.to_owned(), values.into());
                }
            }
            shown.insert("allow_restricted_indices".to_owned(), restricted.into());
            if !clusters.is_empty() {
                shown.insert("clusters".to_owned(), json!(clusters));
            }
        }
        shown
    };
    merged.into_iter().map(show).collect()
}

/// One object for each global privilege that is held.
fn globals(descriptors: &Map<String, Value>) -> Vec<Value> {
    let held = descriptors.values().flat_map(|descriptor| {
        let global = descriptor.get("global").and_then(Value::as_object).into_iter().flatten();
        let content = global.filter(|(_, value)| value.as_object().is_some_and(|members| !members.is_empty()));
        content.map(|(key, value)| json!({ key: value }))
    });
    distinct(held)
}

fn distinct(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
