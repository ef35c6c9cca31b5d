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
        "applications": applications(all("applications")),
        "run_as": named("run_as"),
    });
    let remote = [
        ("remote_indices", indices(all("remote_indices"))),
        ("remote_cluster", distinct(all("remote_cluster").cloned())),
    ];
    for (key, entries) in remote {
        if let (Some(listing), false) = (listing.as_object_mut(), entries.is_empty()) {
            listing.insert(key.to_owned(), entries.into());
        }
    }
    listing
}

/// What an entry is about: whether restricted indices are meant, names, clusters.
type Subject<'a> = (bool, BTreeSet<&'a str>, BTreeSet<&'a str>);

/// Entries over the same names are one, with the privileges of all. Where one is not limited to fields or documents,
/// none is.
fn indices<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut merged: BTreeMap<Subject<'_>, Vec<&Value>> = BTreeMap::new();
    for entry in entries {
        let set = |key| texts(entry.get(key)).collect();
        let restricted = entry.get("allow_restricted_indices").and_then(Value::as_bool).unwrap_or_default();
        merged.entry((restricted, set("names"), set("clusters"))).or_default().push(entry);
    }
    let show = |((restricted, names, clusters), entries): (Subject<'_>, Vec<&Value>)| {
        let privileges: BTreeSet<&str> = entries.iter().flat_map(|entry| texts(entry.get("privileges"))).collect();
        let mut shown = Map::new();
        shown.insert("names".to_owned(), json!(names));
        shown.insert("privileges".to_owned(), json!(privileges));
        for key in ["field_security", "query"] {
            let limits: Option<Vec<Value>> = entries.iter().map(|entry| entry.get(key).cloned()).collect();
            if let Some(limits) = limits {
                shown.insert(key.to_owned(), distinct(limits.into_iter()).into());
            }
        }
        shown.insert("allow_restricted_indices".to_owned(), restricted.into());
        if !clusters.is_empty() {
            shown.insert("clusters".to_owned(), json!(clusters));
        }
        shown.into()
    };
    merged.into_iter().map(show).collect()
}

/// Entries over the same resources of an application are one.
fn applications<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut merged: BTreeMap<(&str, BTreeSet<&str>), BTreeSet<&str>> = BTreeMap::new();
    for entry in entries {
        let application = entry.get("application").and_then(Value::as_str).unwrap_or_default();
        let resources = texts(entry.get("resources")).collect();
        merged.entry((application, resources)).or_default().extend(texts(entry.get("privileges")));
    }
    let show = |((application, resources), privileges)| json!({ "application": application, "privileges": privileges, "resources": resources });
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
