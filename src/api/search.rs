//! Queries of `_security/_query/*` (API page sections 4.6, 7.3 and 8.1): read, judged by a schema, answered from a source
//! of documents that is seen once and never held.
//!
//! What is wrong with a request shows in the order of the original: its form ([`Request::read`]), its sense
//! ([`Request::validate`]), fields that may not be asked about, and then what only a shard notices
//! ([`Request::compile`]). A [`Collector`] keeps as many documents as the answer shows, whatever it sees.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Call,
        json::{Node, Position, Tree},
        nodes::NODE_ID,
    },
    respond::Exception,
};

mod aggregate;
mod aggregation;
mod clause;
mod collect;
mod compile;
mod date;
mod query;
mod request;
mod simple;
mod sort;
#[cfg(test)]
mod tests;

pub(super) use collect::{Collector, Found};
pub(super) use compile::words;
pub(super) use query::{Check, Query};
pub(super) use request::{Request, Search};

/// What may be asked about one resource.
#[derive(Debug)]
pub(super) struct Schema {
    /// Elasticsearch's name of the parser of the body.
    pub(super) parser: &'static str,
    /// Whether `aggs` are known.
    pub(super) aggregates: bool,
    /// Its fields.
    pub(super) fields: &'static [Declared],
}

/// A field as a schema declares it.
#[derive(Debug)]
pub(super) struct Declared {
    /// As requests name it.
    pub(super) name: &'static str,
    /// As errors name it.
    pub(super) stored: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// `Number` 0 or 1.
    Boolean,
    /// `Number`, milliseconds since the epoch.
    Date,
    /// Texts at any path beneath it.
    Flattened,
    /// Texts compared whole.
    Keyword,
    /// Texts compared by their words, which documents give one by one in lower case; never sorted by.
    Text,
}

/// A field that may be asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) stored: &'static str,
    pub(super) kind: Kind,
}

/// One value of a field.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Atom<'a> {
    /// Of dates and booleans.
    Number(i64),
    /// Of all others.
    Text(Cow<'a, str>),
}

/// What can be searched.
pub(super) trait Document {
    /// What an `ids` query compares.
    fn id(&self) -> &str;
    /// The values of a field of the schema; for one beneath a flattened field, its whole path.
    fn values(&self, field: &str) -> Vec<Atom<'_>>;
}

/// What is wrong with a body, and where the original noticed.
#[derive(Debug)]
struct Fault {
    at: Position,
    cause: Exception,
}

type Read<T> = Result<T, Fault>;

impl Schema {
    /// The field of that name.
    ///
    /// # Errors
    ///
    /// There is none that may be asked about.
    fn field(&self, name: &str) -> Result<Field, Exception> {
        if name.contains('*') {
            let text = format!("Field name pattern [{name}] is not allowed for querying or aggregation");
            return Err(Exception::argument(text));
        }
        let named = |declared: &&Declared| {
            name.strip_prefix(declared.name).is_some_and(|rest| {
                rest.is_empty() || declared.kind == Kind::Flattened && rest.len() > 1 && rest.starts_with('.')
            })
        };
        let found = self.fields.iter().find(named);
        let text = || format!("Field [{name}] is not allowed for querying or aggregation");
        let declared = found.ok_or_else(|| Exception::argument(text()))?;
        Ok(Field { name: name.to_owned(), stored: declared.stored, kind: declared.kind })
    }
}

impl<'a> Atom<'a> {
    /// A text.
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

/// Values of a flattened field: of all paths, or of the one that follows its name and a dot.
pub(super) fn flattened<'a>(map: &'a Map<String, Value>, path: &str) -> Vec<Atom<'a>> {
    fn leaves<'a>(value: &'a Value, left: Option<&str>, found: &mut Vec<Atom<'a>>) {
        match value {
            Value::Null => {}
            Value::Array(items) => items.iter().for_each(|item| leaves(item, left, found)),
            Value::Object(map) => members(map, left, found),
            _ if left.is_some_and(|left| !left.is_empty()) => {}
            Value::String(text) => found.push(Atom::text(text)),
            scalar => found.push(Atom::Text(scalar.to_string().into())),
        }
    }
    fn members<'a>(map: &'a Map<String, Value>, left: Option<&str>, found: &mut Vec<Atom<'a>>) {
        for (key, value) in map {
            match left.map(|left| left.strip_prefix(key.as_str())) {
                None => leaves(value, None, found),
                Some(Some("")) => leaves(value, Some(""), found),
                Some(Some(rest)) if rest.starts_with('.') => leaves(value, rest.get(1..), found),
                Some(_) => {}
            }
        }
    }
    let mut found = Vec::new();
    members(map, path.split_once('.').map(|(_, rest)| rest), &mut found);
    found
}

/// The body of a search, which may be in the parameters instead.
///
/// # Errors
///
/// The parameter without the other, which tells its type.
pub(super) fn body(call: &mut Call<'_>) -> Result<Bytes, Exception> {
    if !call.body.is_empty() {
        return Ok(call.body.clone());
    }
    // Without it its type is a parameter like any that nobody knows.
    let Some(source) = call.query.text("source").map(|source| Bytes::from(source.to_owned())) else {
        return Ok(Bytes::new());
    };
    if call.query.text("source_content_type").is_none() {
        let text = "Validation Failed: 1: source and source_content_type parameters are required;";
        return Err(Exception::new("validation_exception", text));
    }
    Ok(source)
}

/// `parsing_exception` at a place.
fn parsing(at: Position, text: impl Into<Box<str>>) -> Exception {
    Exception::new("parsing_exception", text).with("line", at.line).with("col", at.column)
}

fn fault<T>(at: Position, cause: Exception) -> Read<T> {
    Err(Fault { at, cause })
}

/// A scalar as text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A whole number, or a text that is one.
fn number(node: &Node) -> Option<Read<i64>> {
    match &node.tree {
        #[expect(clippy::cast_possible_truncation, reason = "fractions are cut off, as there")]
        Tree::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)).map(Ok),
        Tree::Text(text) => Some(text.parse().map_err(|_| {
            let text = format!("For input string: \"{text}\"");
            Fault { at: node.at, cause: Exception::new("number_format_exception", text) }
        })),
        _ => None,
    }
}

/// What a shard of the original would have noticed; what is beneath it is told beside it, where that is the root.
fn on_shard(reason: &Exception) -> Exception {
    let failed = json!([{ "shard": 0, "index": INDEX, "node": NODE_ID, "reason": reason.shown() }]);
    let failure = Exception::new("search_phase_execution_exception", "all shards failed")
        .with("phase", "query")
        .with("grouped", true)
        .with("failed_shards", failed)
        .rooted_in(reason);
    match reason.native_cause() {
        Some(cause) => failure.because(cause.clone()),
        None => failure,
    }
}

/// The same for what is no exception of Elasticsearch's own, which is told as the cause too.
fn argument_on_shard(text: impl Into<Box<str>>) -> Exception {
    let reason = Exception::argument(text);
    on_shard(&reason).because(reason.clone().because(reason))
}

/// A query that does not fit its field.
fn unfit(text: impl Into<Box<str>>) -> Exception {
    Exception::new("query_shard_exception", text).with("index_uuid", INDEX_UUID).with("index", INDEX)
}

const INDEX: &str = ".security-7";
const INDEX_UUID: &str = "searchgate-index-AAAAA";
