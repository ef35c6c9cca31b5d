//! The body of a search.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    api::{
        failure::{INVALID_REQUEST, Validation},
        form::{self, Form},
        json::{Node, Tree},
        search::{
            Document, Fault, Query, Schema,
            aggregation::{self, Aggregation},
            argument_on_shard,
            clause::{self, Clause},
            compile::Compiler,
            number,
            sort::{self, Rank, Sort},
        },
    },
    model::Timestamp,
    respond::Exception,
};

/// A body, read.
#[derive(Debug, Default)]
pub(in crate::api) struct Request {
    query: Option<Clause>,
    from: Option<i64>,
    size: Option<i64>,
    sort: Vec<sort::Wanted>,
    after: Option<Vec<Value>>,
    aggregations: Vec<aggregation::Wanted>,
}

/// A search that can be made.
#[derive(Debug)]
pub(in crate::api) struct Search {
    pub(in crate::api) query: Query,
    pub(in crate::api) from: usize,
    pub(in crate::api) size: usize,
    pub(in crate::api) sort: Arc<[Sort]>,
    pub(in crate::api) after: Option<Vec<Rank>>,
    pub(in crate::api) aggregations: Vec<Aggregation>,
}

impl Request {
    /// Reads a body; an empty one asks for everything.
    ///
    /// # Errors
    ///
    /// What cannot be read, as the original says it.
    pub(in crate::api) fn read(schema: &Schema, body: &[u8]) -> Result<Self, Exception> {
        let mut read = Self::default();
        if body.is_empty() {
            return Ok(read);
        }
        let form = Form::read(schema.parser, body)?;
        let (mut known, mut aggregated) = (vec!["from", "query", "search_after", "size", "sort"], 0);
        if schema.aggregates {
            known.extend(["aggregations", "aggs"]);
        }
        for field in &form.fields {
            let (name, node) = (field.name.as_str(), &field.node);
            let unread = |Fault { at, cause }: Fault| form.unread(at, name, cause);
            let mistyped = || form::mistyped(schema.parser, field);
            let whole = |node: &Node| number(node).ok_or_else(mistyped)?.map_err(unread);
            match (name, &node.tree) {
                ("query", Tree::Object(_)) => read.query = Some(clause::read(node).map_err(unread)?),
                ("from", _) => read.from = Some(whole(node)?),
                ("size", _) => read.size = Some(whole(node)?),
                ("sort", Tree::List(_) | Tree::Object(_)) => read.sort = sort::read(node).map_err(unread)?,
                ("search_after", Tree::Null) => return Err(mistyped()),
                ("search_after", _) => read.after = Some(sort::read_after(node).map_err(unread)?),
                ("aggs" | "aggregations", Tree::Object(members)) if schema.aggregates => {
                    aggregated += 1;
                    read.aggregations = aggregation::read(members).map_err(unread)?;
                }
                (name, _) if known.contains(&name) => return Err(mistyped()),
                _ => return Err(form.unknown(field, &known)),
            }
        }
        if aggregated > 1 {
            return Err(form.unbuilt(Exception::argument("Duplicate 'aggs' or 'aggregations' field")));
        }
        Ok(read)
    }

    /// Whether it asks for aggregations.
    pub(in crate::api) fn aggregates(&self) -> bool {
        !self.aggregations.is_empty()
    }

    /// # Errors
    ///
    /// Pages that cannot be.
    pub(in crate::api) fn validate(&self) -> Result<(), Exception> {
        let mut validation = Validation::default();
        for (name, value) in [("from", self.from), ("size", self.size)] {
            if let Some(value) = value {
                validation.refuse(value < 0, format!("[{name}] parameter cannot be negative but was [{value}]"));
            }
        }
        let moved = self.after.is_some() && self.from.is_some_and(|from| from > 0);
        validation.refuse(moved, "[from] parameter must be set to 0 when [search_after] is used");
        validation.finish(INVALID_REQUEST)
    }

    /// The search that is meant, at the time `now`.
    ///
    /// # Errors
    ///
    /// Fields and kinds that are not taken, then what a shard of the original would notice.
    pub(in crate::api) fn compile(&self, schema: &Schema, now: Timestamp) -> Result<Search, Exception> {
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let mut by = Compiler { schema, now, failed: None };
        let aggregations = self.aggregations.iter().map(|wanted| wanted.compile(&mut by)).collect::<Result<_, _>>()?;
        let query = self.query.as_ref().map_or(Ok(Query::All), |query| by.query(query))?;
        let sort: Arc<[Sort]> =
            self.sort.iter().map(|wanted| wanted.compile(schema, now, &mut by.failed)).collect::<Result<_, _>>()?;
        let count =
            |number: Option<i64>, default| number.map_or(default, |number| usize::try_from(number).unwrap_or(0));
        let (from, size) = (count(self.from, 0), count(self.size, 10));
        if from.saturating_add(size) > LARGEST_WINDOW {
            let window = from.saturating_add(size);
            return Err(argument_on_shard(format!(
                "Result window is too large, from + size must be less than or equal to: [{LARGEST_WINDOW}] but was \
                 [{window}]. See the scroll api for a more efficient way to request large data sets. This limit can be set \
                 by changing the [index.max_result_window] index level setting."
            )));
        }
        let after = self.after.as_ref().map(|after| behind(after, &sort, now)).transpose()?;
        match by.failed {
            Some(failure) => Err(failure),
            None => Ok(Search { query, from, size, sort, after, aggregations }),
        }
    }
}

impl Search {
    /// `_sort` of a document that is at `place` of the source; absent when no order was asked for.
    pub(in crate::api) fn show_sort(&self, document: &impl Document, place: u64) -> Option<Value> {
        let shown = self.sort.iter().map(|sort| sort.show(&sort.of(document, place)));
        (!self.sort.is_empty()).then(|| shown.collect())
    }
}

fn behind(after: &[Value], sort: &[Sort], now: i64) -> Result<Vec<Rank>, Exception> {
    if sort.is_empty() {
        return Err(argument_on_shard("Sort must contain at least one field."));
    }
    if sort.len() != after.len() {
        let (values, fields) = (after.len(), sort.len());
        return Err(argument_on_shard(format!("search_after has {values} value(s) but sort has {fields}.")));
    }
    sort.iter().zip(after).map(|(sort, value)| sort.rank(value, now)).collect()
}

const LARGEST_WINDOW: usize = 10_000;
