//! Sees every document once and keeps what the answer shows.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    api::search::{
        Document, Search,
        aggregate::Seen,
        sort::{Rank, Sort},
    },
    respond::Exception,
};

/// A search under way.
#[derive(Debug)]
pub(in crate::api) struct Collector<'a, D> {
    search: &'a Search,
    order: Arc<[Sort]>,
    seen: Seen,
    /// How many came from the source.
    place: u64,
    total: u64,
    /// The first `from + size`, the last of them on top.
    best: BinaryHeap<Hit<D>>,
}

/// What a search found.
#[derive(Debug)]
pub(in crate::api) struct Found<D> {
    /// How many match.
    pub(in crate::api) total: u64,
    /// Those of the page, in order, with their `_sort` where one was asked for.
    pub(in crate::api) hits: Vec<(D, Option<Value>)>,
    /// Absent when none were asked for or nothing matches.
    pub(in crate::api) aggregations: Option<Map<String, Value>>,
}

#[derive(Debug)]
struct Hit<D> {
    ranks: Vec<Rank>,
    place: u64,
    document: D,
    order: Arc<[Sort]>,
}

impl<'a, D: Document> Collector<'a, D> {
    pub(in crate::api) fn new(search: &'a Search) -> Self {
        let order = Arc::clone(&search.sort);
        let seen = Seen::new(&search.aggregations);
        Self { search, order, seen, place: 0, total: 0, best: BinaryHeap::new() }
    }

    /// Sees the next document of the source.
    ///
    /// # Errors
    ///
    /// More buckets than an answer can hold.
    pub(in crate::api) fn see(&mut self, document: D) -> Result<(), Exception> {
        let place = self.place;
        self.place += 1;
        if !self.search.query.matches(&document) {
            return Ok(());
        }
        self.total += 1;
        self.seen.see(&self.search.aggregations, &document)?;
        let ranks: Vec<Rank> = self.order.iter().map(|sort| sort.of(&document, place)).collect();
        if let Some(after) = &self.search.after
            && compare(&self.order, &ranks, after) != Ordering::Greater
        {
            return Ok(());
        }
        let hit = Hit { ranks, place, document, order: Arc::clone(&self.order) };
        let room = self.search.from.saturating_add(self.search.size);
        if self.best.len() < room {
            self.best.push(hit);
        } else if let Some(mut last) = self.best.peek_mut()
            && hit < *last
        {
            *last = hit;
        }
        Ok(())
    }

    /// The answer; `typed` as `typed_keys` says.
    pub(in crate::api) fn finish(self, typed: bool) -> Found<D> {
        let order = self.order;
        let show = |hit: &Hit<D>| -> Option<Value> {
            let shown = order.iter().zip(&hit.ranks).map(|(sort, rank)| sort.show(rank));
            (!order.is_empty()).then(|| shown.collect())
        };
        let hits = self.best.into_sorted_vec().into_iter().skip(self.search.from);
        let hits = hits.map(|hit| (show(&hit), hit.document)).map(|(sort, document)| (document, sort)).collect();
        let asked = !self.search.aggregations.is_empty() && self.total > 0;
        let aggregations = asked.then(|| self.seen.show(&self.search.aggregations, typed));
        Found { total: self.total, hits, aggregations }
    }
}

fn compare(order: &[Sort], left: &[Rank], right: &[Rank]) -> Ordering {
    let pairs = order.iter().zip(left.iter().zip(right));
    pairs.fold(Ordering::Equal, |found, (sort, (left, right))| found.then_with(|| sort.compare(left, right)))
}

impl<D> Ord for Hit<D> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.order, &self.ranks, &other.ranks).then(self.place.cmp(&other.place))
    }
}

impl<D> PartialOrd for Hit<D> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<D> PartialEq for Hit<D> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<D> Eq for Hit<D> {}
