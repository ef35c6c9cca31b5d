//! The configuration as it is shown and compared: YAML, JSON Schema, what a reload may change.

use serde_json::{Map, Value};

use crate::config::{Config, StoreUrl, quantity};

/// The effective configuration as YAML.
pub(super) fn yaml(config: &Config) -> String {
    let mut text = String::new();
    print(&tree(config), 0, &mut text);
    text
}

/// JSON Schema of the configuration.
pub(super) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    tag_defaults(&mut schema);
    schema
}

/// Paths whose value differs and is read at start only.
pub(super) fn restart_needed(old: &Config, new: &Config) -> Vec<String> {
    let mut changed = Vec::new();
    compare(&tree(old), &tree(new), String::new(), &mut changed);
    if let (StoreUrl::Postgres(old), StoreUrl::Postgres(new)) = (&old.store.url, &new.store.url)
        && old.expose() != new.expose()
    {
        changed.push("store.url".into());
    }
    changed.retain(|path| !is_reloadable(path));
    changed
}

/// The configuration as written in YAML.
pub(super) fn tree(config: &Config) -> Value {
    let mut tree = serde_json::to_value(config).unwrap_or_default();
    tag("", &mut tree);
    tree
}

/// Serde writes an enum as `{variant: fields}`; configuration has the variant beside the fields.
fn tag(name: &str, value: &mut Value) {
    let key = match name {
        "credential" | "identity" | "service" => Some("kind"),
        "realms" => Some("type"),
        _ => None,
    };
    match (key, value) {
        (Some(key), Value::Array(items)) => items.iter_mut().for_each(|item| tag_one(key, item)),
        (Some(key), value) => tag_one(key, value),
        (None, Value::Array(items)) => items.iter_mut().for_each(|item| tag("", item)),
        (None, Value::Object(fields)) => fields.iter_mut().for_each(|(name, value)| tag(name, value)),
        (None, _) => {}
    }
}

fn tag_one(key: &str, value: &mut Value) {
    let (variant, fields) = match std::mem::take(value) {
        Value::String(variant) => (variant, Map::new()),
        Value::Object(variants) => match variants.into_iter().next() {
            Some((variant, Value::Object(fields))) => (variant, fields),
            _ => return,
        },
        other => {
            *value = other;
            return;
        }
    };
    let mut tagged = Map::from_iter([(key.to_owned(), Value::String(variant))]);
    tagged.extend(fields);
    tagged.iter_mut().for_each(|(name, value)| tag(name, value));
    *value = Value::Object(tagged);
}

/// Defaults inside a schema are written by serde, so they need their tags too.
fn tag_defaults(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tag_defaults),
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for (name, property) in properties {
                    if let Some(default) = property.get_mut("default") {
                        tag(name, default);
                    }
                }
            }
            fields.iter_mut().filter(|(name, _)| *name != "default").for_each(|(_, value)| tag_defaults(value));
        }
        _ => {}
    }
}

fn compare(old: &Value, new: &Value, path: String, changed: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                let (old, new) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
                compare(old, new, below(name), changed);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(old, new, below(&index.to_string()), changed);
            }
        }
        (old, new) if old == new => {}
        _ => changed.push(path),
    }
}

/// Whether a reload takes the key over: TLS material of both sides, limits and the log level. TLS itself cannot be
/// turned on or off under open connections.
fn is_reloadable(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    matches!(
        parts.as_slice(),
        ["limits", "header_bytes" | "body_bytes" | "header_timeout" | "idle_timeout"]
            | ["logging", "level"]
            | ["listeners", _, "ssl", _, ..]
            | ["upstream", "ssl", ..]
    )
}

/// YAML 1.2 in block style; texts in the JSON form, which is YAML too, wherever they could be read as anything else.
fn print(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                text.extend([&indent, name.as_str(), ":"]);
                print_below(value, depth, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                // An item starts on the line of its dash.
                let mut below = String::new();
                print(item, depth + 1, &mut below);
                text.extend([&indent, "- ", below.trim_start()]);
            }
        }
        scalar => text.extend([&indent, &*print_scalar(scalar), "\n"]),
    }
}

fn print_below(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            print(value, depth + 1, text);
        }
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            print(value, depth + 1, text);
        }
        scalar => text.extend([" ", &print_scalar(scalar), "\n"]),
    }
}

fn print_scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    // With a unit it is no number.
    if text != "0" && (quantity::parse_duration(text).is_ok() || quantity::parse_bytes(text).is_ok()) {
        return true;
    }
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    starts
        && plain
        && !matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off")
}
