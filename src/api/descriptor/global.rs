//! The part `global` of a descriptor: privileges on what belongs to no index and to the cluster in part only.

use serde_json::{Map, Value, json};

use super::{Fault, Read, invalid_pattern, list};
use crate::{
    api::json::{Field, Node, Position, Tree},
    privileges,
    respond::Exception,
};

/// Reads it into the form that answers show: every part, or nothing at all.
pub(super) fn read(node: &Node) -> Read<Value> {
    let mut parts: Map<String, Value> = PARTS.iter().map(|part| ((*part).to_owned(), json!({}))).collect();
    for field in object(node)? {
        let part = match field.name.as_str() {
            "application" => one(&field.node, "manage", "applications", applications)?,
            "profile" => one(&field.node, "write", "applications", applications)?,
            "role" => one(&field.node, "manage", "indices", indices)?,
            other => return wrong(field.at, "one of [application,profile,role]", other),
        };
        parts.insert(field.name.clone(), part);
    }
    let empty = parts.values().all(|part| part.as_object().is_some_and(Map::is_empty));
    Ok(if empty { json!({}) } else { parts.into() })
}

/// An object that may be empty, or hold one verb over one list.
fn one(node: &Node, verb: &str, list: &str, items: impl Fn(&Node) -> Read<Value>) -> Read<Value> {
    let mut read = Map::new();
    for field in object(node)? {
        if field.name != verb {
            return wrong(field.at, &format!("field name [{verb}]"), &field.name);
        }
        let content = match object(&field.node)? {
            [] => return wrong(field.node.end, "[FIELD_NAME]", "END_OBJECT"),
            [only] if only.name == list => items(&only.node)?,
            [first, second, ..] if first.name == list => {
                items(&first.node)?;
                return wrong(second.at, "[END_OBJECT]", "FIELD_NAME");
            }
            [first, ..] => return wrong(first.at, &format!("field name [{list}]"), &first.name),
        };
        read.insert(verb.to_owned(), json!({ list: content }));
    }
    Ok(read.into())
}

fn applications(node: &Node) -> Read<Value> {
    array(node)?;
    let read = list("null", node)?;
    let wrong = |pattern: &&str| !privileges::is_valid_pattern(pattern);
    let patterns = read.as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(pattern) = patterns.clone().find(wrong) {
        let all = patterns.collect::<Vec<_>>().join(", ");
        let cause = Exception::argument(invalid_pattern(pattern));
        let text = format!("The set of patterns [{all}] is invalid");
        return Err(Fault { at: node.at, cause: Exception::new("security_exception", text).because(cause) });
    }
    Ok(read)
}

fn indices(node: &Node) -> Read<Value> {
    let refuse = |at, text: String| Err(Fault { at, cause: Exception::argument(text) });
    let mut entries = Vec::new();
    for item in array(node)? {
        let mut entry = Map::from_iter([("names".to_owned(), json!([])), ("privileges".to_owned(), json!([]))]);
        let fields = object(item)?;
        for field in fields {
            match entry.get_mut(&field.name) {
                Some(given) => {
                    array(&field.node)?;
                    *given = list("null", &field.node)?;
                }
                None => return wrong(field.at, "[END_OBJECT]", "FIELD_NAME"),
            }
        }
        if fields.len() < entry.len() {
            return wrong(item.end, "[FIELD_NAME]", "END_OBJECT");
        }
        let texts = |key| entry.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        if let Some(unknown) = texts("privileges").find(|privilege| !privileges::is_index_privilege(privilege)) {
            return refuse(item.end, privileges::unknown_index_privilege(unknown));
        }
        if let Some(pattern) = texts("names").find(|name| !privileges::is_valid_pattern(name)) {
            return refuse(item.end, format!("invalid regular expression pattern [{pattern}]"));
        }
        if texts("names").next().is_none() {
            return refuse(
                item.end,
                "Indices privileges must refer to at least one index name or index name pattern".into(),
            );
        }
        if texts("privileges").next().is_none() {
            return refuse(item.end, "Indices privileges must define at least one privilege".into());
        }
        entries.push(entry.into());
    }
    Ok(Value::Array(entries))
}

fn object(node: &Node) -> Read<&[Field]> {
    match &node.tree {
        Tree::Object(fields) => Ok(fields),
        _ => wrong(node.at, "[START_OBJECT]", node.token()),
    }
}

fn array(node: &Node) -> Read<&[Node]> {
    match &node.tree {
        Tree::List(items) => Ok(items),
        _ => wrong(node.at, "[START_ARRAY]", node.token()),
    }
}

fn wrong<T>(at: Position, expected: &str, found: &str) -> Read<T> {
    let text = format!("[{at}] failed to parse privilege. expected {expected} but found [{found}] instead");
    Err(Fault { at, cause: Exception::content(text) })
}

const PARTS: [&str; 3] = ["application", "profile", "role"];
