//! `sort` and `search_after`.

use std::cmp::Ordering;

use serde_json::Value;

use crate::{
    api::{
        form,
        json::{self, Node, Tree},
        search::{
            Atom, Document, Fault, Field, Kind, Read, Schema, argument_on_shard,
            date::{Format, Round},
            fault, on_shard, parsing, plain,
        },
    },
    respond::Exception,
};

/// One `sort` as written.
#[derive(Debug)]
pub(super) struct Wanted {
    field: String,
    descending: bool,
    missing: Option<Value>,
    format: Option<String>,
    /// The largest value of several counts, or the smallest; absent = as the order has it.
    largest: Option<bool>,
    nested: bool,
}

/// By what documents are sorted.
#[derive(Debug)]
pub(in crate::api) struct Sort {
    /// Absent for the order of the source.
    pub(in crate::api) field: Option<Field>,
    pub(in crate::api) descending: bool,
    /// What stands for no value.
    missing: Rank,
    format: Option<Format>,
    largest: bool,
}

/// A value that documents are sorted by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::api) enum Rank {
    /// No value, before all or behind all.
    Nothing { first: bool },
    /// A value.
    Value(Atom<'static>),
}

/// Reads `sort`: a list of names and objects, or one object.
pub(super) fn read(node: &Node) -> Read<Vec<Wanted>> {
    match &node.tree {
        Tree::List(items) => items.iter().map(one).collect(),
        _ => Ok(vec![one(node)?]),
    }
}

fn one(node: &Node) -> Read<Wanted> {
    let plainly = |field: &str| Wanted {
        field: field.to_owned(),
        descending: false,
        missing: None,
        format: None,
        largest: None,
        nested: false,
    };
    let fields = match &node.tree {
        Tree::Text(name) => return Ok(plainly(name)),
        Tree::Object(fields) => fields,
        Tree::List(_) => {
            let text = format!("expected value but got [{}]", node.token());
            return fault(node.at, Exception::new("illegal_state_exception", text));
        }
        _ => return fault(node.at, Exception::argument("mal-formatted sort object")),
    };
    let Some((named, others)) = fields.split_first() else {
        let text = "Failed to parse object: expecting token of type [FIELD_NAME] but found [END_OBJECT]";
        return fault(node.end, parsing(node.end, text));
    };
    let Tree::Object(options) = &named.node.tree else {
        let (at, token) = (named.node.at, named.node.token());
        let text = format!("[{at}] [field_sort] Expected START_OBJECT but was: {token}");
        return fault(at, Exception::content(text));
    };
    let mut wanted = plainly(&named.name);
    for option in options {
        let at = option.node.at;
        let refused = |cause: Exception| {
            let text = format!("[{at}] [field_sort] failed to parse field [{}]", option.name);
            Fault { at, cause: Exception::content(text).because(cause) }
        };
        match (option.name.as_str(), &option.node.tree) {
            ("order", Tree::Text(order)) => {
                wanted.descending = match order.to_ascii_lowercase().as_str() {
                    "asc" => false,
                    "desc" => true,
                    _ => {
                        let order = order.to_uppercase();
                        let text = format!("No enum constant org.elasticsearch.search.sort.SortOrder.{order}");
                        return Err(refused(Exception::argument(text)));
                    }
                }
            }
            ("mode", Tree::Text(mode)) => {
                wanted.largest = match mode.to_ascii_lowercase().as_str() {
                    "min" => Some(false),
                    "max" => Some(true),
                    _ => return Err(refused(Exception::argument(format!("Unknown SortMode [{mode}]")))),
                }
            }
            ("missing", Tree::Bool(_) | Tree::Number(_) | Tree::Text(_)) => wanted.missing = Some(option.node.value()),
            ("format", Tree::Text(format)) => wanted.format = Some(format.clone()),
            ("nested", Tree::Object(_)) => wanted.nested = true,
            ("unmapped_type" | "numeric_type", Tree::Text(_)) => {}
            ("order" | "mode" | "missing" | "format" | "nested" | "unmapped_type" | "numeric_type", _) => {
                return fault(at, form::mistyped("field_sort", option));
            }
            (name, _) => {
                let text = format!("[{}] [field_sort] unknown field [{name}]", option.at);
                return fault(at, Exception::content(text));
            }
        }
    }
    if let Some(other) = others.first() {
        let text = "Failed to parse object: expecting token of type [END_OBJECT] but found [FIELD_NAME]";
        return fault(other.at, parsing(other.at, text));
    }
    Ok(wanted)
}

/// Reads `search_after`.
pub(super) fn read_after(node: &Node) -> Read<Vec<Value>> {
    let Tree::List(items) = &node.tree else {
        let (at, token) = (node.at, node.token());
        let text = format!("Expected [START_ARRAY] in [search_after] but found [{token}] inside search_after");
        return fault(at, parsing(at, text));
    };
    if items.is_empty() {
        return fault(node.end, Exception::argument("Values must contains at least one value."));
    }
    if let Some(item) = items.iter().find(|item| matches!(item.tree, Tree::List(_) | Tree::Object(_))) {
        let (at, token) = (item.at, item.token());
        let text = format!(
            "Expected [VALUE_STRING] or [VALUE_NUMBER] or [VALUE_BOOLEAN] or [VALUE_NULL] but found [{token}] inside search_after."
        );
        return fault(at, parsing(at, text));
    }
    Ok(items.iter().map(json::Node::value).collect())
}

impl Wanted {
    /// What it means by a schema.
    ///
    /// # Errors
    ///
    /// A field or a way that is not taken; `failed` is told what a shard would notice.
    pub(super) fn compile(&self, schema: &Schema, now: i64, failed: &mut Option<Exception>) -> Result<Sort, Exception> {
        if self.nested {
            return Err(Exception::argument("nested sorting is not currently supported in this context"));
        }
        let field = if self.field == "_doc" { None } else { Some(schema.field(&self.field)?) };
        if let Some(Field { name, kind: Kind::Text, .. }) = &field {
            return Err(Exception::argument(format!("sorting is not supported for field [{name}]")));
        }
        let first = self.missing.as_ref().is_some_and(|missing| missing == "_first");
        let numeric = !matches!(&field, Some(Field { kind: Kind::Flattened | Kind::Keyword, .. }));
        let nothing = if numeric {
            Rank::Value(Atom::Number(if first == self.descending { i64::MAX } else { i64::MIN }))
        } else {
            Rank::Nothing { first }
        };
        let format = self.format.as_deref().map(|format| Format::new(Some(format)));
        let mut sort = Sort {
            descending: self.descending,
            missing: nothing,
            largest: self.largest.unwrap_or(self.descending),
            field,
            format,
        };
        if let Some(missing) = self.missing.as_ref().filter(|missing| *missing != "_first" && *missing != "_last") {
            match sort.rank(missing, now) {
                Ok(rank) => sort.missing = rank,
                Err(failure) => drop(failed.get_or_insert(failure)),
            }
        }
        Ok(sort)
    }
}

impl Rank {
    /// Of dates, booleans and places.
    pub(in crate::api) fn number(&self) -> Option<i64> {
        match self {
            Self::Value(Atom::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

impl Sort {
    /// Whether values are shown and compared as they are.
    pub(in crate::api) fn is_plain(&self) -> bool {
        self.format.is_none()
    }

    /// A value of `search_after`.
    ///
    /// # Errors
    ///
    /// What cannot be a value of that field.
    pub(super) fn rank(&self, value: &Value, now: i64) -> Result<Rank, Exception> {
        let kind = self.field.as_ref().map(|field| field.kind);
        if value.is_null() {
            return Ok(self.missing.clone());
        }
        let text = plain(value);
        Ok(Rank::Value(match kind {
            Some(Kind::Flattened | Kind::Keyword | Kind::Text) => Atom::Text(text.into()),
            Some(Kind::Date) => {
                // What stands for no date is beyond all dates.
                let whole = self.format.is_none().then(|| text.parse().ok()).flatten();
                let date = || self.format.clone().unwrap_or_default().parse(&text, Round::Down, now);
                Atom::Number(whole.map_or_else(date, Ok).map_err(|failure| on_shard(&failure))?)
            }
            Some(Kind::Boolean) | None => {
                let number = text.parse::<i64>().ok().or(match text.as_str() {
                    "true" => Some(1),
                    "false" => Some(0),
                    _ => None,
                });
                Atom::Number(number.ok_or_else(|| {
                    let field = self.field.as_ref().map_or("_doc", |field| field.stored);
                    argument_on_shard(format!("Failed to parse search_after value for field [{field}]."))
                })?)
            }
        }))
    }

    /// The value that a document is sorted by; `place` is its place in the source.
    pub(super) fn of(&self, document: &impl Document, place: u64) -> Rank {
        let Some(field) = &self.field else {
            return Rank::Value(Atom::Number(i64::try_from(place).unwrap_or(i64::MAX)));
        };
        let values = document.values(&field.name).into_iter();
        let value = if self.largest { values.max() } else { values.min() };
        value.map_or_else(|| self.missing.clone(), |value| Rank::Value(value.owned()))
    }

    /// Which of two comes first.
    pub(super) fn compare(&self, left: &Rank, right: &Rank) -> Ordering {
        match (left, right) {
            (Rank::Value(left), Rank::Value(right)) if self.descending => right.cmp(left),
            (Rank::Value(left), Rank::Value(right)) => left.cmp(right),
            (Rank::Nothing { .. }, Rank::Nothing { .. }) => Ordering::Equal,
            (Rank::Nothing { first }, _) => {
                if *first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (_, Rank::Nothing { first }) => {
                if *first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
        }
    }

    /// As `_sort` shows it.
    pub(super) fn show(&self, rank: &Rank) -> Value {
        match (rank, &self.format) {
            (Rank::Nothing { .. }, _) => Value::Null,
            (Rank::Value(Atom::Text(text)), _) => Value::from(&**text),
            (Rank::Value(Atom::Number(number)), Some(format)) if jiff::Timestamp::from_millisecond(*number).is_ok() => {
                format.write(*number).into()
            }
            (Rank::Value(Atom::Number(number)), _) => (*number).into(),
        }
    }
}

impl Atom<'_> {
    /// The same without what it borrows.
    pub(super) fn owned(self) -> Atom<'static> {
        match self {
            Atom::Number(number) => Atom::Number(number),
            Atom::Text(text) => Atom::Text(text.into_owned().into()),
        }
    }
}
