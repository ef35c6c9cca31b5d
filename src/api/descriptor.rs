//! Role descriptors of roles and API keys: read, brought into the form that answers show, and judged (API page
//! sections 8.2 and 8.3).

mod global;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::{
    api::{
        failure::Validation,
        form,
        json::{Field, Node, Position, Tree, values},
    },
    privileges,
    respond::Exception,
};

/// What is wrong with a descriptor, and where.
pub(super) struct Fault {
    /// Position of the value at fault.
    pub(super) at: Position,
    /// What is wrong.
    pub(super) cause: Exception,
}

/// What a descriptor describes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// What an API key may do: perhaps for one workflow only.
    Key,
    /// A role, perhaps with a description.
    Role,
}

pub(super) type Read<T> = Result<T, Fault>;

/// Reads the descriptor `role` into the form that answers show.
///
/// # Errors
///
/// What does not have the shape of a descriptor.
pub(super) fn read(kind: Kind, role: &str, node: &Node) -> Read<Map<String, Value>> {
    let prefix = format!("failed to parse role [{role}]");
    let Tree::Object(fields) = &node.tree else {
        return fault(node.at, format!("{prefix}. expected an object but found [{}] instead", node.token()));
    };
    let mut read = Map::new();
    for field in fields {
        let (name, node) = (field.name.as_str(), &field.node);
        match name {
            "cluster" | "run_as" => read.insert(name.to_owned(), strings(role, name, node)?),
            "indices" | "index" => {
                let what = format!("failed to parse indices privileges for role [{role}]");
                read.insert("indices".into(), each(&what, name, node, |node| index(role, &what, node, false))?)
            }
            "remote_indices" => {
                let what = format!("failed to parse remote indices privileges for role [{role}]");
                read.insert(name.to_owned(), each(&what, name, node, |node| index(role, &what, node, true))?)
            }
            "applications" | "application" => {
                let what = format!("failed to parse application privileges for role [{role}]");
                read.insert("applications".into(), each(&what, name, node, |node| application(&what, node))?)
            }
            "remote_cluster" => {
                let what = format!("failed to parse remote_cluster for role [{role}]");
                read.insert(name.to_owned(), each(&what, name, node, |node| remote_cluster(role, &what, node))?)
            }
            "metadata" => {
                let Tree::Object(fields) = &node.tree else {
                    let text =
                        format!("expected field [metadata] to be of type object, but found [{}] instead", node.token());
                    return fault(node.at, text);
                };
                read.insert(name.to_owned(), values(fields).into())
            }
            "global" => read.insert(name.to_owned(), global::read(node)?),
            "restriction" if kind == Kind::Key => read.insert(name.to_owned(), restriction(role, node)?),
            "description" if kind == Kind::Role => read.insert(name.to_owned(), description(node)?.into()),
            // Taken and ignored, as there.
            "transient_metadata" if matches!(node.tree, Tree::Object(_)) => None,
            other => return fault(node.at, format!("{prefix}. unexpected field [{other}]")),
        };
    }
    Ok(shown(&mut read))
}

/// The form that answers show: every key that is always there, in its order, and of the others those with content.
fn shown(read: &mut Map<String, Value>) -> Map<String, Value> {
    let mut shown = Map::new();
    for (name, always) in KEYS {
        let value = match read.remove(name) {
            Some(value) if always.is_some() || !is_empty(&value) => value,
            _ => match always {
                Some("[]") => json!([]),
                Some("{}") => json!({}),
                Some(_) => json!({ "enabled": true }),
                None => continue,
            },
        };
        shown.insert(name.to_owned(), value);
    }
    shown
}

/// Whether a descriptor gives nothing: what a key may give to a key that it makes.
pub(super) fn is_powerless(descriptor: &Value) -> bool {
    descriptor
        .as_object()
        .is_some_and(|keys| keys.iter().all(|(name, value)| name == "transient_metadata" || is_empty(value)))
}

/// Judges a descriptor that was read; `told` when it is that of a role which the cluster applies too.
pub(super) fn validate(role: &str, descriptor: &Map<String, Value>, told: bool, validation: &mut Validation) {
    let list = |of: &Value, key: &str| of.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let whole = Value::Object(descriptor.clone());
    for privilege in list(&whole, "cluster").iter().filter_map(Value::as_str) {
        validation
            .refuse(!privileges::is_cluster_privilege(privilege), privileges::unknown_cluster_privilege(privilege));
    }
    for entry in list(&whole, "indices").iter().chain(&list(&whole, "remote_indices")) {
        let privileges = list(entry, "privileges");
        let held: Vec<&str> = privileges.iter().filter_map(Value::as_str).collect();
        let nowhere = list(entry, "clusters").iter().any(|cluster| cluster == "");
        validation.refuse(nowhere, "remote index cluster alias cannot be an empty string");
        let mut seen = HashSet::new();
        if let Some(twice) = held.iter().find(|privilege| !seen.insert(**privilege)) {
            validation.refuse(true, format!("duplicate element: {twice}"));
        } else if let Some(unknown) = held.iter().find(|privilege| !privileges::is_index_privilege(privilege)) {
            validation.refuse(true, privileges::unknown_index_privilege(unknown));
        }
        for name in list(entry, "names").iter().filter_map(Value::as_str) {
            validation.refuse(
                name.contains(',') && !name.starts_with('/'),
                format!("commas [,] are not allowed in the index name expression [{name}]"),
            );
            validation
                .refuse(!privileges::is_valid_pattern(name), format!("invalid regular expression pattern [{name}]"));
            validation.refuse(
                name.contains("::"),
                format!("selectors [::] are not allowed in the index name expression [{name}]"),
            );
        }
        // Nothing here could enforce them, so nobody may believe that they are.
        validation.refuse(
            !told && (entry.get("query").is_some() || restricts_fields(entry)),
            format!("document and field level security are not supported: role descriptor [{role}]"),
        );
    }
    for application in list(&whole, "applications") {
        let name = application.get("application").and_then(Value::as_str).unwrap_or_default();
        if let Some(text) = privileges::wrong_application(name) {
            validation.refuse(true, text);
        }
        for privilege in list(&application, "privileges").iter().filter_map(Value::as_str) {
            validation.refuse(
                !privilege.bytes().all(|byte| byte.is_ascii_graphic()),
                format!(
                    "Application privilege names and actions must match the pattern ^\\p{{Graph}}*$ (found '{privilege}')"
                ),
            );
        }
        // There such a pattern is stored, and then breaks every request of its holder.
        for resource in list(&application, "resources").iter().filter_map(Value::as_str) {
            validation.refuse(!privileges::is_valid_pattern(resource), invalid_pattern(resource));
        }
    }
    let reserved = whole
        .get("metadata")
        .and_then(Value::as_object)
        .is_some_and(|keys| keys.keys().any(|key| key.starts_with('_')));
    validation.refuse(reserved, "role descriptor metadata keys may not start with [_]");
    if let Some(restriction) = whole.get("restriction") {
        for workflow in list(restriction, "workflows").iter().filter_map(Value::as_str) {
            validation.refuse(workflow != privileges::WORKFLOW, privileges::unknown_workflow(workflow));
        }
    }
    let description = whole.get("description").and_then(Value::as_str).unwrap_or_default();
    let long = description.encode_utf16().count() > LONGEST_DESCRIPTION;
    validation.refuse(long, format!("Role description must be less than {LONGEST_DESCRIPTION} characters."));
}

fn invalid_pattern(pattern: &str) -> String {
    format!(
        "invalid pattern [{pattern}]. patterns starting with '/' indicate regular expression pattern and therefore must \
         also end with '/'. other patterns (those that do not start with '/') will be treated as simple wildcard patterns"
    )
}

fn description(node: &Node) -> Read<String> {
    match &node.tree {
        Tree::Text(text) => Ok(text.clone()),
        Tree::Bool(_) | Tree::Number(_) => Ok(node.value().to_string()),
        Tree::List(_) | Tree::Null | Tree::Object(_) => {
            let text = format!("Expected text at {} but found {}", node.at, node.token());
            Err(Fault { at: node.at, cause: Exception::argument(text) })
        }
    }
}

pub(super) fn index(role: &str, what: &str, node: &Node, remote: bool) -> Read<Value> {
    let Tree::Object(fields) = &node.tree else { return not_objects(what, node) };
    let mut entry = Map::new();
    for field in fields {
        let (name, node) = (field.name.as_str(), &field.node);
        match name {
            "names" | "clusters" if name == "names" || remote => {
                entry.insert(name.to_owned(), string_or_strings(role, what, name, node)?);
            }
            "privileges" if matches!(node.tree, Tree::Null) => {}
            "privileges" => {
                entry.insert(name.to_owned(), strings(role, name, node)?);
            }
            "allow_restricted_indices" => {
                let Tree::Bool(allow) = node.tree else {
                    let token = node.token();
                    return fault(
                        node.at,
                        format!("{what}. expected field [{name}] value to be a boolean, but found [{token}] instead"),
                    );
                };
                entry.insert(name.to_owned(), allow.into());
            }
            "field_security" => drop(entry.insert(name.to_owned(), field_security(role, what, node)?)),
            "query" => match &node.tree {
                Tree::Null => {}
                Tree::Text(text) if text.is_empty() => {}
                Tree::Text(text) => drop(entry.insert(name.to_owned(), text.as_str().into())),
                Tree::Object(_) | Tree::List(_) => {
                    entry.insert(name.to_owned(), node.value().to_string().into());
                }
                _ => {
                    let token = node.token();
                    return fault(
                        node.at,
                        format!(
                            "{what}. expected field [query] value to be null, a string, an array, or an object, but found [{token}] instead"
                        ),
                    );
                }
            },
            other => return fault(node.at, format!("{what}. unexpected field [{other}]")),
        }
    }
    for required in ["names", "privileges", "clusters"].into_iter().take(if remote { 3 } else { 2 }) {
        if !entry.contains_key(required) {
            return fault(node.end, format!("{what}. missing required [{required}] field"));
        }
    }
    if entry.get("privileges").is_some_and(is_empty) {
        let cause = Exception::argument("indices privileges must define at least one privilege");
        return Err(Fault { at: node.end, cause });
    }
    if entry.get("field_security").is_some_and(|security| security.get("grant").is_none()) {
        return fault(node.end, format!("{what}. field_security requires grant if except is given"));
    }
    if let Some(security) = entry.get("field_security") {
        let fields = |key| -> Vec<&str> {
            security.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (grant, except) = (fields("grant"), fields("except"));
        if !privileges::covers_names(&grant, &except) {
            let text = format!(
                "Exceptions for field permissions must be a subset of the granted fields but {} is not a subset of {}",
                except.join(","),
                grant.join(",")
            );
            let cause =
                Exception::parse(format!("{what} - {text}")).because(Exception::new("security_exception", text));
            return Err(Fault { at: node.end, cause });
        }
    }
    let mut ordered = Map::new();
    for name in ["names", "privileges", "field_security", "query"] {
        if let Some(value) = entry.remove(name) {
            ordered.insert(name.to_owned(), value);
        }
    }
    let allow = entry.remove("allow_restricted_indices").unwrap_or(Value::Bool(false));
    ordered.insert("allow_restricted_indices".into(), allow);
    ordered.extend(entry);
    Ok(ordered.into())
}

fn field_security(role: &str, what: &str, node: &Node) -> Read<Value> {
    let Tree::Object(fields) = &node.tree else {
        return fault(
            node.at,
            format!("{what}. expected START_OBJECT but got {} in \"field_security\".", node.token()),
        );
    };
    if fields.is_empty() {
        return fault(node.end, format!("{what}. \"field_security\" must not be empty."));
    }
    let mut security = Map::new();
    for field in fields {
        match field.name.as_str() {
            name @ ("grant" | "except") if matches!(field.node.tree, Tree::Null) => {
                return fault(field.node.at, format!("{what}. {name} must not be null."));
            }
            name @ ("grant" | "except") => {
                security.insert(name.to_owned(), strings(role, name, &field.node)?);
            }
            other => {
                let text =
                    format!("{what}. \"field_security\" only accepts options grant and except, but got: {other}");
                return fault(field.at, text);
            }
        }
    }
    Ok(security.into())
}

pub(super) fn restricts_fields(entry: &Value) -> bool {
    entry.get("field_security").is_some_and(|security| {
        let all =
            security.get("grant").and_then(Value::as_array).is_some_and(|grant| grant.iter().any(|one| one == "*"));
        !all || security.get("except").is_some_and(|except| !is_empty(except))
    })
}

pub(super) fn application(what: &str, node: &Node) -> Read<Value> {
    let Tree::Object(fields) = &node.tree else { return not_objects(what, node) };
    let (mut name, mut privileges, mut resources) = (None, None, None);
    for field in fields {
        match field.name.as_str() {
            "application" => match &field.node.tree {
                Tree::Text(text) => name = Some(text.as_str()),
                _ => return Err(Fault { at: field.node.at, cause: form::mistyped("application", field) }),
            },
            "privileges" => privileges = Some(loose_strings(field)?),
            "resources" => resources = Some(loose_strings(field)?),
            other => {
                let text = format!("[{}] [application] unknown field [{other}]", field.at);
                return Err(Fault { at: field.node.at, cause: Exception::content(text) });
            }
        }
    }
    let Some(privileges) = privileges else {
        return fault(node.end, format!("{what}. missing required [privileges] field"));
    };
    let Some(resources) = resources else {
        return fault(node.end, format!("{what}. missing required [resources] field"));
    };
    let refuse = |text: &str| Err(Fault { at: node.end, cause: Exception::argument(text) });
    match name {
        None | Some("") => refuse("application privileges must have an application name"),
        _ if privileges.is_empty() => refuse("application privileges must define at least one privilege"),
        _ if resources.is_empty() => refuse("application privileges must refer to at least one resource"),
        Some(name) => Ok(json!({ "application": name, "privileges": privileges, "resources": resources })),
    }
}

fn remote_cluster(role: &str, what: &str, node: &Node) -> Read<Value> {
    let Tree::Object(fields) = &node.tree else { return not_objects(what, node) };
    let mut entry = Map::new();
    for field in fields {
        let name = field.name.as_str();
        if !matches!(name, "privileges" | "clusters") {
            return fault(field.node.at, format!("{what}. unexpected field [{name}]"));
        }
        if matches!(field.node.tree, Tree::Null) {
            let text = format!("could not parse [{name}] field. expected a string array but found null value instead");
            return Err(Fault { at: field.node.at, cause: within(role, Exception::parse(text)) });
        }
        let texts = strings(role, name, &field.node)?;
        let unknown = |text: &&Value| !matches!(text.as_str(), Some("monitor_enrich" | "monitor_stats"));
        if let Some(Value::String(unknown)) = texts.as_array().and_then(|texts| texts.iter().find(unknown))
            && name == "privileges"
        {
            let text = format!(
                "{what}. [monitor_enrich, monitor_stats] are the only values allowed for [privileges] within [remote_cluster]. Found [{unknown}]"
            );
            return fault(field.node.end, text);
        }
        entry.insert(name.to_owned(), texts);
    }
    for (given, other) in [("privileges", "clusters"), ("clusters", "privileges")] {
        if entry.contains_key(given) && !entry.contains_key(other) {
            return fault(node.end, format!("{what}. [{other}] must be defined when [{given}] are defined "));
        }
    }
    let refuse = |text: String| Err(Fault { at: node.end, cause: Exception::argument(text) });
    if entry.is_empty() || entry.values().any(is_empty) {
        return refuse("remote cluster groups must not be null or empty".to_owned());
    }
    let clusters = entry.get("clusters").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if clusters.clone().any(str::is_empty) {
        let all = clusters.collect::<Vec<_>>().join(",");
        return refuse(format!(
            "remote_cluster clusters aliases must contain valid non-empty, non-null values [{all}]"
        ));
    }
    Ok(entry.into())
}

fn restriction(role: &str, node: &Node) -> Read<Value> {
    let what = format!("failed to parse restriction for role [{role}]");
    let Tree::Object(fields) = &node.tree else {
        let token = node.token();
        return fault(
            node.at,
            format!(
                "{what}. expected field [restriction] value to be an object, but found an element of type [{token}]"
            ),
        );
    };
    let mut read = Map::new();
    for field in fields {
        if field.name != "workflows" {
            return fault(field.node.at, format!("{what}. unexpected field [{}]", field.name));
        }
        let workflows = strings(role, "workflows", &field.node)?;
        if is_empty(&workflows) {
            return fault(node.end, format!("{what}. [workflows] cannot be an empty array"));
        }
        read.insert("workflows".into(), workflows);
    }
    Ok(read.into())
}

/// A list of objects, each read by `one`.
pub(super) fn each(what: &str, name: &str, node: &Node, one: impl Fn(&Node) -> Read<Value>) -> Read<Value> {
    match &node.tree {
        Tree::List(items) => items.iter().map(one).collect(),
        _ => fault(
            node.at,
            format!("{what}. expected field [{name}] value to be an array, but found [{}] instead", node.token()),
        ),
    }
}

/// A list of texts or nothing, of a part of the role.
pub(super) fn strings(role: &str, name: &str, node: &Node) -> Read<Value> {
    list(name, node).map_err(|fault| Fault { cause: within(role, fault.cause), ..fault })
}

fn within(role: &str, cause: Exception) -> Exception {
    Exception::parse(format!("failed to parse role [{role}]")).because(cause)
}

/// A list of texts or nothing.
fn list(name: &str, node: &Node) -> Read<Value> {
    match &node.tree {
        Tree::Null => Ok(json!([])),
        Tree::List(items) => items
            .iter()
            .map(|item| {
                if let Tree::Text(text) = &item.tree {
                    return Ok(Value::from(text.as_str()));
                }
                let token = item.token();
                fault(
                    item.at,
                    format!(
                        "could not parse [null] field. expected a string array but one of the value in the array is [{token}]"
                    ),
                )
            })
            .collect(),
        _ => {
            let token = node.token();
            fault(
                node.at,
                format!("could not parse [{name}] field. expected a string array but found [{token}] value instead"),
            )
        }
    }
}

/// A text, or a list of them; with at least one where they are names.
fn string_or_strings(role: &str, what: &str, name: &str, node: &Node) -> Read<Value> {
    match &node.tree {
        Tree::Text(text) => Ok(json!([text])),
        Tree::List(items) if items.is_empty() && name == "names" => {
            fault(node.end, format!("{what}. [{name}] cannot be an empty array"))
        }
        Tree::List(_) => strings(role, name, node),
        _ => {
            let token = node.token();
            fault(
                node.at,
                format!(
                    "{what}. expected field [{name}] value to be a string or an array of strings, but found [{token}] instead"
                ),
            )
        }
    }
}

/// A text or a list of simple values, which count as texts.
fn loose_strings(field: &Field) -> Read<Vec<String>> {
    let simple = |node: &Node| match &node.tree {
        Tree::Text(text) => Some(text.clone()),
        Tree::Bool(_) | Tree::Number(_) => Some(node.value().to_string()),
        Tree::List(_) | Tree::Null | Tree::Object(_) => None,
    };
    let texts = match &field.node.tree {
        Tree::Text(text) => Some(vec![text.clone()]),
        Tree::List(items) => items.iter().map(simple).collect(),
        _ => None,
    };
    texts.ok_or_else(|| Fault { at: field.node.at, cause: form::mistyped("application", field) })
}

fn not_objects<T>(what: &str, node: &Node) -> Read<T> {
    let token = node.token();
    fault(
        node.at,
        format!(
            "{what}. expected field [null] value to be an array of objects, but found an array element of type [{token}]"
        ),
    )
}

fn fault<T>(at: Position, text: String) -> Read<T> {
    Err(Fault { at, cause: Exception::parse(text) })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Of a role, in UTF-16 units as Java counts.
const LONGEST_DESCRIPTION: usize = 1_000;

/// Keys in the order of answers, and what stands in for one that is always there.
const KEYS: [(&str, Option<&str>); 11] = [
    ("cluster", Some("[]")),
    ("global", None),
    ("indices", Some("[]")),
    ("applications", Some("[]")),
    ("run_as", Some("[]")),
    ("metadata", Some("{}")),
    ("transient_metadata", Some("enabled")),
    ("remote_indices", None),
    ("remote_cluster", None),
    ("restriction", None),
    ("description", None),
];

#[cfg(test)]
mod tests;
