//! What an answer tells its caller, in words that both sides share, and how two answers compare.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use serde_json::Value;

use super::{requests::Request, side::Side};
use crate::support::client::Answer;

/// An answer, as far as it is compared.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// Type, text and causes, where the whole request failed.
    error: Option<String>,
    /// Names, homes and fields of the world in it; of a failure, those that the caller has not said itself.
    shown: BTreeSet<String>,
    /// Those of the world that the caller has said.
    said: BTreeSet<String>,
    /// Documents found, where they are counted.
    total: Option<u64>,
    /// One line an item, of answers that have such.
    items: Vec<Item>,
}

#[derive(Debug, Eq, PartialEq)]
struct Item {
    text: String,
    fails: bool,
    total: Option<u64>,
}

/// How an answer of searchgate compares with the original's.
pub(super) enum Verdict {
    Same,
    /// Neither shows more, but they are not the same.
    Different,
    /// Searchgate lets through what the original does not.
    More(String),
}

impl Seen {
    pub(super) fn of(answer: &Answer, request: &Request, side: &Side, known: &BTreeSet<String>) -> Self {
        let text = side.common(&String::from_utf8_lossy(&answer.body));
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let fails = !answer.status.is_success();
        // These tell which targets somebody has asked for lately.
        let gossip = ["/_nodes/stats", "/_info/http"].iter().any(|path| request.target.starts_with(path));
        let mut shown = if gossip { BTreeSet::new() } else { words(&text, known) };
        let said = words(&request.to_string(), known);
        if fails {
            shown.retain(|word| !said.contains(word));
        }
        let error = fails.then(|| match &body {
            Value::Null => text.clone(),
            body => error_text(body.get("error").unwrap_or(body)),
        });
        let items = if fails { Vec::new() } else { items(&body, known) };
        Self { status: answer.status.as_u16(), error, shown, said, total: total(&body), items }
    }

    pub(super) fn is_success(&self) -> bool {
        self.status < 300
    }

    /// Compares this, the original's, with searchgate's.
    pub(super) fn judge(&self, other: &Self) -> Verdict {
        let more: Vec<&str> =
            other.shown.difference(&self.shown).filter(|word| !self.said.contains(*word)).map(String::as_str).collect();
        let more_items = self.items.iter().zip(&other.items).filter(|(original, other)| {
            original.fails && !other.fails
                || other.total.unwrap_or(0) > original.total.unwrap_or(other.total.unwrap_or(0))
        });
        if self.status == 403 && other.is_success() {
            Verdict::More("allows what the original refuses".to_owned())
        } else if !more.is_empty() {
            Verdict::More(format!("shows {}", more.join(", ")))
        } else if self.is_success() && other.total > self.total && self.total.is_some() {
            Verdict::More("counts more".to_owned())
        } else if more_items.count() > 0 || !self.items.is_empty() && other.items.len() > self.items.len() {
            Verdict::More("items that the original refuses".to_owned())
        } else if self == other {
            Verdict::Same
        } else {
            Verdict::Different
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        self.error.iter().try_for_each(|error| write!(f, " {error}"))?;
        self.total.iter().try_for_each(|total| write!(f, " total {total}"))?;
        if !self.shown.is_empty() {
            let shown: Vec<&str> = self.shown.iter().map(String::as_str).collect();
            write!(f, " shows {}", shown.join(","))?;
        }
        self.items.iter().try_for_each(|item| write!(f, "\n      {}", item.text))
    }
}

/// Words of the world in a text.
fn words(text: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let inside = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    text.split(|character| !inside(character)).filter(|word| known.contains(*word)).map(str::to_owned).collect()
}

fn total(body: &Value) -> Option<u64> {
    body.pointer("/hits/total/value").or_else(|| body.get("count")).and_then(Value::as_u64)
}

/// What became of each item of a composite request.
fn items(body: &Value, known: &BTreeSet<String>) -> Vec<Item> {
    let list = ["items", "responses", "docs"].into_iter().find_map(|key| body.get(key)?.as_array());
    list.into_iter().flatten().map(|item| Item::of(item, known)).collect()
}

impl Item {
    fn of(item: &Value, known: &BTreeSet<String>) -> Self {
        let (operation, item) = match item.as_object().and_then(|fields| fields.iter().next()) {
            Some((key, inner)) if OPERATIONS.contains(&key.as_str()) => (key.as_str(), inner),
            _ => ("", item),
        };
        let mut text = operation.to_owned();
        for key in ["_index", "_id", "status", "result", "found"] {
            match item.get(key) {
                // One that the cluster made up.
                Some(Value::String(id)) if key == "_id" && id.len() == 20 => text.push_str(" <id>"),
                Some(value) => write!(text, " {value}").unwrap(),
                None => {}
            }
        }
        let error = item.get("error");
        if let Some(error) = error {
            write!(text, " {}", error_text(error)).unwrap();
        }
        let total = total(item);
        if let Some(total) = total {
            write!(text, " total {total}").unwrap();
        }
        let shown: Vec<String> = words(&item.to_string(), known).into_iter().collect();
        write!(text, " [{}]", shown.join(",")).unwrap();
        Self { fails: error.is_some() || item.get("found") == Some(&Value::Bool(false)), text, total }
    }
}

/// An error without what no two servers have in common, and with names in order.
fn error_text(error: &Value) -> String {
    let mut error = error.clone();
    mask(&mut error);
    sorted(&error.to_string())
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for key in ["code", "stack_trace", "index_uuid", "node"] {
                fields.shift_remove(key);
            }
            fields.sort_keys();
            fields.values_mut().for_each(mask);
        }
        // `index [NAME/UUID] already exists`
        Value::String(text) => {
            if let Some((before, after)) = text.split_once('/')
                && after.as_bytes().get(22) == Some(&b']')
            {
                *text = format!("{before}{}", &after[22..]);
            }
        }
        _ => {}
    }
}

/// The refused names of a 403 in order: the original has none.
fn sorted(text: &str) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("indices [") {
        let Some((list, after)) = after.split_once(']') else { break };
        let mut names: Vec<&str> = list.split(',').collect();
        names.sort_unstable();
        write!(done, "{before}indices [{}]", names.join(",")).unwrap();
        rest = after;
    }
    done + rest
}

const OPERATIONS: [&str; 4] = ["index", "create", "update", "delete"];
