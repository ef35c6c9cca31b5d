//! What a client sees of an answer, but for what cannot be the same twice.

use serde_json::{Map, Value};

use super::{session::Exchange, side::Seen};

/// Headers of the connection, and searchgate's own (`docs/compatibility.md`).
const HEADERS: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "date", "x-auth-source", "x-auth-reason"];

/// How the answers of both sides differ: lines of the original after `-`, of the other after `+`.
pub(super) fn difference(exchange: &Exchange, original: &Seen, other: &Seen) -> Option<String> {
    let (left, right) = (visible(exchange, original), visible(exchange, other));
    if left == right {
        return None;
    }
    let (left, right): (Vec<&str>, Vec<&str>) = (left.lines().collect(), right.lines().collect());
    let before = left.iter().zip(&right).take_while(|(one, two)| one == two).count();
    let after =
        left[before..].iter().rev().zip(right[before..].iter().rev()).take_while(|(one, two)| one == two).count();
    let part = |lines: &[&str], sign: &str| -> String {
        lines[before..lines.len() - after]
            .iter()
            .fold(String::new(), |text, line| text + "  " + sign + " " + line + "\n")
    };
    Some(part(&left, "-") + &part(&right, "+"))
}

/// An answer as text: status, headers by name, body.
fn visible(exchange: &Exchange, seen: &Seen) -> String {
    let Some(answer) = &seen.answer else { return "no answer".to_owned() };
    let mut headers = Vec::new();
    for (name, value) in &answer.headers {
        // The length of what a HEAD leaves out is all there is to see of it.
        if !HEADERS.contains(&name.as_str()) || (name == "content-length" && exchange.method == "HEAD") {
            let value = version_masked(&String::from_utf8_lossy(value.as_bytes()));
            headers.push((name.as_str(), value));
        }
    }
    // Values of one name keep their order.
    headers.sort_by_key(|(name, _)| *name);
    let mut lines = vec![format!("status: {}", answer.status.as_u16())];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    match serde_json::from_slice::<Value>(&answer.body) {
        _ if exchange.mask.iter().any(|pointer| pointer == "/") => {}
        Ok(mut body) => {
            if exchange.target.contains("pretty") || exchange.target.contains("format") {
                lines.push(format!("layout: {}", layout(&answer.body)));
            }
            mask(&mut body);
            for pointer in &exchange.mask {
                at(&mut body, pointer, &mut |value| *value = Value::from("<masked>"));
            }
            replace(&mut body, &seen.own);
            for pointer in &exchange.unordered {
                at(&mut body, pointer, &mut sort);
            }
            lines.push(serde_json::to_string_pretty(&body).unwrap());
        }
        Err(_) => lines.push(named(&String::from_utf8_lossy(&answer.body), &seen.own)),
    }
    named(&lines.join("\n"), &seen.own)
}

/// Names in the place of one side's own values.
fn named(text: &str, own: &[(String, String)]) -> String {
    own.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
}

/// Texts and keys of a body with names in the place of one side's own values.
fn replace(value: &mut Value, own: &[(String, String)]) {
    match value {
        Value::String(text) => *text = named(text, own),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, own)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    replace(&mut value, own);
                    (named(&key, own), value)
                })
                .collect();
        }
        _ => {}
    }
}

/// Takes out what no two servers have in common: times, ids, secrets, nodes.
fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => {
            // A machine's reason is only searchgate's, a trace only the original's.
            if fields.contains_key("root_cause") {
                fields.shift_remove("code");
            }
            fields.shift_remove("stack_trace");
            for (key, value) in fields.iter_mut() {
                match (key.as_str(), &*value) {
                    ("creation" | "expiration" | "invalidation" | "took", Value::Number(_)) => {
                        *value = "<number>".into();
                    }
                    (
                        "api_key" | "encoded" | "access_token" | "refresh_token" | "value" | "cluster_name" | "node_id",
                        Value::String(_),
                    ) => *value = format!("<{key}>").into(),
                    ("id", Value::String(id)) if id.len() == 20 => *value = "<id>".into(),
                    ("node" | "index_uuid", Value::String(id)) if id.len() == 22 => *value = format!("<{key}>").into(),
                    ("nodes", Value::Object(nodes)) => {
                        let nodes: Map<_, _> = nodes.keys().map(|_| ("<node>".to_owned(), Value::Null)).collect();
                        *value = nodes.into();
                    }
                    ("api_key" | "metadata", Value::Object(_)) => {
                        // What says which key the caller is has another order after each start of the original, and
                        // metadata that of its hash tables.
                        mask(value);
                        sort(value);
                    }
                    _ => mask(value),
                }
            }
        }
        Value::String(text) => *text = source_masked(text),
        _ => {}
    }
}

/// Texts about malformed JSON quote the body; searchgate does not, for it may hold a secret.
fn source_masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once("[Source: ") {
        let Some((_, after)) = quoted.split_once("; line:") else { break };
        masked.push_str(before);
        masked.push_str("[Source; line:");
        rest = after;
    }
    masked + rest
}

/// A deprecation names the build that warns: `299 Elasticsearch-VERSION-HASH "…"`.
fn version_masked(value: &str) -> String {
    match value.strip_prefix("299 Elasticsearch-").and_then(|rest| rest.split_once(' ')) {
        Some((_, text)) => format!("299 Elasticsearch-VERSION {text}"),
        None => value.to_owned(),
    }
}

/// Does something with all values at a pointer.
fn at(value: &mut Value, pointer: &str, change: &mut dyn FnMut(&mut Value)) {
    let Some(rest) = pointer.strip_prefix('/').filter(|rest| !rest.is_empty()) else { return change(value) };
    let (step, rest) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
    match value {
        Value::Array(items) if step == "*" => items.iter_mut().for_each(|item| at(item, rest, change)),
        Value::Array(items) => {
            if let Some(item) = step.parse().ok().and_then(|position: usize| items.get_mut(position)) {
                at(item, rest, change);
            }
        }
        Value::Object(fields) if step == "*" => fields.values_mut().for_each(|field| at(field, rest, change)),
        Value::Object(fields) => {
            if let Some(field) = fields.get_mut(step) {
                at(field, rest, change);
            }
        }
        _ => {}
    }
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => items.sort_by_key(Value::to_string),
        Value::Object(fields) => fields.sort_keys(),
        _ => {}
    }
}

/// The white space and punctuation of JSON: how it is set, not what it says.
fn layout(body: &[u8]) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let kept = body.iter().filter(|&&byte| {
        let inside = quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        !inside && !byte.is_ascii_alphanumeric()
    });
    let kept: Vec<u8> = kept.copied().collect();
    String::from_utf8_lossy(&kept).replace('\n', "⏎")
}
