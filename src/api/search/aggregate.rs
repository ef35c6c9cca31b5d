//! Aggregations as they grow, document by document, and as answers show them.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use serde_json::{Map, Value, json};

use crate::{
    api::search::{
        Atom, Document, Kind,
        aggregation::{Aggregation, ByWhat, MOST_BUCKETS, Measure, Source, Span},
        date::Format,
    },
    respond::Exception,
};

/// What aggregations have seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<State>);

#[derive(Debug)]
enum State {
    Composite(BTreeMap<Key, Bucket>),
    Distinct(RandomState, HashSet<u64>),
    Fixed(Vec<Bucket>),
    Terms(HashMap<Atom<'static>, Bucket>),
    Values(u64),
}

#[derive(Debug, Default)]
struct Bucket {
    count: u64,
    inner: Seen,
}

/// The key of a composite bucket; parts sort as their sources say.
#[derive(Debug, Eq, PartialEq)]
struct Key(Vec<(Atom<'static>, bool)>);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().zip(&other.0).fold(Ordering::Equal, |order, ((left, descending), (right, _))| {
            order.then_with(|| if *descending { right.cmp(left) } else { left.cmp(right) })
        })
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Seen {
    pub(super) fn new(aggregations: &[Aggregation]) -> Self {
        Self(aggregations.iter().map(|aggregation| State::new(&aggregation.kind)).collect())
    }

    /// Adds a document.
    ///
    /// # Errors
    ///
    /// More buckets than an answer can hold.
    pub(super) fn see(&mut self, aggregations: &[Aggregation], document: &impl Document) -> Result<(), Exception> {
        for (state, aggregation) in self.0.iter_mut().zip(aggregations) {
            state.see(aggregation, document)?;
        }
        Ok(())
    }

    /// The member `aggregations`; names carry their types when `typed`.
    pub(super) fn show(&self, aggregations: &[Aggregation], typed: bool) -> Map<String, Value> {
        let mut shown = Map::new();
        for (state, aggregation) in self.0.iter().zip(aggregations) {
            let name = &aggregation.name;
            let name = if typed { format!("{}#{name}", aggregation.kind.name()) } else { name.clone() };
            let mut body = Map::new();
            if let Some(meta) = &aggregation.meta {
                body.insert("meta".into(), meta.clone());
            }
            state.show(aggregation, typed, &mut body);
            shown.insert(name, body.into());
        }
        shown
    }
}

impl State {
    fn new(measure: &Measure) -> Self {
        let fixed = |count| Self::Fixed(std::iter::repeat_with(Bucket::default).take(count).collect());
        match measure {
            Measure::Cardinality(_) => Self::Distinct(RandomState::new(), HashSet::new()),
            Measure::Composite { .. } => Self::Composite(BTreeMap::new()),
            Measure::Filter(_) | Measure::Missing(_) => fixed(1),
            Measure::Filters { filters, other, .. } => fixed(filters.len() + usize::from(other.is_some())),
            Measure::Range { spans, .. } => fixed(spans.len()),
            Measure::Terms { .. } => Self::Terms(HashMap::new()),
            Measure::ValueCount(_) => Self::Values(0),
        }
    }

    fn see(&mut self, aggregation: &Aggregation, document: &impl Document) -> Result<(), Exception> {
        let inner = &aggregation.inner;
        match (self, &aggregation.kind) {
            (Self::Distinct(hasher, seen), Measure::Cardinality(field)) => {
                seen.extend(document.values(&field.name).iter().map(|value| hasher.hash_one(value)));
            }
            (Self::Values(count), Measure::ValueCount(field)) => *count += document.values(&field.name).len() as u64,
            (Self::Fixed(buckets), Measure::Missing(field)) if document.values(&field.name).is_empty() => {
                for bucket in buckets {
                    bucket.add(inner, document)?;
                }
            }
            (Self::Fixed(buckets), Measure::Filter(query)) if query.matches(document) => {
                for bucket in buckets {
                    bucket.add(inner, document)?;
                }
            }
            (Self::Fixed(buckets), Measure::Filters { filters, .. }) => {
                let mut others = true;
                let named = filters.len().min(buckets.len());
                let (named, rest) = buckets.split_at_mut(named);
                for (bucket, (_, query)) in named.iter_mut().zip(filters) {
                    if query.matches(document) {
                        others = false;
                        bucket.add(inner, document)?;
                    }
                }
                if others && let Some(bucket) = rest.first_mut() {
                    bucket.add(inner, document)?;
                }
            }
            (Self::Fixed(buckets), Measure::Range { field, spans, .. }) => {
                let values = document.values(&field.name);
                for (bucket, span) in buckets.iter_mut().zip(spans) {
                    if values.iter().any(|value| span.holds(value)) {
                        bucket.add(inner, document)?;
                    }
                }
            }
            (Self::Terms(buckets), Measure::Terms { field, missing, .. }) => {
                let mut values: Vec<_> = document.values(&field.name);
                if values.is_empty() {
                    values.extend(missing.clone());
                }
                values.sort_unstable();
                values.dedup();
                for value in values {
                    if buckets.len() >= MOST_BUCKETS && !buckets.contains_key(&value.clone().owned()) {
                        return Err(too_many());
                    }
                    buckets.entry(value.owned()).or_default().add(inner, document)?;
                }
            }
            (Self::Composite(buckets), Measure::Composite { sources, size, after }) => {
                let behind = after.as_ref().map(|after| Key::of(sources, after.clone()));
                for key in keys(sources, document) {
                    if behind.as_ref().is_none_or(|behind| key > *behind) {
                        buckets.entry(key).or_default().add(inner, document)?;
                        if buckets.len() > *size {
                            buckets.pop_last();
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn show(&self, aggregation: &Aggregation, typed: bool, body: &mut Map<String, Value>) {
        let inner = &aggregation.inner;
        match (self, &aggregation.kind) {
            (Self::Distinct(_, seen), _) => drop(body.insert("value".into(), seen.len().into())),
            (Self::Values(count), _) => drop(body.insert("value".into(), (*count).into())),
            (Self::Fixed(buckets), Measure::Filters { filters, other, keyed }) => {
                let names = filters.iter().map(|(name, _)| name.clone()).chain([other.clone()]);
                let shown =
                    buckets.iter().zip(names).map(|(bucket, name)| (name, bucket.show(inner, typed, Map::new())));
                let buckets = if *keyed {
                    shown.map(|(name, bucket)| (name.unwrap_or_default(), bucket)).collect::<Map<_, _>>().into()
                } else {
                    shown.map(|(_, bucket)| bucket).collect()
                };
                body.insert("buckets".into(), buckets);
            }
            (Self::Fixed(buckets), Measure::Range { spans, keyed, format, .. }) => {
                let shown = buckets.iter().zip(spans).map(|(bucket, span)| {
                    let mut shown = span.show(format);
                    let key = shown.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
                    if *keyed {
                        shown.shift_remove("key");
                    }
                    (key, bucket.show(inner, typed, shown))
                });
                let buckets = if *keyed {
                    shown.collect::<Map<_, _>>().into()
                } else {
                    shown.map(|(_, bucket)| bucket).collect()
                };
                body.insert("buckets".into(), buckets);
            }
            (Self::Fixed(buckets), _) => {
                if let Some(Value::Object(shown)) = buckets.first().map(|bucket| bucket.show(inner, typed, Map::new()))
                {
                    body.extend(shown);
                }
            }
            (Self::Terms(buckets), Measure::Terms { field, size, least, order, .. }) => {
                let mut sorted: Vec<_> = buckets.iter().filter(|(_, bucket)| bucket.count >= *least).collect();
                sorted.sort_unstable_by(|left, right| {
                    order.iter().fold(Ordering::Equal, |found, (by, descending)| {
                        found.then_with(|| {
                            let ascending = match by {
                                ByWhat::Count => left.1.count.cmp(&right.1.count),
                                ByWhat::Key => left.0.cmp(right.0),
                            };
                            if *descending { ascending.reverse() } else { ascending }
                        })
                    })
                });
                let others: u64 = sorted.iter().skip(*size).map(|(_, bucket)| bucket.count).sum();
                let shown = sorted.into_iter().take(*size);
                let shown: Vec<Value> =
                    shown.map(|(key, bucket)| bucket.show(inner, typed, shown_key(key, field.kind))).collect();
                body.insert("doc_count_error_upper_bound".into(), 0.into());
                body.insert("sum_other_doc_count".into(), others.into());
                body.insert("buckets".into(), shown.into());
            }
            (Self::Composite(buckets), Measure::Composite { sources, .. }) => {
                if let Some((last, _)) = buckets.last_key_value() {
                    body.insert("after_key".into(), last.show(sources));
                }
                let shown = buckets.iter().map(|(key, bucket)| {
                    let head = Map::from_iter([("key".to_owned(), key.show(sources))]);
                    bucket.show(inner, typed, head)
                });
                body.insert("buckets".into(), shown.collect());
            }
            _ => {}
        }
    }
}

impl Bucket {
    fn add(&mut self, inner: &[Aggregation], document: &impl Document) -> Result<(), Exception> {
        if self.count == 0 {
            self.inner = Seen::new(inner);
        }
        self.count += 1;
        self.inner.see(inner, document)
    }

    fn show(&self, inner: &[Aggregation], typed: bool, mut head: Map<String, Value>) -> Value {
        head.insert("doc_count".into(), self.count.into());
        if self.count == 0 {
            head.extend(Seen::new(inner).show(inner, typed));
        } else {
            head.extend(self.inner.show(inner, typed));
        }
        head.into()
    }
}

impl Key {
    fn of(sources: &[Source], parts: Vec<Atom<'static>>) -> Self {
        Self(parts.into_iter().zip(sources.iter().map(|source| source.descending)).collect())
    }

    fn show(&self, sources: &[Source]) -> Value {
        let parts = sources.iter().zip(&self.0);
        parts
            .map(|(source, (part, _))| {
                let shown = match part {
                    Atom::Number(number) if source.field.kind == Kind::Boolean => json!(*number == 1),
                    Atom::Number(number) => json!(number),
                    Atom::Text(text) => json!(text),
                };
                (source.name.clone(), shown)
            })
            .collect::<Map<_, _>>()
            .into()
    }
}

/// Every combination of a document's values; none where a source has none.
fn keys(sources: &[Source], document: &impl Document) -> Vec<Key> {
    let mut found: Vec<Vec<Atom<'static>>> = vec![Vec::new()];
    for source in sources {
        let values = document.values(&source.field.name);
        let longer = found.iter().flat_map(|parts| {
            values.iter().map(|value| parts.iter().cloned().chain([value.clone().owned()]).collect())
        });
        found = longer.take(MOST_BUCKETS).collect();
    }
    found.into_iter().map(|parts| Key::of(sources, parts)).collect()
}

impl Span {
    fn holds(&self, value: &Atom<'_>) -> bool {
        let Atom::Number(value) = value else { return false };
        self.from.is_none_or(|from| *value >= from) && self.to.is_none_or(|to| *value < to)
    }

    fn show(&self, format: &Format) -> Map<String, Value> {
        let text = |bound: Option<i64>| bound.map_or_else(|| "*".to_owned(), |bound| format.write(bound));
        let mut shown = Map::new();
        let key = self.key.clone().unwrap_or_else(|| format!("{}-{}", text(self.from), text(self.to)));
        shown.insert("key".into(), key.into());
        for (name, bound) in [("from", self.from), ("to", self.to)] {
            if let Some(bound) = bound {
                #[expect(clippy::cast_precision_loss, reason = "shown as a float, as there")]
                shown.insert(name.into(), (bound as f64).into());
                shown.insert(format!("{name}_as_string"), text(Some(bound)).into());
            }
        }
        shown
    }
}

impl Measure {
    /// What `typed_keys` puts before a name.
    fn name(&self) -> &'static str {
        match self {
            Self::Cardinality(_) => "cardinality",
            Self::Composite { .. } => "composite",
            Self::Filter(_) => "filter",
            Self::Filters { .. } => "filters",
            Self::Missing(_) => "missing",
            Self::Range { dates: true, .. } => "date_range",
            Self::Range { .. } => "range",
            Self::Terms { field, .. } if matches!(field.kind, Kind::Boolean | Kind::Date) => "lterms",
            Self::Terms { .. } => "sterms",
            Self::ValueCount(_) => "value_count",
        }
    }
}

fn shown_key(key: &Atom<'_>, kind: Kind) -> Map<String, Value> {
    let mut shown = Map::new();
    match key {
        Atom::Text(text) => drop(shown.insert("key".into(), json!(text))),
        Atom::Number(number) => {
            let text = if kind == Kind::Boolean { (*number == 1).to_string() } else { number.to_string() };
            shown.insert("key".into(), json!(number));
            shown.insert("key_as_string".into(), text.into());
        }
    }
    shown
}

fn too_many() -> Exception {
    let text = format!(
        "Trying to create too many buckets. Must be less than or equal to: [{MOST_BUCKETS}] but this number of buckets was exceeded."
    );
    Exception::new("too_many_buckets_exception", text).with("max_buckets", MOST_BUCKETS)
}
